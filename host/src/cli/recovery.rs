//! What recovery left out when the store was opened, told in words on standard error.
//!
//! The report is the component's (docs/recovery.md). Members that this does not know are left alone, so that a
//! newer component can say more.

use serde::Deserialize;

use super::failure::{Failure, Outcome};
use super::number;

/// Prints what was left out of the log, if anything.
pub fn warn_of_losses(report: &str) -> Outcome {
    let report: Report = serde_json::from_str(report).map_err(|cause| {
        Failure::other(format!("the component's recovery report cannot be read: {cause}"))
    })?;
    for line in report.lines() {
        eprintln!("{line}");
    }
    Ok(())
}

/// The members that matter here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Report {
    records: u64,
    operations: u64,
    records_dropped: u64,
    operations_dropped: u64,
    losses: Vec<Loss>,
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
        if self.losses.is_empty() && self.records_dropped == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "esker: recovery replayed {} ({}) of the log and left something out:",
            number::counted(self.records, "record"),
            number::counted(self.operations, "operation"),
        )];
        lines.extend(self.losses.iter().map(|loss| format!("  {}", loss.line())));
        if self.records_dropped > 0 {
            lines.push(format!(
                "  {} ({}) after that were not applied",
                number::counted(self.records_dropped, "sound record"),
                number::counted(self.operations_dropped, "operation"),
            ));
        }
        lines
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
            "torn-tail" => "the end that a crash cut off, never acknowledged as synced",
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
        let report: Report =
            serde_json::from_str(r#"{"records":5,"losses":[],"unknown":{"a":1}}"#).expect("a report");
        assert!(report.lines().is_empty());
    }

    #[test]
    fn a_loss_is_told_with_its_place_and_size() {
        let report = r#"{"records":2,"operations":9,"records_dropped":1,"operations_dropped":3,"losses":[
            {"kind":"corruption","file":"000007.wal","offset":120,"bytes":40,"operations":1,"reason":"checksum"}]}"#;
        let lines = serde_json::from_str::<Report>(report).expect("a report").lines();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].contains("000007.wal at offset 120") && lines[1].contains("1 operation missing"),
            "{lines:?}"
        );
        assert!(lines[2].contains("1 sound record (3 operations)"), "{lines:?}");
    }
}
