//! The store behind the calls, on slots in memory.

use super::*;
use crate::pool::machine::{Machine, MachineHandle};
use esker_engine::env::ManualClock;

type TestCore = Core<MachineHandle, ManualClock>;

fn open(machine: &Machine) -> Result<TestCore> {
    Core::open(SlotFs::open(machine.handles())?, ManualClock::new(), Options::default())
}

/// A frame under construction.
#[derive(Default)]
struct Frame(Vec<u8>);

impl Frame {
    fn put(self, durability: u8, key: &[u8], value: &[u8]) -> Self {
        self.put_in(0, durability, key, value)
    }

    fn put_in(mut self, bucket: u8, durability: u8, key: &[u8], value: &[u8]) -> Self {
        self.0.extend_from_slice(&[1, durability]);
        put_bytes(&mut self.0, &[&[bucket], key].concat());
        put_bytes(&mut self.0, value);
        self
    }

    fn get(mut self, key: &[u8]) -> Self {
        self.0.extend_from_slice(&[4, 0]);
        put_bytes(&mut self.0, &[&[0], key].concat());
        self
    }

    fn call(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn run(self, core: &mut TestCore) -> Vec<u8> {
        core.execute(&[(0, self.0)]).remove(0)
    }
}

const PUT_DONE: &[u8] = &[0];

#[test]
fn the_writes_of_all_frames_share_one_sync_and_reads_see_those_before_them() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    let start = machine.flushes();
    let frames = [
        (0, Frame::default().put(2, b"a", b"1").get(b"a").put(2, b"a", b"2").0),
        (1, Frame::default().put(1, b"b", b"3").get(b"a").put(2, b"c", b"4").0),
    ];
    let answers = core.execute(&frames);
    assert_eq!(answers[0], [PUT_DONE, &[0, 1, 1, b'1'], PUT_DONE].concat());
    assert_eq!(answers[1], [PUT_DONE, &[0, 1, 1, b'2'], PUT_DONE].concat());
    assert_eq!(machine.flushes() - start, 1);
    let mut core = open(&machine.power_cut(7)).expect("synced");
    assert_eq!(Frame::default().get(b"c").run(&mut core), [0, 1, 1, b'4']);
}

#[test]
fn a_wrong_call_fails_alone() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    let answers = Frame::default().put(2, b"a", b"1").put(2, b"", b"2").get(b"a").run(&mut core);
    assert_eq!(answers[0], 0);
    assert_eq!(&answers[1..3], [1, 16], "an error, whose code has 16 letters");
    assert_eq!(&answers[3..19], b"invalid-argument");
    assert!(answers.ends_with(&[0, 1, 1, b'1']));
}

fn code_of(answer: &[u8]) -> &str {
    assert_eq!(answer[0], 1, "an error");
    str::from_utf8(&answer[2..2 + usize::from(answer[1])]).expect("a code")
}

#[test]
fn buckets_are_key_spaces_of_their_own_and_survive() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    let create = [&[18, 5][..], b"users"].concat();
    assert_eq!(Frame::default().call(&create).run(&mut core), [0, 2]);
    assert_eq!(Frame::default().call(&create).run(&mut core), [0, 2], "it is there");
    let users = Bucket::new(2);
    Frame::default().put_in(2, 2, b"a", b"1").put(2, b"a", b"2").run(&mut core);
    let mut core = open(&machine.power_cut(3)).expect("sound slots");
    assert_eq!(core.get(0, (users, b"a")).expect("sound"), Some(b"1".to_vec()));
    assert_eq!(core.get(0, b"a").expect("sound"), Some(b"2".to_vec()));
    let mut page = Vec::new();
    let options = ScanOptions { bucket: users, ..ScanOptions::default() };
    assert_eq!(core.scan(0, KeyRange::all(), options, &mut page), Ok(0));
    assert_eq!(page, [1, b'a', 1, b'1']);
    let names = [&[0, 2, 0, 7][..], b"default", &[2, 5], b"users"].concat();
    assert_eq!(Frame::default().call(&[20, 0]).run(&mut core), names);

    let snapshot = core.snapshot().expect("open");
    let drop = [&[19, 5][..], b"users"].concat();
    assert_eq!(Frame::default().call(&drop).call(&drop).run(&mut core), [0, 1, 0, 0], "there was one, once");
    assert_eq!(core.get(0, (users, b"a")).expect_err("dropped").code, "no-such-bucket");
    assert_eq!(core.get(snapshot, (users, b"a")).expect("held"), Some(b"1".to_vec()));
    assert_eq!(core.buckets(snapshot).expect("held").len(), 2);
    assert_eq!(core.buckets(0).expect("open").len(), 1);
    let default = [&[19, 7][..], b"default"].concat();
    assert_eq!(code_of(&Frame::default().call(&default).run(&mut core)), "invalid-argument");
    let long = [&[18, 0x80, 2][..], &[b'x'; 256]].concat();
    assert_eq!(code_of(&Frame::default().call(&long).run(&mut core)), "invalid-argument");
}

