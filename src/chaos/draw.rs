//! Draws a scenario from a seed: the clients, their commands and the faults.

use std::fmt::Write as _;
use std::time::Duration;

use crate::fault::link::{self, Direction, IN, Kind, OUT, ROUTER, SYNC};
use crate::fault::process::{self, Act};
use crate::fault::{Fault, table};
use crate::order::{ORDERS, Order};
use crate::prng::Prng;

/// The most time of silence in a run, in milliseconds, summed over all members and links: a member that is silent for
/// ten seconds is excluded, and several silences may follow one another, each with the time to connect again.
const SILENCE: u64 = 4000;
/// The shortest and the longest time for which clients work, in milliseconds.
const WORK: (u64, u64) = (1500, 3500);
/// The most faults of a run.
const FAULTS: u64 = 6;

/// All kinds of faults that are drawn.
pub(super) const KINDS: [&str; 12] = [
    "cut",
    "reset",
    "half-close",
    "stall",
    "delay",
    "bandwidth",
    "loss",
    "duplicate",
    "reorder",
    "restart",
    "pause",
    "starve",
];

/// The run of a seed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Drawn {
    /// The title of the order with its method.
    pub(super) title: String,
    /// The scenario file.
    pub(super) scenario: String,
    /// The name and the text of each client's command file.
    pub(super) commands: Vec<(String, String)>,
}

/// Returns the kinds of faults that are drawn; with keys, packets are encrypted, and faults of single packets cannot act.
fn kinds(keys: bool) -> Vec<&'static str> {
    let is_about_packets = |kind: &&str| matches!(*kind, "loss" | "duplicate" | "reorder");
    KINDS.into_iter().filter(|kind| !keys || !is_about_packets(kind)).collect()
}

/// Draws the run of `seed`, for processes with or without keys.
pub(super) fn draw(seed: u64, keys: bool) -> Drawn {
    let mut prng = Prng::new(seed);
    let order = &ORDERS[prng.below(ORDERS.len() as u64) as usize];
    let work = prng.between(WORK.0, WORK.1);
    let clients: Vec<String> = (1..=prng.between(2, 5)).map(|number| format!("c{number}")).collect();
    let mut chances = prng.fork();
    let commands = |id: &String| (format!("{id}.txt"), commands(&mut chances, id, &clients, work));
    let commands = clients.iter().map(commands).collect();
    let scenario = scenario(&mut prng, seed, order, &clients, work, &kinds(keys));
    Drawn { title: order.title(), scenario, commands }
}

/// Draws the commands of a client: bursts of multicasts and direct messages, over about `work` milliseconds.
fn commands(prng: &mut Prng, id: &str, clients: &[String], work: u64) -> String {
    let mut text = String::new();
    let bursts = prng.between(10, 60);
    let mut number = 0;
    for _ in 0..bursts {
        for _ in 0..prng.between(1, 5) {
            number += 1;
            let to = &clients[prng.below(clients.len() as u64) as usize];
            let is_direct = to != id && prng.chance(200_000);
            let filling = if prng.chance(30_000) {
                "x".repeat(prng.between(100, 20_000) as usize)
            } else {
                String::new()
            };
            let _ = match is_direct {
                true => writeln!(text, "{id},{to},direct {number} {filling}"),
                false => writeln!(text, "Multicast,{id},message {number} {filling}"),
            };
        }
        let _ = writeln!(text, "sleep,{}", seconds(prng.between(0, 2 * work / bursts)));
    }
    text
}

