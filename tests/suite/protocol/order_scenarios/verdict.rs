//! The happened-before relation, and whether the deliveries respect it: the definitions, taken literally.

use std::collections::{BTreeMap, BTreeSet};

use groupcast::engine::MemberId;
use groupcast::order::Promise;

/// A message: who multicast it, and its number there.
pub(crate) type Id = (MemberId, u64);

/// Everything that was multicast and delivered so far.
#[derive(Default)]
pub(crate) struct History {
    /// Of each multicast: every message that happened before it.
    causes: BTreeMap<Id, BTreeSet<Id>>,
    /// The deliveries of each member, in its order.
    delivered: BTreeMap<MemberId, Vec<Id>>,
}

fn tell((sender, number): Id) -> String {
    format!("{sender}/{number}")
}

impl History {
    /// The next message of `sender`, which follows all that it has multicast or delivered, and what that follows.
    pub(crate) fn multicast(&mut self, sender: MemberId) -> Id {
        let own = self.causes.keys().filter(|id| id.0 == sender);
        let number = own.clone().count() as u64 + 1;
        let direct: BTreeSet<Id> =
            own.chain(self.delivered.get(&sender).into_iter().flatten()).copied().collect();
        let indirect = direct.iter().filter_map(|id| self.causes.get(id)).flatten().copied();
        let causes = direct.iter().copied().chain(indirect).collect();
        self.causes.insert((sender, number), causes);
        (sender, number)
    }

    pub(crate) fn delivered(&mut self, member: MemberId, id: Id) {
        self.delivered.entry(member).or_default().push(id);
    }

    /// The pairs of which neither happened before the other.
    pub(crate) fn concurrent(&self) -> String {
        let mut pairs = Vec::new();
        for (&a, before_a) in &self.causes {
            for (&b, before_b) in self.causes.range(a..).skip(1) {
                if !before_a.contains(&b) && !before_b.contains(&a) {
                    pairs.push(format!("{} and {}", tell(a), tell(b)));
                }
            }
        }
        if pairs.is_empty() {
            "no two are concurrent".to_owned()
        } else {
            format!("concurrent: {}", pairs.join(", "))
        }
    }

    /// Whether the property holds so far; a violation comes with the first witness.
    pub(crate) fn check(&self, property: Promise) -> Result<String, String> {
        let violation = match property {
            Promise::Fifo => self.overtaken(|cause, id| cause.0 == id.0),
            Promise::Causal => self.overtaken(|_, _| true),
            Promise::Total => self.disagreement(),
        };
        let count: usize = self.delivered.values().map(Vec::len).sum();
        violation.map_or_else(|| Ok(format!("holds in {count} deliveries")), Err)
    }

    /// A delivery before that of a message which happened before it, of those that `matters` selects.
    fn overtaken(&self, matters: fn(Id, Id) -> bool) -> Option<String> {
        let none = BTreeSet::new();
        for (&member, order) in &self.delivered {
            for (at, &id) in order.iter().enumerate() {
                let mut causes = self.causes.get(&id).unwrap_or(&none).iter();
                if let Some(&late) =
                    causes.find(|&&cause| matters(cause, id) && !order[..at].contains(&cause))
                {
                    let (id, late) = (tell(id), tell(late));
                    return Some(format!("{member} delivered {id} before {late}, which happened first"));
                }
            }
        }
        None
    }

    /// Two members of which one delivered a message, then another, and the other one the latter first.
    fn disagreement(&self) -> Option<String> {
        for (one, order) in &self.delivered {
            for (other, theirs) in &self.delivered {
                for (at, late) in order.iter().enumerate() {
                    let Some(place) = theirs.iter().position(|id| id == late) else { continue };
                    if let Some(&early) = order[..at].iter().find(|id| !theirs[..place].contains(id)) {
                        let (early, late) = (tell(early), tell(*late));
                        return Some(format!("{one} delivered {early} before {late}, {other} did not"));
                    }
                }
            }
        }
        None
    }
}
