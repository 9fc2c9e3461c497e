//! The demo's data set: every Unicode character that has a name. It travels with a crate, so that the demo needs
//! no download of its own.

/// All characters with their names, in the order of their code points.
pub fn all() -> Vec<(char, String)> {
    ('\0'..=char::MAX)
        .filter_map(|character| Some((character, unicode_names2::name(character)?.to_string())))
        .collect()
}

/// Rows `U+1F600 TAB GRINNING FACE`.
pub fn by_code_tsv(names: &[(char, String)]) -> String {
    names.iter().map(|(character, name)| format!("{}\t{name}\n", code(*character))).collect()
}

/// Rows `PREFIX GRINNING FACE TAB U+1F600`.
pub fn by_name_tsv(names: &[(char, String)], prefix: &str) -> String {
    names.iter().map(|(character, name)| format!("{prefix}{name}\t{}\n", code(*character))).collect()
}

fn code(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}
