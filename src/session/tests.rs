//! The start barrier and the finish at a forwarder.

mod attendance;
mod finish;
mod late;
mod missing;
mod resumed;
mod seated;
mod shown;
mod standby;

use std::time::Duration;

use super::attendance::{Attendance, News};
use super::presence::END_KEPT;
use super::register::{Actions, Asker, LATECOMERS, RESUMABLE, Register, Rules};
use super::{LOST_AFTER, SILENT_AFTER};
use crate::engine::Time;
use crate::exit::Exit;
use crate::wire::control::{Ask, Identity, Reply, Request, Role, Say, Seat, Status};

/// A forwarder and the answers it has given.
struct Forwarder {
    register: Register,
    actions: Actions,
    now: Time,
    seq: u64,
}

fn done() -> Ask {
    Ask::Done { view: 1, clients: vec![0, 1] }
}

fn who(id: &str, nonce: u64) -> Identity {
    let (group, order, method) = ("main".to_owned(), "total".to_owned(), "bb".to_owned());
    let role = match id {
        "sequencer" => Role::Sequencer,
        _ if id.starts_with("standby") => Role::Standby,
        _ => Role::Client,
    };
    Identity {
        group,
        id: id.to_owned(),
        role,
        nonce,
        incarnation: 0,
        order,
        method,
        can_sequence: false,
        late: false,
    }
}

impl Forwarder {
    fn of(clients: usize) -> Self {
        let rules = Rules { clients, start_timeout: Duration::from_secs(60), stay: false };
        Self { register: Register::new(rules, 7), actions: Actions::default(), now: Time::ZERO, seq: 0 }
    }

    /// Returns the immediate answer to `who`, if there is one.
    fn ask(&mut self, who: &Identity, ask: Ask) -> Option<Say> {
        self.request(Request::new(0, who.clone(), ask))
    }

    fn request(&mut self, mut request: Request) -> Option<Say> {
        self.seq += 1;
        request.seq = self.seq;
        let who = &request.who.clone();
        self.register.asked(self.now, address(who), Ok(request), &mut self.actions);
        self.register.tick(self.now, &mut self.actions);
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
        self.register.tick(self.now, &mut self.actions);
    }

    /// Lets time pass while all of these keep asking; returns the reason if one was told that the run was aborted.
    fn pass_with(&mut self, members: &[&Identity], time: Duration) -> Option<String> {
        let end = self.now.after(time);
        while self.now < end {
            self.pass(Duration::from_millis(500));
            for member in members {
                if let Some(Say::Abort { reason, .. }) = self.heard(member) {
                    return Some(reason);
                }
                if let Some(Say::Abort { reason, .. }) = self.ask(member, Ask::Alive) {
                    return Some(reason);
                }
            }
        }
        None
    }

    /// Joins all of these and lets them start.
    fn start(&mut self, members: &[&Identity]) {
        for member in members {
            assert!(matches!(self.ask(member, Ask::Join), Some(Say::Welcome { .. })), "{} joins", member.id);
        }
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
            assert_eq!(
                self.ask(member, Ask::Ready),
                None,
                "{} waits for the others to answer the call",
                member.id
            );
        }
        assert!(matches!(self.ask(last, Ask::Ready), Some(Say::Start { .. })), "{} starts", last.id);
        for member in others {
            assert!(matches!(self.heard(member), Some(Say::Start { .. })), "{} starts", member.id);
        }
    }
}

fn address(who: &Identity) -> Asker {
    Asker::Connection(format!("{}-{}", who.id, who.nonce).into_bytes())
}

