//! How many streams a principal may have open: each holds a connection for as long as its client likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::Principal;

/// The open streams of a process. Cheap to clone.
#[derive(Clone)]
pub struct StreamSlots {
    per_principal: usize,
    open: Arc<Mutex<HashMap<Principal, usize>>>,
}

/// A stream's place among those of its principal, until it is dropped.
pub struct StreamSlot {
    principal: Principal,
    open: Arc<Mutex<HashMap<Principal, usize>>>,
}

impl StreamSlots {
    /// So many for each principal.
    pub fn new(per_principal: usize) -> Self {
        Self { per_principal, open: Arc::default() }
    }

    /// A place for one more stream, if the principal has one left.
    pub fn take(&self, principal: &Principal) -> Option<StreamSlot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(principal.clone()).or_default();
        if *count >= self.per_principal {
            return None;
        }
        *count += 1;
        Some(StreamSlot { principal: principal.clone(), open: self.open.clone() })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_as_many_streams_as_it_may_and_gets_their_places_back() {
        let slots = StreamSlots::new(2);
        let (one, other) = (Principal::anonymous(), Principal::named("other".to_owned()));
        let first = slots.take(&one);
        let _second = slots.take(&one).unwrap();
        assert!(first.is_some() && slots.take(&one).is_none());
        let of_other = slots.take(&other);
        drop(first);
        assert!(of_other.is_some() && slots.take(&one).is_some());
        drop(of_other);
        assert_eq!(slots.open.lock().unwrap().len(), 1);
    }
}
