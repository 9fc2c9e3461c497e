//! Sessions with programs, in text: a file says what every command prints and how it ends.
//!
//! ```text
//! $ esker get colour       a line for the shell
//! > | tr a-z A-Z           ... and its continuation
//! | GREEN                  what it prints on standard output, `[..]` standing for any text within a line
//! | ...                    any number of lines
//! \ no line end            the last line has none
//! ! esker: no store in …   what it prints on standard error
//! = 3                      how it ends, unless with 0
//! ? setpriv --help         the session is left out where this command fails: the machine lacks something
//! ```
//!
//! Every other line is prose. `UPDATE=1` writes what came into the files, where it was not what they said.

use crate::program;
use crate::temp_dir::TempDir;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// Plays every session of a folder (`*.txt`), each in a directory of its own that `prepare` makes ready.
///
/// # Panics
///
/// When one goes otherwise than its file says, unless `UPDATE` is set.
pub fn play_all(folder: &Path, prepare: impl Fn(&Path)) {
    let update = env::var_os("UPDATE").is_some();
    let mut wrong = String::new();
    for file in files(folder) {
        let text = fs::read_to_string(&file).expect("the file is text");
        let dir = TempDir::new();
        prepare(dir.path());
        let played = play(&text, dir.path());
        if played == text {
            continue;
        }
        if update {
            fs::write(&file, &played).expect("the file can be written");
        }
        write!(wrong, "\n{}:\n{}", file.display(), difference(&text, &played))
            .expect("a String takes everything");
    }
    assert!(update || wrong.is_empty(), "sessions went otherwise (UPDATE=1 rewrites the files):\n{wrong}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the sessions are there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    assert!(!files.is_empty(), "{} holds no session", folder.display());
    files
}

/// Plays a session in `dir`, and returns it with what came in place of what did not come as expected.
fn play(text: &str, dir: &Path) -> String {
    let mut played = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(played, "{line}").expect("a String takes everything");
        if let Some(needed) = line.strip_prefix("? ")
            && !shell(needed, dir).status.success()
        {
            eprintln!("left out, since `{needed}` fails here");
            return text.to_owned();
        }
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut command = command.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
            writeln!(played, "{more}").expect("a String takes everything");
            write!(command, "\n{}", &more[2..]).expect("a String takes everything");
        }
        let mut expected = Vec::new();
        while let Some(more) = lines.next_if(|line| line.starts_with(['|', '!', '=', '\\'])) {
            expected.push(more);
        }
        let came = answer(&shell(&command, dir));
        if matches(&expected, &came.lines().collect::<Vec<_>>()) {
            expected.iter().for_each(|line| writeln!(played, "{line}").expect("a String takes everything"));
        } else {
            played.push_str(&came);
        }
    }
    played
}

/// Runs a line of a session.
fn shell(command: &str, dir: &Path) -> Output {
    let program = program::path();
    let bin = program.parent().expect("a program stands in a directory").to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path =
        env::join_paths(std::iter::once(bin).chain(env::split_paths(&path))).expect("paths that were joined");
    Command::new("sh")
        .args(["-c", command])
        .current_dir(dir)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env_remove("ESKER_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell")
}

/// What a command did, as a session tells it.
fn answer(output: &Output) -> String {
    let mut text = String::new();
    for (mark, bytes) in [('|', &output.stdout), ('!', &output.stderr)] {
        let said = String::from_utf8_lossy(bytes);
        for line in said.lines() {
            writeln!(text, "{}", format!("{mark} {line}").trim_end()).expect("a String takes everything");
        }
        if !said.is_empty() && !said.ends_with('\n') {
            text.push_str("\\ no line end\n");
        }
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(text, "= {code}").expect("a String takes everything"),
        None => writeln!(text, "= {}", output.status).expect("a String takes everything"),
    }
    text
}

/// Whether lines are as expected: `[..]` stands for any text, a line of `...` for any lines of its kind.
fn matches(expected: &[&str], came: &[&str]) -> bool {
    match expected.split_first() {
        None => came.is_empty(),
        Some((first, rest)) if matches!(*first, "| ..." | "! ...") => {
            let kind = &first[..1];
            let most = came.iter().take_while(|line| line.starts_with(kind)).count();
            (0..=most).any(|skipped| matches(rest, &came[skipped..]))
        }
        Some((first, rest)) => {
            came.split_first().is_some_and(|(line, lines)| line_matches(first, line) && matches(rest, lines))
        }
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let Some((before, after)) = expected.split_once("[..]") else { return expected == line };
    let Some(line) = line.strip_prefix(before) else { return false };
    line.char_indices().map(|(at, _)| at).chain([line.len()]).any(|at| line_matches(after, &line[at..]))
}

/// The lines of `played` that `text` does not have, and the other way round, each after the command before it.
fn difference(text: &str, played: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (text.lines().collect(), played.lines().collect());
    let same_begin = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let command = old[..same_begin].iter().rposition(|line| line.starts_with("$ ")).unwrap_or(0);
    let mut shown = String::new();
    let end = |lines: &[&str]| {
        lines[same_begin..].iter().position(|line| line.starts_with("$ ")).unwrap_or(lines.len() - same_begin)
    };
    for line in &old[command..same_begin] {
        writeln!(shown, "      {line}").expect("a String takes everything");
    }
    for line in &old[same_begin..same_begin + end(&old)] {
        writeln!(shown, "    - {line}").expect("a String takes everything");
    }
    for line in &new[same_begin..same_begin + end(&new)] {
        writeln!(shown, "    + {line}").expect("a String takes everything");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_goes_otherwise_is_noticed() {
        let dir = TempDir::new();
        let session = "$ echo one; echo two >&2; exit 4\n| one\n! two\n= 4\n";
        assert_eq!(play(session, dir.path()), session);
        for wrong in
            [session.replace("one\n!", "on\n!"), session.replace("= 4\n", ""), session.replace("! two\n", "")]
        {
            assert_eq!(play(&wrong, dir.path()).replace("exit 4", ""), session.replace("exit 4", ""));
            assert_ne!(play(&wrong, dir.path()), wrong);
        }
    }

    #[test]
    fn placeholders_stand_for_text_and_for_lines() {
        assert!(matches(&["| took [..] s", "| ...", "| end"], &["| took 0.1 s", "| a", "| b", "| end"]));
        assert!(matches(&["| ..."], &[]));
        assert!(!matches(&["| ..."], &["! error"]));
        assert!(!matches(&["| took [..] s"], &["| took 0.1 ms!"]));
        assert!(!matches(&["| a"], &["| a", "| b"]));
    }
}