fn refusal(say: Option<Say>) -> (u8, String) {
    match say {
        Some(Say::Refused { code, reason }) => (code, reason),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn all_start_when_the_last_is_ready_and_not_before() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for member in [&c1, &c2] {
        forwarder.ask(member, Ask::Join);
        assert_eq!(forwarder.ask(member, Ask::Ready), None, "held: the sequencer is missing");
    }
    forwarder.pass(Duration::from_secs(1));
    let Some(Say::Wait { missing, .. }) = forwarder.heard(&c1) else { panic!("no word for a whole second") };
    assert_eq!(missing, ["a sequencer (order total (bb) needs one)"]);
    forwarder.ask(&c1, Ask::Ready);
    forwarder.ask(&sequencer, Ask::Join);
    forwarder.ready(&[&c1, &c2, &sequencer]);
    // An answer that got lost is asked for again.
    assert!(matches!(forwarder.ask(&c1, Ask::Ready), Some(Say::Start { members, .. }) if members.len() == 3));
}

#[test]
fn who_was_ready_and_is_gone_is_not_started_without() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for member in [&c1, &c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        forwarder.ask(member, Ask::Ready);
    }
    // c2 does not answer the call.
    for member in [&c1, &sequencer] {
        forwarder.heard(member);
        assert_eq!(forwarder.ask(member, Ask::Ready), None);
    }
    forwarder.register.unreachable(forwarder.now, &address(&c2));
    assert_eq!(forwarder.pass_with(&[&c1, &sequencer], Duration::from_secs(3)), None);
    forwarder.ask(&c1, Ask::Ready);
    forwarder.pass(Duration::from_secs(1));
    let is_gone = |missing: &[String]| missing == ["1 more client (c2 is gone)"];
    assert!(matches!(forwarder.heard(&c1), Some(Say::Wait { missing, .. }) if is_gone(&missing)));
}

#[test]
fn an_id_is_taken_while_its_process_is_there() {
    let mut forwarder = Forwarder::of(2);
    let (first, second) = (who("c1", 1), who("c1", 2));
    forwarder.ask(&first, Ask::Join);
    forwarder.ask(&first, Ask::Ready);
    assert_eq!(
        forwarder.ask(&second, Ask::Join),
        None,
        "first it is seen whether the other one is still there"
    );
    for _ in 0..4 {
        forwarder.pass(Duration::from_millis(500));
        forwarder.heard(&first);
        forwarder.ask(&first, Ask::Ready);
    }
    let (code, reason) = refusal(forwarder.heard(&second));
    assert!(code == Exit::Unavailable.code() && reason.contains("c1 is taken"), "{code} {reason}");
}

#[test]
fn a_process_that_died_before_the_start_is_replaced_and_counted_once() {
    let mut forwarder = Forwarder::of(2);
    let (dead, again, c2, sequencer) = (who("c1", 1), who("c1", 2), who("c2", 3), who("sequencer", 4));
    forwarder.ask(&dead, Ask::Join);
    forwarder.ask(&dead, Ask::Ready);
    assert_eq!(forwarder.ask(&again, Ask::Join), None);
    forwarder.register.unreachable(forwarder.now, &address(&dead));
    forwarder.pass(Duration::from_millis(100));
    let Some(Say::Welcome { incarnation, .. }) = forwarder.heard(&again) else { panic!("not let in") };
    assert_eq!(incarnation, 2);
    for member in [&c2, &sequencer] {
        forwarder.ask(member, Ask::Join);
        assert_eq!(forwarder.ask(member, Ask::Ready), None, "c1 is not ready again");
    }
    forwarder.ready(&[&c2, &sequencer, &again]);
}

#[test]
fn members_that_disagree_are_refused_with_both_values() {
    let mut forwarder = Forwarder::of(2);
    forwarder.ask(&who("c1", 1), Ask::Join);
    let fifo = Identity { order: "fifo".to_owned(), method: String::new(), ..who("c2", 2) };
    let (code, reason) = refusal(forwarder.ask(&fifo, Ask::Join));
    assert_eq!(code, Exit::Config.code());
    assert!(reason.contains("fifo") && reason.contains("total (bb)"), "{reason}");
}

