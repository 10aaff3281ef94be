//! The hardest moments of a group's life, each by its name: what has gone wrong in other systems, scripted.

use std::collections::BTreeSet;

use groupcast::engine::{MemberId, Time, To};
use groupcast::member::Undelivered;
use groupcast::order::Order;
use groupcast::sim::process::Event;
use groupcast::sim::world::CrashAt;
use groupcast::sim::{Fault, World};

use super::promises;
use super::world::{Plan, ms, named, orders, sequenced};

/// By then everything is well again.
const END: u64 = 8_000;

fn member(slot: u16) -> MemberId {
    MemberId(slot)
}

/// A group of clients, of which each multicasts so many messages, a few milliseconds apart. If the order needs a
/// sequencer, the first two clients can take its place.
fn group(order: &'static Order, clients: u16, messages: u64) -> Plan {
    let mut plan = Plan::new(order, clients, 1);
    if order.sequencer {
        plan.candidates = vec![member(0), member(1)];
    }
    for client in 0..clients {
        for number in 0..messages {
            let at = Time::from_micros(1_000 + 700 * u64::from(client) + 2_500 * number);
            plan.tasks.push((at, member(client), To::Group));
        }
    }
    plan
}

/// The member that numbers messages, in a group of so many clients.
fn sequencer(plan: &Plan) -> MemberId {
    plan.view().sequencer.expect("an order with a sequencer")
}

/// The world at its end, if every promise was kept.
fn lived(plan: &Plan, crashes: &[CrashAt]) -> World {
    let world = plan.run(crashes, ms(if plan.loss > 0 { 4 * END } else { END }));
    if let Err(story) = promises::judge(plan, &world) {
        panic!("{}, {:?}, {crashes:?}: {story}", plan.order.title(), plan.faults);
    }
    world
}

/// The messages of one member that another was given.
fn given(world: &World, at: u16, from: MemberId) -> Vec<u64> {
    let events = world.processes[usize::from(at)].history.iter();
    let own = |event: &(Time, Event)| match event {
        (_, Event::Deliver(sender, number, ..)) if *sender == from => Some(*number),
        _ => None,
    };
    events.filter_map(own).collect()
}

fn is_fenced(world: &World, at: u16) -> bool {
    world.processes[usize::from(at)].history.iter().any(|(_, event)| *event == Event::Fenced)
}

/// Clients of the last view at a member.
fn clients(world: &World, at: u16) -> Vec<MemberId> {
    let events = world.processes[usize::from(at)].history.iter().rev();
    let view = |event: &(Time, Event)| match event {
        (_, Event::View(view)) => Some(view.clients.clone()),
        _ => None,
    };
    events.filter_map(view).next().expect("it began with one")
}

#[test]
fn e01_failover_sequencer_dies_with_messages_unacknowledged() {
    for order in sequenced() {
        let mut plan = group(order, 3, 2);
        // The third is under way when it dies, the fourth comes while the others do not know it yet, the fifth while
        // they know and nobody is in its place.
        plan.tasks.extend([8, 300, 830].map(|at| (ms(at), member(2), To::Group)));
        let (first, last) = (plan.steps(&[], ms(5)), plan.steps(&[], ms(14)));
        for step in first..=last {
            for is_silent in [false, true] {
                let victim = sequencer(&plan);
                let world = lived(&plan, &[CrashAt { step, victim, is_silent }]);
                for at in 0..3 {
                    assert_eq!(given(&world, at, member(2)), [1, 2, 3, 4, 5], "{} {step}", order.title());
                }
            }
        }
    }
}

#[test]
fn e02_failover_sequencer_dies_before_sender_knows_its_number() {
    for order in sequenced() {
        for death in [6, 7, 8, 9, 10, 20, 50] {
            // Nobody but the sender misses the number; then nobody at all has it.
            for others in [&[2][..], &[0, 1, 2]] {
                let mut plan = group(order, 3, 3);
                let numbering = sequencer(&plan);
                let cuts = others.iter().map(|&other| (ms(5), Fault::Cut(numbering, member(other))));
                plan.faults.extend(cuts);
                plan.faults.push((ms(death), Fault::Crash(numbering)));
                let world = lived(&plan, &[]);
                for at in 0..3 {
                    assert_eq!(given(&world, at, member(2)), [1, 2, 3], "once, and not refused for ever");
                }
            }
        }
    }
}

