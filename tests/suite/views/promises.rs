//! What must hold whatever happened to the members of a group.

use std::collections::{BTreeMap, BTreeSet};

use groupcast::engine::{MemberId, View};
use groupcast::order::Promise;

use super::world::{Event, Plan, Process, World};

type Message = (MemberId, u64);
/// Messages in the order in which they were given, with their places.
type Given = Vec<(Message, Option<u64>)>;

/// Judges a world that has come to rest: what is violated, in words.
pub(super) fn judge(plan: &Plan, world: &World) -> Result<(), String> {
    let processes = &world.processes;
    views_agree(processes)?;
    views_are_synchronous(plan, processes)?;
    nothing_twice(processes)?;
    nothing_created(processes)?;
    if plan.order.promises.contains(&Promise::Fifo) {
        senders_order(processes)?;
    }
    if plan.order.promises.contains(&Promise::Causal) {
        causes_first(processes)?;
    }
    if plan.order.promises.contains(&Promise::Total) {
        one_order(processes)?;
    }
    // Where only a majority may go on, there may be none left.
    if plan.majority && processes.iter().any(|process| process.is_in() && process.membership.is_changing()) {
        return Ok(());
    }
    if plan.safe {
        uniform(plan, processes)?;
    }
    all_arrives(processes)
}

fn check(holds: bool, story: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(story()) }
}

/// What a process was given in each view: the view, and the messages with their places.
fn by_view(process: &Process) -> Vec<(&View, Given)> {
    let mut views: Vec<(&View, Vec<_>)> = Vec::new();
    for (_, event) in &process.events {
        match event {
            Event::View(view) => views.push((view, Vec::new())),
            Event::Deliver(from, number, place) => {
                if let Some((_, given)) = views.last_mut() {
                    given.push(((*from, *number), *place));
                }
            }
            _ => {}
        }
    }
    views
}

fn given(process: &Process) -> Given {
    by_view(process).into_iter().flat_map(|(_, given)| given).collect()
}

/// The view of a number is the same wherever it is installed, and numbers rise by one.
fn views_agree(processes: &[Process]) -> Result<(), String> {
    let mut known: BTreeMap<u64, (&View, MemberId)> = BTreeMap::new();
    for process in processes {
        let mut last = None;
        for (view, _) in by_view(process) {
            let (other, whose) = *known.entry(view.number).or_insert((view, process.me));
            check(other == view, || format!("{} has {view:?}, {whose} {other:?}", process.me))?;
            check(last.is_none_or(|last| last + 1 == view.number), || {
                format!("{} skips a view", process.me)
            })?;
            check(view.members().contains(&process.me), || format!("{} is not in its own view", process.me))?;
            last = Some(view.number);
        }
    }
    Ok(())
}

/// Whoever goes from one view to the next has been given the same in the first.
fn views_are_synchronous(plan: &Plan, processes: &[Process]) -> Result<(), String> {
    let is_total = plan.order.promises.contains(&Promise::Total);
    let mut known: BTreeMap<u64, (Given, MemberId)> = BTreeMap::new();
    for process in processes.iter().filter(|process| process.me.0 < plan.clients) {
        let views = by_view(process);
        let done = views.len().saturating_sub(1);
        for (view, mut given) in views.into_iter().take(done) {
            if !is_total {
                given.sort_unstable();
            }
            let (other, whose) = known.entry(view.number).or_insert_with(|| (given.clone(), process.me));
            check(*other == given, || {
                let (ours, theirs) =
                    (given.iter().collect::<BTreeSet<_>>(), other.iter().collect::<BTreeSet<_>>());
                format!(
                    "view {}: {} was given {} and {whose} {}; only {}: {:?}, only {whose}: {:?}",
                    view.number,
                    process.me,
                    given.len(),
                    other.len(),
                    process.me,
                    ours.difference(&theirs).take(5).collect::<Vec<_>>(),
                    theirs.difference(&ours).take(5).collect::<Vec<_>>()
                )
            })?;
        }
    }
    Ok(())
}

/// Whoever is there at the end has been given what anybody ever was, the dead included; in a total order, in the same order.
pub(super) fn uniform(plan: &Plan, processes: &[Process]) -> Result<(), String> {
    let is_total = plan.order.promises.contains(&Promise::Total);
    let survivors = || processes.iter().filter(|process| process.is_in() && process.me.0 < plan.clients);
    for process in processes {
        let own = given(process);
        for survivor in survivors() {
            let theirs = given(survivor);
            let is_there = if is_total {
                theirs.starts_with(&own) || own.starts_with(&theirs)
            } else {
                own.iter().all(|message| theirs.contains(message))
            };
            let is_more = own.len() > theirs.len();
            check(is_there && !is_more, || {
                format!("{} was given {} messages that {} was not", process.me, own.len(), survivor.me)
            })?;
        }
    }
    Ok(())
}