/// What waits together is committed as one batch, which an unknown bucket would have made fail as a whole.
#[test]
fn only_the_write_that_names_an_unknown_bucket_fails() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    let packed = [&[3, 1, 5, 1, 2, 9, b'b', 0][..]].concat();
    let answers = Frame::default()
        .put(1, b"a", b"1")
        .put_in(9, 1, b"b", b"2")
        .call(&packed)
        .put(1, b"c", b"3")
        .run(&mut core);
    assert_eq!(answers.windows(14).filter(|window| window == b"no-such-bucket").count(), 2);
    for (key, value) in [(b"a", b"1"), (b"c", b"3")] {
        assert_eq!(core.get(0, key).expect("sound"), Some(value.to_vec()));
    }
    assert_eq!(
        core.put((Bucket::new(9), b"b"), b"2", Durability::Synced).expect_err("none").code,
        "no-such-bucket"
    );
    let snapshot = core.snapshot().expect("open");
    core.put(b"d", b"4", Durability::Synced).expect("the refusal has not made the engine useless");
    assert_eq!(core.get(snapshot, b"d").expect("the snapshot was not lost by it"), None);
}

#[test]
fn conditional_writes_and_increments_see_the_writes_before_them_and_share_their_sync() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    let start = machine.flushes();
    // A put of b = 2 if a equals x, or else if c is absent.
    let write_if = |condition: &[u8]| [&[15, 2, 6, 1, 2, 0, b'b', 1, b'2', 1][..], condition].concat();
    let answers = Frame::default()
        .put(2, b"a", b"1")
        .call(&write_if(&[2, 0, b'a', 1, 1, b'x']))
        .get(b"b")
        .call(&write_if(&[2, 0, b'c', 0]))
        .get(b"b")
        .call(&[16, 2, 2, 0, b'a', 2, b'4', b'1'])
        .call(&[16, 2, 2, 0, b'a', 1, b'x'])
        .call(&[17, 2, 0, b'a'])
        .run(&mut core);
    assert_eq!(machine.flushes() - start, 1);
    let failed = CallError::condition_failed(vec![0]);
    let mut expected = vec![0];
    expected.extend(frame::encode(&[Answer::Failed(failed)]));
    expected.extend([0, 0]);
    expected.extend([0, 0, 1, 1, b'2']);
    expected.extend([0, 2, b'4', b'2']);
    assert_eq!(answers[..expected.len()], expected);
    assert_eq!(code_of(&answers[expected.len()..]), "invalid-argument");
    assert!(answers.ends_with(&[0, 1, 2, b'4', b'2', 3]), "the value and its sequence number");
    let core = open(&machine.power_cut(11)).expect("synced");
    assert_eq!(core.get(0, b"a").expect("sound"), Some(b"42".to_vec()));
    assert_eq!(core.get(0, b"b").expect("sound"), Some(b"2".to_vec()));
}

#[test]
fn a_value_beyond_its_limit_is_refused() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    let error = core.put(b"a", &vec![0; (64 << 20) + 1], Durability::Synced).expect_err("too large");
    assert_eq!(error.code, "invalid-argument");
    assert!(error.message.contains("67108865") && error.message.contains("67108864"), "{}", error.message);
}

#[test]
fn what_a_tab_holds_goes_with_it() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    let answers = core.execute(&[(0, vec![9]), (7, vec![9])]);
    let [ours, theirs] = [&answers[0], &answers[1]].map(|answer| answer[1..].to_vec());
    core.forget(7);
    let get = |snapshot: &[u8]| [&[4], snapshot, &[2, 0, b'a']].concat();
    let answers = core.execute(&[(0, get(&ours)), (0, get(&theirs))]);
    assert_eq!(answers[0], [0, 0]);
    assert!(answers[1].windows(13).any(|window| window == b"snapshot-lost"));
}

/// Writes used to be answered with `busy`, which promises that nothing was changed, though only their sync had been
/// refused, for want of slots that it does not need.
#[test]
fn a_sync_needs_no_slots() {
    let machine = Machine::new(6);
    let mut core = open(&machine).expect("blank slots");
    core.put(b"a", b"1", Durability::Buffered).expect("slots are free");
    let mut taken = Vec::new();
    while let Ok(file) = core.fs.create(&format!("{:06}.sst", 900 + taken.len())) {
        taken.push(file);
    }
    assert_eq!(core.put(b"b", b"2", Durability::Buffered).expect_err("no slot").code, "busy");
    core.sync().expect("it needs none");
}

