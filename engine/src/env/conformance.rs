//! The promises of [`Fs`] and [`File`] as a suite of checks that every implementation passes on its platform.
//!
//! It uses nothing but the traits and panics on a broken promise, so that it runs wherever an `Fs` does.
//! What it cannot see from inside one process, that synced bytes survive a power cut, it leaves to others.

use super::{Clock, File, Fs};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;

/// Runs every check. `make` answers each call with a file system that has no files.
///
/// # Panics
///
/// When a promise is broken; the message says which.
pub fn run<F: Fs>(mut make: impl FnMut() -> F) {
    starts_empty(&make());
    creating_is_exclusive(&make());
    a_missing_file_is_not_found(&make());
    appended_bytes_read_back(&make());
    reads_end_where_the_file_ends(&make());
    large_appends_read_back(&make());
    many_small_appends_read_back(&make());
    an_early_reader_sees_later_appends(&make());
    handles_do_not_disturb_each_other(&make());
    syncing_changes_nothing_visible(&make());
    all_spellings_of_names_list(&make());
    a_removed_file_is_gone(&make());
    a_removed_file_reads_on(&make());
    a_removed_name_can_be_taken_again(&make());
    a_link_is_the_same_bytes(&make());
    a_link_outlives_the_first_name(&make());
    linking_is_exclusive(&make());
    messages_name_the_file(&make());
}

/// Checks that a clock never goes back.
///
/// # Panics
///
/// When it does.
pub fn run_clock(clock: &impl Clock) {
    let mut last = clock.now_micros();
    for _ in 0..1_000 {
        let now = clock.now_micros();
        assert!(now >= last, "the clock went back from {last} to {now}");
        last = now;
    }
}

fn starts_empty<F: Fs>(fs: &F) {
    assert_eq!(fine(fs.list()), Vec::<String>::new(), "the suite needs an empty file system");
    fine(fs.sync_dir());
}

fn creating_is_exclusive<F: Fs>(fs: &F) {
    let mut first = fine(fs.create("000001.wal"));
    fine(first.append(b"first"));
    fails(fs.create("000001.wal"), &ErrorKind::AlreadyExists, "creating a file that is there and open");
    drop(first);
    fails(fs.create("000001.wal"), &ErrorKind::AlreadyExists, "creating a file that is there and closed");
    assert_eq!(contents(fs, "000001.wal"), b"first", "a refused create must not touch the file");
}

fn a_missing_file_is_not_found<F: Fs>(fs: &F) {
    fails(fs.open("000001.wal"), &ErrorKind::NotFound, "opening a missing file");
    fails(fs.remove("000001.wal"), &ErrorKind::NotFound, "removing a missing file");
    fails(fs.link("000001.wal", "000002.wal"), &ErrorKind::NotFound, "linking a missing file");
    assert!(!fine(fs.exists("000001.wal")));
    assert_eq!(fine(fs.list()), Vec::<String>::new(), "refused calls must leave nothing behind");
}

fn appended_bytes_read_back<F: Fs>(fs: &F) {
    let mut file = fine(fs.create("000001.wal"));
    assert!(fine(fs.exists("000001.wal")), "a file is there from its creation on");
    assert!(fine(file.is_empty()));
    fine(file.append(b"one"));
    fine(file.append(b""));
    fine(file.append(b"two"));
    assert_eq!(fine(file.len()), 6);
    assert_eq!(read(&file, 0, 6), b"onetwo", "the handle that appends reads as well");
    drop(file);
    assert_eq!(contents(fs, "000001.wal"), b"onetwo");
}

fn reads_end_where_the_file_ends<F: Fs>(fs: &F) {
    write(fs, "000001.sst", b"0123456789");
    let file = fine(fs.open("000001.sst"));
    assert_eq!(read(&file, 3, 4), b"3456", "in the middle");
    assert_eq!(read(&file, 7, 3), b"789", "up to the end");
    assert_eq!(read(&file, 7, 100), b"789", "beyond the end");
    assert_eq!(read(&file, 10, 1), b"", "at the end");
    assert_eq!(read(&file, 1 << 40, 1), b"", "far past the end");
    assert_eq!(read(&file, 0, 0), b"", "nothing asked");

    let mut buffer = *b"??????";
    assert_eq!(fine(file.read_at(8, &mut buffer)), 2);
    assert_eq!(&buffer, b"89????", "a short read must leave the rest of the buffer alone");

    write(fs, "000002.sst", b"");
    assert_eq!(read(&fine(fs.open("000002.sst")), 0, 1), b"", "an empty file");
}

