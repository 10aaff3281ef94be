//! Properties that hold after any faults of the members of a group.

use std::collections::{BTreeMap, BTreeSet};

use groupcast::engine::{MemberId, View};
use groupcast::member::Undelivered;
use groupcast::order::Promise;
use groupcast::sim::process::{Event, Process};
use groupcast::sim::{Fault, World};

use super::world::{Plan, is_client, is_client_in};

type Message = (MemberId, u64);
/// From one view to the next: number and members of both.
type Passage = ((u64, Vec<MemberId>), (u64, Vec<MemberId>));
/// Messages in the order in which they were given, with their places.
type Given = Vec<(Message, Option<u64>)>;

/// Judges a world that has come to rest: what is violated, in words.
pub(super) fn judge(plan: &Plan, world: &World) -> Result<(), String> {
    if let Some(breach) = &world.breach {
        return Err(breach.clone());
    }
    let processes = &world.processes[..];
    strangers_are_ignored(processes)?;
    views_agree(plan, processes)?;
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
        one_order(plan, processes)?;
    }
    // Where only a majority may go on, there may be none left.
    if somebody_is_blocked(plan, world) {
        return Ok(());
    }
    nothing_acknowledged_is_lost(processes)?;
    if plan.safe {
        uniform(plan, processes)?;
    }
    all_arrives(processes)
}

/// Whether some go on no more, because only a majority may, and they are none.
pub(super) fn somebody_is_blocked(plan: &Plan, world: &World) -> bool {
    plan.majority && world.processes.iter().any(|process| is_blocked(plan, &world.processes, process))
}

/// Whether it waits for members of its view that are needed for the next one: a majority, or somebody who can lead.
fn is_blocked(plan: &Plan, processes: &[Process], process: &Process) -> bool {
    let Some(view) = process.view() else { return false };
    let is_there = |member: &MemberId| {
        let other = &processes[usize::from(member.0)];
        other.is_in() && other.view().is_some_and(|other| other.number == view.number)
    };
    let there = view.members().iter().filter(|member| is_there(member)).count();
    let can_lead = |member: &MemberId| {
        !plan.order.sequencer || view.sequencer == Some(*member) || view.candidates.contains(member)
    };
    let leaders = view.members().into_iter().filter(|member| is_there(member) && can_lead(member)).count();
    process.is_in() && (2 * there <= view.members().len() || leaders == 0)
}

/// Whether parts of the group may have gone on on their own: then what holds, holds in each part.
pub(super) fn may_split(plan: &Plan) -> bool {
    !plan.majority
        && plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Partition(_) | Fault::Cut(..)))
}

fn check(holds: bool, story: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(story()) }
}

/// The deliveries of a process in each view: the view, and the messages with their places.
fn by_view(process: &Process) -> Vec<(&View, Given)> {
    // A process outside the group has no obligations.
    if process.is_stranger {
        return Vec::new();
    }
    let mut views: Vec<(&View, Vec<_>)> = Vec::new();
    for (_, event) in &process.history {
        match event {
            Event::View(view) => views.push((view, Vec::new())),
            Event::Deliver(from, number, place, _) => {
                if let Some((_, given)) = views.last_mut() {
                    given.push(((*from, *number), *place));
                }
            }
            _ => {}
        }
    }
    views
}

fn members(view: &View) -> (u64, Vec<MemberId>) {
    (view.number, view.members())
}

fn given(process: &Process) -> Given {
    by_view(process).into_iter().flat_map(|(_, given)| given).collect()
}

/// Messages from outside the group are never delivered, and no view contains an outsider.
fn strangers_are_ignored(processes: &[Process]) -> Result<(), String> {
    let is_stranger = |member: MemberId| processes[usize::from(member.0)].is_stranger;
    for process in processes.iter().filter(|process| !process.is_stranger) {
        for (_, event) in &process.history {
            let stranger = match event {
                Event::Deliver(from, ..) | Event::Receive(from, ..) => {
                    Some(*from).filter(|&one| is_stranger(one))
                }
                Event::View(view) => view.members().into_iter().find(|&member| is_stranger(member)),
                _ => None,
            };
            check(stranger.is_none(), || format!("{} has {event:?}, of a stranger", process.me))?;
        }
    }
    Ok(())
}

/// A message that its sender and one survivor delivered, all survivors deliver, with any fate of the sender.
fn nothing_acknowledged_is_lost(processes: &[Process]) -> Result<(), String> {
    let messages =
        |process| given(process).into_iter().map(|(message, _)| message).collect::<BTreeSet<Message>>();
    let here: Vec<(MemberId, BTreeSet<Message>)> = processes
        .iter()
        .filter(|process| is_client_in(process) && !process.is_late)
        .map(|process| (process.me, messages(process)))
        .collect();
    for sender in processes {
        for message in messages(sender).into_iter().filter(|message| message.0 == sender.me) {
            let Some((has, _)) = here.iter().find(|(_, given)| given.contains(&message)) else { continue };
            if let Some((lacks, _)) = here.iter().find(|(_, given)| !given.contains(&message)) {
                return Err(format!("{has} was given {message:?}, as its sender was, and {lacks} never was"));
            }
        }
    }
    Ok(())
}

