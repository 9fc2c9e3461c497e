//! Words that must not be in the project's files: unfinished work, and places outside the project.
//!
//! The patterns are put together from pieces, so that this file does not contain them.

use super::tree::{Tree, Violation, is_foreign};

/// How a pattern must stand in the text.
#[derive(Clone, Copy)]
enum Stands {
    /// Anywhere.
    Anywhere,
    /// With no letter, digit or underscore on either side.
    AsWord,
    /// Where an absolute path can begin: not after another part of a path.
    AsRoot,
}

/// Each pattern in two pieces, and what is wrong with it.
const PATTERNS: [(&str, &str, Stands, &str); 9] = [
    ("../sha", "red", Stands::Anywhere, "points outside the project"),
    ("/wo", "rk/", Stands::AsRoot, "points outside the project"),
    ("/ro", "ot/", Stands::AsRoot, "points outside the project"),
    ("DEVEL", "OPERS.md", Stands::Anywhere, "points outside the project"),
    ("todo", "!(", Stands::Anywhere, "is unfinished work"),
    ("unimple", "mented!(", Stands::Anywhere, "is unfinished work"),
    ("TO", "DO", Stands::AsWord, "is unfinished work"),
    ("FIX", "ME", Stands::AsWord, "is unfinished work"),
    ("XX", "X", Stands::AsWord, "is unfinished work"),
];

/// Checks every text that we wrote.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let patterns = PATTERNS.map(|(one, two, stands, wrong)| (format!("{one}{two}"), stands, wrong));
    let mut violations = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !is_foreign(path)) {
        for (at, line) in text.lines().enumerate() {
            for (pattern, stands, wrong) in &patterns {
                if contains(line, pattern, *stands) {
                    let message = format!("`{pattern}` {wrong}");
                    violations.push(Violation { path: path.to_owned(), line: at + 1, message });
                }
            }
        }
    }
    violations
}

/// Whether `pattern` stands in `line` as it must to be a violation.
fn contains(line: &str, pattern: &str, stands: Stands) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let in_path = |c: char| word(c) || matches!(c, '.' | '-' | '~' | '}' | ')' | '*');
    line.match_indices(pattern).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + pattern.len()..].chars().next();
        match stands {
            Stands::Anywhere => true,
            Stands::AsWord => !before.is_some_and(word) && !after.is_some_and(word),
            Stands::AsRoot => !before.is_some_and(in_path),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> usize {
        check(&Tree::of(&[("engine/src/lib.rs", line)])).len()
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_eq!(found(&["// TO", "DO: the rest"].concat()), 1);
        assert_eq!(found(&["    unimple", "mented!()"].concat()), 1);
        assert_eq!(found("let mastodon = TODOS; // XXXL"), 0, "parts of words");
    }

    #[test]
    fn places_outside_the_project_are_found() {
        assert_eq!(found(&["see ../sha", "red/x"].concat()), 1);
        assert_eq!(found(&["path = \"/wo", "rk/x\""].concat()), 1);
        assert_eq!(
            found(&["target/wo", "rk/x and frame/ro", "ot/y"].concat()),
            0,
            "directories of the project"
        );
    }

    #[test]
    fn vendored_texts_are_left_alone() {
        let text = ["/// TO", "DO: upstream"].concat();
        assert_eq!(check(&Tree::of(&[("component/wit/deps/io/streams.wit", &text)])).len(), 0);
    }
}