fn large_appends_read_back<F: Fs>(fs: &F) {
    // Larger than the pieces of 64 KiB in which platforms like to move bytes, and not a multiple of them.
    let (large, larger) = (pattern(1, 200_003), pattern(2, 1_500_007));
    let mut file = fine(fs.create("000001.sst"));
    fine(file.append(&large));
    fine(file.append(&larger));
    assert_eq!(fine(file.len()), 1_700_010);
    drop(file);

    let file = fine(fs.open("000001.sst"));
    let all = [large, larger].concat();
    assert!(read(&file, 0, 1_700_010) == all, "all in one read");
    for (offset, length) in
        [(200_003, 1_500_007), (200_000, 6), (65_535, 2), (65_536, 70_000), (131_071, 1_000_000)]
    {
        let (start, end) = (offset, offset + length);
        assert!(read(&file, start as u64, length) == all[start..end], "from {start} to {end}");
    }
}

fn many_small_appends_read_back<F: Fs>(fs: &F) {
    let expected = pattern(3, 3_000);
    let mut file = fine(fs.create("000001.wal"));
    for piece in expected.chunks(7) {
        fine(file.append(piece));
    }
    assert_eq!(contents(fs, "000001.wal"), expected);
}

fn an_early_reader_sees_later_appends<F: Fs>(fs: &F) {
    let mut writer = fine(fs.create("000001.wal"));
    let reader = fine(fs.open("000001.wal"));
    assert_eq!(fine(reader.len()), 0);
    for round in 1..=3u8 {
        fine(writer.append(&[round; 100]));
        assert_eq!(fine(reader.len()), u64::from(round) * 100, "the length after append {round}");
        assert_eq!(
            read(&reader, u64::from(round - 1) * 100, 200),
            [round; 100],
            "the bytes of append {round}"
        );
    }
}

fn handles_do_not_disturb_each_other<F: Fs>(fs: &F) {
    let mut writer = fine(fs.create("000001.wal"));
    fine(writer.append(b"abcdef"));
    let (first, second) = (fine(fs.open("000001.wal")), fine(fs.open("000001.wal")));
    assert_eq!(read(&first, 4, 2), b"ef");
    assert_eq!(read(&second, 0, 2), b"ab");
    assert_eq!(read(&writer, 1, 2), b"bc", "reading must not move the end for the appends");
    fine(writer.append(b"gh"));
    drop(first);
    assert_eq!(read(&second, 0, 10), b"abcdefgh", "closing one handle must leave the others open");

    let mut other = fine(fs.create("000002.wal"));
    fine(other.append(b"other"));
    fine(writer.append(b"i"));
    assert_eq!(read(&second, 6, 10), b"ghi");
    assert_eq!(contents(fs, "000002.wal"), b"other");
}

fn syncing_changes_nothing_visible<F: Fs>(fs: &F) {
    let mut file = fine(fs.create("000001.wal"));
    fine(file.sync());
    fine(fs.sync_dir());
    fine(file.append(b"one"));
    fine(file.sync());
    fine(file.sync());
    fine(file.append(b"two"));
    fine(file.sync());
    assert_eq!(read(&file, 0, 10), b"onetwo");
    assert_eq!(fine(fs.list()), ["000001.wal"]);
    // Whoever has the file open can make durable what another handle has appended.
    fine(file.append(b"three"));
    fine(fine(fs.open("000001.wal")).sync());
    fine(file.append(b"!"));
    assert_eq!(read(&file, 0, 20), b"onetwothree!");
}

fn all_spellings_of_names_list<F: Fs>(fs: &F) {
    let mut expected: Vec<String> = [1, 42, 999_999, 1_234_567, u64::MAX]
        .into_iter()
        .flat_map(|n| [FileName::Manifest(n), FileName::Wal(n), FileName::Table(n), FileName::Lost(n)])
        .map(|name| name.to_string())
        .collect();
    for name in &expected {
        write(fs, name, name.as_bytes());
    }
    let mut listed = fine(fs.list());
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    for name in &expected {
        assert!(fine(fs.exists(name)), "{name}");
        assert_eq!(contents(fs, name), name.as_bytes());
    }
}