#[test]
fn client_with_the_id_of_another_program_is_refused_at_once() {
    let mut forwarder = Forwarder::of(2);
    for id in ["forwarder", "router", "sequencer", "standby"] {
        let client = Identity { role: Role::Client, ..who(id, 1) };
        let (code, reason) = refusal(forwarder.ask(&client, Ask::Join));
        assert!(code == Exit::Usage.code() && reason.contains(id), "{code}: {reason}");
    }
    // The sequencer has that name by right.
    let sequencer = Identity { role: Role::Sequencer, ..who("sequencer", 2) };
    forwarder.ask(&who("c1", 1), Ask::Join);
    assert!(!matches!(forwarder.ask(&sequencer, Ask::Join), Some(Say::Refused { .. })));
}

#[test]
fn there_are_no_more_clients_than_expected() {
    let mut forwarder = Forwarder::of(1);
    forwarder.ask(&who("c1", 1), Ask::Join);
    assert_eq!(forwarder.ask(&who("c2", 2), Ask::Join), None, "c1 may be gone");
    for _ in 0..3 {
        forwarder.ask(&who("c1", 1), Ask::Alive);
        forwarder.pass(Duration::from_millis(600));
    }
    let (code, reason) = refusal(forwarder.heard(&who("c2", 2)));
    assert!(code == Exit::Unavailable.code() && reason.contains("c1"), "{reason}");
}

#[test]
fn a_start_that_does_not_come_about_is_given_up_naming_who_is_missing() {
    let mut forwarder = Forwarder::of(3);
    let c1 = who("c1", 1);
    forwarder.ask(&c1, Ask::Join);
    for _ in 0..120 {
        forwarder.ask(&c1, Ask::Ready);
        forwarder.pass(Duration::from_millis(500));
    }
    let Some(Say::Abort { code, reason }) = forwarder.heard(&c1) else { panic!("still waiting") };
    assert_eq!(code, Exit::TimedOut.code());
    assert!(reason.contains("2 more clients and a sequencer"), "{reason}");
    let outcome = forwarder.register.outcome(forwarder.now);
    assert_eq!(outcome.unwrap().unwrap_err().exit, Exit::TimedOut);
}

#[test]
fn who_leaves_a_run_leaves_it_to_the_others() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.ask(&c2, Ask::Alive);
    let leave = Ask::Leave { code: 130, reason: "interrupted (Ctrl-C)".to_owned() };
    assert_eq!(forwarder.ask(&c1, leave), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), None, "that is the members' affair");
    let leave = Ask::Leave { code: 69, reason: "nobody is left".to_owned() };
    assert_eq!(forwarder.ask(&c2, leave), Some(Say::Bye));
    let Some(Say::Abort { code, reason }) = forwarder.ask(&sequencer, Ask::Alive) else { panic!("not told") };
    assert!(code == Exit::Unavailable.code() && reason.contains("c1 left the run: interrupted"), "{reason}");
}

#[test]
fn who_is_gone_or_silent_for_too_long_is_not_waited_for() {
    for (limit, is_gone) in [(LOST_AFTER, true), (SILENT_AFTER, false)] {
        let mut forwarder = Forwarder::of(2);
        let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
        forwarder.start(&[&c1, &c2, &sequencer]);
        if is_gone {
            forwarder.register.unreachable(forwarder.now, &address(&c1));
        }
        let early =
            forwarder.pass_with(&[&c2, &sequencer], limit.checked_sub(Duration::from_secs(1)).unwrap());
        assert_eq!(early, None, "not before its time");
        assert_eq!(forwarder.ask(&c2, done()), None, "c1 may still be there");
        assert_eq!(forwarder.pass_with(&[&c2, &sequencer], Duration::from_secs(2)), None);
        assert_eq!(forwarder.ask(&c2, done()), None, "it is still in the newest view");
        let alone = Ask::Done { view: 2, clients: vec![1] };
        assert_eq!(forwarder.ask(&c2, alone), Some(Say::End));
    }
}

