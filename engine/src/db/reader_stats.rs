//! What a reader sees and has done.

use super::reader::Reader;
use super::stats::{levels_json, levels_of};
use crate::base::json::Json;
use crate::env::Fs;

impl<F: Fs> Reader<F> {
    /// What the reader sees and has done since it was opened, as a JSON object (docs/stats.md): the members of a
    /// primary's that a reader can know.
    pub fn stats(&self) -> String {
        let cache = self.tables.block_stats();
        let (passes, rejects) = self.tables.filter_stats();
        let (open_tables, table_bytes) = self.tables.open_tables();
        let sealed = self.sealed.iter().map(|(_, memtable)| memtable.bytes()).sum::<u64>();
        let active = &self.view.view.active;
        let memory = Json::object()
            .member("memtable", active.bytes())
            .member("memtable_entries", active.entries())
            .member("sealed_memtables", sealed)
            .member("cache", cache.bytes)
            .member("open_tables", table_bytes);
        let blocks = Json::object()
            .member("bytes", cache.bytes)
            .member("bytes_max", cache.bytes_max)
            .member("hits", cache.hits)
            .member("misses", cache.misses)
            .member("open_tables", open_tables)
            .member("filter_passes", passes)
            .member("filter_rejects", rejects);
        Json::object()
            .member("epoch", self.epoch)
            .member("last_sequence", self.last_sequence())
            .member("levels", levels_json(&levels_of(self.version())))
            .member("memory", memory)
            .member("cache", blocks)
            .member("log", Json::object().member("segment", self.segment))
            .member("reads", Json::object().member("gets", self.gets.get()).member("scans", self.scans.get()))
            .member("obsolete_tables", self.obsolete.len() as u64)
            .finish()
    }
}
