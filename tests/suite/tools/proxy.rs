//! `groupcast proxy`: after faults of connections that last less than ten seconds, all members deliver everything in the
//! promised order; a longer fault ends the run with an error that helps.

use groupcast::check::judge_folder;
use groupcast::order::{ORDERS, Order};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Ports, Program, Stage, all_end, side_by_side};

const CLIENTS: [&str; 3] = ["c1", "c2", "c3"];
/// How many runs go on at one time: they mostly wait.
const AT_A_TIME: usize = 8;

/// Two seconds of multicasts and messages to the next client, and then `last`. Before that so much time that the run
/// has begun, also on a busy machine, when the first fault comes after four seconds: who has not begun is not waited for.
fn commands(index: usize, last: &str) -> String {
    let (id, next) = (CLIENTS[index], CLIENTS[(index + 1) % CLIENTS.len()]);
    let step = |number| format!("Multicast,{id},m{number}\n{id},{next},d{number}\nsleep,0.1\n");
    let steps: String = (0..20).map(step).collect();
    format!("sleep,3\n{steps}{last}")
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

/// The proxy's report of each fault.
fn faults_of(proxy: &Program) -> Vec<Value> {
    let lines = proxy.stdout();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == "fault").collect()
}

fn title(order: &Order, fault: &str) -> String {
    format!("{}: {fault}", order.title())
}

#[test]
fn proxy_every_order_survives_connection_faults() {
    let faults: [&[&str]; 8] = [
        &["4s reset"],
        &["4s cut for 3s"],
        &["4s half-close up"],
        &["4s half-close down"],
        &["4s stall up for 3s"],
        &["4s stall down for 3s"],
        &["0s delay 20ms jitter 30ms"],
        &["3.5s reset on out", "3.9s reset on in", "4.3s reset on sync", "4.7s reset on router"],
    ];
    side_by_side(ORDERS.len() * faults.len(), AT_A_TIME, |number| {
        let (order, faults) = (&ORDERS[number / faults.len()], faults[number % faults.len()]);
        Run::start(order, faults, "").passes(&title(order, &faults.join(", ")));
    });
}

fn total() -> &'static Order {
    &ORDERS[ORDERS.iter().position(|order| order.name == "total").unwrap()]
}

/// The last bytes of clients before the connection breaks are lost, and nothing comes after them.
#[test]
fn proxy_last_message_lost_is_resent() {
    let last = |port| [format!("4s stall up on {port} for 6s"), format!("9s reset on {port}")];
    let (multicasts, directs) = (last("in"), last("router"));
    side_by_side(ORDERS.len(), AT_A_TIME, |number| {
        let faults: Vec<&str> = multicasts.iter().chain(&directs).map(String::as_str).collect();
        Run::start(&ORDERS[number], &faults, "").passes(&title(&ORDERS[number], "last"));
    });
}

/// One end believes that it is connected, or none of both hears that the connection is no more.
#[test]
fn proxy_half_open_connection_is_detected() {
    let faults = [
        "4s stall on in connection 1",
        "4s stall up on in connection 1",
        "4s stall down on out connection 1",
        "4s stall up on out connection 1",
        "4s stall on router connection 1",
        "4s stall down on router connection 1",
        "4s stall on sync connection 1",
        "4s stall up on sync connection 1",
        "4s stall down on sync connection 1",
        // Before the handshake.
        "0s stall on in connection 1",
        "0s stall up on out connection 1",
        "0s stall down on router connection 1",
        "0s stall on sync connection 1",
    ];
    side_by_side(faults.len(), faults.len(), |number| {
        // The run must not be over before anybody can notice.
        Run::start(total(), &[faults[number]], "sleep,10\n").passes(faults[number]);
    });
}

/// Bytes of a member's old connection reach the router after its new one: no member ends.
#[test]
fn proxy_late_bytes_of_old_connection_are_harmless() {
    let faults =
        ["3.5s stall up on router connection 1 for 4s", "4.5s half-close down on router connection 1"];
    Run::start(total(), &faults, "sleep,7\n").passes("late");
}

/// Before the start a seat is kept for two seconds only. A member that returns later gets another one.
#[test]
fn proxy_cut_before_the_start_is_survived() {
    let (stage, ports) = (Stage::new(), Ports::take());
    let mut programs: Vec<Program> = stage.middle(CLIENTS.len()).into();
    let mut proxy = stage.proxy(&ports).args(["--fault", "1s cut for 5s"]).start();
    let start = |index: usize| stage.client_at(&ports, CLIENTS[index], commands(index, "")).start();
    programs.extend([start(0), start(1)]);
    proxy.says("now: 1s cut for 5s");
    programs.push(start(2));
    all_end(&mut programs);
    proxy.ends(0);
    let judgements = judge_folder(&stage.out(), stage.dir()).unwrap();
    assert!(judgements[0].properties().all(|(_, verdict)| verdict.is_valid()), "{}", judgements[0].lines());
}