#[test]
fn a_store_at_rest_makes_tables_of_what_it_holds() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    core.put(b"a", &[1; 1000], Durability::Synced).expect("no fault");
    assert!(!core.rest(), "not worth a table");
    core.put(b"b", &vec![1; 2 << 20], Durability::Synced).expect("no fault");
    assert!(core.rest());
    while core.maintain(1 << 20) {}
    assert!(core.stats().expect("open").contains("\"sealed_memtables\":0"));
}

#[test]
fn a_full_quota_refuses_writes_and_loses_nothing_and_writes_go_on_when_there_is_room() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    core.put(b"a", &[1; 1000], Durability::Synced).expect("there is room");
    machine.set_quota(Some(300_000));
    let large = vec![2; 400_000];
    let error = core.put(b"b", &large, Durability::Synced).expect_err("no room");
    assert_eq!(error.code, "no-space");
    assert_eq!(core.get(0, b"a").expect("reads go on"), Some(vec![1; 1000]));
    assert_eq!(core.get(0, b"b").expect("reads go on"), None);
    machine.set_quota(None);
    core.put(b"c", b"3", Durability::Synced).expect("there is room again");
    let core = open(&machine.kill()).expect("sound slots");
    assert_eq!(core.get(0, b"a").expect("sound"), Some(vec![1; 1000]));
    assert_eq!(core.get(0, b"c").expect("sound"), Some(b"3".to_vec()));
}

#[test]
fn writes_are_refused_before_the_slots_run_out() {
    let machine = Machine::new(6);
    let mut core = open(&machine).expect("blank slots");
    let mut count = 0u32;
    let error = loop {
        if let Err(error) = core.put(&count.to_be_bytes(), &[7; 60_000], Durability::Buffered) {
            break error;
        }
        count += 1;
    };
    assert_eq!(error.code, "busy");
    for _ in 0..8 {
        let (title, handle) = machine.add();
        core.fs.add(title, handle).expect("blank");
    }
    core.put(b"more", b"", Durability::Synced).expect("slots are free again");
    let core = open(&machine.kill()).expect("sound slots");
    assert!((0..count).all(|n| core.get(0, &n.to_be_bytes()).expect("sound").is_some()), "{count} values");
}

#[test]
fn snapshots_and_scans_hold_their_state_until_they_are_lost() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    for n in 0..3000u32 {
        core.put(&n.to_be_bytes(), &[1; 100], Durability::Buffered).expect("no fault");
    }
    let snapshot = core.snapshot().expect("open");
    core.put(b"later", b"", Durability::Buffered).expect("no fault");
    assert_eq!(core.get(snapshot, b"later").expect("held"), None);
    let mut page = Vec::new();
    let cursor = core.scan(0, KeyRange::all(), ScanOptions::default(), &mut page).expect("open");
    assert!(cursor > 0 && page.len() >= PAGE_BYTES, "it does not fit into a page");
    assert_eq!(core.page(cursor, &mut Vec::new()).expect("held"), cursor);
    core.release(snapshot);
    core.close_cursor(cursor);
    let ended = core.page(cursor, &mut Vec::new());
    for error in [core.get(snapshot, b"later").expect_err("released"), ended.expect_err("ended")] {
        assert_eq!(error.code, "snapshot-lost");
    }
    assert_eq!(core.get(9999, b"later").expect_err("never was").code, "snapshot-lost");
}

