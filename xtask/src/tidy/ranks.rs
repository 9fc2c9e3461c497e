//! The ranks of the engine's modules: a module uses only modules of lower rank, never one of its own.
//!
//! The sources are read as tokens, so comments and strings count for nothing, while macros, `use`
//! groups and test modules count like everything else. What counts is every path that starts at
//! the crate's root, spelled with `crate::` or with enough `super::`; a name that lib.rs re-exports
//! counts as a use of the module that it comes from. lib.rs itself is above all ranks.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tree::{Tree, Violation};

/// The modules, lowest first. Keep engine/src/lib.rs and ARCHITECTURE.md in step.
const RANKS: [&[&str]; 9] = [
    &["base"],
    &["env"],
    &["iter"],
    &["record"],
    &["memtable", "sstable", "wal"],
    &["version"],
    &["compaction", "flush"],
    &["job"],
    &["db"],
];

const SOURCES: &str = "engine/src/";

/// The names at the crate's root that are no modules, each with the module that it comes from.
type Exports = BTreeMap<String, String>;

/// Checks every module of the engine.
pub fn check(tree: &Tree) -> Vec<Violation> {
    let exports = exports(tree);
    let in_engine = |(path, text)| Some((path, str::strip_prefix(path, SOURCES)?, text));
    tree.texts()
        .filter_map(in_engine)
        .filter(|(_, file, _)| file.ends_with(".rs") && *file != "lib.rs")
        .flat_map(|(path, file, text)| check_file(path, file, text, &exports))
        .collect()
}

/// Checks the module in `file`, a path from engine/src.
fn check_file(path: &str, file: &str, text: &str, exports: &Exports) -> Vec<Violation> {
    let violation = |line, message| Violation { path: path.to_owned(), line, message };
    let module = module_path(file);
    let Some(own) = rank(module[0]) else {
        let message = format!("module `{}` has no rank; give it one in xtask", module[0]);
        return vec![violation(1, message)];
    };
    let tokens = match TokenStream::from_str(text) {
        Ok(tokens) => tokens,
        Err(error) => {
            let message = format!("this is not Rust: {error}");
            return vec![violation(error.span().start().line, message)];
        }
    };
    let mut uses = Vec::new();
    collect(tokens, module.len(), &mut uses);
    let judge = |used: Use| {
        let name = exports.get(&used.module).unwrap_or(&used.module);
        if name == module[0] {
            return None;
        }
        let message = match rank(name) {
            Some(rank) if rank < own => return None,
            Some(rank) => format!(
                "`{}` (rank {own}) uses `{name}` (rank {rank}); only lower ranks may be used",
                module[0]
            ),
            None => format!("`{name}` is no module with a rank, nor does lib.rs take it from one"),
        };
        Some(violation(used.line, message))
    };
    uses.into_iter().filter_map(judge).collect()
}

/// The names that lib.rs re-exports with `pub use MODULE::…`.
fn exports(tree: &Tree) -> Exports {
    let root = tree.files.get(&format!("{SOURCES}lib.rs"));
    let text = root.and_then(Option::as_deref).unwrap_or_default();
    let tokens: Vec<_> = TokenStream::from_str(text).into_iter().flatten().collect();
    let mut exports = Exports::new();
    for statement in tokens.split(|token| is_punct(token, ';')) {
        let import = statement.iter().position(|token| is_word(token, "use"));
        let Some(path) = import.map(|at| &statement[at + 1..]) else { continue };
        if let Some(TokenTree::Ident(module)) = path.first() {
            let mut names = Vec::new();
            leaves(path, &mut names);
            exports.extend(names.into_iter().map(|name| (name, module.to_string())));
        }
    }
    exports
}

/// Adds the names that an import brings in: the last words of its paths, or what stands after `as`.
fn leaves(tokens: &[TokenTree], names: &mut Vec<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => leaves(&group.stream().into_iter().collect::<Vec<_>>(), names),
            TokenTree::Ident(name) if name != "as" => match tokens.get(at + 1) {
                Some(next) if is_punct(next, ':') || is_word(next, "as") => {}
                _ => names.push(name.to_string()),
            },
            _ => {}
        }
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// `wal/reader.rs` is `[wal, reader]`; `wal/mod.rs` and `wal.rs` are `[wal]`.
fn module_path(file: &str) -> Vec<&str> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut path: Vec<_> = stem.split('/').collect();
    if path.len() > 1 && Path::new(stem).ends_with("mod") {
        path.pop();
    }
    path
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// A module at the crate's root (or `*`, or an item that lib.rs re-exports) that a path names.
struct Use {
    module: String,
    line: usize,
}

/// Finds the paths from the crate's root in `tokens`, which stand `depth` modules below it.
fn collect(tokens: TokenStream, depth: usize, uses: &mut Vec<Use>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            let inner = if opens_module(&tokens[..at]) { depth + 1 } else { depth };
            collect(group.stream(), inner, uses);
            at += 1;
            continue;
        }
        match root_path(&tokens[at..], depth) {
            // A group of imports is looked into here, and by the loop, which finds nothing in it:
            // `crate` and `super` cannot stand inside a path.
            Some(length) => {
                at += length;
                heads(&tokens[at..], uses);
            }
            None => at += 1,
        }
    }
}

