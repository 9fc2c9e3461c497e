//! Wants more than it was granted. Each task is an attempt; what comes of it is the answer, an error's kind and words.

use esker_plugin_guests::bindings::esker::kv::kv_store::{
    Durability, Error, KeyRange, Operation, ScanOptions, Store, open, open_reader,
};
use esker_plugin_guests::bindings::wasi::keyvalue0_2_0_draft::store as keyvalue;
use esker_plugin_guests::bindings::{self, Guest};
use esker_plugin_guests::defaults;

/// What it may hold.
const OWN: &str = "scratch";
/// What it may not even see.
const OTHERS: &str = "orders";

struct Intruder;

impl Guest for Intruder {
    fn run(task: String) -> Result<String, String> {
        let store = open("", defaults()).map_err(text)?;
        let own = store.bucket(OWN).map_err(text)?.ok_or("it has no bucket")?;
        match task.as_str() {
            "read the other's bucket" => Ok(read_others(&store)),
            "change the other's bucket" => Ok(change_others(&store, own)),
            "fill the disk" => Ok(fill(&store, own)),
            "send oversized keys" => Ok(oversized(&store, own)),
            "send malformed batches" => Ok(malformed(&store)),
            "open handles without end" => Ok(open_handles(&store, own)),
            "give a batch that reaches out of its memory" => Ok(reach_out(&store)),
            "stop between the two halves of a change" => stop_half_way(&store, own),
            "run without end" => spin(),
            "call without end" => Ok(call_without_end(&store, own)),
            unknown => Err(format!("it knows no task `{unknown}`")),
        }
    }
}

fn read_others(store: &Store) -> String {
    let by_name = line("by name", store.bucket(OTHERS));
    let by_number = (0..16).filter(|&number| store.get(number, b"sum").is_ok()).count();
    let by_keyvalue = match keyvalue::open(OTHERS) {
        Ok(_) => "open",
        Err(keyvalue::Error::AccessDenied) => "access-denied",
        Err(keyvalue::Error::NoSuchStore) => "no-such-store",
        Err(keyvalue::Error::Other(_)) => "other",
    };
    let missing = matches!(keyvalue::open("nowhere"), Err(keyvalue::Error::NoSuchStore));
    let by_files = line("by its files", open_reader("..", None).map(drop));
    [
        by_name,
        format!("by number: {by_number} of 16 can be read"),
        format!("by wasi:keyvalue: {by_keyvalue} (no-such-store for one that does not exist: {missing})"),
        by_files,
    ]
    .join("\n")
}

fn change_others(store: &Store, own: u32) -> String {
    let numbers = (0..16).filter(|&number| number != own);
    let written =
        numbers.filter(|&number| store.put(number, b"sum", b"0", Durability::Buffered).is_ok()).count();
    let catalogue = store.bucket("catalogue").ok().flatten().unwrap_or(u32::MAX);
    let price = store.put(catalogue, b"apple", b"0", Durability::Buffered);
    let both = [operation(own, "mine"), operation(catalogue, "apple")];
    let in_a_batch = store.write(&both, Durability::Buffered);
    let half = store.get(own, b"mine");
    [
        format!("by number: {written} of 15 can be written"),
        line("what it may read", price),
        line("that in a batch", in_a_batch),
        format!("the other half of that batch: {half:?}"),
        line("drop one", store.drop_bucket("catalogue")),
        line("create one", store.create_bucket("more")),
    ]
    .join("\n")
}

fn fill(store: &Store, own: u32) -> String {
    let value = vec![7; 64 << 10];
    let mut number = 0u32;
    loop {
        match store.put(own, &number.to_be_bytes(), &value, Durability::Buffered) {
            Ok(_) => number += 1,
            Err(error) => break format!("after {number} values of 64 KiB: {}", text(error)),
        }
    }
}

fn oversized(store: &Store, own: u32) -> String {
    let put = |key: &[u8], value: &[u8]| store.put(own, key, value, Durability::Buffered);
    let large = vec![7; 2 << 20];
    [
        line("a key of 64 KiB and a byte", put(&vec![7; (64 << 10) + 1], b"")),
        line("an empty key", put(b"", b"")),
        line("a value of 2 MiB", put(b"k", &large)),
    ]
    .join("\n")
}

fn malformed(store: &Store) -> String {
    let batches: [&[u8]; 6] = [
        &[9],
        &[1, 5, 1],
        &[1, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[1, 0x82, 0x00, 1, b'k', 0],
        &[0, 1, 200],
        &[1, 2, 1, b'k', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let refused = |batch: &&[u8]| {
        let written = store.write_packed(batch, Durability::Buffered);
        matches!(written, Err(Error::InvalidArgument(_) | Error::NoSuchBucket(_)))
    };
    let count = batches.iter().filter(|batch| refused(batch)).count();
    format!("{count} of {} are refused", batches.len())
}

fn open_handles(store: &Store, own: u32) -> String {
    let everything = KeyRange { start: None, end: None };
    let options = ScanOptions { reverse: false, keys_only: true, limit: None };
    let mut cursors = Vec::new();
    loop {
        match store.scan(own, &everything, options) {
            Ok(cursor) => cursors.push(cursor),
            Err(error) => break format!("after {} cursors: {}", cursors.len(), text(error)),
        }
    }
}

fn reach_out(store: &Store) -> String {
    // SAFETY: none. It claims memory that it does not have, as a hostile plugin would, and only the host looks there.
    let batch = unsafe { std::slice::from_raw_parts(std::ptr::dangling::<u8>(), 0x7fff_0000) };
    line("was taken", store.write_packed(batch, Durability::Buffered))
}

fn stop_half_way(store: &Store, own: u32) -> Result<String, String> {
    store.put(own, b"first half", b"", Durability::Synced).map_err(text)?;
    panic!("and no second half");
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn call_without_end(store: &Store, own: u32) -> String {
    loop {
        match store.contains(own, b"k") {
            Ok(_) => {}
            // Its words say for how many milliseconds.
            Err(Error::Busy(_)) => break "busy".into(),
            Err(error) => break text(error),
        }
    }
}

fn operation(bucket: u32, key: &str) -> Operation {
    Operation { bucket, key: key.into(), value: Some(b"0".into()) }
}

fn line<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) -> String {
    match answer {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => format!("{what}: {}", text(error)),
    }
}

fn text(error: Error) -> String {
    match error {
        Error::AccessDenied(message) => format!("access-denied ({message})"),
        Error::InvalidArgument(message) => format!("invalid-argument ({message})"),
        Error::NoSpace(message) => format!("no-space ({message})"),
        Error::NoSuchBucket(message) => format!("no-such-bucket ({message})"),
        Error::Busy(message) => format!("busy ({message})"),
        other => format!("{other:?}"),
    }
}

bindings::export!(Intruder with_types_in bindings);
