//! A groupcast member: a client that replays a workload. It takes part as `client` does, with the same batches, reliable
//! layer and flow control, and ends when it has all messages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::part::{Account, Event, Packets, Part, Reports, Role};
use super::player::Player;
use crate::cli::{self, KnownBad};
use crate::driver::Node;
use crate::driver::clock::shared_micros;
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::node::Joining;
use crate::engine::{Time, To};
use crate::exit::{Exit, Failure};
use crate::keys;
use crate::member::{App, DetectorConfig, MembershipConfig};
use crate::order::Order;
use crate::participant::slow_member::SlowMember;
use crate::participant::{Application, Next, Participant, Settings};
use crate::results::{Counts, MessageId, Results, Start};
use crate::session::LOST_AFTER;
use crate::talk::{self, Talk};
use crate::transport::address::Site;
use crate::transport::signals::Signals;
use crate::units;
use crate::wire::control;
use crate::wire::{BatchBuilder, Window};

/// The longest time without a delivery: a round takes much less between two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a groupcast member to the end of the round.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order, and any failure that ends a client; the parent gets the account in any case.
pub(super) fn run(part: &Part, known_bad: &KnownBad, talk: &Talk) -> Result<Exit, Failure> {
    let Role::Member { order, method, out, history, safe, keys } = &part.role else {
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
        membership_config: MembershipConfig {
            detector: Some(DetectorConfig::with_silence(LOST_AFTER)),
            safe: *safe,
            ..MembershipConfig::default()
        },
        can_sequence: false,
        may_open_door: false,
        late: false,
        log: None,
        leaves: Arc::default(),
    };
    let context = keys::context::of_member(keys.as_deref(), &part.name())?;
    let node = Node::join(&context, &joining, Some(signals), talk)?;
    let batch = Window::default().messages;
    let settings = Settings { batch, slow_member: SlowMember::Block, missed: None, behind: 0 };
    let mut participant = Participant::new(node, settings);
    let mut member = Member {
        player: Player::new(part, order.promises),
        results,
        room: 0,
        last_delivery: shared_micros(),
        reports: Reports::begin(shared_micros()),
        is_accounted: false,
    };
    let begun = member.begin(&joining, &participant.endpoint);
    let outcome = begun.and_then(|()| participant.run(&mut member));
    member.send_account(&participant.endpoint, outcome.is_ok())?;
    let node = &mut participant.endpoint;
    if let Err(failure) = outcome {
        node.leave(&failure);
        return Err(failure);
    }
    let (multicasts, delivered) = (member.player.sent(), member.player.delivered());
    let counts = Counts { multicasts, delivered, ..Counts::default() };
    member.results.end("done", &counts, node.elapsed_micros())?;
    member.results.finish()?;
    Ok(Exit::Ok)
}

/// Opens the result files, if the member is to write any.
fn files(out: Option<&PathBuf>, name: &str, order: &Order, history: bool) -> Result<Results, Failure> {
    out.map_or_else(|| Ok(Results::none()), |out| Results::create(out, name, order.suffix, history, true))
}

struct Member {
    player: Player,
    results: Results,
    /// The number of multicasts that may be sent now.
    room: u64,
    /// The time of the last delivery.
    last_delivery: u64,
    reports: Reports,
    /// The parent has the account.
    is_accounted: bool,
}

impl Member {
    fn begin(&mut self, joining: &Joining, node: &Node) -> Result<(), Failure> {
        let members: Vec<&str> =
            node.view().clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
        let start = self.results.start(&Start {
            member: &joining.id,
            incarnation: node.seat(node.me()).incarnation,
            group: &joining.group,
            groups: (&[]).into(),
            order: joining.order.name,
            method: joining.order.method,
            log: None,
            members: (&members).into(),
            time_us: node.elapsed_micros(),
        });
        start.map(drop)
    }

    /// Sends the account to the parent, once.
    fn send_account(&mut self, node: &Node, is_whole: bool) -> Result<(), Failure> {
        if std::mem::replace(&mut self.is_accounted, true) {
            return Ok(());
        }
        let (sent, received) = node.meter().packets();
        let account = self.player.account(is_whole);
        Event::Account(Box::new(Account { packets: Some(Packets { sent, received }), ..account })).send()
    }
}

impl Application<Node> for Member {
    fn next(&mut self, participant: &mut Participant<Node>, _: Time) -> Result<Next, Failure> {
        let now = shared_micros();
        if self.player.has_finished(now) {
            return Ok(Next::Finish);
        }
        self.room = self.player.room(now);
        if self.room > 0 {
            return Ok(Next::Multicast);
        }
        let wait = self.player.due().map(|due| Duration::from_micros(due.saturating_sub(now)));
        Ok(Next::Rest(wait.map(|wait| participant.endpoint.now().after(wait))))
    }

    fn fill(
        &mut self,
        participant: &mut Participant<Node>,
        _: To,
        batch: &mut BatchBuilder,
    ) -> Result<(), Failure> {
        let (node, now) = (&participant.endpoint, shared_micros());
        let (seat, at_us) = (node.seat(node.me()), node.elapsed_micros());
        while self.room > 0 && !batch.is_full() {
            self.room -= 1;
            let text = self.player.next(now);
            let id = MessageId { member: &seat.id, incarnation: seat.incarnation, number: batch.push(text) };
            self.results.multicast(id, text, at_us)?;
        }
        Ok(())
    }

    fn deliver(&mut self, participant: &Participant<Node>, delivery: Delivery) -> Result<(), Failure> {
        // No member sends direct messages or fails in a measurement that counts.
        let Delivery { at_us, from, number, app: App::Multicast(batch) } = delivery else { return Ok(()) };
        let seat = participant.endpoint.seat(from);
        let (member, incarnation) = (seat.id.as_str(), seat.incarnation);
        for (place, (own, text)) in (0..).zip(batch.messages()) {
            self.player.deliver(text)?;
            let id = MessageId { member, incarnation, number: own };
            self.results.deliver(member, id, text, number.map(|first| first + place), at_us)?;
        }
        self.last_delivery = self.player.rest();
        Ok(())
    }

    fn completed(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        self.send_account(&participant.endpoint, true)
    }

    /// Reports the progress to the parent; fails if there has been none for too long.
    fn before_wait(&mut self, participant: &mut Participant<Node>) -> Result<(), Failure> {
        // The parent, which has the account, ends a round that it hears nothing of.
        if self.is_accounted {
            return Ok(());
        }
        let now = shared_micros();
        self.reports.report(now, self.player.delivered())?;
        if now - self.last_delivery < PATIENCE.as_micros() as u64 {
            return Ok(());
        }
        let node = &participant.endpoint;
        let waits_for: Vec<&str> =
            participant.finish.waits_for().map(|client| node.seat(client).id.as_str()).collect();
        let message = format!(
            "nothing was delivered for {}; waited for {}",
            units::duration(PATIENCE),
            talk::list(&waits_for)
        );
        Err(Failure::new(Exit::TimedOut, message))
    }
}
