//! `cargo xtask demo`: builds everything, then shows the store at work on a real data set, a kill included.
//!
//! ```text
//! 1 import   the names of all Unicode characters, from a file
//! 2 read     one of them, and a range
//! 3 kill     a second import, by SIGKILL, in the middle
//! 4 recover  what was acknowledged is there; the same import again completes it
//! 5 check    every checksum; what the store holds
//! ```
//!
//! Everything is done by the `esker` program as a user would do it, and every answer is compared with the data
//! set: the demo fails if one is not as promised.

mod esker;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use self::esker::{Esker, KilledImport};
use crate::workspace::Workspace;
use crate::{build, names, process};

/// Rows by their keys.
type Rows = BTreeMap<String, String>;

/// Where the emoticons stand.
const EMOTICONS: (&str, &str) = ("U+1F600", "U+1F650");

/// What the keys of the second import begin with.
const BY_NAME: &str = "name/";

/// Builds the store, then plays the demo.
pub fn run(workspace: &Workspace) -> Result<()> {
    build::run(workspace, &build::Args::default())?;
    let place = workspace.target.join("demo");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::create_dir_all(&place)?;
    let esker = Esker::new(workspace, place.join("store"));
    play(workspace, &esker, &place)?;
    say_goodbye(workspace, &esker);
    Ok(())
}

fn play(workspace: &Workspace, esker: &Esker<'_>, place: &Path) -> Result<()> {
    heading("1. Import a real data set: the names of all Unicode characters");
    let names = names::all();
    let by_code = place.join("names.tsv");
    fs::write(&by_code, names::by_code_tsv(&names))?;
    println!("{} names are in {}, `U+1F600 TAB GRINNING FACE`\n", names.len(), workspace.shown(&by_code));
    esker.show(&["import", &by_code.to_string_lossy()])?;

    heading("2. Read one, and a range");
    let name = esker.show(&["get", EMOTICONS.0])?;
    println!();
    ensure!(name == "GRINNING FACE", "{} is named {name:?}", EMOTICONS.0);
    show_emoticons(esker, &names)?;

    heading("3. Kill a writer in the middle of an import (SIGKILL)");
    let by_name = names::by_name_tsv(&names, BY_NAME);
    let file = place.join("by-name.tsv");
    fs::write(&file, &by_name)?;
    let killed = esker.import_and_kill(&by_name, names.len() / 2)?;
    println!(
        "{} of {} rows were acknowledged when it died ({})",
        killed.acknowledged,
        names.len(),
        killed.status
    );

    heading("4. Open the store again");
    show_recovery(esker)?;
    check_nothing_acknowledged_is_lost(esker, &by_name, &killed)?;
    println!("\nThe same import again, to its end:\n");
    esker.show(&["import", &file.to_string_lossy()])?;
    check_all_is_there(esker, &names, &by_name)?;

    heading("5. Check every file, and look at the figures");
    esker.show(&["verify"])?;
    println!();
    esker.show(&["stats"])?;
    Ok(())
}

/// Scans the emoticons, shows the first of them, and compares all with the data set.
fn show_emoticons(esker: &Esker<'_>, names: &[(char, String)]) -> Result<()> {
    const SHOWN: usize = 5;
    let (from, to) = EMOTICONS;
    esker.announce(&["scan", "--from", from, "--to", to]);
    let rows = esker.rows(&["scan", "--from", from, "--to", to])?;
    for (code, name) in rows.iter().take(SHOWN) {
        println!("{code}\t{name}");
    }
    let emoticons = rows.keys().filter(|code| code.len() == from.len()).count();
    println!("... {} rows: {emoticons} emoticons, and since keys are ordered byte by byte,", rows.len());
    println!("    the characters with one digit less that stand between them (U+1F61 to U+1F65)");
    let all = names::by_code_tsv(names);
    let expected: Rows =
        esker::rows_of(&all)?.into_iter().filter(|(code, _)| (from..to).contains(&code.as_str())).collect();
    ensure!(
        rows == expected,
        "the scan found {} rows, not the {} of the data set",
        rows.len(),
        expected.len()
    );
    Ok(())
}

/// Shows the part of the figures that tells what recovery did. This is the first time that the store is opened
/// after the kill.
fn show_recovery(esker: &Esker<'_>) -> Result<()> {
    esker.announce(&["stats"]);
    let stats = esker.output(&["stats"])?;
    let is_recovery = |line: &&str| line.starts_with("recovery") || line.starts_with(' ');
    let report: Vec<&str> =
        stats.lines().skip_while(|line| !line.starts_with("recovery")).take_while(is_recovery).collect();
    ensure!(!report.is_empty(), "the figures have no recovery report:\n{stats}");
    println!("{}", report.join("\n"));
    Ok(())
}

/// Compares what is there of the killed import with what had been acknowledged: no less, and nothing but rows
/// of the import, in its order without a gap.
fn check_nothing_acknowledged_is_lost(esker: &Esker<'_>, tsv: &str, killed: &KilledImport) -> Result<()> {
    let found = esker.rows(&["scan", "--prefix", BY_NAME])?;
    println!(
        "\n{} rows of the killed import are there, {} had been acknowledged",
        found.len(),
        killed.acknowledged
    );
    ensure!(found.len() >= killed.acknowledged, "acknowledged rows are lost");
    let begun: String = tsv.split_inclusive('\n').take(found.len()).collect();
    ensure!(
        found == esker::rows_of(&begun)?,
        "the rows that are there are not the first {} of the import",
        found.len()
    );
    println!("=> every acknowledged row has survived");
    Ok(())
}

fn check_all_is_there(esker: &Esker<'_>, names: &[(char, String)], by_name: &str) -> Result<()> {
    let mut expected = esker::rows_of(&names::by_code_tsv(names))?;
    expected.extend(esker::rows_of(by_name)?);
    let found = esker.rows(&["export"])?;
    ensure!(
        found == expected,
        "the store holds {} rows, not the {} of both imports",
        found.len(),
        expected.len()
    );
    println!("=> all {} rows of both imports are there", found.len());
    Ok(())
}

fn heading(text: &str) {
    println!("\n{text}\n{}\n", "-".repeat(text.len()));
}

fn say_goodbye(workspace: &Workspace, esker: &Esker<'_>) {
    let program = workspace.binary();
    heading("What you have seen");
    println!("A store whose engine runs as WebAssembly in a sandbox: it took in a real data set, answered");
    println!("reads and scans, and lost no acknowledged row when its process was killed.\n");
    println!("Go on with the store of this demo:\n");
    println!("    export ESKER_DIR={}", workspace.shown(esker.dir()));
    println!("    {} get 'name/SNOWMAN'", workspace.shown(&program));
    println!("    {} scan --prefix name/CAT", workspace.shown(&program));
    println!("    {} bench --num 200000\n", workspace.shown(&program));
    println!("or with data of your own: {} import --help", workspace.shown(&program));
}
