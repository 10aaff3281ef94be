//! Station 2: a client in one group or in several. It takes part in each, in one thread, and merges what the groups
//! deliver, if the order is total by a sequencer: then all members of all groups agree on one order.

use super::member::{Client, Taken};
use super::resume::EarlierLife;
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::{Node, several};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::Failure;
use crate::member::{App, Note};
use crate::order::Order;
use crate::participant::merge::Merge;
use crate::participant::{Application, Next, Participant, Past, Piece, Readiness, Request, Wait};
use crate::transport::stdio::Output;
use crate::wire::{Author, BatchBuilder};

/// A client as the application of its participant in one group: the one of this index of `--group`.
pub(super) struct AtGroup<'c, 'a> {
    pub(super) client: &'c mut Client<'a>,
    pub(super) at: usize,
}

impl Application<Node> for AtGroup<'_, '_> {
    fn readiness(&mut self, _: &mut Participant<Node>) -> Result<Readiness, Failure> {
        self.client.readiness(self.at)
    }

    fn next(&mut self, _: &mut Participant<Node>, now: Time) -> Result<Next, Failure> {
        self.client.next(self.at, now)
    }

    fn fill(
        &mut self,
        participant: &mut Participant<Node>,
        to: To,
        batch: &mut BatchBuilder,
    ) -> Result<(), Failure> {
        self.client.fill(self.at, participant, to, batch)
    }

    fn multicasts_for(
        &mut self,
        participant: &Participant<Node>,
        own_number: u64,
        author: Author<'_>,
        text: &[u8],
    ) -> Result<(), Failure> {
        self.client.multicasts_for(self.at, &participant.endpoint, own_number, author, text)
    }

    fn deliver(&mut self, participant: &Participant<Node>, delivery: Delivery) -> Result<(), Failure> {
        self.client.take_delivery(self.at, participant, delivery)
    }

    fn note(&mut self, participant: &Participant<Node>, at_us: u64, note: &Note) -> Result<(), Failure> {
        let node = &participant.endpoint;
        let who = |member: MemberId| (node.seat(member).id.as_str(), node.seat(member).incarnation);
        self.client.results.turn_to(self.at);
        self.client.results.note(note, &who, at_us)
    }

    fn first_view(&mut self, participant: &Participant<Node>, view: &View) -> Result<(), Failure> {
        self.client.first_view(self.at, &participant.endpoint, view)
    }

    fn past(&mut self, participant: &Participant<Node>, past: Past) -> Result<(), Failure> {
        self.client.past(self.at, &participant.endpoint, past)
    }

    fn piece(&mut self, participant: &mut Participant<Node>, request: &Request) -> Result<Piece, Failure> {
        self.client.piece(self.at, &participant.endpoint, request)
    }

    fn waits(&mut self, participant: &mut Participant<Node>, wait: Wait) {
        self.client.waits(self.at, participant, wait);
    }

    fn completed(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.client.has_progressed(participant.endpoint.now());
        Ok(())
    }

    fn before_wait(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.client.end_turn(std::slice::from_mut(participant))
    }
}

