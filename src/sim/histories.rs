//! The histories that the simulated clients of one seed would write, for the diagram and `explain`.

use std::path::Path;

use super::process::{End, Event, Process};
use crate::engine::{MemberId, Time};
use crate::exit::Failure;
use crate::order::Order;
use crate::results::{Counts, MessageId, Results, Start};
use crate::wire::control::{Role, Seat};

/// The events at all clients.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Histories {
    clients: Vec<Client>,
    /// The names of all processes, by slot.
    names: Vec<String>,
}

/// The events at one client.
#[derive(Debug, Eq, PartialEq)]
struct Client {
    me: MemberId,
    is_late: bool,
    events: Vec<(Time, Event)>,
    /// The reason of its end.
    why: &'static str,
}

impl Histories {
    pub(super) fn of(processes: Vec<Process>, seats: &[Seat]) -> Self {
        // A member that came back is another client here: each has a file of its own.
        let is_client = |seat: &Seat| seat.role == Role::Client;
        let name = |seat: &Seat| {
            if is_client(seat) { MemberId(seat.slot).to_string() } else { "sequencer".to_owned() }
        };
        let client = |process: Process| Client {
            me: process.me,
            is_late: process.is_late,
            why: match process.ended {
                Some(End::Crashed) => "died",
                Some(End::LeftBehind) => "left_behind",
                None if process.is_done() => "done",
                None => "timed_out",
            },
            events: process.history,
        };
        let clients = processes.into_iter().zip(seats).filter(|(_, seat)| is_client(seat));
        let clients = clients.map(|(process, _)| client(process)).collect();
        Self { clients, names: seats.iter().map(name).collect() }
    }

    /// Writes the histories into a folder, as clients do.
    pub(super) fn write(&self, dir: &Path, order: &Order) -> Result<(), Failure> {
        self.clients.iter().try_for_each(|client| self.write_client(client, dir, order))
    }

    fn write_client(&self, client: &Client, dir: &Path, order: &Order) -> Result<(), Failure> {
        let member = self.name(client.me);
        let results = Results::create(dir, member, order.suffix, true, false);
        let mut results = results.map_err(|failure| failure.help("name another folder with --histories"))?;
        let first = self.clients.iter().filter(|client| !client.is_late);
        let members: Vec<&str> = first.map(|client| self.name(client.me)).collect();
        results.start(&Start {
            member,
            incarnation: 1,
            group: "main",
            groups: (&[]).into(),
            order: order.name,
            method: order.method,
            log: None,
            members: (&members).into(),
            time_us: 0,
        })?;
        let mut counts = Counts::default();
        for (time, event) in &client.events {
            self.write_event(&mut results, client.me, event, time.as_micros(), &mut counts)?;
        }
        let last = client.events.last().map_or(0, |(time, _)| time.as_micros());
        results.end(client.why, &counts, last)?;
        results.finish().map(drop)
    }

    fn write_event(
        &self,
        results: &mut Results,
        me: MemberId,
        event: &Event,
        time_us: u64,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        match event {
            Event::Multicast(number, text) => {
                counts.multicasts += 1;
                results.multicast(self.id(me, *number), text, time_us)
            }
            Event::Send(to, number, text) => {
                counts.sent += 1;
                results.send(self.id(me, *number), self.name(*to), text, time_us)
            }
            Event::Undeliverable(to, number, reason) => {
                counts.undeliverable += 1;
                results.undeliverable(self.id(me, *number), self.name(*to), *reason, time_us)
            }
            Event::View(view) => {
                let mut names: Vec<&str> = view.clients.iter().map(|&client| self.name(client)).collect();
                names.sort_unstable();
                results.view(view.number, &names, time_us)
            }
            Event::Note(note) => results.note(note, &|member| (self.name(member), 1), time_us),
            Event::Deliver(from, own, number, text) => {
                counts.delivered += 1;
                results.deliver(self.name(*from), self.id(*from, *own), text, *number, time_us)
            }
            Event::Receive(from, number, text) => {
                counts.received += 1;
                results.receive(self.id(*from, *number), self.name(*from), text, time_us)
            }
            Event::Fenced | Event::Notice(..) => Ok(()),
        }
    }

    fn id(&self, member: MemberId, number: u64) -> MessageId<'_> {
        MessageId { member: self.name(member), incarnation: 1, number }
    }

    fn name(&self, member: MemberId) -> &str {
        self.names.get(usize::from(member.0)).map_or("sequencer", String::as_str)
    }
}
