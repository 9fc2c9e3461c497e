//! SQLite: a B-tree with a write-ahead log, behind prepared statements.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Config, Each, Key, Kind, Scan, Session, Store};

pub const KIND: Kind = Kind { name: "sqlite", lz4: false, version, open };

fn version() -> String {
    rusqlite::version().to_owned()
}

const PUT: &str = "INSERT INTO bench (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
const PAGE_BYTES: u64 = 4096;

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    let sqlite = Sqlite { file: dir.join("sqlite"), config: *config };
    let create = "CREATE TABLE IF NOT EXISTS bench (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID";
    sqlite.connect()?.execute_batch(create)?;
    Ok(Box::new(sqlite))
}

struct Sqlite {
    file: PathBuf,
    config: Config,
}

impl Sqlite {
    fn connect(&self) -> Result<Connection> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(Duration::from_secs(60))?;
        // In a log; FULL syncs it at each commit, NORMAL only before its pages are moved to the database.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", if self.config.synced { "full" } else { "normal" })?;
        // The log is moved when it is as large as the others' write buffers.
        let pages = i64::try_from(self.config.write_buffer_bytes / PAGE_BYTES)?;
        connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        // In KiB, if negative. Each connection has a cache of its own, so they share the bytes.
        let kib = self.config.cache_bytes / 1024 / self.config.threads.max(1) as u64;
        connection.pragma_update(None, "cache_size", -i64::try_from(kib)?)?;
        Ok(connection)
    }
}

impl Store for Sqlite {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Open(self.connect()?)))
    }

    fn flush(&self) -> Result<()> {
        self.connect()?.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}

struct Open(Connection);

impl Session for Open {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.0.prepare_cached(PUT)?.execute(params![key, value])?;
        Ok(())
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        self.0.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for (key, value) in pairs {
            self.put(key, value)?;
        }
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.0.prepare_cached("DELETE FROM bench WHERE key = ?1")?.execute([key])?;
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut statement = self.0.prepare_cached("SELECT value FROM bench WHERE key = ?1")?;
        let found = statement.query_row([key], |row| {
            read(row.get_ref(0)?.as_blob()?);
            Ok(())
        });
        Ok(found.optional()?.is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let select = match scan {
            Scan::From(..) => "SELECT key, value FROM bench WHERE key >= ?1 ORDER BY key",
            Scan::All => "SELECT key, value FROM bench ORDER BY key",
            Scan::Reverse => "SELECT key, value FROM bench ORDER BY key DESC",
        };
        let mut statement = self.0.prepare_cached(select)?;
        let mut rows = match scan {
            Scan::From(key, _) => statement.query([key])?,
            Scan::All | Scan::Reverse => statement.query([])?,
        };
        while let Some(row) = rows.next()? {
            if !each(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?) {
                break;
            }
        }
        Ok(())
    }
}
