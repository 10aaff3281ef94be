//! The members of one process in several groups: they pass the barriers of their groups at the same time, and then take
//! their turns together in one thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::config::Joining;
use super::endpoint::Endpoint;
use super::node::Node;
use crate::engine::Time;
use crate::exit::Failure;
use crate::talk::Talk;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context, Socket};

/// The interval at which a signal is looked for while the groups gather.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Joins all of these groups and returns the members, in the same order, once all groups have started. A group that has
/// started waits for the others: it keeps its member, which takes nothing in meanwhile.
///
/// The groups are joined at the same time, since they may wait for one another: in a ring of groups, each client would
/// otherwise wait for the first group of the next.
///
/// # Errors
/// The first failure of a group, or an interruption. The other groups have been left.
pub fn join(
    context: &Context,
    joinings: &[Joining],
    signals: Signals,
    talk: &Talk,
) -> Result<Vec<Node>, Failure> {
    let (joined, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let has_gathered = || joined.load(Ordering::Acquire) == joinings.len() || failed.load(Ordering::Acquire);
    let one = |joining: &Joining| -> Result<Node, Failure> {
        let member = Node::join(context, joining, None, talk).and_then(|mut node| {
            joined.fetch_add(1, Ordering::AcqRel);
            node.listen(false);
            while !has_gathered() {
                node.turn(None).inspect_err(|failure| node.leave(failure))?;
            }
            Ok(node)
        });
        member.inspect_err(|_| failed.store(true, Ordering::Release))
    };
    let mut interrupted = None;
    let results: Vec<Result<Node, Failure>> = thread::scope(|scope| {
        let threads: Vec<_> = joinings.iter().map(|joining| scope.spawn(|| one(joining))).collect();
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            zmq::wait(&[], signals.fds(), LOOK_EVERY);
            interrupted = interrupted.take().or_else(|| signals.received());
            if interrupted.is_some() || failed.load(Ordering::Acquire) {
                joinings.iter().for_each(|joining| joining.leaves.store(true, Ordering::Relaxed));
            }
        }
        threads.into_iter().map(|thread| thread.join().expect("a member does not panic")).collect()
    });
    let (mut nodes, mut failures) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(node) => nodes.push(node),
            Err(failure) => failures.push(failure),
        }
    }
    // Only the first failure is a cause: it made the others leave.
    let is_cause = |failure: &Failure| interrupted.is_some() || !is_interruption(failure);
    let cause = failures.iter().find(|failure| is_cause(failure)).or(failures.first()).cloned();
    let Some(failure) = interrupted.map(interruption).or(cause) else {
        nodes[0].sockets.signals = Some(signals);
        return Ok(nodes);
    };
    nodes.iter_mut().for_each(|node| node.leave(&failure));
    Err(failure)
}

fn is_interruption(failure: &Failure) -> bool {
    failure.exit == crate::exit::Exit::Interrupted
}

/// Moves what may interrupt the waits of these members to the first whose run is not over, or back to the first of all.
pub fn keep_interrupts<'n>(nodes: impl Iterator<Item = &'n mut Node>) {
    let mut nodes: Vec<&mut Node> = nodes.collect();
    let takes = nodes.iter().position(|node| !node.is_over()).unwrap_or_default();
    let (mut signals, mut wakeup) = (None, None);
    for node in &mut nodes {
        signals = signals.or_else(|| node.sockets.signals.take());
        wakeup = wakeup.or_else(|| node.sockets.wakeup.take());
    }
    if let Some(node) = nodes.get_mut(takes) {
        node.sockets.signals = signals;
        node.sockets.wakeup = wakeup;
    }
}

/// Runs one round of several members: waits until there is input for one of them, or until the earliest of their times
/// has come, and lets all process what has come. Each has the time of its own clock until which it may wait.
///
/// # Errors
/// The cause, if the run of one ends early. Earlier deliveries are still returned by [`Endpoint::events`].
pub fn turn(turns: &mut [(&mut Node, Option<Time>)]) -> Result<(), Failure> {
    let mut limit = super::clock::LONGEST_WAIT;
    for (node, until) in &mut *turns {
        let deadline = node.begin_turn(*until)?;
        limit = limit.min(node.sockets.begin_wait(deadline));
    }
    let has_come = {
        let sockets: Vec<&Socket> = turns.iter().flat_map(|(node, _)| node.sockets.inputs()).collect();
        let interrupts = turns.iter().flat_map(|(node, _)| node.sockets.interrupts());
        zmq::wait(&sockets, interrupts, limit)
    };
    turns.iter().try_for_each(|(node, _)| node.sockets.end_wait(has_come))?;
    turns.iter_mut().try_for_each(|(node, _)| node.process())
}
