//! The histories that the simulated clients of one seed would write, for the diagram and `explain`.

use std::path::Path;

use crate::engine::{Effects, MemberId, Time, To};
use crate::exit::Failure;
use crate::member::{App, Membership, Note, Undelivered, Watch};
use crate::order::Order;
use crate::results::{Counts, MessageId, Results, Start};
use crate::wire::{Batch, Packet};

/// The events at all clients.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Diary {
    clients: Vec<Page>,
}

/// The events at one client.
#[derive(Debug, Default, Eq, PartialEq)]
struct Page {
    watch: Watch,
    entries: Vec<(Time, Entry)>,
    /// The reason why the client stopped early.
    stopped: Option<&'static str>,
    ended: bool,
}

#[derive(Debug, Eq, PartialEq)]
enum Entry {
    Multicast(Batch),
    Send(MemberId, Batch),
    Note(Note),
    Deliver(MemberId, Option<u64>, Batch),
    Receive(MemberId, Batch),
    Undeliverable(MemberId, Batch, Undelivered),
    View(u64, Vec<MemberId>),
}

impl Diary {
    /// Begins empty pages for this many clients.
    pub(super) fn begin(&mut self, clients: usize) {
        self.clients = (0..clients).map(|_| Page::default()).collect();
    }

    fn add(&mut self, now: Time, at: MemberId, entry: Entry) {
        if let Some(page) = self.clients.get_mut(usize::from(at.0)) {
            page.entries.push((now, entry));
        }
    }

    pub(super) fn submitted(&mut self, now: Time, at: MemberId, to: To, app: &App) {
        match (app, to) {
            (App::Multicast(batch), _) => self.add(now, at, Entry::Multicast(batch.clone())),
            (App::Direct(batch), To::Member(to)) => self.add(now, at, Entry::Send(to, batch.clone())),
            _ => {}
        }
    }

    /// Records the notes on a step of a client's engines.
    pub(super) fn stepped(
        &mut self,
        now: Time,
        at: MemberId,
        line: &Membership,
        effects: &Effects<App, Packet>,
    ) {
        if let Some(page) = self.clients.get_mut(usize::from(at.0)) {
            let mut notes = Vec::new();
            page.watch.look(line, effects, &mut notes);
            page.entries.extend(notes.into_iter().map(|note| (now, Entry::Note(note))));
        }
    }

    pub(super) fn delivered(
        &mut self,
        now: Time,
        at: MemberId,
        from: MemberId,
        number: Option<u64>,
        app: &App,
    ) {
        match app {
            App::Multicast(batch) => self.add(now, at, Entry::Deliver(from, number, batch.clone())),
            App::Direct(batch) => self.add(now, at, Entry::Receive(from, batch.clone())),
            App::View(view, _) => self.add(now, at, Entry::View(view.number, view.clients.clone())),
            App::Undeliverable(batch, reason) => {
                self.add(now, at, Entry::Undeliverable(from, batch.clone(), *reason));
            }
            App::Finished(_) | App::Replay(_) | App::Fenced(_) | App::Notice(_) => {}
        }
    }

    /// Records the reason why a client stopped early.
    pub(super) fn stopped(&mut self, at: MemberId, why: &'static str) {
        if let Some(page) = self.clients.get_mut(usize::from(at.0)) {
            page.stopped = Some(why);
        }
    }

    /// Records for each client whether it reached the end.
    pub(super) fn end(&mut self, ended: impl IntoIterator<Item = bool>) {
        self.clients.iter_mut().zip(ended).for_each(|(page, ended)| page.ended = ended);
    }

    /// Writes the histories into a folder, as clients do.
    pub(super) fn write(&self, dir: &Path, order: &Order) -> Result<(), Failure> {
        let names: Vec<String> = (0..self.clients.len()).map(|at| MemberId(at as u16).to_string()).collect();
        self.clients.iter().zip(&names).try_for_each(|(page, name)| {
            let results = Results::create(dir, name, order.suffix, true, false);
            let results = results.map_err(|failure| failure.help("name another folder with --histories"))?;
            page.write(results, name, &names, order)
        })
    }
}

impl Page {
    fn write(
        &self,
        mut results: Results,
        name: &str,
        names: &[String],
        order: &Order,
    ) -> Result<(), Failure> {
        let members: Vec<&str> = names.iter().map(String::as_str).collect();
        results.start(&Start {
            member: name,
            incarnation: 1,
            group: "main",
            order: order.name,
            method: order.method,
            members: (&members).into(),
            time_us: 0,
        })?;
        results.view(1, &members, 0)?;
        let mut counts = Counts::default();
        for (time, entry) in &self.entries {
            entry.write(&mut results, name, &members, time.as_micros(), &mut counts)?;
        }
        let last = self.entries.last().map_or(0, |(time, _)| time.as_micros());
        let why = self.stopped.unwrap_or(if self.ended { "done" } else { "timed_out" });
        results.end(why, &counts, last)?;
        results.finish().map(drop)
    }
}

impl Entry {
    fn write(
        &self,
        results: &mut Results,
        name: &str,
        members: &[&str],
        time_us: u64,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        let who = |member: MemberId| *members.get(usize::from(member.0)).unwrap_or(&"sequencer");
        let id = |member, number| MessageId { member, incarnation: 1, number };
        match self {
            Self::Multicast(batch) => each(batch, &mut counts.multicasts, |_, number, text| {
                results.multicast(id(name, number), text, time_us)
            }),
            Self::Send(to, batch) => each(batch, &mut counts.sent, |_, number, text| {
                results.send(id(name, number), who(*to), text, time_us)
            }),
            Self::Undeliverable(to, batch, reason) => {
                each(batch, &mut counts.undeliverable, |_, number, _| {
                    results.undeliverable(id(name, number), who(*to), *reason, time_us)
                })
            }
            Self::View(number, clients) => {
                let mut names: Vec<&str> = clients.iter().map(|&client| who(client)).collect();
                names.sort_unstable();
                results.view(*number, &names, time_us)
            }
            Self::Note(note) => results.note(note, &|member| (who(member), 1), time_us),
            Self::Deliver(from, first, batch) => each(batch, &mut counts.delivered, |place, number, text| {
                let place = first.map(|first| first + place);
                results.deliver(who(*from), id(who(*from), number), text, place, time_us)
            }),
            Self::Receive(from, batch) => each(batch, &mut counts.received, |_, number, text| {
                results.receive(id(who(*from), number), who(*from), text, time_us)
            }),
        }
    }
}

/// Writes the messages of a batch, each with its position in it and its number; counts them.
fn each(
    batch: &Batch,
    count: &mut u64,
    mut write: impl FnMut(u64, u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    *count += u64::from(batch.count());
    (0..).zip(batch.messages()).try_for_each(|(place, (number, text))| write(place, number, text))
}
