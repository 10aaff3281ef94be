//! The deliveries of a member of several groups, merged: any two of its messages come in the order of their global
//! numbers, across all of its groups. Pure.
//!
//! A global number is given to one place of one group, and all members of that group know it by that number. Each member
//! of several groups delivers by number and, between equal numbers, by the names of the groups. So there is one order of
//! all messages of all groups, of which each member delivers a part. A message may go when no message with a lower number
//! can come in any other group of the member. A group that is idle is asked to [advance](crate::member::App::Advance):
//! its next messages get later numbers.

use std::collections::VecDeque;

use crate::defect::{Defect, Defects};
use crate::order::total::FAR_AHEAD;

/// Most deliveries of one group that wait for the other groups, and most bytes of their texts, before this member takes
/// no more of that group.
const FULL: (usize, usize) = (4096, 4 << 20);

/// The deliveries of a member of several groups; `T` is a delivery.
#[derive(Debug)]
pub struct Merge<T> {
    /// Its groups, ascending by their names.
    lanes: Vec<Lane<T>>,
    defects: Defects,
}

/// One group of the member.
#[derive(Debug)]
struct Lane<T> {
    /// The deliveries that wait, each with its number, in the order of the group. A delivery that is no multicast has no
    /// number and keeps its place.
    waiting: VecDeque<Waiting<T>>,
    /// The bytes of their texts.
    bytes: usize,
    /// The lowest number that a further delivery can have.
    next: u64,
    /// Whether no delivery comes any more.
    is_over: bool,
    /// The view in which the group was last asked to advance, and the number up to which it was.
    asked: (u64, u64),
}

/// A delivery that waits.
#[derive(Debug)]
struct Waiting<T> {
    number: Option<u64>,
    bytes: usize,
    delivery: T,
}

impl<T> Merge<T> {
    /// Returns a merge of so many groups. Their indices are in the order of their names, the same at every member.
    #[must_use]
    pub fn new(groups: usize, defects: Defects) -> Self {
        let lane = |_| Lane { waiting: VecDeque::new(), bytes: 0, next: 1, is_over: false, asked: (0, 0) };
        Self { lanes: (0..groups).map(lane).collect(), defects }
    }

    /// Takes the next delivery of a group, with a text of so many bytes.
    pub fn push(&mut self, group: usize, number: Option<u64>, bytes: usize, delivery: T) {
        let lane = &mut self.lanes[group];
        lane.bytes += bytes;
        lane.waiting.push_back(Waiting { number, bytes, delivery });
    }

    /// Takes note that further deliveries of a group have this number or a higher one.
    pub fn reached(&mut self, group: usize, next: u64) {
        let lane = &mut self.lanes[group];
        lane.next = lane.next.max(next);
    }

    /// Takes note that a group has no further deliveries.
    pub fn over(&mut self, group: usize) {
        self.lanes[group].is_over = true;
    }

    /// Returns the next delivery, with its group, if no other can come before it.
    pub fn pop(&mut self) -> Option<(usize, T)> {
        let (group, number) = self.first()?;
        let is_free = |(other, lane): (usize, &Lane<T>)| {
            other == group || lane.is_over || !lane.waiting.is_empty() || (lane.next, other) > (number, group)
        };
        let may_go = number == 0 || self.lanes.iter().enumerate().all(is_free);
        if !may_go && !self.defects.has(Defect::GroupsUnmerged) {
            return None;
        }
        let lane = &mut self.lanes[group];
        let Waiting { bytes, delivery, .. } = lane.waiting.pop_front()?;
        lane.bytes -= bytes;
        Some((group, delivery))
    }

    /// Returns the group whose first waiting delivery has the lowest number, and that number; 0 for one without.
    fn first(&self) -> Option<(usize, u64)> {
        let heads = self.lanes.iter().enumerate().filter_map(|(group, lane)| {
            lane.waiting.front().map(|waiting| (waiting.number.unwrap_or(0), group))
        });
        heads.min().map(|(number, group)| (group, number))
    }

    /// Returns the number up to which a group is to advance so that everything that waits now may go; the group is in
    /// the view `view`. At most one request for each group is under way, unless the view changes.
    pub fn ask(&mut self, group: usize, view: u64) -> Option<u64> {
        let others = self.lanes.iter().enumerate().filter(|&(other, _)| other != group);
        let highest =
            others.filter_map(|(_, lane)| lane.waiting.iter().rev().find_map(|waiting| waiting.number));
        let wanted = highest.max()?;
        let lane = &mut self.lanes[group];
        let is_needed = !lane.is_over && lane.waiting.is_empty() && lane.next <= wanted;
        let is_under_way = lane.asked.0 == view && lane.asked.1 >= lane.next;
        if !is_needed || is_under_way {
            return None;
        }
        // A sequencer goes no further at once, since it cannot know who is honest.
        let wanted = wanted.min(lane.next.saturating_add(FAR_AHEAD - 1));
        lane.asked = (view, wanted);
        Some(wanted)
    }

    /// Returns whether so much of a group waits for the others that this member should take no more of it.
    #[must_use]
    pub fn is_full(&self, group: usize) -> bool {
        let lane = &self.lanes[group];
        lane.waiting.len() >= FULL.0 || lane.bytes >= FULL.1
    }

