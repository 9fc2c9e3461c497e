//! Writes: what is acknowledged goes into the journal, what fails is in doubt.

use esker_engine::{Durability, ErrorKind, Result};

use super::Driver;
use crate::history::{Op, Refused};
use crate::journal::Write;
use crate::platform::{Platform, Store};

impl<P: Platform> Driver<P> {
    pub(super) fn one(&mut self, op: &Op, durability: Durability) -> Result<()> {
        let write = self.to_write(std::slice::from_ref(op));
        self.write(write, durability, |store, write| match write.ops.as_slice() {
            [(key, Some(value))] => store.put(key, value, durability),
            [(key, None)] => store.delete(key, durability),
            _ => unreachable!("the write has one operation"),
        })
    }

    pub(super) fn batch(&mut self, ops: &[Op], durability: Durability) -> Result<()> {
        let write = self.to_write(ops);
        self.write(write, durability, |store, write| store.write(&write.to_batch(), durability))
    }

    fn to_write(&self, ops: &[Op]) -> Write {
        let pair = |op: &Op| match op {
            Op::Put(key, value) => (self.keys[*key].clone(), Some(value.bytes().into())),
            Op::Delete(key) => (self.keys[*key].clone(), None),
        };
        Write { ops: ops.iter().map(pair).collect() }
    }

    fn write(
        &mut self,
        write: Write,
        durability: Durability,
        call: impl Fn(&mut P::Store, &Write) -> Result<u64>,
    ) -> Result<()> {
        match self.patiently(|store| call(store, &write)) {
            Ok(sequence) => self.journal.acknowledge(write, durability, sequence),
            Err(error) => {
                if matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace) {
                    self.journal.doubt(write);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, what: Refused) -> Result<()> {
        let (_, before) = self.store().snapshot()?;
        let good = self.keys[0].clone();
        let durability = Durability::Synced;
        let answer = match what {
            Refused::EmptyKey => self.store().put(b"", b"value", durability),
            Refused::LongKey => self.store().delete(&[b'x'; 65_537], durability),
            Refused::Batch => {
                let write =
                    Write { ops: vec![(good, Some((*b"not to be seen").into())), (Vec::new(), None)] };
                self.store().write(&write.to_batch(), durability)
            }
        };
        let error = answer.expect_err("a write beyond the limits is refused");
        if error.kind() == &ErrorKind::InvalidArgument {
            let (_, after) = self.store().snapshot()?;
            assert_eq!(after, before, "a refused write changes nothing");
            return Ok(());
        }
        Err(error)
    }
}
