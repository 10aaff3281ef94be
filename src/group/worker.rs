//! The worker of a member: the application of its participant, which moves messages and events between the participant
//! and the queues of the handles.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;

use super::builder::Builder;
use super::error::Error;
use super::event::{Delivery, Direct, Event, Undeliverable, View};
use super::shared::{Incoming, Outgoing, Phase, Shared, Shutdown};
use super::state::States;
use crate::driver::endpoint::{self, Endpoint};
use crate::driver::node::Joining;
use crate::driver::{Node, words};
use crate::engine::{self, MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::{App, Fence};
use crate::participant::{Application, Next, Participant, Past, Piece, Readiness, Replayed, Request};
use crate::talk::Talk;
use crate::transport::wakeup::Wakeup;
use crate::wire::control::{Role, Seat};
use crate::wire::{Batch, BatchBuilder};

/// Takes part to the end, and leaves the outcome in the queues.
pub(super) fn run(builder: &Builder, joining: &Joining, shared: &Arc<Shared>, wakeup: Wakeup) {
    let outcome = catch_unwind(AssertUnwindSafe(|| take_part(builder, joining, shared, wakeup)));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::Bug("the thread of the member panicked".to_owned())));
    shared.change(|queues| queues.phase = Phase::Over(outcome));
}

fn take_part(
    builder: &Builder,
    joining: &Joining,
    shared: &Arc<Shared>,
    wakeup: Wakeup,
) -> Result<(), Error> {
    let joined = Node::join(&builder.context()?, joining, None, &builder.talk());
    let mut node = joined.map_err(Error::of_joining)?;
    node.wake_by(wakeup);
    let mut participant = Participant::new(node, builder.settings());
    let mut worker = Worker::new(builder, shared);
    let outcome = worker.begin(&mut participant).and_then(|()| participant.run(&mut worker));
    let outcome = outcome.map_err(|failure| match participant.endpoint.fenced() {
        Some(why) => fenced(why, failure),
        // The others ended the run without this member.
        None if participant.endpoint.is_over() => Error::LeftBehind(failure.message),
        None => failed(&participant, failure),
    });
    let node = &mut participant.endpoint;
    match &outcome {
        Ok(()) if node.departs() => node.leave(&Failure::new(Exit::Ok, "it has left the group")),
        Ok(()) => {}
        Err(error) => node.leave(&Failure::new(Exit::Unavailable, error.to_string())),
    }
    outcome
}

/// Returns the error of a member that the group has not excluded.
pub(super) fn failed<E: Endpoint>(participant: &Participant<E>, failure: Failure) -> Error {
    if participant.cannot_catch_up() { Error::NoState(failure.message) } else { Error::of_member(failure) }
}

/// Returns the error of a member that is not in its group any more.
pub(super) fn fenced(why: Fence, failure: Failure) -> Error {
    match why {
        Fence::NoSequencer(_) => Error::Lost(failure.message),
        _ => Error::LeftBehind(failure.message),
    }
}

/// The queues of a member, as the application of its participant.
pub(super) struct Worker {
    shared: Arc<Shared>,
    talk: Talk,
    gives_state: bool,
    states: States,
    /// The clients of the last view that was reported.
    members: Vec<MemberId>,
    /// The newest client of each name.
    known: BTreeMap<String, MemberId>,
}