#[test]
fn e03_two_view_changes_in_succession() {
    for order in orders() {
        for after in (0..1_600).step_by(80) {
            let mut plan = group(order, 5, 10);
            plan.window.messages = 2;
            plan.slow = 20_000;
            for number in 0..30 {
                plan.tasks.push((ms(20 + number * 60), member(2), To::Group));
            }
            let first_at = ms(30);
            plan.faults = vec![
                (first_at, Fault::Crash(member(4))),
                (ms(700), Fault::Pause(member(2), ms(1_000))),
                (ms(30 + after), Fault::Crash(member(3))),
            ];
            let world = lived(&plan, &[]);
            assert_eq!(clients(&world, 0), [0, 1, 2].map(member));
        }
    }
}

#[test]
fn e04_member_stopped_too_long_resumes_and_is_left_behind() {
    for order in orders() {
        for (clients_of, slow) in [(3, 1_000), (3, 30_000), (5, 30_000)] {
            let mut plan = group(order, clients_of, 6);
            let sleeper = member(2);
            plan.slow = slow;
            plan.faults = vec![(ms(6), Fault::Pause(sleeper, ms(3_000)))];
            // It has more to send as soon as it wakes.
            plan.tasks.extend((0..8).map(|number| (ms(2_000 + 150 * number), sleeper, To::Group)));
            let world = lived(&plan, &[]);
            assert!(is_fenced(&world, 2), "{}: it is told", order.title());
            let stale = given(&world, 0, sleeper);
            assert!(stale.iter().all(|number| *number <= 6), "{}: {stale:?} of a past view", order.title());
        }
    }
}

#[test]
fn e05_failover_sequencer_restarts_before_suspicion() {
    for order in sequenced() {
        for (death, again) in [(4, 1), (8, 20), (8, 300), (8, 700), (8, 900), (8, 2_000)] {
            let mut plan = group(order, 3, 6);
            let numbering = sequencer(&plan);
            plan.faults = vec![
                (ms(death), Fault::Crash(numbering)),
                (ms(death + again), Fault::ReturnUnaware(numbering)),
            ];
            let world = lived(&plan, &[]);
            let stranger = world.processes.last().expect("the one that came again");
            let is_told = stranger.history.iter().any(|(_, event)| *event == Event::Fenced);
            assert!(is_told, "{}: it believes that it is of the group", order.title());
            assert_eq!(given(&world, 0, member(2)).len(), 6);
        }
    }
}

#[test]
fn e05_client_restarts_before_suspicion() {
    for order in orders() {
        for again in [1, 20, 300, 700, 900, 2_000] {
            let mut plan = group(order, 3, 6);
            plan.faults =
                vec![(ms(8), Fault::Crash(member(1))), (ms(8 + again), Fault::ReturnUnaware(member(1)))];
            let world = lived(&plan, &[]);
            assert_eq!(clients(&world, 0), [0, 2].map(member));
        }
    }
}

#[test]
fn e06_two_members_cut_from_each_other_third_hears_both() {
    for order in orders() {
        for majority in [false, true] {
            for cut in [(0, 2), (0, 1), (1, 2)] {
                let mut plan = group(order, 3, 6);
                plan.majority = majority;
                plan.faults =
                    vec![(ms(5), Fault::Cut(member(cut.0), member(cut.1))), (ms(5_000), Fault::Reconnect)];
                let world = lived(&plan, &[]);
                let ghosts = (0..3).filter(|&at| is_fenced(&world, at)).map(member).collect::<Vec<_>>();
                let left = (0..3).find(|&at| !is_fenced(&world, at)).expect("somebody goes on");
                assert!(clients(&world, left).iter().all(|one| !ghosts.contains(one)), "{}", order.title());
            }
        }
    }
}

#[test]
fn e06_partition_heals_while_a_member_dies() {
    for order in orders() {
        for death in (2_000..2_400).step_by(40) {
            let mut plan = group(order, 5, 6);
            plan.majority = true;
            plan.faults = vec![
                (ms(10), Fault::Partition(BTreeSet::from([member(2)]))),
                (ms(2_100), Fault::Reconnect),
                (ms(death), Fault::Crash(member(3))),
            ];
            let world = lived(&plan, &[]);
            assert!(is_fenced(&world, 2), "{}", order.title());
        }
    }
}

#[test]
fn e07_sender_of_undecided_message_dies() {
    // All send at the same time, so that proposals tie; late copies of what the dead one sent come in later views.
    let mut plan = group(named("agreed"), 3, 0);
    plan.tasks = (0..3).flat_map(|client| [(ms(1), member(client), To::Group); 2]).collect();
    plan.late = 300_000;
    let last = plan.steps(&[], ms(20));
    for step in 1..=last {
        for victim in (0..3).map(member) {
            for is_silent in [false, true] {
                lived(&plan, &[CrashAt { step, victim, is_silent }]);
            }
        }
    }
    // Only one other member knows the agreed number.
    for step in 1..=last {
        let mut plan = plan.clone();
        plan.faults = vec![(ms(1), Fault::Cut(member(2), member(0)))];
        lived(&plan, &[CrashAt { step, victim: member(2), is_silent: false }]);
    }
}