#[test]
fn who_comes_back_in_time_is_forgiven() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.register.unreachable(forwarder.now, &address(&c1));
    assert_eq!(forwarder.pass_with(&[&c2, &sequencer], Duration::from_secs(5)), None);
    assert_eq!(forwarder.pass_with(&[&c1, &c2, &sequencer], LOST_AFTER), None);
}

#[test]
fn a_run_is_over_when_all_clients_are_done_and_know_it() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.start(&[&c1, &c2, &sequencer]);
    forwarder.ask(&sequencer, Ask::Alive);
    assert_eq!(forwarder.ask(&c1, done()), None);
    assert_eq!(forwarder.register.outcome(forwarder.now), None);
    assert_eq!(forwarder.ask(&c2, done()), Some(Say::End));
    assert_eq!((forwarder.heard(&c1), forwarder.heard(&sequencer)), (Some(Say::End), Some(Say::End)));
    forwarder.pass(LATECOMERS);
    assert_eq!(forwarder.register.outcome(forwarder.now), None, "what was said may not have been heard");
    for member in [&c1, &c2, &sequencer] {
        assert_eq!(forwarder.ask(member, over(8)), Some(Say::Bye));
    }
    assert_eq!(forwarder.register.outcome(forwarder.now), Some(Ok(())));
}

#[test]
fn what_is_no_request_of_this_version_is_refused_with_both_versions() {
    let mut forwarder = Forwarder::of(1);
    forwarder.register.asked(forwarder.now, address(&who("c1", 1)), Err(Some(9)), &mut forwarder.actions);
    let (code, reason) = refusal(forwarder.heard(&who("c1", 1)));
    assert!(code == Exit::Config.code() && reason.contains("version 2") && reason.contains('9'), "{reason}");
}

#[test]
fn a_member_asks_again_when_an_answer_is_lost_and_ignores_old_ones() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Join, Some(Duration::from_secs(9)));
    let first = attendance.request(Time::ZERO).unwrap();
    assert_eq!(attendance.request(Time::from_micros(1_000_000)), None, "one under way");
    let second = attendance.request(attendance.next_deadline()).unwrap();
    assert!(second.seq > first.seq && second.ask == Ask::Join);
    let now = attendance.next_deadline();
    assert_eq!(attendance.answered(now, Reply::new(first.seq, Say::End)), News::Nothing, "an old answer");
    assert_eq!(attendance.answered(now, Reply::new(second.seq, Say::End)), News::End);
}

fn seat(slot: u16, id: &str) -> Seat {
    let role = if id == "sequencer" { Role::Sequencer } else { Role::Client };
    Seat { slot, id: id.to_owned(), incarnation: 1, role, can_sequence: false, late: false }
}

/// Goes on with a run whose members are these, in the order of their slots.
fn resume_with(run: u64, slot: u16, members: &[&str]) -> Ask {
    let members = members.iter().enumerate().map(|(slot, id)| seat(slot as u16, id)).collect();
    Ask::Resume { run: format!("{run:016x}"), slot, members }
}

fn over(run: u64) -> Ask {
    Ask::Over { run: format!("{run:016x}") }
}

fn resume(run: u64, slot: u16) -> Ask {
    resume_with(run, slot, &["c1", "c2", "sequencer"])
}

#[test]
fn the_end_of_a_run_is_told_although_the_next_one_has_begun() {
    let mut forwarder = Forwarder::of(1);
    let rules = Rules { clients: 1, start_timeout: Duration::from_secs(60), stay: true };
    forwarder.register = Register::new(rules, 7);
    let (late, next, sequencer) = (who("c1", 1), who("c1", 2), who("sequencer", 3));
    forwarder.start(&[&late, &sequencer]);
    forwarder.ask(&sequencer, Ask::Alive);
    assert_eq!(forwarder.ask(&late, Ask::Done { view: 1, clients: vec![0] }), Some(Say::End));
    assert_eq!(forwarder.ask(&sequencer, over(8)), Some(Say::Bye));
    forwarder.register.unreachable(forwarder.now, &address(&late));
    forwarder.pass(Duration::from_secs(1));
    assert!(matches!(forwarder.ask(&next, Ask::Join), Some(Say::Welcome { .. })));
    assert_eq!(
        forwarder.ask(&late, Ask::Done { view: 1, clients: vec![0] }),
        Some(Say::Unknown),
        "its end was lost on the way"
    );
    assert_eq!(forwarder.ask(&late, resume(8, 0)), Some(Say::End));
}

