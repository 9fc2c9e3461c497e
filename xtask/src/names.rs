//! The data set of the demos: every Unicode character that has a name. It travels with a crate, so that they need
//! no download of their own.

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

/// Rows `grinning face TAB 😀 U+1F600`, for a page where one types the beginning of a name.
pub fn for_page_tsv(names: &[(char, String)]) -> String {
    let row = |(character, name): &(char, String)| {
        // The one named character that is an escape in TSV.
        let shown = if *character == '\\' { "\\\\".to_owned() } else { character.to_string() };
        format!("{}\t{shown} {}\n", name.to_lowercase(), code(*character))
    };
    names.iter().map(row).collect()
}

fn code(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_page_begins_with_what_one_types() {
        let names = [('😀', "GRINNING FACE".to_owned()), ('\\', "REVERSE SOLIDUS".to_owned())];
        assert_eq!(for_page_tsv(&names), "grinning face\t😀 U+1F600\nreverse solidus\t\\\\ U+005C\n");
    }

    #[test]
    fn no_character_breaks_its_row() {
        let names = all();
        assert!(names.len() > 100_000);
        assert_eq!(for_page_tsv(&names).split('\n').count(), names.len() + 1);
        assert!(for_page_tsv(&names).lines().all(|row| row.matches('\t').count() == 1));
    }
}
