//! Measures what a `get` costs through the host, as the example `get-bench` does in a composition:
//! `esker-gets DIRECTORY COUNT BYTES GETS` prints the nanoseconds of the opening and those of one `get`.

use esker_host::{KvStore, Options, Runtime};
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |at: usize| -> u64 { words[at].parse().expect("a number") };
    let (count, bytes, gets) = (number(2), number(3), number(4));
    let runtime = Runtime::new().expect("the component is sound");
    let begin = Instant::now();
    let store = KvStore::open(&runtime, &words[1], Options::default()).expect("the store opens");
    let opened = begin.elapsed();
    let mut took = opened;
    for _ in 0..2 {
        let mut random = 7;
        let begin = Instant::now();
        for _ in 0..gets {
            let key = format!("{:016}", next(&mut random) % count);
            let value = store.get(key.as_bytes()).expect("it reads").expect("the key is there");
            assert_eq!(value.len() as u64, bytes);
        }
        took = begin.elapsed();
    }
    println!("{} {}", opened.as_nanos(), took.as_nanos() / u128::from(gets.max(1)));
    store.close().expect("it closes");
}

/// Marsaglia's xorshift, as in the example.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}