#[test]
fn e08_twenty_clients_send_at_once_during_an_outage() {
    for order in orders() {
        let mut plan = group(order, 20, 0);
        for client in 0..20 {
            plan.tasks.extend((0..40).map(|_| (ms(0), member(client), To::Group)));
        }
        // As when the forwarder is started again; and one has a single message, late.
        let all = plan.view().members();
        let pairs = all.iter().flat_map(|&one| all.iter().map(move |&other| (one, other)));
        plan.faults = pairs
            .filter(|(one, other)| one < other)
            .map(|(one, other)| (ms(4), Fault::Cut(one, other)))
            .collect();
        plan.faults.push((ms(300), Fault::Reconnect));
        plan.tasks.push((ms(2_000), member(7), To::Group));
        let world = lived(&plan, &[]);
        assert!((0..20).all(|at| given(&world, at, member(7)).len() == 41), "{}", order.title());
    }
}

#[test]
fn e09_cable_pulled_in_a_burst() {
    for order in orders() {
        for (until, is_too_long) in [(300, false), (5_000, true)] {
            let mut plan = group(order, 3, 20);
            // Its last messages are those that are lost.
            plan.faults =
                vec![(ms(25), Fault::Partition(BTreeSet::from([member(2)]))), (ms(until), Fault::Reconnect)];
            plan.majority = true;
            let world = lived(&plan, &[]);
            assert_eq!(is_fenced(&world, 2), is_too_long, "{}", order.title());
            if !is_too_long {
                assert_eq!(given(&world, 0, member(2)).len(), 20, "{}", order.title());
            }
        }
    }
}

#[test]
fn e10_failover_least_informed_candidate_takes_over() {
    for order in sequenced() {
        for loss in [0, 100_000] {
            let mut plan = group(order, 3, 8);
            let numbering = sequencer(&plan);
            plan.loss = loss;
            // The higher of the two that can has heard nothing of it for a while.
            plan.faults = vec![(ms(4), Fault::Cut(numbering, member(1))), (ms(30), Fault::Crash(numbering))];
            let world = lived(&plan, &[]);
            assert!((0..3).all(|at| given(&world, at, member(2)).len() == 8), "{}", order.title());
        }
    }
}

#[test]
fn e11_view_numbers_wrap() {
    for order in orders() {
        let mut plan = group(order, 5, 6);
        plan.first_view = u64::from(u16::MAX) - 1;
        for number in 0..20 {
            plan.tasks.push((ms(100 + number * 200), member(0), To::Group));
        }
        plan.faults = vec![
            (ms(5), Fault::Crash(member(4))),
            (ms(1_500), Fault::Leave(member(3))),
            (ms(2_500), Fault::Pause(member(2), ms(5_000))),
        ];
        let world = lived(&plan, &[]);
        assert!(is_fenced(&world, 2), "{}", order.title());
        assert_eq!(clients(&world, 0), [0, 1].map(member));
    }
}

#[test]
fn e12_leave_all_but_one_at_once() {
    for order in orders() {
        for apart in [0, 1, 50] {
            let mut plan = group(order, 5, 4);
            plan.faults = (1..5)
                .map(|client| (ms(20 + apart * u64::from(client)), Fault::Leave(member(client))))
                .collect();
            plan.tasks.extend((0..10).map(|number| (ms(15 + 200 * number), member(0), To::Group)));
            let world = lived(&plan, &[]);
            assert_eq!(clients(&world, 0), [member(0)], "{}", order.title());
            assert_eq!(given(&world, 0, member(0)).len(), 14, "{}", order.title());
        }
    }
}

#[test]
fn e13_acknowledgement_lost_before_view_change() {
    for order in orders() {
        for seed in 0..10 {
            for window in [1, 2] {
                let mut plan = group(order, 3, 10);
                (plan.seed, plan.window.messages, plan.loss) = (seed, window, 300_000);
                let last = MemberId(plan.view().members().len() as u16 - 1);
                plan.faults = vec![(ms(20 + 10 * seed), Fault::Crash(last))];
                let world = lived(&plan, &[]);
                assert!((0..2).all(|at| given(&world, at, member(1)).len() == 10), "{}", order.title());
            }
        }
    }
}

