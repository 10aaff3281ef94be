//! Processes that begin when the others have begun: who asks to be taken in, and who believes that it was there all along.

use std::time::Duration;

use groupcast::engine::{MemberId, To, View};
use groupcast::member::StackConfig;
use groupcast::member::newcomer::{Newcomer, Told};
use groupcast::member::{DetectorConfig, Membership, MembershipConfig};
use groupcast::wire::Packet;
use groupcast::wire::control::{Role, Seat};

use super::promises::may_split;
use super::world::{Event, Happening, Plan, Process, RUN, World};

/// The messages that a newcomer multicasts.
const MESSAGES: u64 = 4;

/// The seats of those that begin.
pub(super) fn seats(plan: &Plan) -> Vec<Seat> {
    let view = plan.view();
    let of = |member: MemberId| Seat {
        slot: member.0,
        id: format!("m{}", member.0),
        incarnation: 1,
        role: if view.clients.contains(&member) { Role::Client } else { Role::Sequencer },
        can_sequence: view.candidates.contains(&member),
        late: false,
    };
    view.members().into_iter().map(of).collect()
}

/// The membership of one of the members of this view.
pub(super) fn membership(plan: &Plan, me: MemberId, view: &View, seed: u64) -> Membership {
    let Plan { order, window, defects, .. } = *plan;
    let place = StackConfig { me, view, run: RUN, seed, window, defects };
    Membership::new(order, place, membership_config(plan)).with_seats(&seats(plan))
}

fn membership_config(plan: &Plan) -> MembershipConfig {
    MembershipConfig { detector: Some(DetectorConfig::FAST), majority: plan.majority, safe: plan.safe }
}

impl World {
    /// A process in the place of another, as it believes: in the first view it is there instead of the one that died.
    pub(super) fn begin_again(&mut self, member: MemberId) {
        let me = MemberId(self.processes.len() as u16);
        let instead = |other: MemberId| if other == member { me } else { other };
        let mut view = self.plan.view();
        view.clients = view.clients.into_iter().map(instead).collect();
        view.sequencer = view.sequencer.map(instead);
        view.candidates = view.candidates.into_iter().map(instead).collect();
        let membership = membership(&self.plan, me, &view, self.dice.next_u64());
        let mut process = Process::new(me, membership, &view);
        process.is_stranger = true;
        self.seat(Seat {
            slot: me.0,
            id: format!("m{}", member.0),
            incarnation: 2,
            role: if view.clients.contains(&me) { Role::Client } else { Role::Sequencer },
            can_sequence: view.candidates.contains(&me),
            late: false,
        });
        let is_client = view.clients.contains(&me);
        self.processes.push(process);
        if is_client {
            self.gets_tasks(me);
        }
    }

    /// A new client, or one that stands by, asks to be taken in; as another life of one that was there, perhaps.
    pub(super) fn come(&mut self, earlier: Option<MemberId>, role: Role) {
        let me = MemberId(self.processes.len() as u16);
        // Nothing is asked of this one before it is taken in.
        let alone = View {
            number: 1,
            clients: vec![me],
            sequencer: self.plan.order.sequencer.then_some(me),
            candidates: Vec::new(),
        };
        let mut process = Process::new(me, membership(&self.plan, me, &alone, 1), &alone);
        process.events.clear();
        process.is_late = true;
        process.is_standby = role == Role::Standby;
        let seat = Seat {
            slot: me.0,
            id: format!("m{}", earlier.unwrap_or(me).0),
            incarnation: if earlier.is_some() { 2 } else { 1 },
            role,
            can_sequence: role == Role::Standby,
            late: true,
        };
        let mut newcomer = Newcomer::new(seat.clone(), RUN, self.now);
        newcomer.seated(&seats(&self.plan));
        newcomer.seated(&self.given);
        process.newcomer = Some(newcomer);
        self.seat(seat);
        self.processes.push(process);
        if role == Role::Client {
            self.gets_tasks(me);
        }
    }

    /// The forwarder gives this seat, and tells all.
    fn seat(&mut self, seat: Seat) {
        let seats = [seat];
        for process in &mut self.processes {
            process.membership.seated(&seats);
            process.newcomer.iter_mut().for_each(|newcomer| newcomer.seated(&seats));
        }
        self.given.extend(seats);
    }

    fn gets_tasks(&mut self, me: MemberId) {
        for number in 0..MESSAGES {
            let at = self.now.after(Duration::from_millis(300 * number));
            self.at(me).tasks.push_back((at, To::Group));
            self.schedule(at, Happening::Task(me));
        }
    }

    /// A newcomer is told something, or asks again.
    pub(super) fn step_of_newcomer(
        &mut self,
        me: MemberId,
        newcomer: &mut Newcomer,
        packet: Option<&Packet>,
    ) -> bool {
        let now = self.now;
        let told = packet.and_then(|packet| newcomer.hear(packet.clone()));
        match told {
            Some(Told::Welcome(admission)) => {
                let seed = self.dice.next_u64();
                let Plan { order, window, defects, .. } = self.plan;
                let place = StackConfig { me, view: &admission.view, run: RUN, seed, window, defects };
                let mut membership =
                    Membership::admitted(order, place, membership_config(&self.plan), &admission);
                membership.restart_timeouts(now);
                membership.seated(&seats(&self.plan));
                membership.seated(&self.given);
                // Where each part may go on, strangers that alone hear a newcomer take it in: theirs is a part that
                // nobody else is promised anything of.
                let mut others = admission.view.members().into_iter().filter(|&member| member != me);
                let is_among_strangers =
                    may_split(&self.plan) && others.any(|member| self.at(member).is_stranger);
                let process = self.at(me);
                process.is_stranger = is_among_strangers;
                process.membership = membership;
                process.events.push((now, Event::View(admission.view)));
                return true;
            }
            Some(Told::Behind(_)) => {
                self.at(me).events.push((now, Event::Fenced));
                return true;
            }
            None => {}
        }
        if packet.is_none()
            && let Some(packet) = newcomer.ask(now)
        {
            for receiver in 0..self.processes.len() as u16 {
                self.carry(me, MemberId(receiver), &packet);
            }
        }
        false
    }
}
