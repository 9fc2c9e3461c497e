//! What the compactions under way have, so that another one can run beside them.

use super::Plan;

/// The tables that compactions under way read, and the places where they will write.
#[derive(Debug, Clone, Default)]
pub struct Busy {
    tables: Vec<u64>,
    outputs: Vec<Output>,
}

/// Where the result of a compaction will lie.
#[derive(Debug, Clone)]
struct Output {
    level: usize,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Busy {
    /// What the compactions with these plans have.
    pub fn new<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Self {
        let mut busy = Self::default();
        plans.into_iter().for_each(|plan| busy.add(plan));
        busy
    }

    /// Adds what another compaction has.
    pub fn add(&mut self, plan: &Plan) {
        self.tables.extend(plan.inputs.iter().map(|(_, table)| table.number));
        let (first, last) = plan.span();
        self.outputs.push(Output { level: plan.output_level, first: first.to_vec(), last: last.to_vec() });
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Whether a compaction reads this table.
    pub fn has(&self, table: u64) -> bool {
        self.tables.contains(&table)
    }

    /// Whether `plan` can be carried out beside what is under way: it shares no input, and its result will not
    /// overlap another one in the same level. (A plan takes every table that is older than its newest input, lies
    /// above its output and shares keys with it; so one that would move entries below older ones on their way shares
    /// an input with their job.)
    pub fn allows(&self, plan: &Plan) -> bool {
        let (first, last) = plan.span();
        let meets = |output: &Output| {
            output.level == plan.output_level
                && output.level > 0
                && output.first.as_slice() <= last
                && output.last.as_slice() >= first
        };
        !plan.inputs.iter().any(|(_, table)| self.has(table.number)) && !self.outputs.iter().any(meets)
    }
}