impl Worker {
    pub(super) fn new(builder: &Builder, shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            talk: builder.talk(),
            gives_state: builder.gives_state,
            states: States::default(),
            members: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Begins the first view, and lets the handles send.
    pub(super) fn begin<E: Endpoint>(&mut self, participant: &mut Participant<E>) -> Result<(), Failure> {
        participant.begin(self)?;
        let endpoint = &participant.endpoint;
        self.add_known(endpoint, endpoint.view());
        let view = named(endpoint, endpoint.view(), &[], &[]);
        self.shared.change(|queues| {
            queues.newest = Some(view);
            queues.phase = Phase::Running;
        });
        Ok(())
    }

    /// Returns the destination of a message, unless it is not known any more.
    fn destination(&self, outgoing: &Outgoing) -> Option<To> {
        match outgoing {
            Outgoing::Multicast(_) => Some(To::Group),
            Outgoing::Direct(id, _) => self.known.get(id).copied().map(To::Member),
        }
    }

    /// Queues an event for each message of a batch of this peer.
    fn put(
        &self,
        endpoint: &impl Endpoint,
        peer: MemberId,
        batch: &Batch,
        event: impl Fn(String, Bytes, u64) -> Event,
    ) {
        let name = endpoint.name(peer);
        self.shared.change(|queues| {
            for (own_number, payload) in batch.messages() {
                let payload = batch.body().slice_ref(payload);
                queues.put_event(event(name.clone(), payload, own_number));
            }
        });
    }

    /// Queues the multicasts of a batch, without later copies of texts of authors.
    fn put_multicasts<E: Endpoint>(
        &self,
        participant: &Participant<E>,
        from: MemberId,
        number: Option<u64>,
        batch: &Batch,
    ) {
        let name = participant.endpoint.name(from);
        self.shared.change(|queues| {
            for (place, (own_number, author, payload)) in (0..).zip(batch.entries()) {
                if author.is_some() && participant.authors.is_doubled(own_number) {
                    continue;
                }
                queues.put_event(Event::Delivery(Delivery {
                    from: name.clone(),
                    payload: batch.body().slice_ref(payload),
                    number: number.map(|first| first + place),
                    own_number,
                    author: author.map(|author| author.name.to_owned()),
                }));
            }
        });
    }

    fn add_known(&mut self, endpoint: &impl Endpoint, view: &engine::View) {
        self.known.extend(view.clients.iter().map(|&client| (endpoint.name(client), client)));
    }

    /// Begins a view after the first.
    fn begin_view(&mut self, endpoint: &impl Endpoint, now: Time, view: &engine::View, arrivals: &[Seat]) {
        self.add_known(endpoint, view);
        let named = named(endpoint, view, &self.members, arrivals);
        self.talk.detail(format!("view {}: {:?}", named.number, named.members));
        self.members.clone_from(&view.clients);
        let newcomers = arrivals.iter().filter(|seat| seat.role == Role::Client && self.gives_state);
        let newcomers: Vec<MemberId> = newcomers.map(|seat| MemberId(seat.slot)).collect();
        let is_wanted = !newcomers.is_empty();
        self.states.begin_view(now, view.number, &view.clients, newcomers);
        self.shared.change(|queues| {
            queues.put_event(Event::View(named));
            if is_wanted {
                queues.put_incoming(Incoming::StateRequest(view.number));
            }
        });
    }
}

impl<E: Endpoint> Application<E> for Worker {
    fn readiness(&mut self, participant: &mut Participant<E>) -> Result<Readiness, Failure> {
        let now = participant.endpoint.now();
        let mut queues = self.shared.look();
        for (view, state) in queues.states.drain(..) {
            self.states.given(now, view, state);
        }
        self.states.expire(now);
        match queues.shutdown {
            Shutdown::Abandon => Err(Failure::new(Exit::Ok, "its handles are dropped")),
            Shutdown::Leave => Ok(Readiness::Leaving),
            _ if queues.is_full() => Ok(Readiness::Full),
            _ => Ok(Readiness::Ready),
        }
    }

    fn next(&mut self, _: &mut Participant<E>, _: Time) -> Result<Next, Failure> {
        let mut queues = self.shared.look();
        while let Some(outgoing) = queues.outgoing() {
            match self.destination(outgoing) {
                Some(To::Group) => return Ok(Next::Multicast),
                Some(To::Member(member)) => return Ok(Next::Send(member)),
                // `Sender::send` accepts the ids of members only.
                None => drop(queues.take_outgoing()),
            }
        }
        Ok(match queues.shutdown {
            Shutdown::None | Shutdown::Abandon => Next::Rest(None),
            Shutdown::Finish => Next::Finish,
            Shutdown::Leave => Next::Leave,
        })
    }