fn scenario(
    prng: &mut Prng,
    seed: u64,
    order: &Order,
    clients: &[String],
    work: u64,
    kinds: &[&'static str],
) -> String {
    let mut text = format!("# Seed {seed}\ncommands = \".\"\norder = \"{}\"\n", order.name);
    if let Some(method) = order.method {
        let _ = writeln!(text, "method = \"{method}\"");
    }
    let _ = writeln!(text, "timeout = \"30s\"\nseed = {seed}");
    let mut left = SILENCE;
    for _ in 0..prng.between(1, FAULTS) {
        let kind = kinds[prng.below(kinds.len() as u64) as usize];
        let (at, lasts) = (prng.between(100, work * 4 / 5), prng.between(50, 2000));
        let is_silent = matches!(kind, "cut" | "stall" | "restart" | "pause");
        let lasts = if is_silent { lasts.min(left) } else { lasts };
        if lasts == 0 {
            continue;
        }
        left -= if is_silent { lasts } else { 0 };
        let (at, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
        let act = match kind {
            "restart" => Some(Act::Restart { process: server(prng), pause: lasts }),
            "pause" => Some(Act::Pause { process: any_process(prng, order, clients), lasts }),
            "starve" => Some(Act::Starve { threads: prng.between(2, 8) as u16, lasts }),
            _ => None,
        };
        let fault = match act {
            Some(act) => Fault::Process(process::Fault { after: at, act }),
            None => Fault::Link(link(prng, kind, at, lasts)),
        };
        text += "\n";
        text += &table::text(&fault);
    }
    text
}

fn server(prng: &mut Prng) -> String {
    if prng.chance(500_000) { "forwarder" } else { "router" }.to_owned()
}

fn any_process(prng: &mut Prng, order: &Order, clients: &[String]) -> String {
    let mut processes: Vec<&str> = clients.iter().map(String::as_str).collect();
    processes.extend(["forwarder", "router"]);
    processes.extend(order.sequencer.then_some("sequencer"));
    processes[prng.below(processes.len() as u64) as usize].to_owned()
}

fn link(prng: &mut Prng, kind: &str, at: Duration, lasts: Duration) -> link::Fault {
    let kind = Kind::draw(kind, prng, 2000);
    let ports: &[usize] = if kind.is_about_packets() { &[IN, OUT, ROUTER] } else { &[IN, OUT, ROUTER, SYNC] };
    let port = ports[prng.below(ports.len() as u64) as usize];
    let port = prng.chance(500_000).then_some(port);
    let directions: &[Direction] = match (kind, port) {
        (Kind::Cut | Kind::Reset, _) => &[Direction::Both],
        // Almost no bytes go the other way there.
        (_, Some(IN)) => &[Direction::Up],
        (_, Some(OUT)) => &[Direction::Down],
        (Kind::HalfClose, _) => &[Direction::Up, Direction::Down],
        _ => &[Direction::Both, Direction::Up, Direction::Down],
    };
    let direction = directions[prng.below(directions.len() as u64) as usize];
    // A fault that silences no member may last to the end of the run.
    let stays = (kind.is_about_packets() || matches!(kind, Kind::Delay { .. })) && prng.chance(500_000);
    let lasts = (!stays && kind.lasts()).then_some(lasts);
    link::Fault { at, direction, port, lasts, ..link::Fault::of_all_packets(kind) }
}

/// Formats a time as command files have it.
fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::objection;
    use crate::script::Script;

    #[test]
    fn a_seed_draws_the_same_again_and_another_something_else() {
        assert_eq!(draw(7, false), draw(7, false));
        assert_ne!(draw(7, false), draw(8, false));
    }

    #[test]
    fn whatever_is_drawn_can_be_run() {
        let mut kinds = KINDS.to_vec();
        for seed in 1..=300 {
            let with_keys = draw(seed, true).scenario;
            assert!(
                objection(&with_keys).is_none() && !with_keys.contains("loss ="),
                "seed {seed}:\n{with_keys}"
            );
            let Drawn { scenario, commands, .. } = draw(seed, false);
            assert!(objection(&scenario).is_none(), "seed {seed}:\n{scenario}");
            for (name, text) in commands {
                let id = name.trim_end_matches(".txt");
                assert!(Script::parse(&name, text.into(), id).is_ok(), "seed {seed}: {name}");
            }
            kinds.retain(|kind| {
                !scenario.contains(&format!(" {kind}")) && !scenario.contains(&format!("{kind} ="))
            });
        }
        // A pause is a signal to stop.
        assert_eq!(kinds, ["pause"]);
    }
}
