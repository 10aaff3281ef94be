//! The properties as the documents state them: for all members, for all messages. Slow, and nothing to get wrong.
//!
//! Written from the statements alone, without a look at how the oracles go about it.

use bytes::Bytes;

use super::super::{ClusterHistory, Happening, MemberStory};

type Id = (u16, u64);
type Stamp = (u64, u16);

/// An event of a member: its life, and its position among all its events.
#[derive(Clone, Copy)]
struct At<'h> {
    life: usize,
    event: usize,
    happening: &'h Happening,
}

/// The first insertion of a message at a member.
struct Shown<'h> {
    id: Id,
    at: Stamp,
    deps: &'h [u64],
    event: usize,
}

pub(super) struct World<'h> {
    members: &'h [MemberStory],
    events: Vec<Vec<At<'h>>>,
}

impl<'h> World<'h> {
    pub(super) fn new(history: &'h ClusterHistory) -> Self {
        let of_life = |(life, told): (usize, &'h super::Life)| {
            told.events.iter().map(move |happening| At { life, event: 0, happening }).collect::<Vec<_>>()
        };
        let of_member = |story: &'h MemberStory| {
            let all = story.lives.iter().enumerate().flat_map(of_life).enumerate();
            all.map(|(event, at)| At { event, ..at }).collect()
        };
        let members = &history.members;
        Self { members, events: members.iter().map(of_member).collect() }
    }

    pub(super) fn verdict(&self, property: &str) -> &'static str {
        let violated = match property {
            "once" => self.twice() || self.reused() || self.two_texts(),
            "placement" => self.misplaced(),
            "closure" => self.all().any(|member| self.has_a_hole(member)),
            "confirmed" => {
                self.all().any(|member| self.contradicts(member))
                    || self.parted()
                    || self.incomplete()
                    || self.other_digest()
            }
            "convergence" => {
                self.all_settled().any(|member| !self.list_at_end(member).is_empty()) || self.lists_differ()
            }
            "durable" => self.lost() || self.voided(),
            "membership" => self.skips() || self.parts() || self.leaps() || self.is_ahead(),
            _ => panic!("no such property: {property}"),
        };
        if violated {
            return "violated";
        }
        let is_shown = self.all().any(|member| !self.shown(member).is_empty());
        let any =
            |is_one: fn(&Happening) -> bool| self.events.iter().flatten().any(|at| is_one(at.happening));
        let something = match property {
            "once" => is_shown || any(|happening| matches!(happening, Happening::Multicast { .. })),
            "confirmed" => self.all().any(|member| !self.sequence(member).is_empty()),
            "durable" => is_shown && self.ids().iter().any(|id| self.is_owed(*id)),
            "membership" => self.has_epochs(),
            _ => is_shown,
        };
        let is_known =
            self.members.iter().all(|story| story.lives.last().is_some_and(|life| life.end.is_some()));
        let of_settled = matches!(property, "convergence" | "durable");
        let is_judged = is_known && (!of_settled || self.members.iter().all(MemberStory::is_settled));
        if is_judged && something { "valid" } else { "undecided" }
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.members.len()
    }

    fn all_settled(&self) -> impl Iterator<Item = usize> {
        self.all().filter(|&member| self.members[member].is_settled())
    }

    fn inserts(&self, member: usize) -> impl Iterator<Item = (Id, Stamp, &'h Bytes, &'h [u64], usize)> {
        self.events[member].iter().filter_map(|at| match at.happening {
            Happening::Insert { id, at: stamp, deps, text } => Some((*id, *stamp, text, &deps[..], at.event)),
            _ => None,
        })
    }

    /// The first insertions at a member.
    fn shown(&self, member: usize) -> Vec<Shown<'h>> {
        let is_first = |id: Id, event| self.inserts(member).all(|(other, .., at)| other != id || at >= event);
        let first = self.inserts(member).filter(|(id, .., event)| is_first(*id, *event));
        first.map(|(id, at, _, deps, event)| Shown { id, at, deps, event }).collect()
    }

    fn ids(&self) -> Vec<Id> {
        let told = |(member, at): (usize, &At<'_>)| match at.happening {
            Happening::Insert { id, .. } | Happening::Withdraw { id } => Some(*id),
            Happening::Stored { number } => Some((member as u16, *number)),
            _ => None,
        };
        self.events
            .iter()
            .enumerate()
            .flat_map(|(member, events)| events.iter().filter_map(move |at| told((member, at))))
            .collect()
    }

    fn is_withdrawn(&self, id: Id) -> bool {
        self.all().any(|member| self.withdraws(member, id, usize::MAX))
    }

    fn withdraws(&self, member: usize, id: Id, before: usize) -> bool {
        let is_it = |at: &At<'_>| matches!(at.happening, Happening::Withdraw { id: other } if *other == id);
        self.events[member].iter().any(|at| at.event < before && is_it(at))
    }

    /// The list that a member shows before an event, without the confirmed part.
    fn list(&self, member: usize, before: usize, confirmed: &[Id]) -> Vec<(Stamp, u64, Id)> {
        let shown = self.shown(member);
        let tentative = shown.iter().filter(|shown| {
            // A message that was withdrawn before it was shown is shown.
            let withdrawn = self.events[member].iter().any(|at| {
                let is_it = matches!(at.happening, Happening::Withdraw { id } if *id == shown.id);
                is_it && at.event > shown.event && at.event < before
            });
            shown.event < before && !confirmed.contains(&shown.id) && !withdrawn
        });
        let mut list: Vec<_> = tentative.map(|shown| (shown.at, shown.id.1, shown.id)).collect();
        list.sort_unstable();
        list
    }

    /// The confirmations of a member: event, place, number, count, digest.
    fn confirms(&self, member: usize) -> Vec<(usize, Stamp, u64, u64, u64)> {
        let confirm = |at: &At<'_>| match at.happening {
            Happening::Confirm { upto, number, count, digest } => {
                Some((at.event, *upto, *number, *count, *digest))
            }
            _ => None,
        };
        self.events[member].iter().filter_map(confirm).collect()
    }

    /// The confirmed messages before an event.
    fn confirmed_before(&self, member: usize, before: usize) -> Vec<Id> {
        let mut confirmed = Vec::new();
        for (event, _, _, count, _) in self.confirms(member) {
            if event < before {
                let next = self.list(member, event, &confirmed);
                confirmed.extend(next.iter().take(count as usize).map(|(.., id)| *id));
            }
        }
        confirmed
    }

    fn sequence(&self, member: usize) -> Vec<Id> {
        self.confirmed_before(member, usize::MAX)
    }

    fn list_at_end(&self, member: usize) -> Vec<(Stamp, u64, Id)> {
        self.list(member, usize::MAX, &self.sequence(member))
    }

    /// Whether a member's own events contradict its confirmations.
    fn contradicts(&self, member: usize) -> bool {
        let confirms = self.confirms(member);
        let mut next = 1;
        for &(event, upto, number, count, _) in &confirms {
            let list = self.list(member, event, &self.confirmed_before(member, event));
            let falls = confirms.iter().any(|(earlier, other, ..)| *earlier < event && *other > upto);
            if number != next || falls || list.iter().filter(|(at, ..)| *at <= upto).count() as u64 != count {
                return true;
            }
            next = number + count;
        }
        let below = self.inserts(member).any(|(_, at, .., event)| {
            confirms.iter().any(|(confirm, upto, ..)| *confirm < event && at <= *upto)
        });
        let withdrawn = self.events[member].iter().any(|at| match at.happening {
            Happening::Withdraw { id } => {
                !self.withdraws(member, *id, at.event) && self.confirmed_before(member, at.event).contains(id)
            }
            _ => false,
        });
        below || withdrawn
    }

    fn parted(&self) -> bool {
        let sequences: Vec<Vec<Id>> = self.all().map(|member| self.sequence(member)).collect();
        let part = |one: &Vec<Id>, other: &Vec<Id>| one.iter().zip(other).any(|(one, other)| one != other);
        sequences.iter().any(|one| sequences.iter().any(|other| part(one, other)))
    }

    /// Whether a member confirmed up to a place without a message that stands there somewhere.
    fn incomplete(&self) -> bool {
        self.all().any(|member| {
            let Some(upto) = self.confirms(member).iter().map(|(_, upto, ..)| *upto).max() else {
                return false;
            };
            let sequence = self.sequence(member);
            let lacks = |shown: &Shown<'_>| {
                shown.at <= upto && !sequence.contains(&shown.id) && !self.is_withdrawn(shown.id)
            };
            self.all().any(|other| self.shown(other).iter().any(lacks))
        })
    }

    fn other_digest(&self) -> bool {
        let all: Vec<_> = self.all().flat_map(|member| self.confirms(member)).collect();
        let differ = |one: &(usize, Stamp, u64, u64, u64), other: &(usize, Stamp, u64, u64, u64)| {
            one.1 == other.1 && (one.2 + one.3, one.4) != (other.2 + other.3, other.4)
        };
        all.iter().any(|one| all.iter().any(|other| differ(one, other)))
    }

    fn lists_differ(&self) -> bool {
        let sequence = |member| self.sequence(member);
        self.all_settled().any(|one| self.all_settled().any(|other| sequence(one) != sequence(other)))
    }

    fn misplaced(&self) -> bool {
        let shown: Vec<Shown<'_>> = self.all().flat_map(|member| self.shown(member)).collect();
        shown.iter().any(|one| {
            let moved = |other: &Shown<'_>| one.id == other.id && one.at != other.at;
            let falls =
                |other: &Shown<'_>| one.id.0 == other.id.0 && one.id.1 < other.id.1 && other.at.0 < one.at.0;
            one.at.1 != one.id.0 || shown.iter().any(|other| moved(other) || falls(other))
        })
    }

    /// How many of the first messages of a slot a member shows before an event.
    fn prefix(&self, member: usize, slot: u16, before: usize) -> u64 {
        let shown = self.shown(member);
        let is_shown = |id: Id| {
            self.is_withdrawn(id) || shown.iter().any(|shown| shown.id == id && shown.event < before)
        };
        (1..).take_while(|number| is_shown((slot, *number))).count() as u64
    }

    fn has_a_hole(&self, member: usize) -> bool {
        let shown = self.shown(member);
        shown.iter().any(|inserted| {
            (0..9).any(|slot: u16| {
                let sender = usize::from(inserted.id.0);
                let multicast = self.multicast(sender, inserted.id.1);
                let at_sender =
                    multicast.map_or(0, |at| self.prefix(sender, slot, self.surely_before(sender, at)));
                let own = if usize::from(slot) == sender { inserted.id.1 - 1 } else { 0 };
                let told = inserted.deps.get(usize::from(slot)).copied().unwrap_or(0);
                let need =
                    told.max(own).max(if usize::from(slot) < self.members.len() { at_sender } else { 0 });
                let is_above = shown.iter().any(|cause| {
                    cause.id == (slot, need) && cause.event < inserted.event && cause.at > inserted.at
                });
                need > self.prefix(member, slot, inserted.event)
                    || is_above && need > 0 && !self.is_withdrawn((slot, need))
            })
        })
    }

    /// The event up to which everything surely happened before a multicast: after a crash, a journal may give back
    /// messages that were shown after it.
    fn surely_before(&self, member: usize, multicast: At<'_>) -> usize {
        let has_crashed = self.members[member].lives[..multicast.life].iter().any(|life| life.end.is_none());
        let is_of_life = |at: &&At<'_>| at.life == multicast.life;
        let first = self.events[member].iter().find(is_of_life).map_or(0, |at| at.event);
        if has_crashed { first } else { multicast.event }
    }

    /// Whether the sender knows that a message is stored, between two events.
    fn is_stored_between(&self, member: usize, number: u64, from: usize, to: usize) -> bool {
        self.events[member].iter().any(|at| {
            let is_it = match at.happening {
                Happening::Stored { number: other } => *other == number,
                Happening::Insert { id, .. } => *id == (member as u16, number),
                _ => false,
            };
            is_it && from < at.event && at.event < to
        })
    }

    fn multicasts(&self, member: usize, number: u64) -> Vec<At<'h>> {
        let is_it = |at: &&At<'_>| matches!(at.happening, Happening::Multicast { number: other, .. } if *other == number);
        self.events.get(member).map_or(vec![], |events| events.iter().filter(is_it).copied().collect())
    }

    /// The multicast that counts: a multicast is void if it was not stored and a later life uses its number.
    fn multicast(&self, member: usize, number: u64) -> Option<At<'h>> {
        let all = self.multicasts(member, number);
        let is_void = |at: &&At<'_>| {
            let later = all.iter().filter(|later| later.life > at.life).map(|later| later.event).min();
            later.is_some_and(|later| !self.is_stored_between(member, number, at.event, later))
        };
        all.iter().find(|at| !is_void(at)).copied()
    }

    fn reused(&self) -> bool {
        self.all().any(|member| {
            (0..9).any(|number| {
                let all = self.multicasts(member, number);
                all.iter().any(|one| {
                    let later = |other: &&At<'_>| other.event > one.event;
                    all.iter().filter(later).any(|other| {
                        one.life == other.life
                            || self.is_stored_between(member, number, one.event, other.event)
                    })
                })
            })
        })
    }

    fn twice(&self) -> bool {
        self.all().any(|member| self.inserts(member).count() > self.shown(member).len())
    }

    fn two_texts(&self) -> bool {
        let all: Vec<_> = self.all().flat_map(|member| self.inserts(member)).collect();
        all.iter().any(|(id, _, text, ..)| {
            let multicast = self.multicast(usize::from(id.0), id.1);
            let sent = multicast.map(|at| match at.happening {
                Happening::Multicast { text, .. } => text,
                _ => panic!("this is a multicast"),
            });
            sent.is_some_and(|sent| sent != *text)
                || all.iter().any(|(other, _, given, ..)| other == id && given != text)
        })
    }

    /// Whether a settled list must have this message.
    fn is_owed(&self, id: Id) -> bool {
        let sender = usize::from(id.0);
        let settled_before =
            |life: usize| self.members[sender].lives[..life].iter().any(super::Life::is_settled);
        let stored = self.events.get(sender).is_some_and(|events| {
            events.iter().any(|at| {
                let is_it = self.is_stored_between(sender, id.1, at.event.wrapping_sub(1), at.event + 1)
                    || at.event == 0 && self.is_first_stored(sender, id.1);
                is_it && (self.members[sender].is_settled() || !settled_before(at.life))
            })
        });
        let has_gone_on = self
            .members
            .get(sender)
            .is_some_and(|story| !story.is_settled() && story.lives.iter().any(super::Life::is_settled));
        let confirmed = self.all().any(|member| self.sequence(member).contains(&id)) && !has_gone_on;
        (stored || confirmed) && !self.is_withdrawn(id)
    }

    fn is_first_stored(&self, member: usize, number: u64) -> bool {
        match self.events[member].first().map(|at| at.happening) {
            Some(Happening::Stored { number: other }) => *other == number,
            Some(Happening::Insert { id, .. }) => *id == (member as u16, number),
            _ => false,
        }
    }

    fn lost(&self) -> bool {
        self.all_settled().any(|member| {
            let shown = self.shown(member);
            self.ids().into_iter().any(|id| self.is_owed(id) && shown.iter().all(|shown| shown.id != id))
        })
    }

    pub(super) fn has_epochs(&self) -> bool {
        self.all().any(|member| !self.epochs(member, usize::MAX).is_empty())
    }

    /// The epochs that a member tells before an event: event, number, members. None of them removes a member.
    fn epochs(&self, member: usize, before: usize) -> Vec<(usize, u64, &'h [u16])> {
        let epoch = |at: &At<'h>| match at.happening {
            Happening::Epoch { number, members, removed: None } => Some((at.event, *number, &members[..])),
            _ => None,
        };
        self.events[member].iter().filter(|at| at.event < before).filter_map(epoch).collect()
    }

    fn all_epochs(&self) -> Vec<(u64, &'h [u16])> {
        let all = self.all().flat_map(|member| self.epochs(member, usize::MAX));
        all.map(|(_, number, members)| (number, members)).collect()
    }

    fn skips(&self) -> bool {
        self.all().any(|member| {
            self.epochs(member, usize::MAX).iter().any(|&(event, number, _)| {
                let mut earlier = self.epochs(member, event).into_iter();
                number < 2 || number > 2 && !earlier.any(|(_, other, _)| other == number - 1)
            })
        })
    }

    fn parts(&self) -> bool {
        let all = self.all_epochs();
        all.iter().any(|one| all.iter().any(|other| one.0 == other.0 && one.1 != other.1))
    }

    fn leaps(&self) -> bool {
        let all = self.all_epochs();
        all.iter().any(|(number, members)| {
            let is_step = |before: &[u16]| {
                members.len() == before.len() + 1
                    && members.starts_with(before)
                    && !before.contains(&members[before.len()])
            };
            all.iter().any(|(earlier, before)| earlier + 1 == *number && !is_step(before))
        })
    }

    /// Whether a member shows a message without the last epoch that its sender had told before.
    fn is_ahead(&self) -> bool {
        let last = |member, before| self.epochs(member, before).iter().map(|(_, number, _)| *number).max();
        self.all().any(|member| {
            self.inserts(member).any(|(id, .., event)| {
                let sender = usize::from(id.0);
                let multicast = self.multicast(sender, id.1);
                multicast.is_some_and(|at| last(sender, at.event) > last(member, event))
            })
        })
    }

    fn voided(&self) -> bool {
        self.all().any(|member| self.sequence(member).iter().any(|id| self.is_withdrawn(*id)))
    }
}