fn a_removed_file_is_gone<F: Fs>(fs: &F) {
    write(fs, "000001.sst", b"one");
    write(fs, "000002.sst", b"two");
    fine(fs.remove("000001.sst"));
    assert!(!fine(fs.exists("000001.sst")));
    assert_eq!(fine(fs.list()), ["000002.sst"]);
    fails(fs.open("000001.sst"), &ErrorKind::NotFound, "opening a removed file");
    fails(fs.remove("000001.sst"), &ErrorKind::NotFound, "removing a file twice");
    fine(fs.sync_dir());
    assert_eq!(contents(fs, "000002.sst"), b"two");
}

fn a_removed_file_reads_on<F: Fs>(fs: &F) {
    let bytes = pattern(4, 100_000);
    write(fs, "000001.sst", &bytes);
    let file = fine(fs.open("000001.sst"));
    fine(fs.remove("000001.sst"));
    fine(fs.sync_dir());
    assert_eq!(fine(file.len()), 100_000, "an open handle outlives the name");
    assert!(read(&file, 50_000, 50_000) == bytes[50_000..], "an open handle outlives the name");
}

fn a_removed_name_can_be_taken_again<F: Fs>(fs: &F) {
    write(fs, "000001.wal", b"a long old file");
    let old = fine(fs.open("000001.wal"));
    fine(fs.remove("000001.wal"));
    write(fs, "000001.wal", b"new");
    assert_eq!(contents(fs, "000001.wal"), b"new");
    assert_eq!(read(&old, 0, 100), b"a long old file", "the old handle stays with the old file");
}

fn a_link_is_the_same_bytes<F: Fs>(fs: &F) {
    let bytes = pattern(5, 150_000);
    write(fs, "000001.sst", &bytes);
    fine(fs.link("000001.sst", "000002.sst"));
    fine(fs.sync_dir());
    let mut names = fine(fs.list());
    names.sort();
    assert_eq!(names, ["000001.sst", "000002.sst"]);
    assert!(contents(fs, "000002.sst") == bytes, "the linked file");
    assert!(contents(fs, "000001.sst") == bytes, "the file that was linked");
}

fn a_link_outlives_the_first_name<F: Fs>(fs: &F) {
    write(fs, "000001.sst", b"bytes");
    fine(fs.link("000001.sst", "000002.sst"));
    fine(fs.remove("000001.sst"));
    assert_eq!(contents(fs, "000002.sst"), b"bytes");
    fine(fs.remove("000002.sst"));
    assert_eq!(fine(fs.list()), Vec::<String>::new());
}

fn linking_is_exclusive<F: Fs>(fs: &F) {
    write(fs, "000001.sst", b"one");
    write(fs, "000002.sst", b"two");
    fails(fs.link("000001.sst", "000002.sst"), &ErrorKind::AlreadyExists, "linking over a file");
    assert_eq!(contents(fs, "000002.sst"), b"two", "a refused link must not touch the file");
}

fn messages_name_the_file<F: Fs>(fs: &F) {
    write(fs, "000007.sst", b"");
    let failures = [
        fs.open("000001.sst").err(),
        fs.remove("000001.sst").err(),
        fs.link("000001.sst", "000002.sst").err(),
        fs.create("000007.sst").err(),
    ];
    for (failure, name) in failures.into_iter().zip(["000001", "000001", "000001", "000007"]) {
        let error = failure.expect("each of these calls is refused");
        assert!(error.message().contains(name), "the message must name the file: {error}");
    }
}

fn write<F: Fs>(fs: &F, name: &str, bytes: &[u8]) {
    let mut file = fine(fs.create(name));
    fine(file.append(bytes));
    fine(file.sync());
}

fn contents<F: Fs>(fs: &F, name: &str) -> Vec<u8> {
    let file = fine(fs.open(name));
    let length = usize::try_from(fine(file.len())).expect("the suite writes small files");
    read(&file, 0, length)
}

fn read(file: &impl File, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![b'?'; length];
    let count = fine(file.read_at(offset, &mut buffer));
    buffer.truncate(count);
    assert_eq!(fine(file.read(offset, length)), buffer, "the two ways to read differ");
    buffer
}

/// Bytes that show when a piece is missing, doubled or misplaced.
fn pattern(kind: u32, length: u32) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_add(kind).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[track_caller]
fn fine<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("this call must succeed: {error}"),
    }
}

#[track_caller]
fn fails<T>(result: Result<T>, kind: &ErrorKind, what: &str) {
    let found = result.err();
    assert_eq!(found.as_ref().map(Error::kind), Some(kind), "{what}");
}