#[test]
fn a_failure_is_no_success_whatever_code_it_came_with() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    let abort = Say::Abort { code: 0, reason: "it is over".to_owned() };
    let News::Failed(failure) = attendance.answered(Time::ZERO, Reply::new(seq, abort)) else { panic!() };
    assert_eq!(failure.exit, Exit::Unavailable);
}

#[test]
fn a_sequencer_that_forgot_its_numbers_ends_the_run() {
    let mut forwarder = Forwarder::of(1);
    let (c1, sequencer) = (who("c1", 1), who("sequencer", 3));
    forwarder.start(&[&c1, &sequencer]);
    forwarder.ask(&c1, Ask::Alive);
    forwarder.register.unreachable(forwarder.now, &address(&sequencer));
    let (_, reason) = refusal(forwarder.ask(&who("sequencer", 4), Ask::Join));
    assert!(reason.contains("already started"), "{reason}");
    let Some(Say::Abort { reason, .. }) = forwarder.heard(&c1) else { panic!("c1 is not told") };
    assert!(reason.contains("does not know which numbers it gave"), "{reason}");
}

#[test]
fn a_member_goes_on_where_it_was_with_a_forwarder_that_does_not_know_it() {
    let mut attendance = Attendance::new(Time::ZERO, who("c1", 1), Ask::Alive, None);
    let members = ["c1", "c2", "sequencer"].map(|id| seat(if id == "c1" { 0 } else { id.len() as u16 }, id));
    attendance.started(8, &members[0], &members, true);
    let seq = attendance.request(Time::ZERO).unwrap().seq;
    assert_eq!(attendance.answered(Time::ZERO, Reply::new(seq, Say::Unknown)), News::Forgotten);
    let again = attendance.request(Time::ZERO).unwrap();
    assert_eq!(again.ask, Ask::Resume { run: format!("{:016x}", 8), slot: 0, members: members.into() });
    assert_eq!(attendance.answered(Time::ZERO, Reply::new(again.seq, Say::CarryOn)), News::Nothing);
    assert_eq!(attendance.request(Time::ZERO).unwrap().ask, Ask::Alive);
}

#[test]
fn who_was_not_told_of_the_start_hears_of_it_from_another_forwarder() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2) = (who("c1", 1), who("c2", 2));
    assert_eq!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Unknown), "nobody has been told");
    assert!(!forwarder.register.serves("main"));
    assert_eq!(forwarder.ask(&c1, resume(8, 0)), Some(Say::CarryOn));
    assert_eq!(forwarder.ask(&c2, resume_with(9, 1, &[])), Some(Say::Unknown), "another run");
    refusal(forwarder.ask(&c2, resume_with(8, 0, &[])));
    let Some(Say::Start { run, members }) = forwarder.ask(&c2, resume_with(8, 1, &[])) else {
        panic!("no start")
    };
    assert_eq!((&*run, members.len()), ("0000000000000008", 3));
    refusal(forwarder.ask(&who("c2", 9), resume_with(8, 1, &[])));
    assert_eq!(forwarder.ask(&c2, Ask::Alive), None, "it is a member like any other");
}

#[test]
fn a_start_is_not_told_before_all_names_are_known() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.ask(&c1, resume_with(8, 0, &["c1", "c2"]));
    assert_eq!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Unknown), "the sequencer is missing");
    forwarder.ask(&sequencer, resume(8, 2));
    assert!(matches!(forwarder.ask(&c2, resume_with(8, 1, &[])), Some(Say::Start { .. })));
}

