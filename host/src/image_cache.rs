//! Compiled components, kept between processes.
//!
//! ```text
//! CACHE/KEY.image = SHA-256 of the image (32 bytes) | the image as wasmtime serialized it
//! KEY = SHA-256 of the component and of everything that the image depends on (wasmtime's version, its
//!       configuration, the processor)
//! ```
//!
//! An image is machine code that runs with this process's rights, so whoever can write it owns the process. It is
//! read only from a directory and a file that belong to this user and that nobody else can write; its digest is
//! then compared over the very bytes that are loaded. Whatever is wrong with an entry, or with the directory, the
//! component is compiled anew: the cache is never a reason to fail.

use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

const DIGEST_BYTES: usize = 32;

/// The component in `bytes`, from the cache if it is there.
pub fn load_or_compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    let entry = entry_path(engine, bytes);
    if let Some(component) = entry.as_deref().and_then(|entry| load(engine, entry)) {
        return Ok(component);
    }
    let component = Component::from_binary(engine, bytes)?;
    if let Some(entry) = entry {
        // A cache that cannot be written costs time, nothing else.
        let _ = component.serialize().map(|image| store(&entry, &image));
    }
    Ok(component)
}

fn load(engine: &Engine, entry: &Path) -> Option<Component> {
    let image = read_image(entry).ok()?;
    // SAFETY: `deserialize` runs what it is given as machine code, and requires that it came unchanged from
    // `serialize` of a compatible engine. `read_image` took it from a file that only this user can write, whose
    // content has the digest that `store` put in front of it, under a name made of wasmtime's compatibility hash.
    #[expect(unsafe_code, reason = "the one place where a compiled image is loaded")]
    unsafe { Component::deserialize(engine, image) }.ok()
}

/// The image in the file `entry`, if nobody else can have written it and its digest is right.
fn read_image(entry: &Path) -> io::Result<Vec<u8>> {
    let directory = entry.parent().ok_or(io::ErrorKind::NotFound)?;
    check_private(&fs::metadata(directory)?)?;
    let mut file = File::open(entry)?;
    check_private(&file.metadata()?)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let (digest, image) = content.split_at_checked(DIGEST_BYTES).ok_or(io::ErrorKind::UnexpectedEof)?;
    if Sha256::digest(image).as_slice() != digest {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the image's digest is not the one beside it",
        ));
    }
    content.drain(..DIGEST_BYTES);
    Ok(content)
}

fn check_private(metadata: &fs::Metadata) -> io::Result<()> {
    let written_by_others = metadata.mode() & 0o022 != 0;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user || written_by_others {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else can write it"));
    }
    Ok(())
}

/// Writes the entry under a name of this process and renames it, so that a reader sees all of it or nothing.
fn store(entry: &Path, image: &[u8]) -> io::Result<()> {
    let directory = entry.parent().ok_or(io::ErrorKind::NotFound)?;
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    check_private(&fs::metadata(directory)?)?;
    let unfinished = entry.with_extension(format!("{}.unfinished", std::process::id()));
    let written = write_entry(&unfinished, image).and_then(|()| fs::rename(&unfinished, entry));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write_entry(path: &Path, image: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&Sha256::digest(image))?;
    file.write_all(image)
}

fn entry_path(engine: &Engine, component: &[u8]) -> Option<PathBuf> {
    let directory =
        directory(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))?;
    Some(directory.join(key(engine, component)).with_extension("image"))
}

/// The cache's directory by the environment; `None` where the user has no home.
fn directory(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("ESKER_CACHE_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("esker")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache").join("esker")))
        .filter(|directory| directory.as_os_str() != OsStr::new("/"))
}

fn key(engine: &Engine, component: &[u8]) -> String {
    let mut hasher = DigestHasher(Sha256::new_with_prefix(component));
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds what is hashed into SHA-256: the standard hashers give 64 bits, which are too few for a name that
/// decides which code runs.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the digest is taken whole")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A private directory that is gone when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("esker-images-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn permit(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the owner may");
    }

    #[test]
    fn an_image_reads_back_unless_a_bit_of_it_is_wrong() {
        let scratch = Scratch::new("bits");
        let entry = scratch.0.join("deep/one.image");
        store(&entry, b"machine code").expect("store");
        assert_eq!(read_image(&entry).expect("read"), b"machine code");
        let whole = fs::read(&entry).expect("read");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&entry, &flipped).expect("write");
            assert!(read_image(&entry).is_err(), "byte {at} is wrong");
            fs::write(&entry, &whole[..at]).expect("write");
            assert!(read_image(&entry).is_err(), "it ends after {at} bytes");
        }
        store(&entry, b"other code").expect("a wrong entry is replaced");
        assert_eq!(read_image(&entry).expect("read"), b"other code");
        assert_eq!(
            fs::read_dir(scratch.0.join("deep")).expect("list").count(),
            1,
            "nothing unfinished is left"
        );
    }

    #[test]
    fn an_image_that_others_can_write_is_not_read() {
        let scratch = Scratch::new("others");
        let entry = scratch.0.join("one.image");
        store(&entry, b"machine code").expect("store");
        for mode in [0o620, 0o602] {
            permit(&entry, mode);
            assert!(read_image(&entry).is_err(), "file mode {mode:o}");
        }
        permit(&entry, 0o600);
        for mode in [0o720, 0o702] {
            permit(&scratch.0, mode);
            assert!(read_image(&entry).is_err(), "directory mode {mode:o}");
            assert!(store(&entry, b"more").is_err(), "directory mode {mode:o}");
        }
        permit(&scratch.0, 0o700);
        assert_eq!(read_image(&entry).expect("read"), b"machine code");
    }

    #[test]
    fn the_directory_follows_the_environment() {
        let with = |set: &'static [(&str, &str)]| {
            directory(move |name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/esker".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/esker".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("ESKER_CACHE_DIR", "/e")]), Some("/e".into()));
    }
}
