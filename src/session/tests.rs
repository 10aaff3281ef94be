//! The start barrier and the finish at a forwarder, without a network.

mod attendance;
mod finish;
mod join;
mod late;
mod missing;
mod posts;
mod resumed;
mod seated;
mod standby;
mod start;
mod status;

use std::time::Duration;

use super::actions::{Actions, Asker, Rules};
use super::registry::Registry;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::wire::control::{Ask, Identity, Reply, Request, Role, Say, Seat};

const SECOND: Duration = Duration::from_secs(1);

/// A forwarder and the answers it has given.
struct Forwarder {
    registry: Registry,
    actions: Actions,
    now: Time,
    seq: u64,
}

impl Forwarder {
    fn of(clients: usize) -> Self {
        Self::with(Rules {
            clients,
            start_timeout: 60 * SECOND,
            stay: false,
            sequencer_may_come: true,
            port_base: 0,
        })
    }

    fn with(rules: Rules) -> Self {
        Self { registry: Registry::new(rules, 7), actions: Actions::default(), now: Time::ZERO, seq: 0 }
    }

    /// Returns the immediate answer to `who`, if there is one.
    fn ask(&mut self, who: &Identity, ask: Ask) -> Option<Say> {
        self.request(Request::new(0, who.clone(), ask))
    }

    fn request(&mut self, mut request: Request) -> Option<Say> {
        self.seq += 1;
        request.seq = self.seq;
        let who = &request.who.clone();
        self.registry.asked(self.now, address(who), Ok(request), &mut self.actions);
        self.registry.tick(self.now, &mut self.actions);
        self.heard(who)
    }

    /// Returns the last answer to `who` that was not read yet.
    fn heard(&mut self, who: &Identity) -> Option<Say> {
        let (own, others) =
            std::mem::take(&mut self.actions.replies).into_iter().partition(|(to, _)| *to == address(who));
        self.actions.replies = others;
        let own: Vec<(Asker, Reply)> = own;
        own.into_iter().last().map(|(_, reply)| reply.say)
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.registry.tick(self.now, &mut self.actions);
    }

    /// Lets time pass while all of these keep asking; returns the reason if one was told that the run was aborted.
    fn pass_with(&mut self, members: &[&Identity], time: Duration) -> Option<String> {
        let end = self.now.after(time);
        while self.now < end {
            self.pass(SECOND / 2);
            for member in members {
                let said = [self.heard(member), self.ask(member, Ask::Alive)];
                for say in said.into_iter().flatten() {
                    if let Say::Abort { reason, .. } = say {
                        return Some(reason);
                    }
                }
            }
        }
        None
    }

    fn join(&mut self, members: &[&Identity]) {
        for member in members {
            let said = self.ask(member, Ask::Join);
            assert!(matches!(said, Some(Say::Welcome { .. })), "{}: {said:?}", member.id);
        }
    }

    /// Closes the connections of all of these.
    fn lose(&mut self, members: &[&Identity]) {
        for member in members {
            self.registry.unreachable(self.now, &address(member));
        }
    }

    /// Joins all of these and lets them start.
    fn start(&mut self, members: &[&Identity]) {
        self.join(members);
        self.ready(members);
    }

    /// All of these say that they are ready, are called once more, and start.
    fn ready(&mut self, members: &[&Identity]) {
        for member in members {
            self.ask(member, Ask::Ready);
        }
        for member in members {
            self.heard(member);
        }
        let (last, others) = members.split_last().expect("somebody");
        for member in others {
            let said = self.ask(member, Ask::Ready);
            assert_eq!(said, None, "{} waits for the others to answer the call", member.id);
        }
        assert!(matches!(self.ask(last, Ask::Ready), Some(Say::Start { .. })), "{} starts", last.id);
        for member in others {
            assert!(matches!(self.heard(member), Some(Say::Start { .. })), "{} starts", member.id);
        }
    }

    /// Returns the members in the start that `member` receives.
    fn started(&mut self, member: &Identity) -> Vec<Seat> {
        match self.ask(member, Ask::Ready) {
            Some(Say::Start { members, .. }) => members,
            other => panic!("expected a start, got {other:?}"),
        }
    }

    fn seat_of(&mut self, member: &Identity) -> Seat {
        self.started(member).into_iter().find(|seat| seat.id == member.id).expect("it is in the list")
    }

    /// Returns the missing processes that `member` hears of after a second.
    fn missing_for(&mut self, member: &Identity) -> Vec<String> {
        self.pass(SECOND);
        match self.heard(member) {
            Some(Say::Wait { missing, .. }) => missing,
            other => panic!("expected to wait, got {other:?}"),
        }
    }
}

fn who(id: &str, nonce: u64) -> Identity {
    let role = match id {
        "sequencer" => Role::Sequencer,
        _ if id.starts_with("standby") => Role::Standby,
        _ => Role::Client,
    };
    Identity {
        group: "main".to_owned(),
        id: id.to_owned(),
        role,
        nonce,
        incarnation: 0,
        order: "total".to_owned(),
        method: "bb".to_owned(),
        reliability: String::new(),
        can_sequence: false,
        late: false,
    }
}

/// Returns a process that may join a running group.
fn late(id: &str, nonce: u64) -> Identity {
    Identity { late: true, ..who(id, nonce) }
}

/// Returns two clients and a sequencer.
fn three() -> (Identity, Identity, Identity) {
    (who("c1", 1), who("c2", 2), who("sequencer", 3))
}

fn address(who: &Identity) -> Asker {
    Asker::Connection(format!("{}-{}", who.id, who.nonce).into_bytes())
}

fn seat(slot: u16, id: &str) -> Seat {
    let role = if id == "sequencer" { Role::Sequencer } else { Role::Client };
    Seat { slot, id: id.to_owned(), incarnation: 1, role, can_sequence: false, late: false }
}

fn refusal(say: Option<Say>) -> (u8, String) {
    match say {
        Some(Say::Refused { code, reason }) => (code, reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn done(view: u64, clients: &[u16]) -> Ask {
    Ask::Done { view, clients: clients.to_vec() }
}

fn leave(exit: Exit, reason: &str) -> Ask {
    Ask::Leave { code: exit.code(), reason: reason.to_owned() }
}

fn over(run: u64) -> Ask {
    Ask::Over { run: format!("{run:016x}") }
}

/// Goes on with a run whose members are these, in the order of their slots.
fn resume_with(run: u64, slot: u16, members: &[&str]) -> Ask {
    let members = members.iter().enumerate().map(|(slot, id)| seat(slot as u16, id)).collect();
    Ask::Resume { run: format!("{run:016x}"), slot, members }
}

fn resume(run: u64, slot: u16) -> Ask {
    resume_with(run, slot, &["c1", "c2", "sequencer"])
}
