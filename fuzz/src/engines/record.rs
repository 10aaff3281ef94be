//! The record of each client of a group, judged by the oracles of `groupcast check`.

use std::collections::BTreeMap;

use bytes::Bytes;
use groupcast::check::{self, Event, History, MessageId, Property, Record, Verdict};
use groupcast::engine::{MemberId, To};
use groupcast::member::{App, Tally};
use groupcast::order::Order;
use groupcast::wire::{Batch, BatchBuilder};

use super::super::feed::Feed;

/// A client and its record.
pub struct Client {
    me: MemberId,
    record: Record,
    tally: Tally,
    finished: bool,
}

impl Client {
    /// Creates a client without events.
    pub fn new(me: MemberId) -> Self {
        let record = Record { name: me.to_string(), ..Record::default() };
        Self { me, record, tally: Tally { multicasts: 0, sent: BTreeMap::new() }, finished: false }
    }

    /// Returns its next submission; `None` after it has finished.
    pub fn submission(&mut self, to: To, kind: u8, feed: &mut Feed<'_>) -> Option<App> {
        if self.finished {
            return None;
        }
        if kind % 32 == 31 {
            self.finished = true;
            return (to == To::Group).then(|| App::Finished(self.tally.clone()));
        }
        let sent = match to {
            To::Group => &mut self.tally.multicasts,
            To::Member(other) => self.tally.sent.entry(other).or_default(),
        };
        let mut builder = BatchBuilder::new(*sent + 1);
        for number in 0..=kind / 8 % 4 {
            // Texts of one sender differ, so that the oracles tell them apart.
            let text = [&[number], feed.take(usize::from(kind / 64))].concat();
            builder.push(&text);
        }
        let batch = builder.finish()?;
        *sent += u64::from(batch.count());
        let me = self.me;
        self.record.events.extend(messages(me, &batch).map(|(id, text)| match to {
            To::Group => Event::Multicast { id, text },
            To::Member(to) => Event::Send { id, to: to.0, text },
        }));
        Some(match to {
            To::Group => App::Multicast(batch),
            To::Member(_) => App::Direct(batch),
        })
    }

    /// Records a delivery.
    pub fn deliver(&mut self, from: MemberId, number: Option<u64>, app: &App) {
        match app {
            App::Multicast(batch) => {
                for (offset, (id, text)) in (0..).zip(messages(from, batch)) {
                    let number = number.map(|first| first + offset);
                    self.record.events.push(Event::Deliver { id, number, epoch: 1, text });
                }
            }
            App::Direct(batch) => {
                self.record
                    .events
                    .extend(messages(from, batch).map(|(id, text)| Event::Receive { id, text }));
            }
            App::Finished(_)
            | App::View(..)
            | App::Replay(_)
            | App::Advance(_)
            | App::Record(_)
            | App::Fenced(_)
            | App::Notice(_)
            | App::Undeliverable(..) => {}
        }
    }
}

fn messages(from: MemberId, batch: &Batch) -> impl Iterator<Item = (MessageId, Bytes)> + '_ {
    let id = move |number| MessageId { member: from.0, incarnation: 1, number };
    batch.messages().map(move |(number, text)| (id(number), Bytes::copy_from_slice(text)))
}

/// Asserts that these clients, which have reached the end, violate no promise of the order.
pub fn judge(order: &Order, clients: impl Iterator<Item = Client>) {
    let records = clients.map(|client| Record { ended: true, ..client.record }).collect();
    let history = History { records, ..History::default() };
    for (name, verdict) in check::judge(&history, Property::promised_by(order)) {
        if let Verdict::Violated(witness) = verdict {
            panic!("{} violates {name}: {}", order.title(), witness.story);
        }
    }
}
