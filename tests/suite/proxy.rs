//! `groupcast proxy`: whatever happens to the connections of a run for less than ten seconds, everybody delivers
//! everything in the order that was promised; and what lasts longer ends the run with words that help.

use std::time::Duration;

use groupcast::check::judge_folder;
use groupcast::order::{ORDERS, Order};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Ports, Program, Stage, all_end, side_by_side, until};

const CLIENTS: [&str; 3] = ["c1", "c2", "c3"];
/// How many runs go on at one time: they mostly wait.
const AT_A_TIME: usize = 8;

/// Two seconds of multicasts and messages to the next client, and then `last`.
fn commands(index: usize, last: &str) -> String {
    let (id, next) = (CLIENTS[index], CLIENTS[(index + 1) % CLIENTS.len()]);
    let step = |number| format!("Multicast,{id},m{number}\n{id},{next},d{number}\nsleep,0.1\n");
    (0..20).map(step).collect::<String>() + last
}

/// Those in the middle, a proxy, and clients on the other side of it.
struct Run {
    stage: Stage,
    ports: Ports,
    middle: [Program; 3],
    proxy: Program,
    clients: Vec<Program>,
}

impl Run {
    fn start(order: &Order, faults: &[&str], last: &str) -> Self {
        let (stage, ports) = (Stage::new(), Ports::take());
        let middle = stage.middle(CLIENTS.len());
        let proxy = stage.proxy(&ports).args(faults.iter().flat_map(|fault| ["--fault", fault])).start();
        let mut clients = Vec::new();
        for (index, id) in CLIENTS.into_iter().enumerate() {
            let mut client = stage.client_at(&ports, id, commands(index, last)).args(["--order", order.name]);
            if let Some(method) = order.method {
                client = client.args(["--method", method]);
            }
            clients.push(client.start());
        }
        Self { stage, ports, middle, proxy, clients }
    }

    /// Everybody ends well, everything is valid, and each fault has acted; `what` is shown otherwise.
    fn passes(mut self, what: &str) {
        let mut programs: Vec<Program> = self.middle.into_iter().chain(self.clients).collect();
        all_end(&mut programs);
        self.proxy.ends(0);
        let judgements = judge_folder(&self.stage.out(), self.stage.dir()).unwrap();
        assert_eq!(judgements.len(), 1, "{what}");
        for (property, verdict) in judgements[0].properties() {
            assert!(verdict.is_valid(), "{what}: {property} is {}: {:?}", verdict.word(), verdict.why());
        }
        for fault in faults_of(&self.proxy) {
            assert_eq!(fault["acted"], true, "{what}: {}", self.proxy.stdout());
        }
        drop(self.ports);
    }
}

/// What the proxy says of each fault.
fn faults_of(proxy: &Program) -> Vec<Value> {
    let lines = proxy.stdout();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == "fault").collect()
}

fn title(order: &Order, fault: &str) -> String {
    format!("{}: {fault}", order.title())
}

#[test]
fn every_order_survives_whatever_happens_to_connections() {
    let faults: [&[&str]; 8] = [
        &["1s reset"],
        &["1s cut for 3s"],
        &["1s half-close up"],
        &["1s half-close down"],
        &["1s stall up for 3s"],
        &["1s stall down for 3s"],
        &["0s delay 20ms jitter 30ms"],
        &["500ms reset on out", "900ms reset on in", "1300ms reset on sync", "1700ms reset on router"],
    ];
    side_by_side(ORDERS.len() * faults.len(), AT_A_TIME, |number| {
        let (order, faults) = (&ORDERS[number / faults.len()], faults[number % faults.len()]);
        Run::start(order, faults, "").passes(&title(order, &faults.join(", ")));
    });
}
