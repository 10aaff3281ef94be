//! Two forwarders: either may be killed at any time, or come late, or never, and nobody loses anything.

use std::time::Duration;

use groupcast::order::{ORDERS, Order};
use groupcast::prng::Prng;
use serde_json::Value;

use crate::harness::{Launch, Ports, Program, Stage, all_end, pause, side_by_side};
use crate::processes::support::{CLIENTS, commands, is_all_there};

/// A stage with ports for two forwarders, each with its router.
struct Pair {
    stage: Stage,
    second: Ports,
    host: &'static str,
}

impl Pair {
    fn new() -> Self {
        Self { stage: Stage::new(), second: Ports::take(), host: "127.0.0.1" }
    }

    fn connect(&self) -> String {
        format!("{0}:{1},{0}:{2}", self.host, self.stage.port(0), self.second.first())
    }

    fn program(&self, which: usize, name: &str) -> Launch<'_> {
        let launch =
            if which == 0 { self.stage.program(name) } else { self.stage.program_at(&self.second, name) };
        launch.args(["--bind", self.host])
    }

    fn forwarder(&self, which: usize) -> Program {
        self.program(which, "forwarder").args(["--clients", &CLIENTS.len().to_string()]).start()
    }

    fn router(&self, which: usize) -> Program {
        self.program(which, "router").args(["--connect", &self.connect()]).start()
    }

    fn sequencer(&self) -> Program {
        self.stage.bare("sequencer").args(["--connect", &self.connect()]).start()
    }

    fn client(&self, id: &str, commands: impl AsRef<[u8]>, order: &Order) -> Program {
        let launch = self.stage.client(id, commands).args(["--order", order.name]);
        let launch = launch.args(order.method.iter().flat_map(|method| ["--method", method]));
        launch.args(["--connect", &self.connect()]).start()
    }

    fn clients(&self, order: &Order) -> Vec<Program> {
        let client = |(place, id): (usize, &&str)| self.client(id, commands(place), order);
        CLIENTS.iter().enumerate().map(client).collect()
    }

    /// Routers and sequencer.
    fn helpers(&self) -> Vec<Program> {
        vec![self.router(0), self.router(1), self.sequencer()]
    }
}

#[test]
fn two_forwarders_every_order_runs() {
    side_by_side(ORDERS.len(), 3, |number| {
        let (pair, order) = (Pair::new(), &ORDERS[number]);
        let mut programs = vec![pair.forwarder(0), pair.forwarder(1)];
        programs.append(&mut pair.helpers());
        programs.append(&mut pair.clients(order));
        all_end(&mut programs);
        is_all_there(&pair.stage, order);
    });
}

/// A run in which `victim` is killed at some moment, from before the start until after the end.
fn kill(seed: u64, order: &Order, victim: usize) {
    let mut dice = Prng::new(seed);
    let pair = Pair::new();
    let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
    let mut others = pair.helpers();
    others.append(&mut pair.clients(order));
    pause(Duration::from_millis(dice.below(3500)));
    forwarders[victim].kill();
    all_end(&mut others);
    forwarders[1 - victim].ends(0);
    is_all_there(&pair.stage, order);
}

#[test]
fn two_forwarders_either_killed_at_any_moment_run_continues() {
    side_by_side(ORDERS.len() * 4, 4, |number| {
        kill(number as u64, &ORDERS[number / 4], number % 2);
    });
}

/// Kills around the start, and around the end, where members are told one after the other.
#[test]
fn two_forwarders_one_killed_at_start_or_end_all_members_agree() {
    side_by_side(24, 4, |number| {
        let (pair, order) = (Pair::new(), &ORDERS[number % ORDERS.len()]);
        let mut dice = Prng::new(number as u64);
        let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
        let mut others = pair.helpers();
        let short = |id: &&str| pair.client(id, format!("Multicast,{id},x\n"), order);
        others.extend(CLIENTS.iter().map(short));
        let word = if number.is_multiple_of(2) { "is here" } else { "start, all ready" };
        forwarders[0].says(word);
        pause(Duration::from_millis(dice.below(60)));
        forwarders[0].kill();
        all_end(&mut others);
        forwarders[1].ends(0);
        for id in CLIENTS {
            assert_eq!(pair.stage.lines(id, order.suffix).len(), CLIENTS.len(), "{id}, {}", order.title());
        }
    });
}

#[test]
fn two_forwarders_router_killed_run_continues() {
    side_by_side(2, 2, |victim| {
        let (pair, order) = (Pair::new(), Order::find("total", "ub").unwrap());
        let mut routers = [pair.router(0), pair.router(1)];
        let mut others = vec![pair.forwarder(0), pair.forwarder(1), pair.sequencer()];
        others.append(&mut pair.clients(order));
        others[3].says("start of main");
        pause(Duration::from_millis(500));
        routers[victim].kill();
        all_end(&mut others);
        routers[1 - victim].ends(0);
        is_all_there(&pair.stage, order);
    });
}

/// The times of deliveries in a history, in microseconds.
fn deliveries(history: &[Value]) -> Vec<u64> {
    let delivered = history.iter().filter(|event| event["event"] == "deliver");
    delivered.map(|event| event["time_us"].as_u64().unwrap()).collect()
}

