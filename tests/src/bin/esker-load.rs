//! `esker-load DIR SEED`: threads that write to a store without end, with a worker and a reader behind it, and tell of
//! each write that was acknowledged: `THREAD WRITE DURABILITY SEQUENCE`, a line each. To be killed (tests/tests/sigkill.rs).

use std::io::Write as _;

use esker_host::{Batch, Durability, KvStore, Options, Runtime};
use esker_tests::load::{COUNTS, Load, SUM, Write};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(seed)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: esker-load DIR SEED");
        std::process::exit(2);
    };
    let load = Load::new(seed.parse().expect("a seed is a number"));
    let runtime = Runtime::new().expect("the tests are built with the component");
    let options = Options {
        memory_bytes: Some(8 << 20),
        memtable_bytes: Some(128 << 10),
        workers: Some(1),
        readers: Some(1),
        ..Options::default()
    };
    let store = KvStore::open(&runtime, dir, options).expect("it opens");
    let counts = store.create_bucket(COUNTS).expect("it is made or there");
    // The writes of an earlier life: each thread goes on where its own end.
    let done: Vec<u64> = (0..load.threads)
        .map(|thread| {
            let own = esker_host::KeyRange::prefix(format!("thread {thread} ").as_bytes());
            let scan = store.scan(own, esker_host::ScanOptions::default()).expect("it reads");
            let numbers = scan.map(|entry| number_of(&entry.expect("it reads").1) + 1);
            numbers.max().unwrap_or(0)
        })
        .collect();
    println!("open {}", done.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    std::thread::scope(|scope| {
        for (thread, &done) in (0..load.threads).zip(&done) {
            let store = &store;
            scope.spawn(move || {
                for i in done.. {
                    let (write, durability) = load.write(thread, i);
                    let how = [Durability::Deferred, Durability::Buffered, Durability::Synced][durability];
                    let sequence = match write {
                        Write::Put(key, value) => store.put(&key, value.as_bytes(), how).expect("it writes"),
                        Write::Both(first, second, value) => {
                            let mut batch = Batch::new();
                            batch.put(&first, value.as_bytes()).expect("it fits");
                            batch.put(&second, value.as_bytes()).expect("it fits");
                            store.write(&batch, how).expect("it writes")
                        }
                        Write::Count => {
                            store.increment((counts, SUM), 1, how).expect("it counts");
                            0
                        }
                    };
                    // One call for each line, so that lines of threads do not mix.
                    let line = format!("{thread} {i} {durability} {sequence}\n");
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                    if i % 16 == 0 {
                        let read = store.get(format!("thread {thread} key {:04}", i % 400).as_bytes());
                        assert!(read.expect("it reads").is_none_or(|value| number_of(&value) <= i));
                    }
                }
            });
        }
    });
}

fn number_of(value: &[u8]) -> u64 {
    let text = str::from_utf8(value).expect("values are text");
    text.split(' ').next().expect("a text has a first word").parse().expect("a value begins with a number")
}