/// Whether the tokens before a brace are `mod NAME`.
fn opens_module(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Ident(word), TokenTree::Ident(_)] if word == "mod")
}

/// The number of tokens in `crate::` or in a `super::super::…` that reaches the root, if `tokens`
/// begin with one.
fn root_path(tokens: &[TokenTree], depth: usize) -> Option<usize> {
    const STEP: usize = 3; // a word and two colons
    if is_step(tokens, "crate") {
        return Some(STEP);
    }
    let up = tokens.chunks(STEP).take_while(|chunk| is_step(chunk, "super")).count();
    if up == 0 { None } else { Some(up * STEP).filter(|_| up >= depth) }
}

/// Whether `tokens` begin with `word::`.
fn is_step(tokens: &[TokenTree], word: &str) -> bool {
    matches!(tokens, [first, a, b, ..] if is_word(first, word) && is_punct(a, ':') && is_punct(b, ':'))
}

/// Adds what a path continues with, `tokens` being what follows its `::`: a name, or a group of
/// names, each perhaps with a path of its own behind it.
fn heads(tokens: &[TokenTree], uses: &mut Vec<Use>) {
    let Some(first) = tokens.first() else { return };
    let line = first.span().start().line;
    match first {
        TokenTree::Ident(module) => uses.push(Use { module: module.to_string(), line }),
        TokenTree::Punct(_) => uses.push(Use { module: "*".to_owned(), line }),
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            inner.split(|token| is_punct(token, ',')).for_each(|item| heads(item, uses));
        }
        TokenTree::Group(_) | TokenTree::Literal(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The violations in a tree with one file of the engine, as `line: message`.
    fn found(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        check(&tree).iter().map(|v| format!("{}: {}", v.line, v.message)).collect()
    }

    #[test]
    fn lower_ranks_and_the_own_module_may_be_used() {
        let text = "//! Doc.\nuse crate::base::Key;\nuse crate::{env::Fs, record, wal::x};\n\
                    use super::segment::Segment;\nuse std::fmt;\nuse super::super::base;\n";
        assert_eq!(found("engine/src/wal/reader.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_higher_rank_is_a_violation() {
        let found = found("engine/src/wal/reader.rs", "//! Doc.\n\nuse crate::db::Db;\n");
        assert_eq!(found, ["3: `wal` (rank 4) uses `db` (rank 8); only lower ranks may be used"]);
    }

    #[test]
    fn the_same_rank_is_a_violation() {
        assert_eq!(found("engine/src/wal.rs", "use crate::sstable::Table;").len(), 1);
        assert_eq!(found("engine/src/flush.rs", "fn f() { crate::compaction::pick() }").len(), 1);
    }

    #[test]
    fn groups_macros_and_test_modules_count() {
        let group = "use crate::{base, version::{Edit, Version}, job::Job};";
        assert_eq!(found("engine/src/iter/merge.rs", group).len(), 2);
        let nested = "use {crate::base, crate::db};";
        assert_eq!(found("engine/src/iter/merge.rs", nested).len(), 1);
        let inside = "fn f() { assert!(crate::db::open().is_ok()); }";
        assert_eq!(found("engine/src/iter/merge.rs", inside).len(), 1);
        let tests = "#[cfg(test)]\nmod tests {\n    use crate::db::Db;\n}";
        assert_eq!(found("engine/src/iter/merge.rs", tests).len(), 1);
    }

    #[test]
    fn the_root_can_be_reached_by_super() {
        assert_eq!(found("engine/src/wal/mod.rs", "use super::db::Db;").len(), 1);
        assert_eq!(found("engine/src/wal/reader.rs", "use super::super::db::Db;").len(), 1);
        let inline = "mod tests { use super::super::db::Db; }";
        assert_eq!(found("engine/src/wal.rs", inline).len(), 1);
        assert_eq!(found("engine/src/wal.rs", "mod tests { use super::db; }"), Vec::<String>::new());
    }

    #[test]
    fn names_that_the_root_re_exports_are_no_way_around() {
        let root = "pub use base::{error::{Error, Result}, key::Key as Name};\npub use db::Db;\n";
        let found = |text| {
            let tree = Tree::of(&[("engine/src/lib.rs", root), ("engine/src/wal.rs", text)]);
            check(&tree).iter().map(|violation| violation.line).collect::<Vec<_>>()
        };
        assert_eq!(found("use crate::{Error, Name};\nuse crate::Result;\nuse crate::Db;"), [3]);
        assert_eq!(found("use crate::Unknown;\nuse crate::*;\nuse crate::Key;"), [1, 2, 3]);
    }

    #[test]
    fn comments_strings_and_lib_rs_do_not_count() {
        let text = "//! See [`crate::db::Db`].\n// crate::db\nconst S: &str = \"crate::db::Db\";\n";
        assert_eq!(found("engine/src/base/key.rs", text), Vec::<String>::new());
        assert_eq!(found("engine/src/lib.rs", "pub use crate::db::Db;"), Vec::<String>::new());
    }

    #[test]
    fn a_module_without_a_rank_is_a_violation() {
        assert_eq!(found("engine/src/utils.rs", "//! Doc.").len(), 1);
    }
}
