//! The operations of the simulated clients and their times, drawn from the seed.

use std::time::Duration;

use crate::engine::{MemberId, Time, To};
use crate::prng::Prng;

/// The longest duration of the workload for each message of a member; drawn, so some runs are one burst.
const GAP: Duration = Duration::from_millis(10);
/// The longest time from the last task to the healing of the network: losses at the very end must be noticed, too.
const HEAL_AFTER: Duration = Duration::from_millis(500);
/// The most messages that are submitted as one batch.
const MAX_BATCH: u64 = 8;
/// The share of multicasts that are batches of several messages, in parts per million.
const BATCHED: u32 = 200_000;
/// The longest padding of a text, in bytes.
const MAX_PADDING: u64 = 64;
/// The interval of a client's multicasts in a steady workload, in microseconds.
const STEADY_GAP: u64 = 10_000;
/// The length of their texts, in bytes.
const STEADY_TEXT: usize = 64;

/// One submission: as many messages as there are paddings.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its time.
    pub at: Time,
    /// The client.
    pub client: MemberId,
    /// The destination.
    pub to: To,
    /// The number of padding bytes of each text, after the part that makes it unique.
    pub paddings: Vec<usize>,
}

impl Task {
    /// Returns the submission of one message.
    #[must_use]
    pub fn single(at: Time, client: MemberId, to: To) -> Self {
        Self { at, client, to, paddings: vec![0] }
    }
}

/// All operations of the clients in a run.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) tasks: Vec<Task>,
    /// The time at which the network heals: from the middle of the workload on.
    pub(super) heal_at: Time,
}

impl Workload {
    /// Draws `messages` multicasts of each of these clients, and some direct messages.
    pub(super) fn draw(prng: &mut Prng, clients: &[MemberId], messages: u64) -> Self {
        let span = prng.below(GAP.as_micros() as u64 * messages + 1);
        let mut tasks = Vec::new();
        for &client in clients {
            multicasts(prng, client, messages, span, &mut tasks);
            if clients.len() > 1 && messages > 0 {
                directs(prng, client, clients, messages, span, &mut tasks);
            }
        }
        let heal_at = Time::from_micros(prng.between(span / 2, span + HEAL_AFTER.as_micros() as u64));
        Self { tasks, heal_at }
    }

    /// Schedules `messages` multicasts of each of these clients, one at a time at a steady pace, and nothing else: the
    /// measurement is of the order, not of the workload. Only the phases of the clients are drawn.
    pub(super) fn steady(prng: &mut Prng, clients: &[MemberId], messages: u64) -> Self {
        let mut tasks = Vec::new();
        for &client in clients {
            let phase = prng.below(STEADY_GAP);
            for number in 0..messages {
                let at = Time::from_micros(phase + number * STEADY_GAP);
                let padding = STEADY_TEXT.saturating_sub(text(client, To::Group, number + 1, 0).len());
                tasks.push(Task { at, client, to: To::Group, paddings: vec![padding] });
            }
        }
        Self { tasks, heal_at: Time::from_micros(STEADY_GAP * messages) }
    }
}

/// Returns a text that no other message of the run has.
#[must_use]
pub fn text(from: MemberId, to: To, number: u64, padding: usize) -> String {
    format!("{from}>{to} {number} {}", ".".repeat(padding))
}

fn multicasts(prng: &mut Prng, client: MemberId, messages: u64, span: u64, tasks: &mut Vec<Task>) {
    let mut left = messages;
    while left > 0 {
        let wanted = if prng.chance(BATCHED) { prng.between(2, MAX_BATCH) } else { 1 };
        let count = wanted.min(left);
        left -= count;
        tasks.push(task(prng, client, To::Group, count, span));
    }
}

fn directs(
    prng: &mut Prng,
    client: MemberId,
    clients: &[MemberId],
    messages: u64,
    span: u64,
    tasks: &mut Vec<Task>,
) {
    let others: Vec<MemberId> = clients.iter().copied().filter(|&other| other != client).collect();
    for _ in 0..prng.between(1, messages / 4 + 1) {
        let to = others[prng.below(others.len() as u64) as usize];
        let count = prng.between(1, 2);
        tasks.push(task(prng, client, To::Member(to), count, span));
    }
}

fn task(prng: &mut Prng, client: MemberId, to: To, count: u64, span: u64) -> Task {
    let at = Time::from_micros(prng.below(span + 1));
    let paddings = (0..count).map(|_| prng.below(MAX_PADDING + 1) as usize).collect();
    Task { at, client, to, paddings }
}
