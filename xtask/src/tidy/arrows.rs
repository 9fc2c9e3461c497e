//! The arrows between the crates: which of our crates may depend on which.
//!
//! The host must not link the engine: it sees the store through the component only, so that no
//! native code can quietly do the component's work.

use toml::{Table, Value};

use super::tree::{Tree, Violation};

/// For each directory with a crate of ours, the crates of ours that it may depend on. The packages
/// are called `esker-DIRECTORY`, except xtask.
const ARROWS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("component", &["engine"]),
    ("command", &["rows"]),
    ("host", &["rows"]),
    ("rows", &[]),
    ("tests", &["engine", "host"]),
    ("bench", &["engine", "host"]),
    ("compaction-sim", &["engine"]),
    ("web", &["engine"]),
    ("fuzz", &["engine", "web"]),
    ("examples/plugin-host", &["host", "tests"]),
    ("examples/plugin-host/guests", &[]),
    ("xtask", &[]),
    // What somebody else would write knows the interface and none of our crates.
    ("examples/components", &[]),
    ("examples/components/get-bench", &[]),
    ("examples/components/page-views", &[]),
    ("examples/components/wasi-keyvalue-guest", &[]),
    ("examples/components/word-counter", &[]),
];

/// Checks every Cargo.toml but the root's, which only declares the workspace.
pub fn check(tree: &Tree) -> Vec<Violation> {
    tree.texts()
        .filter_map(|(path, text)| Some((path, path.strip_suffix("/Cargo.toml")?, text)))
        .flat_map(|(path, directory, text)| check_manifest(path, directory, text))
        .collect()
}

fn check_manifest(path: &str, directory: &str, text: &str) -> Vec<Violation> {
    let violation = |line, message| Violation { path: path.to_owned(), line, message };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == directory) else {
        let message = format!("crate `{directory}` has no arrows; give it some in xtask");
        return vec![violation(1, message)];
    };
    let manifest = match text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![violation(1, error.message().to_owned())],
    };
    let mut names = Vec::new();
    dependencies(&manifest, &mut names);
    let judge = |name: String| {
        let target = crate_of_ours(&name)?;
        let message = format!("`{directory}` must not depend on `{name}`");
        let line = text.lines().position(|line| line.contains(&name)).map_or(1, |at| at + 1);
        (!allowed.contains(&target)).then(|| violation(line, message))
    };
    names.into_iter().filter_map(judge).collect()
}

/// The directory of the package `name`, if it is one of ours.
fn crate_of_ours(name: &str) -> Option<&str> {
    let directory = name.strip_prefix("esker-").or((name == "xtask").then_some(name))?;
    ARROWS.iter().map(|(directory, _)| *directory).find(|ours| *ours == directory)
}

/// Adds the packages that `table` depends on: for normal use, for tests, for build scripts, on any
/// platform.
fn dependencies(table: &Table, names: &mut Vec<String>) {
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
            let renamed = value.get("package").and_then(Value::as_str);
            names.push(renamed.unwrap_or(key).to_owned());
        }
    }
    let targets = table.get("target").and_then(Value::as_table);
    for platform in targets.into_iter().flatten().filter_map(|(_, value)| value.as_table()) {
        dependencies(platform, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn arrows_that_are_drawn_are_allowed() {
        let tests = "[dependencies]\nesker-engine.workspace = true\nesker-host.workspace = true\n";
        assert_eq!(found("tests/Cargo.toml", tests), 0);
        assert_eq!(found("host/Cargo.toml", "[dependencies]\nwasmtime = \"48\"\n"), 0);
    }

    #[test]
    fn the_host_must_not_link_the_engine() {
        let plain = "[package]\nname = \"esker-host\"\n[dependencies]\nesker-engine.workspace = true\n";
        let violations = check(&Tree::of(&[("host/Cargo.toml", plain)]));
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].line, 4);
        let renamed = "[dependencies]\nstore = { package = \"esker-engine\", path = \"../engine\" }\n";
        assert_eq!(found("host/Cargo.toml", renamed), 1);
        assert_eq!(found("host/Cargo.toml", "[dev-dependencies]\nesker-engine = \"0.1\"\n"), 1);
        let for_unix = "[target.'cfg(unix)'.dependencies]\nesker-engine = \"0.1\"\n";
        assert_eq!(found("host/Cargo.toml", for_unix), 1);
    }

    #[test]
    fn an_unknown_crate_is_a_violation() {
        assert_eq!(found("utils/Cargo.toml", "[package]\n"), 1);
    }
}
