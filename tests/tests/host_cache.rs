//! The cache of compiled components, as the program meets it: used when it is sound, made anew when it is not, and
//! never a reason to fail.
#![cfg(feature = "component")]

use esker_tests::program::esker;
use esker_tests::temp_dir::TempDir;
use std::fs;
use std::path::{Path, PathBuf};

/// Puts and gets with `cache` as the cache's directory.
fn run(store: &Path, cache: &Path) {
    for (arguments, answer) in [(&["put", "k", "v"][..], ""), (&["get", "k"], "v")] {
        let output =
            esker(store).env("ESKER_CACHE_DIR", cache).args(arguments).output().expect("esker starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), answer, "{arguments:?}: {said}");
    }
}

/// The images in a cache.
fn images(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).expect("the cache is a directory");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

#[test]
fn one_image_is_kept_and_a_damaged_one_is_replaced() {
    let dir = TempDir::new();
    let (store, cache) = (dir.path().join("store"), dir.path().join("cache"));
    run(&store, &cache);
    let [image] = &images(&cache)[..] else { panic!("one component, one image: {:?}", images(&cache)) };
    let sound = fs::read(image).expect("read");

    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xcc);
    for wrong in [&damaged[..], &sound[..middle], b""] {
        fs::write(image, wrong).expect("write");
        run(&store, &cache);
        assert!(fs::read(image).expect("read") == sound, "it was compiled anew and put in its place");
    }
    assert_eq!(images(&cache), std::slice::from_ref(image));
}

#[test]
fn a_cache_that_cannot_be_made_costs_nothing_but_time() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    fs::write(&file, "").expect("write");
    run(&dir.path().join("store"), &file.join("cache"));
}
