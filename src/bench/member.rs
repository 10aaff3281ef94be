//! A groupcast member: a client that replays a workload. It submits and delivers batches as `client` does, with the
//! same reliable layer and flow control, and ends when it has all messages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::baseline::TELL_EVERY;
use super::part::{Event, Part, Role};
use super::player::Player;
use crate::cli::{self, KnownBad};
use crate::driver::Node;
use crate::driver::clock::shared_micros;
use crate::driver::node::{Delivery, Joining};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::{App, Finish, Keeping, Patience, Tally};
use crate::order::Order;
use crate::results::{Counts, MessageId, Results, Start};
use crate::session::LOST_AFTER;
use crate::talk::{self, Talk};
use crate::transport::address::Site;
use crate::transport::signals::Signals;
use crate::transport::zmq::Context;
use crate::wire::control;
use crate::wire::{BatchBuilder, Window};

/// The most batches submitted before incoming packets get their turn, as in a client.
const BATCHES_PER_TURN: usize = 8;
/// The longest time without a delivery: a round takes much less between two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a groupcast member to the end of the round.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order, and any failure that ends a client; the parent gets the account in any case.
pub(super) fn run(part: &Part, known_bad: &KnownBad, talk: &Talk) -> Result<Exit, Failure> {
    let Role::Member { order, method, out, history, safe } = &part.role else {
        return Err(Failure::new(Exit::Bug, "this is no part of a member"));
    };
    let order = cli::order(order, method.as_deref())?;
    let signals = Signals::catch()?;
    let results = files(out.as_ref(), &part.name(), order, *history)?;
    let joining = Joining {
        sites: vec![Site { host: part.host.clone(), port_base: part.port_base }],
        only_at: None,
        group: part.group_name(),
        id: part.name(),
        role: control::Role::Client,
        order,
        needs_router: order.addressed,
        timeout: Some(PATIENCE),
        forwarder_timeout: LOST_AFTER,
        window: Window::default(),
        defects: known_bad.defects(),
        keeping: Keeping {
            patience: Some(Patience::with_silence(LOST_AFTER)),
            safe: *safe,
            ..Keeping::default()
        },
        can_sequence: false,
        late: false,
        leaves: Arc::default(),
    };
    let context = Context::default();
    let mut node = Node::join(&context, &joining, Some(signals), talk)?;
    let mut member = Member {
        me: node.me(),
        finish: Finish::new(node.me(), node.view()),
        player: Player::new(part, order.promises),
        results,
        has_finished: false,
        moved: Time::ZERO,
        told: shared_micros(),
        counts: Counts::default(),
        expected: 0,
    };
    let outcome = member.begin(&joining, &node).and_then(|()| member.play(&mut node));
    let Member { player, mut results, counts, .. } = member;
    Event::Account(Box::new(player.account(outcome.is_ok()))).tell()?;
    if let Err(failure) = outcome {
        node.leave(&failure);
        return Err(failure);
    }
    results.end("done", &counts, node.elapsed_micros())?;
    results.finish()?;
    node.done();
    while !node.is_over() {
        node.turn(None)?;
    }
    Ok(Exit::Ok)
}

/// Opens the result files, if the member is to write any.
fn files(out: Option<&PathBuf>, name: &str, order: &Order, history: bool) -> Result<Results, Failure> {
    out.map_or_else(|| Ok(Results::none()), |out| Results::create(out, name, order.suffix, history, true))
}

struct Member {
    me: MemberId,
    finish: Finish,
    player: Player,
    results: Results,
    has_finished: bool,
    /// The time of the last delivery.
    moved: Time,
    /// The time of the last report to the parent.
    told: u64,
    counts: Counts,
    /// The length of the last batch's body.
    expected: usize,
}

impl Member {
    fn begin(&mut self, joining: &Joining, node: &Node) -> Result<(), Failure> {
        let members: Vec<&str> =
            node.view().clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
        let start = self.results.start(&Start {
            member: &joining.id,
            incarnation: node.seat(self.me).incarnation,
            group: &joining.group,
            order: joining.order.name,
            method: joining.order.method,
            members: &members,
            time_us: node.elapsed_micros(),
        });
        start.map(drop)
    }

