//! How files are written: a Rust file opens with `//!`, and no line ends in white space.

use super::tree::{Tree, Violation, is_foreign};

/// Checks every text that we wrote.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let ours = || tree.texts().filter(|(path, _)| !is_foreign(path));
    let rust = ours().filter(|(path, _)| path.ends_with(".rs"));
    let undocumented = rust.filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| {
        let message = "the file does not open with `//!`: say what it is".to_owned();
        Violation { path: path.to_owned(), line: 1, message }
    });
    undocumented.chain(ours().flat_map(|(path, text)| trailing_space(path, text))).collect()
}

fn trailing_space<'a>(path: &'a str, text: &'a str) -> impl Iterator<Item = Violation> + 'a {
    text.lines().enumerate().filter(|(_, line)| line.ends_with([' ', '\t'])).map(|(at, _)| {
        let message = "the line ends in white space".to_owned();
        Violation { path: path.to_owned(), line: at + 1, message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_file_must_open_with_its_documentation() {
        assert_eq!(check(&Tree::of(&[("a.rs", "//! What it is.\n")])).len(), 0);
        assert_eq!(check(&Tree::of(&[("a.rs", "use std::fmt;\n")])).len(), 1);
        assert_eq!(check(&Tree::of(&[("a.md", "use std::fmt;\n")])).len(), 0);
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_found() {
        let violations = check(&Tree::of(&[("a.md", "one\ntwo \nthree\t\n")]));
        assert_eq!(violations.iter().map(|v| v.line).collect::<Vec<_>>(), [2, 3]);
    }
}
