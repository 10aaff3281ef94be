//! Limits: each is kept, also one that is shorter than a wait inside of it.

use std::time::{Duration, Instant};

use groupcast::{Builder, Bytes, Error, Group};
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
fn limits_of_library_join_and_recv_are_kept() {
    let stage = Stage::new();
    let forwarder = format!("127.0.0.1:{}", stage.port(0));
    let join = |id: &str| Group::builder(id).forwarders([&forwarder]).timeout(LIMIT);
    let fails = |what: &str, join: Builder| {
        let began = now();
        let error = join.join().map(drop).unwrap_err();
        assert!(matches!(error, Error::CannotJoin(_) | Error::TimedOut(_)), "{what}: {error:?}");
        is_kept(what, began, LIMIT);
    };
    fails("join without a forwarder", join("a"));
    let _middle = [stage.forwarder(1).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(Launch::start);
    // The group starts, and a second member finds no room in it.
    let mut group = join("a").timeout(Duration::from_secs(60)).join().unwrap();
    let began = now();
    while group.recv_timeout(LIMIT).unwrap().is_some() {}
    is_kept("recv_timeout", began, LIMIT);
    fails("join elsewhere", join("b").forwarders(["127.0.0.1:1"]));
}

/// One member receives nothing, so that the windows of the other close.
#[test]
fn limits_of_library_send_and_leave_are_kept() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let forwarder = format!("127.0.0.1:{}", stage.port(0));
    let members = ["a", "b"].map(|id| {
        let join = Group::builder(id).forwarders([&forwarder]).timeout(TIMEOUT);
        std::thread::spawn(move || join.join().unwrap())
    });
    let [a, _b] = members.map(|member| member.join().unwrap());
    let (sender, mut receiver) = a.split();
    let receiving = std::thread::spawn(move || while receiver.recv().is_ok() {});
    let payload = Bytes::from(vec![0; 100_000]);
    let (error, began) = loop {
        let began = now();
        if let Err(error) = sender.multicast(payload.clone()) {
            break (error, began);
        }
    };
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    is_kept("multicast", began, TIMEOUT);
    let began = now();
    assert_eq!(sender.try_multicast(payload).unwrap_err(), Error::Full);
    is_kept("try_multicast", began, Duration::ZERO);
    let began = now();
    let error = sender.leave().unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    is_kept("leave", began, TIMEOUT);
    receiving.join().unwrap();
}
