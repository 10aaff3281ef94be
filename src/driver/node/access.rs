//! The access of a participant to its member of a group.

use std::time::Duration;

use super::Node;
use crate::driver::endpoint::{Endpoint, Event};
use crate::engine::{Engine, Input, MemberId, Time, To, View};
use crate::member::App;
use crate::wire::control::{Ask, Post, Receipt, Seat};

impl Endpoint for Node {
    fn me(&self) -> MemberId {
        self.me
    }

    fn view(&self) -> &View {
        self.membership.view()
    }

    fn find_seat(&self, member: MemberId) -> Option<&Seat> {
        self.seats.get(&member)
    }

    fn delivered_before(&self) -> Vec<(MemberId, u64)> {
        self.membership.delivered_before().collect()
    }

    fn numbers_before(&self) -> u64 {
        self.membership.numbers_before()
    }

    fn log(&self) -> Option<&str> {
        self.log.as_ref().map(|log| log.run.as_str())
    }

    fn now(&mut self) -> Time {
        self.sockets.clock.now()
    }

    fn window(&self, to: To) -> usize {
        self.membership.window(to)
    }

    fn submit(&mut self, to: To, app: App) {
        let now = self.sockets.clock.now();
        self.meter.submitted(Time::from_micros(self.sockets.clock.elapsed_micros()), &app);
        self.membership.handle(now, Input::Submit { to, app }, &mut self.effects);
        self.perform();
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn listen(&mut self, listens: bool) {
        self.sockets.listens = listens;
    }

    fn is_changing(&self) -> bool {
        self.membership.is_changing()
    }

    fn is_settled(&self) -> bool {
        self.membership.is_settled()
    }

    fn next_number(&self) -> Option<u64> {
        self.membership.next_number()
    }

    fn slowest_receiver(&self) -> Option<(MemberId, u64)> {
        self.membership.slowest_receiver()
    }

    fn silence(&mut self) -> Duration {
        self.sockets.clock.now().since(self.last_received)
    }

    fn exclude(&mut self, member: MemberId, length: Duration) {
        self.membership.exclude(member, length, &mut self.effects);
        self.perform();
    }

    /// Reports to the forwarders, which end the run when all have everything.
    fn done(&mut self) {
        self.is_done = true;
        let View { number, clients, .. } = self.view();
        let ask = Ask::Done { view: *number, clients: clients.iter().map(|client| client.0).collect() };
        self.sockets.forwarders.turn_to(&ask);
    }

    /// Asks to leave. When the others have agreed, or after [`PARTING`](super::PARTING), the run is over for this member.
    fn depart(&mut self) {
        if self.departs.is_none() {
            self.departs = Some(self.sockets.clock.now());
            self.membership.leave(&mut self.effects);
            self.perform();
        }
    }

    fn departs(&self) -> bool {
        self.departs.is_some()
    }

    fn posts(&mut self, takes: bool) -> Vec<Post> {
        self.sockets.forwarders.takes_posts(takes);
        std::mem::take(&mut self.posts)
    }

    fn report(&mut self, receipt: &Receipt) {
        self.sockets.forwarders.report(receipt);
    }
}
