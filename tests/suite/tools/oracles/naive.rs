//! The properties as they are written in books: for all members, for all messages. Slow, and nothing to get wrong.
//!
//! Written from the statements alone, without a look at how the oracles go about it.

use groupcast::check::{Event, History, MessageId, Record};

/// A history with everything that the statements speak of. At most 128 events.
pub(super) struct World<'h> {
    history: &'h History,
    /// All events, with their members.
    events: Vec<(usize, &'h Event)>,
    /// Of each event: which happened before it.
    before: Vec<u128>,
    /// The same, if messages to one member are left out: multicasts promise nothing about those.
    before_in_group: Vec<u128>,
    /// Every message that was multicast or delivered.
    messages: Vec<MessageId>,
}

impl<'h> World<'h> {
    pub(super) fn new(history: &'h History) -> Self {
        let events: Vec<(usize, &Event)> = (history.records.iter().enumerate())
            .flat_map(|(member, record)| record.events.iter().map(move |event| (member, event)))
            .collect();
        assert!(events.len() <= 128);
        let mut messages: Vec<MessageId> = events
            .iter()
            .filter(|(member, event)| match event {
                Event::Multicast { id, .. } => usize::from(id.member) == *member,
                Event::Deliver { .. } => true,
                Event::Send { .. } | Event::Receive { .. } | Event::Undeliverable { .. } => false,
            })
            .map(|(_, event)| event.id())
            .collect();
        messages.sort_unstable();
        messages.dedup();
        let mut world = Self { history, before: vec![], before_in_group: vec![], events, messages };
        world.before = world.close(|_| true);
        world.before_in_group = world.close(|event| !event.is_direct());
        world
    }

    /// Lamport's relation: an event happens before the next of its member, the giving of a message before its taking.
    fn close(&self, counts: fn(&Event) -> bool) -> Vec<u128> {
        let mut causes = vec![0_u128; self.events.len()];
        for (index, &(member, event)) in self.events.iter().enumerate() {
            if index > 0 && self.events[index - 1].0 == member {
                causes[index] |= 1 << (index - 1);
            }
            if let Some(origin) = self.given_by(member, event).filter(|_| counts(event)) {
                causes[index] |= 1 << origin;
            }
        }
        let mut before = causes.clone();
        loop {
            let farther = |&direct: &u128| {
                let causes = (0..before.len()).filter(|cause| direct & (1 << cause) != 0);
                causes.fold(direct, |all, cause| all | before[cause])
            };
            let next: Vec<u128> = causes.iter().map(farther).collect();
            if next == before {
                return before;
            }
            before = next;
        }
    }

    fn given_by(&self, member: usize, event: &Event) -> Option<usize> {
        match event {
            Event::Deliver { id, .. } => self.multicast(*id),
            Event::Receive { id, .. } => self.events.iter().position(|(from, other)| {
                matches!(other, Event::Send { id: sent, to, .. }
                    if sent == id && usize::from(*to) == member && *from == usize::from(id.member))
            }),
            Event::Multicast { .. } | Event::Send { .. } | Event::Undeliverable { .. } => None,
        }
    }

    fn record(&self, member: usize) -> &Record {
        &self.history.records[member]
    }

    fn members(&self) -> impl Iterator<Item = usize> + Clone {
        0..self.history.records.len()
    }

    fn correct(&self) -> impl Iterator<Item = usize> + Clone {
        self.members().filter(|&member| self.record(member).ended)
    }

    /// The event that multicasts this message.
    fn multicast(&self, message: MessageId) -> Option<usize> {
        self.events.iter().position(|(member, event)| {
            matches!(event, Event::Multicast { id, .. } if *id == message && usize::from(id.member) == *member)
        })
    }

    /// When `member` delivers the message, first to last.
    fn deliveries(&self, member: usize, message: MessageId) -> impl Iterator<Item = usize> {
        self.events.iter().enumerate().filter_map(move |(index, (at, event))| {
            let is_it = matches!(event, Event::Deliver { id, .. } if *id == message);
            (*at == member && is_it).then_some(index)
        })
    }

    fn first_delivery(&self, member: usize, message: MessageId) -> Option<usize> {
        self.deliveries(member, message).next()
    }