    fn play(&mut self, node: &mut Node) -> Result<(), Failure> {
        self.moved = node.now();
        while !(self.has_finished && self.finish.is_complete()) {
            let until = self.feed(node)?;
            let turned = node.turn(until);
            self.take_deliveries(node)?;
            turned?;
            self.report(node)?;
        }
        Ok(())
    }

    /// Sends as much as the workload and the window allow; returns the time at which to continue, if that is known.
    fn feed(&mut self, node: &mut Node) -> Result<Option<Time>, Failure> {
        for _ in 0..BATCHES_PER_TURN {
            let now = shared_micros();
            if self.player.has_finished(now) {
                self.say_finished(node);
                return Ok(None);
            }
            let room = self.player.room(now);
            if room == 0 {
                let wait = self.player.due().map(|due| Duration::from_micros(due.saturating_sub(now)));
                return Ok(wait.map(|wait| node.now().after(wait)));
            }
            if node.window(To::Group) == 0 {
                return Ok(None);
            }
            self.multicast(node, now, room)?;
        }
        Ok(Some(node.now()))
    }

    /// Sends at most `room` multicasts, as many as one batch holds.
    fn multicast(&mut self, node: &mut Node, now: u64, room: u64) -> Result<(), Failure> {
        let mut batch = BatchBuilder::new(self.player.sent() + 1).expecting(self.expected);
        let (seat, at_us) = (node.seat(self.me), node.elapsed_micros());
        for _ in 0..room {
            if batch.is_full() {
                break;
            }
            let text = self.player.next(now);
            let id = MessageId { member: &seat.id, incarnation: seat.incarnation, number: batch.push(text) };
            self.results.multicast(id, text, at_us)?;
        }
        self.counts.multicasts = self.player.sent();
        self.expected = batch.len();
        if let Some(batch) = batch.finish() {
            node.submit(To::Group, App::Multicast(batch));
        }
        self.take_deliveries(node)
    }

    fn say_finished(&mut self, node: &mut Node) {
        if !self.has_finished {
            self.has_finished = true;
            let tally = Tally { multicasts: self.player.sent(), ..Tally::default() };
            self.finish.finished(self.me, tally.clone());
            node.submit(To::Group, App::Finished(tally));
        }
    }

    fn take_deliveries(&mut self, node: &mut Node) -> Result<(), Failure> {
        let before = self.player.delivered();
        for Delivery { at_us, from, number, app } in node.delivered() {
            match app {
                App::Multicast(batch) => {
                    let seat = node.seat(from);
                    let (member, incarnation) = (seat.id.as_str(), seat.incarnation);
                    for (place, (own, text)) in batch.messages().enumerate() {
                        self.player.deliver(text)?;
                        let id = MessageId { member, incarnation, number: own };
                        let number = number.map(|first| first + place as u64);
                        self.results.deliver(member, id, text, number, at_us)?;
                    }
                    self.finish.delivered(from, u64::from(batch.count()));
                }
                App::Finished(tally) => self.finish.finished(from, tally),
                // No member fails in a measurement that counts.
                App::Direct(_)
                | App::View(..)
                | App::Replay(_)
                | App::Fenced(_)
                | App::Notice(_)
                | App::Undeliverable(..) => {}
            }
        }
        if self.player.delivered() > before {
            self.player.rest();
            self.moved = node.now();
            self.counts.delivered = self.player.delivered();
        }
        Ok(())
    }

    /// Reports the progress to the parent; fails if there has been none for too long.
    fn report(&mut self, node: &mut Node) -> Result<(), Failure> {
        let now = shared_micros();
        if now - self.told >= TELL_EVERY {
            self.told = now;
            Event::Progress(self.player.delivered()).tell()?;
        }
        if node.now().since(self.moved) < PATIENCE {
            return Ok(());
        }
        let waits_for: Vec<&str> =
            self.finish.waits_for().map(|client| node.seat(client).id.as_str()).collect();
        let message = format!(
            "nothing was delivered for {}; waited for {}",
            talk::duration(PATIENCE),
            talk::list(&waits_for)
        );
        Err(Failure::new(Exit::TimedOut, message))
    }
}