#[test]
fn two_forwarders_one_killed_deliveries_do_not_pause() {
    let (pair, order) = (Pair::new(), Order::find("total", "bb").unwrap());
    let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
    let mut others = pair.helpers();
    let steady = |id: &str| {
        (0..200).map(|number| format!("Multicast,{id},{number}\nsleep,0.02\n")).collect::<String>()
    };
    others.extend(CLIENTS.iter().map(|id| pair.client(id, steady(id), order)));
    others[3].says("start of main");
    pause(Duration::from_secs(2));
    forwarders[0].kill();
    all_end(&mut others);
    forwarders[1].ends(0);
    for id in CLIENTS {
        let times = deliveries(&pair.stage.history(id));
        assert_eq!(times.len(), 200 * CLIENTS.len());
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        println!("{id}: at most {longest} µs from one delivery to the next");
        assert!(longest < 5_000_000, "{id} paused for {longest} µs");
    }
}

#[test]
fn two_forwarders_one_missing_from_the_start() {
    let cases = [(0, None), (1, None), (0, Some(1500)), (1, Some(1500)), (0, Some(300))];
    side_by_side(cases.len(), 3, |number| {
        let (missing, comes_after) = cases[number];
        let (pair, order) = (Pair::new(), Order::find("total", "bb").unwrap());
        let mut programs = vec![pair.forwarder(1 - missing)];
        programs.append(&mut pair.helpers());
        programs.append(&mut pair.clients(order));
        if let Some(after) = comes_after {
            pause(Duration::from_millis(after));
            programs.push(pair.forwarder(missing));
        }
        all_end(&mut programs);
        is_all_there(&pair.stage, order);
        if comes_after.is_none() {
            let said = programs[4].stderr();
            assert!(said.matches("does not answer; going on with").count() <= 1, "{said}");
        }
    });
}

#[test]
fn two_forwarders_one_returns_then_the_other_is_killed() {
    let (pair, order) = (Pair::new(), Order::find("causal", "bb").unwrap());
    let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
    let mut others = pair.helpers();
    let long = |id: &str| {
        (0..100).map(|number| format!("Multicast,{id},{number}\nsleep,0.05\n")).collect::<String>()
    };
    others.extend(CLIENTS.iter().map(|id| pair.client(id, long(id), order)));
    others[3].says("start of main");
    forwarders[0].kill();
    pause(Duration::from_secs(1));
    forwarders[0] = pair.forwarder(0);
    forwarders[0].says("goes on with a run that another forwarder began");
    pause(Duration::from_millis(1500));
    forwarders[1].kill();
    all_end(&mut others);
    forwarders[0].ends(0);
    for id in CLIENTS {
        assert_eq!(pair.stage.lines(id, order.suffix).len(), 100 * CLIENTS.len());
    }
}

#[test]
fn two_forwarders_listen_on_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let pair = Pair { host: "[::1]", ..Pair::new() };
    let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
    let mut others = pair.helpers();
    others.append(&mut pair.clients(&ORDERS[0]));
    others[3].says("start of main");
    forwarders[0].kill();
    all_end(&mut others);
    forwarders[1].ends(0);
    is_all_there(&pair.stage, &ORDERS[0]);
}

#[test]
fn two_forwarders_unreachable_one_is_reported_once() {
    let (pair, order) = (Pair::new(), &ORDERS[0]);
    let mut programs = vec![pair.forwarder(1), pair.router(1), pair.sequencer()];
    let long = |id: &&str| pair.client(id, format!("sleep,6\nMulticast,{id},x\n"), order);
    programs.extend(CLIENTS.iter().map(long));
    all_end(&mut programs);
    for program in &programs[1..] {
        let said = program.stderr();
        assert_eq!(said.matches("does not answer; going on with").count(), 1, "{}: {said}", program.name);
    }
}

#[test]
fn two_forwarders_both_killed_run_fails() {
    let pair = Pair::new();
    let mut forwarders = [pair.forwarder(0), pair.forwarder(1)];
    let mut others = pair.helpers();
    let long = |id: &&str| pair.client(id, "sleep,60\n", &ORDERS[0]);
    others.extend(CLIENTS.iter().map(long));
    others[3..].iter_mut().for_each(|client| client.says("start of main"));
    forwarders.iter_mut().for_each(Program::kill);
    let clients = others.split_off(3);
    for mut client in clients {
        client.ends_saying(69, &["the forwarder at tcp://127.0.0.1:", " and ", "have gone silent"]);
    }
    // A router or sequencer is asked for nothing here, and may have had no answer yet when both are killed.
    for mut helper in others {
        helper.ends_saying(69, &["the forwarder at tcp://127.0.0.1:", " and "]);
    }
}

#[test]
fn two_forwarders_same_address_twice_is_refused() {
    let stage = Stage::new();
    let client = stage.client("c1", "Multicast,c1,x\n").args(["--connect", "localhost,localhost"]);
    client.start().ends_saying(64, &["--connect names localhost:", "twice"]);
}