#[test]
fn a_forwarder_of_any_age_takes_up_a_run_that_it_was_asked_about() {
    let mut forwarder = Forwarder::of(2);
    forwarder.pass(RESUMABLE);
    refusal(forwarder.ask(&who("c1", 1), resume(8, 0)));
    forwarder.ask(&who("c2", 2), resume_with(8, 1, &[]));
    assert_eq!(forwarder.ask(&who("c1", 1), resume(8, 0)), Some(Say::CarryOn));
}

#[test]
fn a_group_that_gathers_makes_way_for_a_run_that_began_elsewhere() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2) = (who("c1", 1), who("c2", 2));
    assert!(matches!(forwarder.ask(&c1, Ask::Join), Some(Say::Welcome { .. })));
    // This number is none that this forwarder gives.
    assert_eq!(forwarder.ask(&c2, resume(1000, 1)), Some(Say::CarryOn));
    assert_eq!(forwarder.ask(&c1, Ask::Ready), Some(Say::Unknown));
    assert!(matches!(forwarder.ask(&c1, resume_with(1000, 0, &[])), Some(Say::Start { .. })));
}

#[test]
fn a_run_with_more_clients_than_the_forwarder_was_told_of_is_refused() {
    let mut forwarder = Forwarder::of(1);
    let (code, reason) = refusal(forwarder.ask(&who("c1", 1), resume(8, 0)));
    assert!(
        code == Exit::Config.code() && reason.contains("2 clients") && reason.contains("of 1"),
        "{reason}"
    );
    assert!(!forwarder.register.serves("main"), "nothing is left of it");
}

#[test]
fn who_joins_elsewhere_frees_its_seat_unless_it_has_been_started() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    forwarder.ask(&c1, Ask::Join);
    forwarder.ask(&c1, Ask::Ready);
    assert_eq!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Bye));
    assert_eq!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Bye), "the answer may have been lost");
    assert_eq!(forwarder.ask(&c1, Ask::Ready), Some(Say::Unknown));
    forwarder.start(&[&c1, &c2, &sequencer]);
    assert!(matches!(forwarder.ask(&c1, Ask::Withdraw), Some(Say::Start { .. })));
}

#[test]
fn an_end_that_another_forwarder_told_is_an_end() {
    let mut forwarder = Forwarder::of(2);
    let (c1, c2, sequencer) = (who("c1", 1), who("c2", 2), who("sequencer", 3));
    for (slot, member) in [&c1, &c2, &sequencer].into_iter().enumerate() {
        forwarder.ask(member, resume(8, slot as u16));
    }
    forwarder.ask(&c2, done());
    assert_eq!(forwarder.ask(&c1, over(9)), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), None, "that was another run");
    assert_eq!(forwarder.ask(&c1, over(8)), Some(Say::Bye));
    assert_eq!(forwarder.heard(&c2), Some(Say::End));
    assert_eq!(forwarder.ask(&sequencer, Ask::Alive), Some(Say::End));
}

#[test]
fn a_router_may_go_when_there_is_another() {
    let mut forwarder = Forwarder::of(1);
    let router = |id: &str, nonce| Identity { group: String::new(), role: Role::Router, ..who(id, nonce) };
    let (c1, sequencer, first, second) =
        (who("c1", 1), who("sequencer", 3), router("r1", 4), router("r2", 5));
    forwarder.ask(&first, Ask::Attend);
    forwarder.ask(&second, Ask::Attend);
    forwarder.start(&[&c1, &sequencer]);
    forwarder.ask(&c1, Ask::Alive);
    let leave = || Ask::Leave { code: 130, reason: "interrupted".to_owned() };
    forwarder.ask(&first, leave());
    assert_eq!(forwarder.heard(&c1), None);
    forwarder.ask(&second, leave());
    assert!(matches!(forwarder.heard(&c1), Some(Say::Abort { .. })));
}