#[test]
fn e14_flush_last_packet_of_dying_member_reaches_one_other() {
    for order in orders() {
        let plan = group(order, 3, 3);
        let last = plan.steps(&[], ms(20));
        for step in (1..=last).step_by(2) {
            let mut plan = plan.clone();
            plan.faults = vec![(ms(6), Fault::Cut(member(2), member(0)))];
            lived(&plan, &[CrashAt { step, victim: member(2), is_silent: false }]);
        }
    }
}

#[test]
fn e15_message_sent_before_view_change_is_delivered_after_it() {
    for order in sequenced() {
        for window in [1, 3, u64::MAX] {
            for death in (2..40).step_by(3) {
                let mut plan = group(order, 3, 12);
                plan.window.messages = window;
                plan.faults = vec![(ms(death), Fault::Crash(sequencer(&plan)))];
                let world = lived(&plan, &[]);
                for (at, from) in (0..3).flat_map(|at| (0..3).map(move |from| (at, from))) {
                    assert_eq!(given(&world, at, member(from)).len(), 12, "{}", order.title());
                }
            }
        }
    }
}

#[test]
fn e16_election_highest_candidate_is_slow_but_alive() {
    for order in sequenced() {
        for asleep in (0..1_600).step_by(100) {
            for until in [50, 200, 500, 1_500] {
                let mut plan = group(order, 3, 8);
                plan.standbys = 1;
                let standby = member(4);
                plan.tasks.extend((0..10).map(|number| (ms(100 + 200 * number), member(2), To::Group)));
                plan.faults = vec![
                    (ms(10), Fault::Crash(sequencer(&plan))),
                    (ms(10 + asleep), Fault::Pause(standby, ms(10 + asleep + until))),
                ];
                let world = lived(&plan, &[]);
                assert_eq!(given(&world, 0, member(2)).len(), 18, "{}", order.title());
            }
        }
    }
}

#[test]
fn e05_join_restarted_member_is_admitted_as_new_incarnation() {
    for order in orders() {
        for again in [1, 20, 300, 700, 900, 2_000] {
            let mut plan = group(order, 3, 6);
            plan.faults =
                vec![(ms(8), Fault::Crash(member(1))), (ms(8 + again), Fault::Join(Some(member(1))))];
            let world = lived(&plan, &[]);
            let late = MemberId(plan.view().members().len() as u16);
            assert_eq!(clients(&world, 0), [member(0), member(2), late], "{}", order.title());
            assert_eq!(given(&world, 0, late), [1, 2, 3, 4], "{}", order.title());
        }
    }
}

#[test]
fn e06_join_newcomer_dies_while_a_partition_heals() {
    for order in orders() {
        for death in (0..500).step_by(50) {
            let mut plan = group(order, 4, 6);
            plan.majority = true;
            let late = MemberId(plan.view().members().len() as u16);
            plan.faults = vec![
                (ms(10), Fault::Partition(BTreeSet::from([member(2)]))),
                (ms(2_000), Fault::Join(None)),
                (ms(2_050), Fault::Reconnect),
                (ms(2_010 + death), Fault::Crash(late)),
            ];
            let world = lived(&plan, &[]);
            assert!(!clients(&world, 0).contains(&late), "{}", order.title());
        }
    }
}

#[test]
fn e10_join_newcomer_has_no_gap_and_no_duplicate_whichever_member_dies() {
    for order in orders() {
        let last = |plan: &Plan| MemberId(plan.view().members().len() as u16 - 1);
        for death in (0..400).step_by(10) {
            let mut plan = group(order, 3, 6);
            plan.tasks.extend((0..40).map(|number| (ms(20 + 10 * number), member(2), To::Group)));
            let victim = if order.sequencer { last(&plan) } else { member(1) };
            plan.faults = vec![(ms(50), Fault::Join(None)), (ms(50 + death), Fault::Crash(victim))];
            lived(&plan, &[]);
            plan.faults[1] = (ms(50 + death), Fault::Crash(MemberId(last(&plan).0 + 1)));
            let world = lived(&plan, &[]);
            assert_eq!(clients(&world, 0).len(), 3, "{}", order.title());
        }
    }
}

/// The reports to the sender about its messages to that member.
fn told(world: &World, sender: u16, receiver: u16) -> Vec<(u64, Undelivered)> {
    let events = world.processes[usize::from(sender)].history.iter();
    let of = |event: &(Time, Event)| match event {
        (_, Event::Undeliverable(to, number, reason)) if *to == member(receiver) => Some((*number, *reason)),
        _ => None,
    };
    events.filter_map(of).collect()
}

