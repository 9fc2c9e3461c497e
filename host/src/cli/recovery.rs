//! What recovery left out when the store was opened, told in words on standard error.
//!
//! The report is the component's (docs/recovery.md). Members that this does not know are left alone, so that a
//! newer component can say more.

use serde::Deserialize;

use super::failure::{Failure, Outcome};
use super::number;
use super::output::tell;

/// Prints what was left out of the log, if anything.
pub fn warn_of_losses(report: &str) -> Outcome {
    let report: Report = serde_json::from_str(report).map_err(|cause| {
        Failure::other(format!("the component's recovery report cannot be read: {cause}"))
    })?;
    for line in report.lines() {
        tell(line);
    }
    Ok(())
}

/// The members that matter here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Report {
    records_replayed: u64,
    operations_replayed: u64,
    records_dropped: u64,
    operations_dropped: u64,
    losses: Vec<Loss>,
    manifest_torn: Option<Torn>,
    set_aside: Vec<String>,
}

/// The end of the manifest that a crash cut off.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Torn {
    file: String,
    offset: u64,
    reason: String,
}

/// A part of the log that was not replayed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Loss {
    kind: String,
    file: String,
    offset: u64,
    bytes: u64,
    operations: Option<u64>,
    reason: String,
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.losses.iter().map(Loss::line).collect();
        if self.records_dropped > 0 {
            parts.push(format!(
                "after the end of the log, and so not applied: {} ({})",
                number::counted(self.records_dropped, "sound record"),
                number::counted(self.operations_dropped, "operation"),
            ));
        }
        if let Some(Torn { file, offset, reason }) = &self.manifest_torn {
            parts.push(format!("{file} at offset {offset}: an end that a crash cut off: {reason}"));
        }
        if !self.set_aside.is_empty() {
            parts.push(format!("kept for you, no longer read by the store: {}", self.set_aside.join(", ")));
        }
        if parts.is_empty() {
            return parts;
        }
        let heading = format!(
            "esker: recovery replayed {} ({}) and left something out:",
            number::counted(self.records_replayed, "record"),
            number::counted(self.operations_replayed, "operation"),
        );
        std::iter::once(heading).chain(parts.into_iter().map(|part| format!("  {part}"))).collect()
    }
}

impl Loss {
    fn line(&self) -> String {
        let missing = match self.operations {
            Some(operations) => format!(", {} missing", number::counted(operations, "operation")),
            None => String::new(),
        };
        format!(
            "{} at offset {}: {}, {} passed over{missing}: {}",
            self.file,
            self.offset,
            self.meaning(),
            number::counted(self.bytes, "byte"),
            self.reason,
        )
    }

    fn meaning(&self) -> &str {
        match self.kind.as_str() {
            "torn-tail" => "an end that a crash cut off, not known to have been synced",
            "corruption" => "damage to what had been durable",
            "harmless" => "damage that held no data",
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_when_nothing_was_left_out() {
        let report: Report = serde_json::from_str(r#"{"records_replayed":5,"losses":[],"unknown":{"a":1}}"#)
            .expect("a report");
        assert!(report.lines().is_empty());
    }

    #[test]
    fn a_loss_is_told_with_its_place_and_size() {
        let report = r#"{"records_replayed":2,"operations_replayed":9,"set_aside":["000007.lost"],"records_dropped":1,"operations_dropped":3,"losses":[
            {"kind":"corruption","file":"000007.wal","offset":120,"bytes":40,"operations":1,"reason":"checksum"}]}"#;
        let lines = serde_json::from_str::<Report>(report).expect("a report").lines();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(
            lines[1].contains("000007.wal at offset 120") && lines[1].contains("1 operation missing"),
            "{lines:?}"
        );
        assert!(lines[2].contains("1 sound record (3 operations)"), "{lines:?}");
    }
}
