//! Limits: each is kept, also one that is shorter than what programs wait for in between.

use std::time::{Duration, Instant};

use groupcast::group::Join;
use rustix::process::Signal;

use crate::harness::{Launch, Stage, now};

const LIMIT: Duration = Duration::from_millis(300);
/// Time that a busy machine may take to start a program and to schedule it when its deadline has come.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// The time from `began` on is at least `limit` and not much more.
fn is_kept(what: &str, began: Instant, limit: Duration) {
    let took = began.elapsed();
    assert!(took >= limit && took < limit + ALLOWANCE, "{what}: a limit of {limit:?} took {took:?}");
}

fn fails(what: &str, launch: Launch<'_>, code: i32, limit: Duration) {
    let mut program = launch.start();
    program.ends(code);
    is_kept(what, program.began, limit);
}

#[test]
fn timeout_programs_waiting_for_a_forwarder_end_in_time() {
    let stage = Stage::new();
    let port = stage.port(0).to_string();
    let members = || stage.bare("groupcast").args(["members", "--port-base", &port, "--timeout", "0.3"]);
    fails("members", members(), 69, LIMIT);
    fails("client", stage.client("c1", "").args(["--timeout", "0.3"]), 69, LIMIT);
    fails("client --join", stage.client("c1", "").args(["--timeout", "0.3", "--join"]), 69, LIMIT);
    let of_two = ["--timeout", "0.3", "--connect", "127.0.0.1:1,127.0.0.1:5"];
    fails("client of two", stage.client("c1", "").args(of_two), 69, LIMIT);
    let proxy = Stage::new();
    let listen = proxy.port(0).to_string();
    let proxy = stage.bare("groupcast").args(["proxy", "--listen", &listen, "--to", &port]);
    fails("proxy", proxy.args(["--start-timeout", "0.3"]), 75, LIMIT);
    fails("forwarder", stage.forwarder(1).args(["--start-timeout", "0.3"]), 75, LIMIT);
}

#[test]
fn timeout_programs_connected_to_a_forwarder_end_in_time() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).arg("--stay").start();
    forwarder.says("listening");
    let port = stage.port(0).to_string();
    let members = stage.bare("groupcast").args(["members", "--port-base", &port, "--timeout", "0.3"]);
    fails("members --group", members.args(["--group", "main"]), 69, LIMIT);
    let client = || stage.client("c1", "").args(["--order", "fifo", "--timeout", "0.3"]);
    fails("client", client(), 75, LIMIT);
    fails("client --join", client().arg("--join"), 75, LIMIT);
    // Nothing answers any more.
    let lost = Duration::from_secs(3);
    let mut router = stage.router().args(["--forwarder-timeout", "3s"]).start();
    let mut client = stage.client("c1", "").args(["--order", "fifo", "--forwarder-timeout", "3s"]).start();
    forwarder.says("the router is here");
    client.says("waiting for 1 more client");
    forwarder.signal(Signal::STOP);
    let stopped = now();
    for program in [&mut router, &mut client] {
        program.ends(69);
        let took = stopped.elapsed();
        // The last reply may be as old as a request is held.
        assert!(
            took + Duration::from_secs(2) > lost && took < lost + ALLOWANCE,
            "{}: {took:?}",
            program.name
        );
    }
    forwarder.signal(Signal::CONT);
}

#[test]
fn timeout_library_calls_end_in_time() {
    let stage = Stage::new();
    let join = |id: &str| Join::new(id).forwarders(&format!("127.0.0.1:{}", stage.port(0))).limit(LIMIT);
    let fails = |what: &str, join: Join| {
        let began = now();
        join.join().map(drop).unwrap_err();
        is_kept(what, began, LIMIT);
    };
    fails("join without a forwarder", join("a"));
    let _middle = [stage.forwarder(1).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(Launch::start);
    // The group starts, and a second member finds no room in it.
    let mut group = join("a").limit(Duration::from_secs(60)).join().unwrap();
    let began = now();
    while group.next(LIMIT).unwrap().is_some() {}
    is_kept("next", began, LIMIT);
    let (alone, began) = (Join::new("b").limit(LIMIT).forwarders("127.0.0.1:1"), now());
    alone.join().map(drop).unwrap_err();
    is_kept("join elsewhere", began, LIMIT);
}
