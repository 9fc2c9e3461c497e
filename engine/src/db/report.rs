//! What recovery found.

use crate::base::json::Json;
use crate::wal::ReplayReport;

/// What opening a store has found, done and left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the store was made anew.
    pub created: bool,
    /// The epoch that this primary took.
    pub epoch: u64,
    /// How long opening took, in microseconds.
    pub micros: u64,
    /// A torn end of the manifest: file, offset, reason.
    pub manifest_torn: Option<(String, u64, String)>,
    /// What was read of the log, and what was not.
    pub log: ReplayReport,
    /// Tables that were written from the log.
    pub tables_written: u64,
    /// Tables that nothing referred to, left behind by a crash.
    pub orphans_removed: u64,
    /// Files that were kept under a `.lost` name, since they may hold what is missing.
    pub set_aside: Vec<String>,
}

impl RecoveryReport {
    /// Whether anything is missing or damaged that somebody may want to know of.
    pub fn is_clean(&self) -> bool {
        self.log.losses.is_empty() && self.manifest_torn.is_none()
    }

    /// As a JSON object (docs/recovery.md).
    pub fn to_json(&self) -> String {
        let torn = self.manifest_torn.as_ref().map(|(file, offset, reason)| {
            Json::object()
                .member("file", file.as_str())
                .member("offset", *offset)
                .member("reason", reason.as_str())
        });
        let losses = self.log.losses.iter().fold(Json::array(), |list, loss| list.element(loss.to_json()));
        let set_aside = self.set_aside.iter().fold(Json::array(), |list, name| list.element(name.as_str()));
        Json::object()
            .member("clean", self.is_clean())
            .member("created", self.created)
            .member("epoch", self.epoch)
            .member("micros", self.micros)
            .member("segments_read", self.log.segments)
            .member("bytes_read", self.log.bytes)
            .member("records_replayed", self.log.records)
            .member("operations_replayed", self.log.operations)
            .member("records_dropped", self.log.records_dropped)
            .member("operations_dropped", self.log.operations_dropped)
            .member("losses", losses)
            .member("manifest_torn", torn)
            .member("tables_written", self.tables_written)
            .member("orphans_removed", self.orphans_removed)
            .member("set_aside", set_aside)
            .finish()
    }
}