fn archive(core: &mut TestCore) -> Vec<u8> {
    let mut export = core.export().expect("open");
    // What is written after the beginning is not in it.
    core.put(b"after", b"", Durability::Synced).expect("no fault");
    let mut bytes = Vec::new();
    while let Some(piece) = export.next_piece().expect("sound") {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

fn import(core: &mut TestCore, archive: &[u8], step: usize) -> Result<()> {
    let mut import = core.import()?;
    for piece in archive.chunks(step) {
        assert!(import.push(piece)?, "there are slots enough");
    }
    core.finish_import(import)
}

#[test]
fn an_archive_carries_a_store_over_byte_for_byte() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    for n in 0..2000u32 {
        core.put(&n.to_be_bytes(), &n.to_le_bytes().repeat(100), Durability::Buffered).expect("no fault");
    }
    while core.compact(1 << 20).expect("no fault") {}
    core.put(b"in the log", b"", Durability::Buffered).expect("no fault");
    let bytes = archive(&mut core);

    // In the slots, the files are those of the archive.
    let machine = Machine::new(24);
    let other = open(&machine).expect("blank slots");
    let mut staging = other.import().expect("open");
    assert!(staging.push(&bytes).expect("ours"));
    staging.close().expect("whole");
    for name in other.fs.staged().list().expect("no fault") {
        let file = other.fs.staged().open(&name).expect("listed");
        let mut content = vec![0; usize::try_from(file.len().expect("no fault")).expect("small")];
        file.read_at(0, &mut content).expect("no fault");
        let header = archive::header(&name, content.len() as u64).expect("short");
        let expected = [&header[..], &content].concat();
        assert!(bytes.windows(expected.len()).any(|window| window == expected), "{name}");
    }

    let mut other = open(&machine.kill()).expect("an import that was not finished is thrown away");
    assert_eq!(other.get(0, b"in the log").expect("sound"), None);
    other.put(b"old", b"", Durability::Synced).expect("no fault");
    import(&mut other, &bytes, 10_000).expect("ours");
    assert_eq!(other.get(0, b"old").expect("sound"), None, "what was there is gone");
    assert_eq!(other.get(0, b"after").expect("sound"), None);
    assert_eq!(other.get(0, b"in the log").expect("sound"), Some(Vec::new()));
    assert_eq!(other.get(0, &7u32.to_be_bytes()).expect("sound"), Some(7u32.to_le_bytes().repeat(100)));
    assert!(other.report().expect("open").starts_with("{\"clean\":true"));
}

#[test]
fn foreign_and_newer_archives_are_refused_and_change_nothing() {
    let mut core = open(&Machine::new(24)).expect("blank slots");
    core.put(b"a", b"1", Durability::Synced).expect("no fault");
    let good = archive(&mut core);
    let file = |name: &str, bytes: &[u8]| {
        let mut out = archive::header(name, bytes.len() as u64).expect("short").to_vec();
        out.extend_from_slice(bytes);
        out.resize(out.len() + archive::padding(bytes.len() as u64), 0);
        out
    };
    let cases = [
        ("foreign-archive", b"garbage".repeat(1000)),
        ("foreign-archive", good[..good.len() - 2000].to_vec()),
        ("foreign-archive", [file("000002.wal", b""), archive::END.to_vec()].concat()),
        ("foreign-archive", [file("000002.wal", b""), file("000002.wal", b"")].concat()),
        ("foreign-archive", Vec::new()),
        ("cannot-open", [file("000001.manifest", b"nonsense"), archive::END.to_vec()].concat()),
        ("cannot-open", newer(&good)),
    ];
    for (code, bytes) in cases {
        let error = import(&mut core, &bytes, 4096).expect_err(code);
        core.discard_import().expect("no fault");
        assert_eq!(error.code, code, "{}", error.message);
        assert_eq!(core.get(0, b"a").expect("unchanged"), Some(b"1".to_vec()));
        assert_eq!(core.fs.staged().list().expect("no fault"), Vec::<String>::new());
    }
}

/// The archive with the format version of its manifest raised.
fn newer(archive: &[u8]) -> Vec<u8> {
    use esker_engine::base::checksum::record_checksum;
    use esker_engine::base::file_name::FileName;
    let mut bytes = archive.to_vec();
    let at = bytes.windows(7).position(|window| window == b"eskerkv").expect("a manifest");
    bytes[at + 7] += 1;
    // The record begins with its tag and length, after the fragment's header: checksum, length, kind.
    let payload = at - 2;
    let length = usize::from(u16::from_le_bytes([bytes[payload - 3], bytes[payload - 2]]));
    let name =
        bytes[..payload - 7].rchunks(BLOCK).find_map(|block| std::str::from_utf8(block.get(..15)?).ok());
    let number = FileName::parse(name.expect("the header of the manifest")).expect("a file").record_number();
    let checksum = record_checksum(number, 0, bytes[payload - 1], &bytes[payload..payload + length]);
    bytes[payload - 7..payload - 3].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

const BLOCK: usize = 512;

#[test]
fn after_close_and_destroy_nothing_answers_and_nothing_is_left() {
    let machine = Machine::new(24);
    let mut core = open(&machine).expect("blank slots");
    core.put(b"a", b"1", Durability::Synced).expect("no fault");
    core.close().expect("no fault");
    core.close().expect("twice is once");
    assert_eq!(core.put(b"a", b"2", Durability::Synced).expect_err("closed").code, "closed");
    let answers = Frame::default().put(2, b"a", b"2").call(&[12]).run(&mut core);
    assert_eq!(
        answers.windows(6).filter(|window| window == b"closed").count(),
        2 + 2,
        "code and message, twice"
    );

    let mut core = open(&machine).expect("sound slots");
    assert_eq!(core.get(0, b"a").expect("sound"), Some(b"1".to_vec()));
    core.destroy().expect("no fault");
    assert_eq!(core.get(0, b"a").expect_err("gone").code, "closed");
    assert!(SlotFs::open(machine.handles()).expect("sound slots").is_unused());
}