fn nothing_twice(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        let (mut messages, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (message, place) in given(process) {
            check(messages.insert(message), || format!("{} was given {message:?} twice", process.me))?;
            let is_new = place.is_none_or(|place| places.insert(place));
            check(is_new, || format!("{} was given two messages with number {place:?}", process.me))?;
        }
    }
    Ok(())
}

fn nothing_created(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        for ((from, number), _) in given(process) {
            let sender = &processes[usize::from(from.0)].events;
            let was_sent = sender.iter().any(|(_, event)| *event == Event::Multicast(number));
            check(was_sent, || format!("{} was given {from} {number}, which was never sent", process.me))?;
        }
    }
    Ok(())
}

/// A sender's messages come in its order, without a gap.
fn senders_order(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        let mut next: BTreeMap<MemberId, u64> = BTreeMap::new();
        for ((from, number), _) in given(process) {
            let next = next.entry(from).or_insert(1);
            check(*next == number, || format!("{} was given {from} {number} for {next}", process.me))?;
            *next += 1;
        }
    }
    Ok(())
}

/// What a sender had multicast and been given before a message comes before it.
fn causes_first(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        let mut here: BTreeSet<Message> = BTreeSet::new();
        // Of each sender: how far its events are known to be here.
        let mut looked: BTreeMap<MemberId, usize> = BTreeMap::new();
        for (message, _) in given(process) {
            let (from, number) = message;
            let sender = &processes[usize::from(from.0)].events;
            let at = looked.entry(from).or_default();
            while let Some((_, event)) = sender.get(*at) {
                let cause = match event {
                    Event::Multicast(own) if *own == number => break,
                    Event::Multicast(own) => Some((from, *own)),
                    Event::Deliver(other, own, _) => Some((*other, *own)),
                    _ => None,
                };
                let is_here = cause.is_none_or(|cause| here.contains(&cause));
                check(is_here, || {
                    format!("{} was given {message:?} before its cause {cause:?}", process.me)
                })?;
                *at += 1;
            }
            here.insert(message);
        }
    }
    Ok(())
}

/// Whoever is in the group has been given the same, in the same order, numbered 1, 2, 3, …; whoever has left or died has
/// been given the same up to the view it was in last.
fn one_order(processes: &[Process]) -> Result<(), String> {
    let clients = || processes.iter().filter(|process| !given(process).is_empty());
    let Some(longest) = clients().filter(|process| process.is_in()).map(given).max_by_key(Vec::len) else {
        return Ok(());
    };
    for (place, (_, number)) in (1..).zip(&longest) {
        check(number.is_none_or(|number| number == place), || format!("number {number:?} at place {place}"))?;
    }
    for process in clients() {
        let mut views = by_view(process);
        if !process.is_in() {
            views.pop();
        }
        let own: Vec<_> = views.into_iter().flat_map(|(_, given)| given).collect();
        check(longest.starts_with(&own), || {
            let at = own.iter().zip(&longest).position(|(own, other)| own != other);
            format!("{} was given another order, from {at:?} on", process.me)
        })?;
    }
    Ok(())
}

/// Whatever one that is in the group has sent, all that are have been given; and what they sent to each other.
fn all_arrives(processes: &[Process]) -> Result<(), String> {
    let members = || processes.iter().filter(|process| process.is_in());
    let clients = || {
        members().filter(|process| {
            by_view(process).last().is_some_and(|(view, _)| view.clients.contains(&process.me))
        })
    };
    let newest = members().filter_map(|process| by_view(process).last().map(|(view, _)| view.number)).max();
    for process in members() {
        let views = by_view(process);
        let (view, _) = views.last().expect("it began with one");
        check(Some(view.number) == newest, || format!("{} is still in view {}", process.me, view.number))?;
        let lost = view.members().into_iter().find(|member| !processes[usize::from(member.0)].is_in());
        check(lost.is_none(), || format!("{lost:?} is still in the view of {}", process.me))?;
    }
    for process in clients() {
        check(!process.has_more(), || format!("{} could not send everything", process.me))?;
    }
    for receiver in clients() {
        let here: BTreeSet<Message> = given(receiver).into_iter().map(|(message, _)| message).collect();
        for sender in clients() {
            for (_, event) in &sender.events {
                if let Event::Multicast(number) = event {
                    check(here.contains(&(sender.me, *number)), || {
                        format!("{} was never given {} {number}", receiver.me, sender.me)
                    })?;
                }
            }
            directs_arrive(sender, receiver)?;
        }
    }
    Ok(())
}

fn directs_arrive(sender: &Process, receiver: &Process) -> Result<(), String> {
    let sent: Vec<u64> = sender
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Send(to, number) if *to == receiver.me => Some(*number),
            _ => None,
        })
        .collect();
    let came: Vec<u64> = receiver
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Receive(from, number) if *from == sender.me => Some(*number),
            _ => None,
        })
        .collect();
    check(sent == came, || format!("{} sent {sent:?} to {}, which got {came:?}", sender.me, receiver.me))
}