#[test]
fn proxy_cut_shorter_than_the_timeout_is_survived() {
    Run::start(total(), &["4s cut for 8s"], "").passes("8 s");
}

#[test]
fn proxy_cut_longer_than_the_timeout_ends_the_run() {
    let mut run = Run::start(total(), &["4s cut for 15s"], "");
    for client in &mut run.clients {
        client.ends_saying(69, &["error: the forwarder at tcp://127.0.0.1:", "has gone silent", "help: "]);
    }
    for program in &mut run.middle {
        program.ends_saying(69, &["error: ", " lost"]);
    }
    run.proxy.ends(0);
    assert!(faults_of(&run.proxy)[0]["refused"].as_u64().unwrap() > 0);
}

/// The sync port answers all the while, and in an order without a sequencer nobody but the clients publishes.
#[test]
fn proxy_data_ports_alone_stalled_ends_the_clients_and_names_the_ports() {
    let fifo = ORDERS.iter().find(|order| order.name == "fifo").unwrap();
    let faults = ["4s stall on in for 90s", "4s stall on out for 90s"];
    side_by_side(faults.len(), faults.len(), |number| {
        let mut run = Run::start(fifo, &[faults[number]], "sleep,60\n");
        for client in &mut run.clients {
            client.ends_saying(69, &["error: nothing has come from port ", "although port ", "help: "]);
        }
    });
}

/// The only packets that its member hears are its own probes.
#[test]
fn timeout_of_data_ports_does_not_end_an_idle_group_of_one() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let client = stage.client("c1", "Multicast,c1,x\nsleep,20\nMulticast,c1,y\n");
    programs.push(client.args(["--order", "fifo", "--forwarder-timeout", "3s"]).start());
    all_end(&mut programs);
}

#[test]
fn proxy_every_order_survives_seeded_faults() {
    side_by_side(ORDERS.len(), AT_A_TIME, |number| {
        let (stage, ports) = (Stage::new(), Ports::take());
        let mut programs: Vec<Program> = stage.middle(CLIENTS.len()).into();
        let seed = number.to_string();
        let mut proxy = stage.proxy(&ports).args(["--random", "120/min", "--seed", &seed]).start();
        for (index, id) in CLIENTS.into_iter().enumerate() {
            let order = ORDERS[number].method.map(|method| ["--method", method]);
            let client =
                stage.client_at(&ports, id, commands(index, "")).args(["--order", ORDERS[number].name]);
            programs.push(client.args(order.into_iter().flatten()).start());
        }
        all_end(&mut programs);
        proxy.ends(0);
        let judgements = judge_folder(&stage.out(), stage.dir()).unwrap();
        let all_valid = judgements[0].properties().all(|(_, verdict)| verdict.is_valid());
        assert!(all_valid, "seed {seed}: {}", judgements[0].lines());
    });
}

#[test]
fn proxy_unused_fault_is_reported_also_after_a_signal() {
    let (stage, ports) = (Stage::new(), Ports::take());
    let (listen, to) = (ports.first(), stage.port(0));
    let arguments = ["proxy", "--listen", &listen.to_string(), "--to", &to.to_string()];
    let mut proxy = stage.bare("groupcast").args(arguments).args(["--fault", "1h reset on out"]).start();
    proxy.says("listening");
    proxy.signal(Signal::INT);
    proxy.ends_saying(130, &["interrupted"]);
    let table = proxy.stdout();
    assert!(table.contains("reset on out") && table.contains("never acted"), "{table}");
}

#[test]
fn proxy_invalid_script_starts_nothing() {
    let (stage, ports) = (Stage::new(), Ports::take());
    stage.file("faults.txt", "# a bad night\n1s cut for 2s\n2s rezet on out\n");
    let (_, said) = stage.proxy(&ports).args(["--script", "faults.txt"]).ends(65);
    assert!(said.contains("faults.txt:3:4: unknown fault `rezet`"), "{said}");
    assert!(
        said.contains("3 | 2s rezet on out\n  |    ^^^^^") && said.contains("did you mean `reset`?"),
        "{said}"
    );
    let (_, said) = stage.proxy(&ports).args(["--fault", "1s cut up"]).ends(64);
    assert!(said.contains("--fault:1:8: cut is about whole connections"), "{said}");
    stage.proxy(&ports).args(["--script", "none.txt"]).ends(66);
}

#[test]
fn proxy_timeout_without_connections_gives_up() {
    let (stage, ports) = (Stage::new(), Ports::take());
    let (_, said) = stage.proxy(&ports).args(["--start-timeout", "300ms"]).ends(75);
    assert!(said.contains("nobody connected within 300 ms"), "{said}");
}