    fn fill(&mut self, _: &mut Participant<E>, to: To, batch: &mut BatchBuilder) -> Result<(), Failure> {
        self.shared.change(|queues| {
            while !batch.is_full()
                && queues.outgoing().is_some_and(|next| self.destination(next) == Some(to))
                && let Some(Outgoing::Multicast(payload) | Outgoing::Direct(_, payload)) =
                    queues.take_outgoing()
            {
                batch.push(&payload);
            }
        });
        Ok(())
    }

    fn deliver(&mut self, participant: &Participant<E>, delivery: endpoint::Delivery) -> Result<(), Failure> {
        let endpoint = &participant.endpoint;
        let endpoint::Delivery { at_us, from, number, app } = delivery;
        match app {
            App::Multicast(batch) => self.put_multicasts(participant, from, number, &batch),
            App::Direct(batch) => self.put(endpoint, from, &batch, |from, payload, own_number| {
                Event::Direct(Direct { from, payload, own_number })
            }),
            App::Undeliverable(batch, reason) => {
                self.put(endpoint, from, &batch, |to, payload, own_number| {
                    Event::Undeliverable(Undeliverable { to, payload, own_number, reason })
                });
            }
            App::View(view, arrivals) => {
                self.begin_view(endpoint, Time::from_micros(at_us), &view, &arrivals);
            }
            App::Notice(notice) => words::report(&self.talk, endpoint, from, notice),
            // The participant handles these.
            App::Finished(_) | App::Fenced(_) | App::Replay(_) | App::Advance(_) | App::Record(_) => {}
        }
        Ok(())
    }

    fn first_view(&mut self, participant: &Participant<E>, view: &engine::View) -> Result<(), Failure> {
        self.members.clone_from(&view.clients);
        let view = named(&participant.endpoint, view, &[], &[]);
        self.shared.change(|queues| queues.put_event(Event::View(view)));
        Ok(())
    }

    fn past(&mut self, participant: &Participant<E>, past: Past) -> Result<(), Failure> {
        self.shared.change(|queues| match past {
            Past::State(state) => queues.put_event(Event::State(state)),
            Past::Deliveries(deliveries) => {
                for replayed in deliveries.into_iter().filter(|replayed| !replayed.doubled) {
                    let (own_number, number) = (replayed.origin.own_number, replayed.number());
                    let sender = replayed.sender(&participant.endpoint).map(|(id, _)| id.to_owned());
                    let from = sender.unwrap_or_else(|| replayed.origin.sender.to_string());
                    let Replayed { author, text: payload, .. } = replayed;
                    let author = author.map(|(name, ..)| name);
                    queues.put_event(Event::Delivery(Delivery { from, payload, number, own_number, author }));
                }
            }
        });
        Ok(())
    }

    fn piece(&mut self, participant: &mut Participant<E>, request: &Request) -> Result<Piece, Failure> {
        Ok(self.states.piece(participant.endpoint.now(), request))
    }
}

/// Returns a view with names instead of slots; `before` are the clients of the one before, if there was one.
fn named(endpoint: &impl Endpoint, view: &engine::View, before: &[MemberId], arrivals: &[Seat]) -> View {
    let names = |members: &[MemberId]| {
        let mut names: Vec<String> = members.iter().map(|&member| endpoint.name(member)).collect();
        names.sort_unstable();
        names
    };
    let gone: Vec<MemberId> =
        before.iter().copied().filter(|member| !view.clients.contains(member)).collect();
    let arrivals = arrivals.iter().filter(|seat| seat.role == Role::Client);
    View {
        number: view.number,
        members: names(&view.clients),
        joined: arrivals.map(|seat| seat.id.clone()).collect(),
        gone: names(&gone),
        sequencer: view.sequencer.map(|sequencer| endpoint.name(sequencer)),
    }
}
