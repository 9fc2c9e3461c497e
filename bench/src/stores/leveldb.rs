//! LevelDB by its C interface, since no wrapper of it offers the Bloom filter.
//!
//! It reads its tables through a mapping and does not verify their checksums unless told to, as by default. It has no
//! call that writes the memtable out. Its flushes and compactions share one thread.

use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use anyhow::{Result, bail, ensure};
use leveldb_sys::*;

use super::{BLOCK_BYTES, BLOOM_BITS, Config, Each, Key, Kind, Scan, Session, Store};

pub const KIND: Kind = Kind { name: "leveldb", lz4: false, version, open };

fn version() -> String {
    // SAFETY: two functions without arguments.
    let (major, minor) = unsafe { (leveldb_major_version(), leveldb_minor_version()) };
    format!("{major}.{minor}")
}

/// The open store, and what it was opened with, which it goes on using.
struct LevelDb {
    db: NonNull<leveldb_t>,
    options: *mut leveldb_options_t,
    cache: *mut leveldb_cache_t,
    filter: *mut leveldb_filterpolicy_t,
    reads: *mut leveldb_readoptions_t,
    writes: *mut leveldb_writeoptions_t,
}

// SAFETY: LevelDB's handle is for any number of threads (its include/leveldb/db.h), and the options are only read.
unsafe impl Send for LevelDb {}
// SAFETY: as above.
unsafe impl Sync for LevelDb {}

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    let name = CString::new(dir.as_os_str().as_bytes())?;
    let write_buffer_bytes = usize::try_from(config.write_buffer_bytes)?;
    let cache_bytes = usize::try_from(config.cache_bytes)?;
    // SAFETY: each handle is used as the C interface says, and freed by `LevelDb::drop` or, where the store could not be
    // opened, never: the run is then over for it.
    unsafe {
        let cache = leveldb_cache_create_lru(cache_bytes);
        let filter = leveldb_filterpolicy_create_bloom(BLOOM_BITS.try_into()?);
        let options = leveldb_options_create();
        leveldb_options_set_create_if_missing(options, 1);
        leveldb_options_set_write_buffer_size(options, write_buffer_bytes);
        leveldb_options_set_cache(options, cache);
        leveldb_options_set_block_size(options, BLOCK_BYTES as usize);
        leveldb_options_set_filter_policy(options, filter);
        leveldb_options_set_compression(options, Compression::No);
        let reads = leveldb_readoptions_create();
        let writes = leveldb_writeoptions_create();
        leveldb_writeoptions_set_sync(writes, config.synced.into());
        let mut error = ptr::null_mut();
        let db = leveldb_open(options, name.as_ptr(), &mut error);
        check(error)?;
        let Some(db) = NonNull::new(db) else { bail!("leveldb_open returned nothing") };
        Ok(Box::new(LevelDb { db, options, cache, filter, reads, writes }))
    }
}

impl Drop for LevelDb {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handles any more. The store goes first, since it uses the others.
        unsafe {
            leveldb_close(self.db.as_ptr());
            leveldb_options_destroy(self.options);
            leveldb_readoptions_destroy(self.reads);
            leveldb_writeoptions_destroy(self.writes);
            leveldb_filterpolicy_destroy(self.filter);
            leveldb_cache_destroy(self.cache);
        }
    }
}

/// Makes an error of what LevelDB says.
fn check(error: *mut c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: LevelDB gives a string of its own, which the caller frees.
    let message = unsafe {
        let message = CStr::from_ptr(error).to_string_lossy().into_owned();
        leveldb_free(error.cast());
        message
    };
    bail!("{message}")
}

fn chars(bytes: &[u8]) -> *const c_char {
    bytes.as_ptr().cast()
}

impl Store for LevelDb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }
}

impl Session for &LevelDb {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut error = ptr::null_mut();
        // SAFETY: the handles are open; the key and the value live through the call.
        unsafe {
            leveldb_put(
                self.db.as_ptr(),
                self.writes,
                chars(key),
                key.len(),
                chars(value),
                value.len(),
                &mut error,
            );
        }
        check(error)
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        let mut error = ptr::null_mut();
        // SAFETY: the batch copies what it is given, and is freed after its only use.
        unsafe {
            let batch = leveldb_writebatch_create();
            for (key, value) in pairs {
                leveldb_writebatch_put(batch, chars(key), key.len(), chars(value), value.len());
            }
            leveldb_write(self.db.as_ptr(), self.writes, batch, &mut error);
            leveldb_writebatch_destroy(batch);
        }
        check(error)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        let mut error = ptr::null_mut();
        // SAFETY: the handles are open; the key lives through the call.
        unsafe { leveldb_delete(self.db.as_ptr(), self.writes, chars(key), key.len(), &mut error) };
        check(error)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let (mut error, mut length) = (ptr::null_mut(), 0);
        // SAFETY: the handles are open; the key lives through the call. The value is the caller's to free.
        unsafe {
            let value =
                leveldb_get(self.db.as_ptr(), self.reads, chars(key), key.len(), &mut length, &mut error);
            check(error)?;
            if value.is_null() {
                return Ok(false);
            }
            read(slice::from_raw_parts(value.cast(), length));
            leveldb_free(value.cast());
        }
        Ok(true)
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        // SAFETY: the handles are open, and the iterator is freed before they are.
        let entries = Entries(unsafe { leveldb_create_iterator(self.db.as_ptr(), self.reads) });
        ensure!(!entries.0.is_null(), "leveldb_create_iterator returned nothing");
        // SAFETY: the iterator is this thread's own. A key and a value are valid until it moves, and a key is given to
        // `each` only where there is an entry.
        unsafe {
            match scan {
                Scan::From(key, _) => leveldb_iter_seek(entries.0, chars(key), key.len()),
                Scan::All => leveldb_iter_seek_to_first(entries.0),
                Scan::Reverse => leveldb_iter_seek_to_last(entries.0),
            }
            let reverse = matches!(scan, Scan::Reverse);
            while leveldb_iter_valid(entries.0) != 0 {
                let (mut key_bytes, mut value_bytes) = (0, 0);
                // LevelDB writes the lengths, whatever the bindings say.
                let key = leveldb_iter_key(entries.0, (&raw mut key_bytes).cast_const());
                let value = leveldb_iter_value(entries.0, (&raw mut value_bytes).cast_const());
                let key = slice::from_raw_parts(key.cast(), key_bytes);
                if !each(key, slice::from_raw_parts(value.cast(), value_bytes)) {
                    return Ok(());
                }
                if reverse { leveldb_iter_prev(entries.0) } else { leveldb_iter_next(entries.0) }
            }
            let mut error: *mut c_char = ptr::null_mut();
            leveldb_iter_get_error(entries.0, (&raw mut error).cast());
            check(error)
        }
    }
}

/// An iterator of LevelDB's, which must go before its store.
struct Entries(*mut leveldb_iterator_t);

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: it is freed once, and nobody uses it any more.
        unsafe { leveldb_iter_destroy(self.0) };
    }
}
