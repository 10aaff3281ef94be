//! The normal phase: submissions go down to the stack of the view, its packets go out, its deliveries go up.

use super::{Membership, Out, Phase};
use crate::defect::Defect;
use crate::engine::{DropReason, Effect, Input};
use crate::ids::{MemberId, Time, To};
use crate::member::app::{App, Undelivered};
use crate::member::stack::{ProtocolStack, is_direct};
use crate::reliable::codec::acknowledgements;
use crate::wire::{Kind, Packet};

impl Membership {
    pub(super) fn submit(&mut self, now: Time, to: To, app: App, out: &mut Out) {
        if self.is_leaving {
            return;
        }
        match &mut self.phase {
            Phase::Normal => {}
            Phase::Changing(change) => return change.submissions.push_back((to, app)),
            Phase::Out { .. } => return,
        }
        let app = match app {
            App::Multicast(batch) => App::Multicast(self.offsets.relative(self.me, batch)),
            App::Direct(batch) => {
                let To::Member(receiver) = to else { return };
                if !self.view.clients.contains(&receiver) {
                    let reason = Undelivered::NotSent;
                    return self.report_undeliverable(receiver, App::Undeliverable(batch, reason), out);
                }
                self.directs.unsent.entry(receiver).or_default().push_back(batch.clone());
                App::Direct(batch)
            }
            App::Finished(tally) => {
                self.finished = Some(tally.clone());
                App::Finished(tally)
            }
            // Only for a present receiver: a newcomer asks again after a view change.
            App::Replay(replay) => {
                let is_there = matches!(to, To::Member(receiver) if self.view.members().contains(&receiver));
                if !is_there {
                    return;
                }
                App::Replay(replay)
            }
            // Numbers of earlier views are given.
            App::Advance(number) => match number.saturating_sub(self.offsets.numbers_before()) {
                0 => return,
                number => App::Advance(number),
            },
            App::View(..) | App::Fenced(_) | App::Notice(_) | App::Undeliverable(..) | App::Record(_) => {
                return;
            }
        };
        self.step(now, Input::Submit { to, app }, out);
    }

    /// Gives the stack an input and performs its effects.
    pub(super) fn step(&mut self, now: Time, input: Input<App, Packet>, out: &mut Out) {
        self.drive(now, out, |stack, effects| stack.handle(now, input, effects));
    }

    /// Lets the stack do something and performs its effects.
    pub(super) fn drive(&mut self, now: Time, out: &mut Out, act: impl FnOnce(&mut ProtocolStack, &mut Out)) {
        let mut effects = std::mem::take(&mut self.effects);
        act(&mut self.stack, &mut effects);
        self.perform(now, &mut effects, out);
        self.effects = effects;
    }

    /// Wakes the stack, if its deadline is due.
    pub(super) fn wake_stack(&mut self, now: Time, out: &mut Out) {
        if self.is_normal() && self.stack.next_deadline().is_some_and(|due| due <= now) {
            self.step(now, Input::Wake, out);
        }
    }

    fn perform(&mut self, now: Time, effects: &mut Out, out: &mut Out) {
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.note_sent(now, to, &message);
                    out.send(to, message);
                }
                Effect::Deliver { from, number, app } => self.deliver(now, from, number, app, out),
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
    }

    /// Delivers with the numbers of the whole run.
    pub(super) fn deliver(
        &mut self,
        now: Time,
        from: MemberId,
        number: Option<u64>,
        app: App,
        out: &mut Out,
    ) {
        match app {
            App::Multicast(batch) => {
                let (number, batch) = self.offsets.deliver(from, number, batch);
                if self.config.safe {
                    self.unstable.hold(now, (from, number, App::Multicast(batch)));
                } else {
                    out.deliver(from, number, App::Multicast(batch));
                }
            }
            App::Record(batch) => {
                let (number, batch) = self.offsets.deliver(from, number, batch);
                out.deliver(from, number, App::Record(batch));
            }
            App::Direct(batch) => {
                let queue = self.directs.incoming.entry(from).or_default();
                if !queue.insert(batch) {
                    return out.drop(from, DropReason::Duplicate);
                }
                while let Some(batch) = queue.pop() {
                    out.deliver(from, None, App::Direct(batch));
                }
            }
            app => out.deliver(from, number, app),
        }
    }

    /// Passes a packet of this view to the stack.
    pub(super) fn pass(&mut self, now: Time, packet: Packet, out: &mut Out) {
        let from = packet.header.sender;
        if packet.header.kind == Kind::Status {
            self.note_status(&packet);
        }
        // During a view change only fetched packets count: all members are to have the same ones.
        if !self.is_normal() {
            return;
        }
        if packet.header.to == To::Group
            && let Some(number) = packet.number()
            && !self.defects.has(Defect::ForgetsUnstable)
        {
            self.log.add(from, number, &packet.frames);
        }
        self.step(now, Input::Receive { from, message: packet }, out);
    }

    /// Records a packet that is sent.
    fn note_sent(&mut self, now: Time, to: To, packet: &Packet) {
        let number = packet.number();
        match to {
            To::Group => {
                self.note_multicast(now);
                if let Some(number) = number {
                    self.log.add(self.me, number, &packet.frames);
                } else if packet.header.kind == Kind::Status {
                    self.note_status(packet);
                }
            }
            To::Member(receiver) => {
                if let Some(number) = number.filter(|_| is_direct(packet)) {
                    self.directs.sent(receiver, number);
                }
            }
        }
    }

    /// Records the acknowledgements in a Status.
    fn note_status(&mut self, status: &Packet) {
        let from = status.header.sender;
        for received in acknowledgements(status.clone()) {
            match status.header.to {
                To::Group => self.log.acknowledged(from, received.sender, received.complete),
                To::Member(_) if received.sender == self.me => {
                    self.directs.acknowledged(from, received.complete);
                }
                To::Member(_) => {}
            }
        }
    }

    /// Returns messages for `receiver` as undeliverable.
    pub(super) fn report_undeliverable(&self, receiver: MemberId, app: App, out: &mut Out) {
        if !self.defects.has(Defect::ForgetsUndeliverable) {
            out.deliver(receiver, None, app);
        }
    }
}