/// The messages of one member to another that came.
fn received(world: &World, receiver: u16, sender: u16) -> Vec<u64> {
    let events = world.processes[usize::from(receiver)].history.iter();
    let of = |event: &(Time, Event)| match event {
        (_, Event::Receive(from, number, _)) if *from == member(sender) => Some(*number),
        _ => None,
    };
    events.filter_map(of).collect()
}

#[test]
fn undeliverable_direct_message_to_member_that_left_is_reported_not_sent() {
    for order in orders() {
        let mut plan = group(order, 3, 1);
        plan.faults = vec![(ms(20), Fault::Leave(member(2)))];
        plan.tasks.push((ms(1_500), member(0), To::Member(member(2))));
        let world = lived(&plan, &[]);
        assert_eq!(told(&world, 0, 2), [(1, Undelivered::NotSent)], "{}", order.title());
    }
}

#[test]
fn undeliverable_direct_messages_to_dead_member_are_reported_in_order() {
    for order in orders() {
        let mut plan = group(order, 3, 1);
        // One under way and the others in the window's queue when it is found lost, the last after that.
        plan.window.messages = 1;
        plan.faults = vec![(ms(20), Fault::Crash(member(2)))];
        plan.tasks.extend([50, 51, 52, 5_000].map(|at| (ms(at), member(0), To::Member(member(2)))));
        let world = lived(&plan, &[]);
        let told = told(&world, 0, 2);
        let numbers: Vec<u64> = told.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 4], "{}: {told:?}", order.title());
        assert_eq!(told[0].1, Undelivered::NotAcknowledged, "{}", order.title());
        assert_eq!(told[3].1, Undelivered::NotSent, "{}", order.title());
    }
}

#[test]
fn undeliverable_direct_message_to_dying_member_is_received_or_reported() {
    let mut plan = group(named("fifo"), 3, 1);
    plan.tasks.extend([3, 4, 5].map(|at| (ms(at), member(0), To::Member(member(2)))));
    let (first, last) = (plan.steps(&[], ms(2)), plan.steps(&[], ms(40)));
    for step in first..=last {
        for is_silent in [false, true] {
            let world = lived(&plan, &[CrashAt { step, victim: member(2), is_silent }]);
            let count = received(&world, 2, 0).len() + told(&world, 0, 2).len();
            assert!(count >= 3, "step {step}: {:?}", told(&world, 0, 2));
        }
    }
}

#[test]
fn leave_member_acknowledges_received_messages() {
    for order in orders() {
        let mut plan = group(order, 3, 1);
        // It leaves before an acknowledgement is due by itself.
        plan.tasks.push((ms(20), member(0), To::Member(member(2))));
        plan.faults = vec![(ms(22), Fault::Leave(member(2)))];
        let world = lived(&plan, &[]);
        assert_eq!(received(&world, 2, 0), [1], "{}", order.title());
        assert_eq!(told(&world, 0, 2), [], "{}", order.title());
    }
}

#[test]
fn join_returned_receiver_gets_direct_messages_of_its_incarnation_only() {
    let mut plan = group(named("fifo"), 3, 1);
    plan.faults = vec![(ms(20), Fault::Crash(member(2))), (ms(2_500), Fault::Join(Some(member(2))))];
    // Its next life has the slot after the last.
    plan.tasks
        .extend([(ms(50), member(0), To::Member(member(2))), (ms(5_000), member(0), To::Member(member(2)))]);
    plan.tasks.push((ms(5_000), member(0), To::Member(member(3))));
    let world = lived(&plan, &[]);
    let lost = [(1, Undelivered::NotAcknowledged), (2, Undelivered::NotSent)];
    assert_eq!((&told(&world, 0, 2)[..], &told(&world, 0, 3)[..]), (&lost[..], &[][..]));
    assert_eq!(received(&world, 3, 0), [1]);
}
#[test]
fn e11_join_and_leave_while_view_numbers_wrap() {
    for order in orders() {
        for loss in [0, 50_000] {
            let mut plan = group(order, 3, 6);
            (plan.first_view, plan.loss) = (65_530, loss);
            for number in 0..20 {
                plan.tasks.push((ms(100 + number * 300), member(0), To::Group));
            }
            let first = 3 + u16::from(order.sequencer);
            for number in 0..6 {
                plan.faults.push((ms(200 + 800 * u64::from(number)), Fault::Join(None)));
                plan.faults.push((ms(700 + 800 * u64::from(number)), Fault::Leave(member(first + number))));
            }
            let world = lived(&plan, &[]);
            let number = world.processes[0].view().expect("it is a member").number;
            assert!(number > 65_536, "{}: only {number}", order.title());
        }
    }
}