    /// Whether `member` delivers `later` without having delivered `earlier`.
    fn delivers_without(&self, member: usize, later: MessageId, earlier: MessageId) -> bool {
        match (self.first_delivery(member, later), self.first_delivery(member, earlier)) {
            (Some(later), Some(earlier)) => later < earlier,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (MessageId, MessageId)> {
        let pair = move |one: &MessageId| {
            self.messages.iter().map({
                let one = *one;
                move |other| (one, *other)
            })
        };
        self.messages.iter().flat_map(pair).filter(|(one, other)| one != other)
    }

    /// Whether the multicast of `one` happened before that of `other`. A message of someone whose end is unknown
    /// was multicast sometime, before anyone delivered it.
    fn precedes(&self, one: MessageId, other: MessageId) -> bool {
        let Some(effect) = self.multicast(other) else { return false };
        let happened = |event: usize| self.before_in_group[effect] & (1 << event) != 0;
        match self.multicast(one) {
            Some(cause) => happened(cause),
            None => {
                let sender = self.history.records.get(usize::from(one.member));
                let may_exist = sender.is_some_and(|sender| !sender.ended);
                may_exist && self.members().any(|at| self.deliveries(at, one).any(happened))
            }
        }
    }

    fn is_violated(&self, property: &str) -> bool {
        match property {
            "no-duplicate" => self.duplicate(),
            "no-creation" => self.creation(),
            "validity" => self.correct().any(|member| {
                let own = |message: &&MessageId| usize::from(message.member) == member;
                let mut own = self.messages.iter().filter(own).filter(|own| self.multicast(**own).is_some());
                own.any(|own| self.first_delivery(member, *own).is_none())
            }),
            "agreement" => self.correct().any(|one| {
                let has = |member, message: &MessageId| self.first_delivery(member, *message).is_some();
                self.correct().any(|other| self.messages.iter().any(|m| has(one, m) && !has(other, m)))
            }),
            "fifo" => self.members().any(|member| {
                self.pairs().any(|(one, other)| {
                    let same = (one.member, one.incarnation) == (other.member, other.incarnation);
                    let first = match (self.multicast(one), self.multicast(other)) {
                        (Some(one), Some(other)) => one < other,
                        _ => false,
                    };
                    same && first && self.delivers_without(member, other, one)
                })
            }),
            "causal" => self.members().any(|member| {
                let mut pairs = self.pairs();
                pairs.any(|(one, other)| {
                    self.precedes(one, other) && self.delivers_without(member, other, one)
                })
            }),
            "total" => self.no_order_for_all(),
            "numbers" => self.numbers(),
            "point-to-point" => self.direct(),
            // Nobody has more than one view here.
            "view-synchrony" => false,
            _ => panic!("no such property: {property}"),
        }
    }

    fn duplicate(&self) -> bool {
        self.members().any(|member| self.messages.iter().any(|m| self.deliveries(member, *m).count() > 1))
    }

    fn creation(&self) -> bool {
        let explained = |event: &Event| {
            let sender = self.history.records.get(usize::from(event.id().member));
            match (sender, self.multicast(event.id())) {
                (None, _) => false,
                (Some(sender), None) => !sender.ended,
                (_, Some(origin)) => self.events[origin].1.text() == event.text(),
            }
        };
        let multicasts = || self.events.iter().filter(|(_, event)| matches!(event, Event::Multicast { .. }));
        let twice =
            multicasts().any(|(_, one)| multicasts().filter(|(_, other)| one.id() == other.id()).count() > 1);
        let borrowed = multicasts().any(|(member, event)| usize::from(event.id().member) != *member);
        let mut deliveries = self.events.iter().filter(|(_, event)| matches!(event, Event::Deliver { .. }));
        twice || borrowed || self.is_impossible() || deliveries.any(|(_, event)| !explained(event))
    }

    /// Whether something happened before itself. Then "before" is no order, and nothing can be said about causes.
    pub(super) fn is_impossible(&self) -> bool {
        (0..self.events.len()).any(|event| self.before[event] & (1 << event) != 0)
    }

    /// Whether a message would have to come before itself, if all that members deliver stood in one order.
    fn no_order_for_all(&self) -> bool {
        let at_one = |first, then| {
            self.members().any(|member| {
                let both = (self.first_delivery(member, first), self.first_delivery(member, then));
                matches!(both, (Some(first), Some(then)) if first < then)
            })
        };
        let mut before: Vec<(MessageId, MessageId)> =
            self.pairs().filter(|&(first, then)| at_one(first, then)).collect();
        loop {
            let through = |&(first, then): &(MessageId, MessageId)| {
                let farther = before.iter().filter(move |(next, _)| *next == then);
                farther.map(move |(_, last)| (first, *last)).collect::<Vec<_>>()
            };
            let mut next: Vec<_> = before.iter().flat_map(through).chain(before.iter().copied()).collect();
            next.sort_unstable();
            next.dedup();
            if next == before {
                return before.iter().any(|(first, then)| first == then);
            }
            before = next;
        }
    }

    /// The deliveries of a member: the message, and the number.
    fn numbered(&self, member: usize) -> Vec<(MessageId, Option<u64>)> {
        let number = |event: &Event| match event {
            Event::Deliver { id, number, .. } => Some((*id, *number)),
            _ => None,
        };
        self.record(member).events.iter().filter_map(number).collect()
    }

    fn numbers(&self) -> bool {
        let gap = |member| (self.numbered(member).iter().zip(1..)).any(|((_, number), k)| *number != Some(k));
        let clash = |one, other| {
            let (one, other) = (self.numbered(one), self.numbered(other));
            one.iter().any(|(m, number)| other.iter().any(|(n, same)| number == same && m != n))
        };
        self.members().any(gap) || self.members().any(|one| self.members().any(|other| clash(one, other)))
    }

    fn direct(&self) -> bool {
        let strangers = |event: &Event| match event {
            Event::Send { to, .. } | Event::Undeliverable { to, .. } => {
                usize::from(*to) >= self.history.records.len()
            }
            Event::Receive { id, .. } => usize::from(id.member) >= self.history.records.len(),
            _ => false,
        };
        self.events.iter().any(|(_, event)| strangers(event))
            || self.members().any(|from| self.members().any(|to| self.pair_is_wrong(from, to)))
    }

    fn pair_is_wrong(&self, from: usize, to: usize) -> bool {
        let sent: Vec<&Event> = (self.record(from).events.iter())
            .filter(|event| matches!(event, Event::Send { to: receiver, .. } if usize::from(*receiver) == to))
            .collect();
        let received: Vec<&Event> = (self.record(to).events.iter())
            .filter(|event| matches!(event, Event::Receive { id, .. } if usize::from(id.member) == from))
            .collect();
        let same = |one: &Event, other: &Event| one.id() == other.id();
        let twice = |events: &[&Event]| {
            events.iter().any(|one| events.iter().filter(|other| same(one, other)).count() > 1)
        };
        // A message missing from the known part of the sender's record was sent after that part, if at all.
        let place = |event: &Event| sent.iter().position(|sent| same(sent, event)).unwrap_or(sent.len());
        let created = received.iter().any(|event| match sent.get(place(event)) {
            Some(sent) => sent.text() != event.text(),
            None => self.record(from).ended,
        });
        let is_received = |event: &Event| received.iter().any(|received| same(received, event));
        let own = &self.record(from).events;
        // The place in the sender's record at which a message is said to be undeliverable, and why.
        let reports = |id: MessageId| {
            own.iter().enumerate().filter_map(move |(at, event)| match event {
                Event::Undeliverable { id: lost, to: receiver, reason } => {
                    (*lost == id && usize::from(*receiver) == to).then_some((at, reason))
                }
                _ => None,
            })
        };
        let is_given_up = |event: &Event| reports(event.id()).next().is_some();
        let lost = |event: &&Event| !is_received(event) && !is_given_up(event);
        let is_false = |event: &Event| match event {
            Event::Undeliverable { id, to: receiver, .. } if usize::from(*receiver) == to => {
                let sends = |event: &Event| matches!(event, Event::Send { to: receiver, .. } if event.id() == *id && usize::from(*receiver) == to);
                let first = reports(*id).next().map_or(0, |(at, _)| at);
                !own[..first].iter().any(sends)
                    || reports(*id).count() > 1
                    || is_received(event) && reports(*id).any(|(_, reason)| reason.starts_with("not sent"))
                    || !is_received(event) && self.record(to).ended
            }
            _ => false,
        };
        let is_accountable = self.record(from).ended && self.record(to).stopped;
        let overtaken = received.iter().enumerate().any(|(at, event)| {
            let earlier = sent.iter().take(place(event));
            let owed = earlier.filter(|sent| is_received(sent) || !is_given_up(sent));
            let mut earlier = owed.map(|sent| received.iter().position(|received| same(received, sent)));
            earlier.any(|received| received.is_none_or(|received| received > at))
        });
        twice(&sent)
            || twice(&received)
            || created
            || overtaken
            || own.iter().any(is_false)
            || (self.record(to).ended || is_accountable) && sent.iter().any(lost)
    }

    /// Returns the verdict: any part of a run can show a violation; only a whole run in which something happened
    /// can show that there is none.
    pub(super) fn verdict(&self, property: &str) -> &'static str {
        let any = |which: fn(&Event) -> bool| self.events.iter().any(|(_, event)| which(event));
        let something = match property {
            "point-to-point" => any(|event| matches!(event, Event::Send { .. })),
            _ => any(|event| matches!(event, Event::Multicast { .. })),
        };
        let numbered = any(|event| matches!(event, Event::Deliver { number: Some(_), .. }));
        if property == "numbers" && !numbered {
            return "undecided";
        }
        if self.is_violated(property) {
            return "violated";
        }
        let whole = self.history.records.iter().all(|record| record.ended);
        if whole && something { "valid" } else { "undecided" }
    }
}