impl Client<'_> {
    /// Records the start of each group, now that the members are known.
    pub(super) fn begin(
        &mut self,
        participants: &mut [Participant<Node>],
        order: &Order,
        earlier: Option<EarlierLife>,
    ) -> Result<(), Failure> {
        earlier.as_ref().map_or(Ok(()), |earlier| earlier.check(&participants[0].endpoint))?;
        for (at, participant) in participants.iter_mut().enumerate() {
            self.begin_group(at, &mut participant.endpoint, order)?;
        }
        if let Some(earlier) = earlier {
            self.copy(&mut participants[0], earlier)?;
        }
        for (at, participant) in participants.iter_mut().enumerate() {
            participant.begin(&mut AtGroup { client: self, at })?;
        }
        Ok(())
    }

    /// Copies the results of an earlier life. The user has seen them.
    fn copy(&mut self, participant: &mut Participant<Node>, mut earlier: EarlierLife) -> Result<(), Failure> {
        self.is_copying = true;
        loop {
            let deliveries = earlier.next()?;
            if deliveries.is_empty() {
                break;
            }
            participant.take_past(&mut AtGroup { client: self, at: 0 }, Past::Deliveries(deliveries))?;
        }
        self.is_copying = false;
        Ok(())
    }

    /// Takes part until each group has finished.
    pub(super) fn run(&mut self, participants: &mut [Participant<Node>]) -> Result<(), Failure> {
        self.has_progressed(participants[0].endpoint.now());
        if let [participant] = &mut *participants {
            participant.run(&mut AtGroup { client: self, at: 0 })?;
        } else {
            self.run_several(participants)?;
        }
        let now = participants[0].endpoint.now();
        self.report_progress(participants, now);
        let node = &mut participants[0].endpoint;
        self.user.show();
        while self.user.output().map_or(Ok(false), Output::is_busy)? {
            node.linger()?;
        }
        Ok(())
    }

    /// Takes part in several groups until all of them have finished.
    fn run_several(&mut self, participants: &mut [Participant<Node>]) -> Result<(), Failure> {
        let mut over = 0;
        while over < participants.len() {
            let mut untils = Vec::with_capacity(participants.len());
            self.has_sent = false;
            for (at, participant) in participants.iter_mut().enumerate() {
                let is_over = participant.endpoint.is_over();
                let until =
                    if is_over { None } else { participant.attend(&mut AtGroup { client: self, at })? };
                untils.push(until);
            }
            self.release(participants)?;
            self.ask(participants);
            self.end_turn(participants)?;
            let has_sent = self.has_sent;
            let turns = participants.iter_mut().zip(untils).map(|(participant, until)| {
                let node = &mut participant.endpoint;
                // The next operation may be of a group that had its turn before.
                let until = if has_sent { Some(node.now()) } else { until };
                (node, until)
            });
            let turned = several::turn(&mut turns.filter(|(node, _)| !node.is_over()).collect::<Vec<_>>());
            for (at, participant) in participants.iter_mut().enumerate() {
                participant.take_events(&mut AtGroup { client: self, at })?;
            }
            self.release(participants)?;
            turned?;
            let are_over = participants.iter().filter(|participant| participant.endpoint.is_over()).count();
            if are_over > over {
                over = are_over;
                several::keep_interrupts(
                    participants.iter_mut().map(|participant| &mut participant.endpoint),
                );
            }
        }
        Ok(())
    }

    /// Takes a delivery of a group: records it, or gives it to the merge.
    fn take_delivery(
        &mut self,
        at: usize,
        participant: &Participant<Node>,
        delivery: Delivery,
    ) -> Result<(), Failure> {
        let doubled = participant.authors.doubled();
        let Some(merge) = &mut self.merge else {
            return self.deliver(at, &participant.endpoint, delivery, doubled);
        };
        let (number, bytes) = match &delivery.app {
            App::Multicast(batch) => (delivery.number, batch.body().len()),
            App::Direct(batch) => (None, batch.body().len()),
            _ => (None, 0),
        };
        merge.push(self.ranks[at], number, bytes, Taken { delivery, doubled: doubled.to_vec() });
        Ok(())
    }

    /// Records all deliveries that no delivery of another group can come before.
    fn release(&mut self, participants: &[Participant<Node>]) -> Result<(), Failure> {
        let Some(merge) = &mut self.merge else { return Ok(()) };
        for (participant, &rank) in participants.iter().zip(&self.ranks) {
            if participant.endpoint.is_over() {
                merge.over(rank);
            } else if let Some(next) = participant.endpoint.next_number() {
                merge.reached(rank, next);
            }
        }
        while let Some((rank, Taken { delivery, doubled })) = self.merge.as_mut().and_then(Merge::pop) {
            let at = self.ranks.iter().position(|&it| it == rank).unwrap_or_default();
            self.deliver(at, &participants[at].endpoint, delivery, &doubled)?;
        }
        Ok(())
    }

    /// Asks the groups for which deliveries of others wait to advance.
    fn ask(&mut self, participants: &mut [Participant<Node>]) {
        let Some(merge) = &mut self.merge else { return };
        for (participant, &rank) in participants.iter_mut().zip(&self.ranks) {
            let node = &mut participant.endpoint;
            // During a view change, the request would be lost with the view.
            if node.is_over() || node.is_changing() {
                continue;
            }
            if let Some(number) = merge.ask(rank, node.view().number) {
                node.submit(To::Group, App::Advance(number));
            }
        }
    }
}
