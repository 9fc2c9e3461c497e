//! Links between documents: a relative link in our Markdown leads to a file of the project.
//!
//! Links to other sites are not followed, and whether a heading exists behind `#` is not checked.

use super::tree::{Tree, Violation};

/// Checks the documents at the root and in docs/.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| is_document(path)) {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        for (line, target) in links(text) {
            if !leads_somewhere(tree, directory, target) {
                let message = format!("the link `{target}` leads nowhere");
                violations.push(Violation { path: path.to_owned(), line, message });
            }
        }
    }
    violations
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (!path.contains('/') || path.starts_with("docs/"))
}

/// The targets of the links in a Markdown text, with their lines. Code is not looked into.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            // Of the pieces between back quotes, every second one is code. A link whose text is
            // code still has its `](` outside.
            let prose = line.split('`').step_by(2);
            found.extend(prose.flat_map(targets).map(|target| (at + 1, target)));
        }
    }
    found
}

/// The targets in one piece of prose: `[text](target)`, `[text](target "title")`, `[name]: target`.
fn targets(prose: &str) -> Vec<&str> {
    let behind = |pattern: &'static str, end: fn(char) -> bool| {
        prose
            .match_indices(pattern)
            .filter_map(move |(at, _)| prose[at + pattern.len()..].trim_start().split(end).next())
    };
    let inline = behind("](", |c| c == ')' || c == ' ');
    let reference = if prose.trim_start().starts_with('[') { "]: " } else { "\0" };
    let references = behind(reference, |c| c == ' ');
    inline.chain(references).filter(|target| !target.is_empty()).collect()
}

/// Whether `target`, in a document in `directory`, is another site, a heading or a file of ours.
fn leads_somewhere(tree: &Tree, directory: &str, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let file = target.split(['#', '?']).next().unwrap_or_default();
    if file.is_empty() {
        return true;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            name => parts.push(name),
        }
    }
    !file.starts_with('/') && tree.has(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text), ("docs/format.md", ""), ("engine/src/lib.rs", "")]);
        check(&tree).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn links_to_files_and_directories_of_the_project_are_good() {
        let text = "[a](docs/format.md#blocks) [b](engine/) [`c`](./engine/src/lib.rs) [d](#here)\n\
                    [e](https://example.com/x) and\n\n[f]: docs/format.md\n";
        assert_eq!(broken("README.md", text), Vec::<String>::new());
        assert_eq!(broken("docs/guide.md", "[a](format.md) [b](../engine)"), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(broken("README.md", "[a](docs/formats.md)").len(), 1);
        assert_eq!(broken("README.md", "[a](../outside.md)").len(), 1);
        assert_eq!(broken("docs/guide.md", "[a](docs/format.md \"title\")").len(), 1);
        assert_eq!(broken("README.md", "[a]: nowhere.md").len(), 1);
    }

    #[test]
    fn code_is_not_looked_into() {
        let text = "```text\n[a](nowhere)\n```\nand `[b](nowhere)` too\n";
        assert_eq!(broken("README.md", text), Vec::<String>::new());
    }
}