    /// Returns the groups for which deliveries of others wait.
    pub fn waits_for(&self) -> impl Iterator<Item = usize> + '_ {
        let waits = self.first().is_some();
        let is_awaited = move |lane: &Lane<T>| waits && !lane.is_over && lane.waiting.is_empty();
        self.lanes.iter().enumerate().filter(move |(_, lane)| is_awaited(lane)).map(|(group, _)| group)
    }

    /// Returns how many deliveries wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    const A: usize = 0;
    const B: usize = 1;

    fn drained<T>(merge: &mut Merge<T>) -> Vec<T> {
        std::iter::from_fn(|| merge.pop().map(|(_, delivery)| delivery)).collect()
    }

    #[test]
    fn delivery_waits_until_no_other_group_can_have_a_lower_number() {
        let mut merge = Merge::new(2, Defects::NONE);
        merge.push(A, Some(5), 1, "a5");
        assert_eq!(merge.pop(), None);
        merge.push(B, Some(3), 1, "b3");
        assert_eq!(drained(&mut merge), ["b3"], "a5 waits for what follows b3");
        merge.reached(B, 4);
        assert_eq!(merge.pop(), None, "b4 would come before a5");
        merge.reached(B, 5);
        assert_eq!(drained(&mut merge), ["a5"], "b5 would come after a5");
        assert_eq!(merge.waiting(), 0);
    }

    #[test]
    fn group_is_full_when_many_deliveries_or_bytes_wait() {
        let mut merge = Merge::new(2, Defects::NONE);
        merge.push(A, Some(1), FULL.1, 1);
        assert!(merge.is_full(A) && !merge.is_full(B));
        merge.over(B);
        assert_eq!(merge.pop(), Some((A, 1)));
        (2..).take(FULL.0 - 1).for_each(|number| merge.push(A, Some(number), 1, 2));
        assert!(!merge.is_full(A));
        merge.push(A, None, 0, 2);
        assert!(merge.is_full(A));
    }

    #[test]
    fn equal_numbers_go_by_the_names_of_the_groups() {
        let mut merge = Merge::new(2, Defects::NONE);
        merge.push(B, Some(4), 1, "b4");
        merge.push(A, Some(4), 1, "a4");
        assert_eq!(drained(&mut merge), ["a4"]);
        merge.reached(A, 5);
        assert_eq!(drained(&mut merge), ["b4"]);
    }

    #[test]
    fn events_without_a_number_keep_their_place_and_wait_for_no_other_group() {
        let mut merge = Merge::new(2, Defects::NONE);
        merge.push(A, None, 1, "view 1");
        merge.push(A, Some(2), 1, "a2");
        merge.push(A, None, 1, "view 2");
        assert_eq!(drained(&mut merge), ["view 1"]);
        merge.over(B);
        assert_eq!(drained(&mut merge), ["a2", "view 2"], "a group that is over is waited for no more");
    }

    #[test]
    fn idle_group_is_asked_once_in_a_view_for_everything_that_waits() {
        let mut merge = Merge::new(3, Defects::NONE);
        assert_eq!(merge.ask(B, 1), None, "nothing waits");
        (1..=9).for_each(|number| merge.push(A, Some(number), 1, number));
        assert_eq!((merge.ask(A, 1), merge.ask(B, 1), merge.ask(B, 1)), (None, Some(9), None));
        assert_eq!(merge.waits_for().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(merge.ask(B, 2), Some(9), "the request may be lost with the view");
        merge.push(A, Some(20), 1, 20);
        merge.reached(B, 10);
        assert_eq!(merge.ask(B, 2), Some(20), "the first request is answered");
        merge.over(B);
        assert_eq!((merge.ask(B, 3), merge.ask(2, 1)), (None, Some(20)));
        merge.push(A, Some(FAR_AHEAD * 3), 1, 21);
        merge.reached(2, 21);
        assert_eq!(merge.ask(2, 1), Some(20 + FAR_AHEAD), "as far as a sequencer goes at once");
    }

    /// All members deliver in the order of numbers and names, in whatever order their groups get on.
    #[test]
    fn members_of_any_groups_agree_on_one_order() {
        for seed in 0..300 {
            let mut prng = Prng::new(seed);
            let mut numbers = [0; 3];
            let messages: Vec<(usize, u64)> = (0..60)
                .map(|_| {
                    let group = prng.below(3) as usize;
                    numbers[group] += 1 + prng.below(4);
                    (group, numbers[group])
                })
                .collect();
            for groups in [[0, 1, 2], [0, 1, 1], [1, 2, 2], [0, 2, 2]] {
                let is_mine = |group: usize| groups.contains(&group);
                let mut merge = Merge::new(3, Defects::NONE);
                (0..3).filter(|&group| !is_mine(group)).for_each(|group| merge.over(group));
                let mut left = [0, 1, 2].map(|group| {
                    messages.iter().filter(move |it| it.0 == group).copied().collect::<VecDeque<_>>()
                });
                let mut delivered = Vec::new();
                while groups.iter().any(|&group| !left[group].is_empty()) {
                    let group = groups[prng.below(3) as usize];
                    match left[group].pop_front() {
                        Some(message) => {
                            merge.push(group, Some(message.1), 1, (message.1, group));
                            merge.reached(group, message.1 + 1);
                        }
                        None => merge.over(group),
                    }
                    delivered.extend(drained(&mut merge));
                }
                groups.iter().for_each(|&group| merge.over(group));
                delivered.extend(drained(&mut merge));
                let mut expected: Vec<(u64, usize)> = messages
                    .iter()
                    .filter(|it| is_mine(it.0))
                    .map(|&(group, number)| (number, group))
                    .collect();
                expected.sort_unstable();
                assert_eq!(delivered, expected, "seed {seed}, groups {groups:?}");
            }
        }
    }
}