/// The view of a number is the same wherever it is installed, and numbers rise by one.
fn views_agree(plan: &Plan, processes: &[Process]) -> Result<(), String> {
    let mut known: BTreeMap<u64, (&View, MemberId)> = BTreeMap::new();
    for process in processes {
        let mut last = None;
        for (view, _) in by_view(process) {
            let (other, whose) = *known.entry(view.number).or_insert((view, process.me));
            check(other == view || may_split(plan), || {
                format!("{} has {view:?}, {whose} {other:?}", process.me)
            })?;
            check(last.is_none_or(|last| last + 1 == view.number), || {
                format!("{} skips a view", process.me)
            })?;
            check(view.members().contains(&process.me), || format!("{} is not in its own view", process.me))?;
            last = Some(view.number);
        }
    }
    Ok(())
}

/// View synchrony: members that install two views in sequence deliver the same messages in the first.
fn views_are_synchronous(plan: &Plan, processes: &[Process]) -> Result<(), String> {
    let is_total = plan.order.promises.contains(&Promise::Total);
    let mut known: BTreeMap<Passage, (Given, MemberId)> = BTreeMap::new();
    for process in processes.iter().filter(|process| is_client(process)) {
        let views = by_view(process);
        let next: Vec<View> = views.iter().skip(1).map(|(view, _)| (*view).clone()).collect();
        for ((view, mut given), next) in views.into_iter().zip(next) {
            if !is_total {
                given.sort_unstable();
            }
            let passage = (members(view), members(&next));
            let (other, whose) = known.entry(passage).or_insert_with(|| (given.clone(), process.me));
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

/// Members present at the end have delivered all that any member delivered, the dead included; in a total order, in
/// the same order.
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
                own.iter().all(|(message, _)| theirs.iter().any(|(other, _)| other == message))
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

/// Every delivery is of a message that its sender multicast, with its text.
fn nothing_created(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        for (_, event) in &process.history {
            let Event::Deliver(from, number, _, text) = event else { continue };
            let sent = processes[usize::from(from.0)].history.iter().find_map(|(_, event)| match event {
                Event::Multicast(own, text) if own == number => Some(text),
                _ => None,
            });
            let story =
                || format!("{} was given {from} {number}: {text:?}, its sender sent {sent:?}", process.me);
            check(sent == Some(text), story)?;
        }
    }
    Ok(())
}

/// A sender's messages come in its order, without a gap.
fn senders_order(processes: &[Process]) -> Result<(), String> {
    for process in processes {
        let mut next: BTreeMap<MemberId, u64> = BTreeMap::new();
        for ((from, number), _) in given(process) {
            // A newcomer does not deliver earlier messages.
            let next = next.entry(from).or_insert(if process.is_late { number } else { 1 });
            check(*next == number, || format!("{} was given {from} {number} for {next}", process.me))?;
            *next += 1;
        }
    }
    Ok(())
}

/// The messages that a sender had multicast and delivered before a message come before it.
fn causes_first(processes: &[Process]) -> Result<(), String> {
    // Of what came before it, a newcomer was given nothing.
    for process in processes.iter().filter(|process| !process.is_late) {
        let mut here: BTreeSet<Message> = BTreeSet::new();
        // Of each sender: how far its events are known to be here.
        let mut looked: BTreeMap<MemberId, usize> = BTreeMap::new();
        for (message, _) in given(process) {
            let (from, number) = message;
            let sender = &processes[usize::from(from.0)].history;
            let at = looked.entry(from).or_default();
            while let Some((_, event)) = sender.get(*at) {
                let cause = match event {
                    Event::Multicast(own, _) if *own == number => break,
                    Event::Multicast(own, _) => Some((from, *own)),
                    Event::Deliver(other, own, ..) => Some((*other, *own)),
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

/// Members of the group have delivered the same, in the same order, numbered 1, 2, 3, …; a member that left or died has
/// been given the same up to the view it was in last.
fn one_order(plan: &Plan, processes: &[Process]) -> Result<(), String> {
    let all = || processes.iter().filter(|process| !given(process).is_empty());
    let clients = || all().filter(|process| !process.is_late);
    let going_on = clients().filter(|process| process.is_in());
    let Some(leading) = going_on.max_by_key(|process| given(process).len()) else { return Ok(()) };
    let (longest, history) = (given(leading), by_view(leading));
    for (place, (_, number)) in (1..).zip(&longest) {
        check(number.is_none_or(|number| number == place), || format!("number {number:?} at place {place}"))?;
    }
    for process in clients() {
        let mut views = by_view(process);
        if !process.is_in() {
            // Of what it was given in its last view others may never hear; nor of what a part has that was left behind.
            views.pop();
            let together = views.iter().zip(&history).take_while(|((own, _), (other, _))| own == other);
            let together = together.count();
            views.truncate(if may_split(plan) { together.saturating_sub(1) } else { views.len() });
        }
        let own: Vec<_> = views.into_iter().flat_map(|(_, given)| given).collect();
        check(longest.starts_with(&own), || {
            let at = own.iter().zip(&longest).position(|(own, other)| own != other);
            format!("{} was given another order, from {at:?} on", process.me)
        })?;
    }
    for process in all().filter(|process| process.is_late && process.is_in()) {
        let own = given(process);
        let begin = longest.iter().position(|given| *given == own[0]).unwrap_or(longest.len());
        check(longest[begin..].starts_with(&own), || {
            format!("{}, which came later, was given another order", process.me)
        })?;
    }
    Ok(())
}

/// Every message sent by a member of the group has been delivered by all of them; direct messages by their receivers.
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
        check(!process.has_tasks(), || format!("{} could not send everything", process.me))?;
    }
    for process in
        processes.iter().filter(|process| process.membership().is_none() && process.ended.is_none())
    {
        check(members().next().is_none(), || format!("{} was never taken in", process.me))?;
    }
    for late in clients().filter(|process| process.is_late) {
        has_all_from_its_first_view_on(late, clients())?;
    }
    for sender in clients() {
        processes.iter().try_for_each(|receiver| directs_are_accounted_for(sender, receiver))?;
    }
    for receiver in clients().filter(|process| !process.is_late) {
        let here: BTreeSet<Message> = given(receiver).into_iter().map(|(message, _)| message).collect();
        for sender in clients() {
            for (_, event) in &sender.history {
                if let Event::Multicast(number, _) = event {
                    check(here.contains(&(sender.me, *number)), || {
                        format!("{} was never given {} {number}", receiver.me, sender.me)
                    })?;
                }
            }
            if !sender.is_late {
                directs_arrive(sender, receiver)?;
            }
        }
    }
    Ok(())
}

/// A newcomer has delivered the same as the others, from its first view on.
fn has_all_from_its_first_view_on<'w>(
    late: &Process,
    others: impl Iterator<Item = &'w Process>,
) -> Result<(), String> {
    let first = by_view(late).first().map_or(0, |(view, _)| view.number);
    let own: BTreeSet<Message> = given(late).into_iter().map(|(message, _)| message).collect();
    for other in others {
        let since = by_view(other).into_iter().filter(|(view, _)| view.number >= first);
        let lacks = since.flat_map(|(_, given)| given).find(|(message, _)| !own.contains(message));
        check(lacks.is_none(), || format!("{} came in view {first} and was never given {lacks:?}", late.me))?;
    }
    Ok(())
}

/// Each message of a member that goes on to another is received, or its sender is told that it is undeliverable; both only if
/// the sender was told that it may have been received.
fn directs_are_accounted_for(sender: &Process, receiver: &Process) -> Result<(), String> {
    let to_it = |wanted: MemberId| wanted == receiver.me;
    let mut told: BTreeMap<u64, Undelivered> = BTreeMap::new();
    for (_, event) in &sender.history {
        if let Event::Undeliverable(to, number, reason) = event
            && to_it(*to)
        {
            let again = told.insert(*number, *reason);
            check(again.is_none(), || format!("{} was told twice of {number} to {to}", sender.me))?;
        }
    }
    check(told.is_empty() || !receiver.is_in(), || {
        format!("{} was told that {told:?} to {} are undeliverable, which is there", sender.me, receiver.me)
    })?;
    for (_, event) in &sender.history {
        let Event::Send(to, number, _) = event else { continue };
        if !to_it(*to) {
            continue;
        }
        let came = |event: &Event| matches!(event, Event::Receive(from, own, _) if (*from, own) == (sender.me, number));
        let is_received = receiver.history.iter().any(|(_, event)| came(event));
        let reason = told.remove(number);
        let is_good = match reason {
            None => is_received,
            Some(Undelivered::NotSent) => !is_received,
            Some(Undelivered::NotAcknowledged) => true,
        };
        check(is_good, || {
            format!("{} sent {number} to {to}: received: {is_received}, undeliverable: {reason:?}", sender.me)
        })?;
    }
    check(told.is_empty(), || format!("{} was told of {told:?} to {}, never sent", sender.me, receiver.me))
}

fn directs_arrive(sender: &Process, receiver: &Process) -> Result<(), String> {
    let sent: Vec<u64> = sender
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Send(to, number, _) if *to == receiver.me => Some(*number),
            _ => None,
        })
        .collect();
    let came: Vec<u64> = receiver
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Receive(from, number, _) if *from == sender.me => Some(*number),
            _ => None,
        })
        .collect();
    check(sent == came, || format!("{} sent {sent:?} to {}, which got {came:?}", sender.me, receiver.me))
}
