//! What callers hold by number, and who does: snapshots and scans. They are few.

use super::Owner;

/// Things with numbers, in ascending order.
#[derive(Debug)]
pub struct Held<T>(Vec<(u64, Owner, T)>);

impl<T> Held<T> {
    /// Nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, id: u64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |&(held, ..)| held)
    }

    /// Keeps `thing` for `owner`; what had the number is gone.
    pub fn insert(&mut self, id: u64, owner: Owner, thing: T) {
        match self.place(id) {
            Ok(at) => self.0[at] = (id, owner, thing),
            Err(at) => self.0.insert(at, (id, owner, thing)),
        }
    }

    /// The one with this number.
    pub fn get(&self, id: u64) -> Option<&T> {
        let at = self.place(id).ok()?;
        self.0.get(at).map(|(.., thing)| thing)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let at = self.place(id).ok()?;
        self.0.get_mut(at).map(|(.., thing)| thing)
    }

    /// Lets go of the one with this number, if there is one.
    pub fn remove(&mut self, id: u64) {
        if let Ok(at) = self.place(id) {
            self.0.remove(at);
        }
    }

    /// Lets go of what `gone` holds.
    pub fn forget(&mut self, gone: Owner) {
        self.0.retain(|&(_, owner, _)| owner != gone);
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_one_thing_and_goes_with_its_owner() {
        let mut held = Held::new();
        for (id, owner, thing) in [(5, 0, "a"), (2, 7, "b"), (9, 7, "c"), (5, 7, "d"), (3, 0, "e")] {
            held.insert(id, owner, thing);
        }
        assert_eq!(
            [2, 3, 4, 5, 9].map(|id| held.get(id).copied()),
            [Some("b"), Some("e"), None, Some("d"), Some("c")]
        );
        *held.get_mut(9).expect("there") = "f";
        held.remove(2);
        held.remove(4);
        assert_eq!([2, 9].map(|id| held.get(id).copied()), [None, Some("f")]);
        held.forget(7);
        assert_eq!([3, 5, 9].map(|id| held.get(id).copied()), [Some("e"), None, None]);
        held.clear();
        assert!(held.get(3).is_none());
    }
}
