//! Timeouts: a process whose peer does not answer ends in time, with an error that names the peer.

use std::time::Duration;

use rustix::process::Signal;

use super::support::short;
use crate::harness::Stage;

#[test]
fn timeout_client_without_answer_names_the_forwarder() {
    let stage = Stage::new();
    let [mut forwarder, mut router] = [stage.forwarder(2).start(), stage.router().start()];
    let many = |id: &str| {
        (0..1000).map(|number| format!("Multicast,{id},{number}{}\n", "x".repeat(5000))).collect::<String>()
    };
    let [mut c1, mut c2] = ["c1", "c2"].map(|id| {
        let commands = if id == "c1" { format!("sleep,1\n{}", many(id)) } else { "sleep,3\n".to_owned() };
        stage.client(id, commands).args(["--order", "fifo"]).start()
    });
    c2.says("start of main");
    c2.signal(Signal::STOP);
    c1.says("nothing heard from the group for");
    c2.signal(Signal::CONT);
    [&mut c1, &mut c2, &mut forwarder, &mut router].into_iter().for_each(|program| program.ends(0));
}

#[test]
fn timeout_client_without_forwarder_gives_up() {
    let stage = Stage::new();
    let mut c1 = stage.client("c1", short("c1")).args(["--timeout", "5s"]).start();
    c1.ends_saying(
        69,
        &["error: the forwarder at tcp://127.0.0.1:", "does not answer", "help: is `forwarder` running"],
    );
    let took = c1.began.elapsed();
    assert!(Duration::from_secs(5) <= took && took < Duration::from_secs(10), "{took:?}");
    let said = c1.stderr().matches("waiting for the forwarder").count();
    assert!(said >= 2, "every two seconds:\n{}", c1.stderr());
    assert!(stage.files().is_empty());
}

#[test]
fn timeout_client_sends_without_router_names_it() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(1).args(["--start-timeout", "8s"]).start();
    let mut sequencer = stage.sequencer().start();
    let mut c1 = stage.client("c1", "c1,c2,x\n").args(["--timeout", "3s"]).start();
    c1.ends_saying(
        69,
        &["waiting for a router at tcp://127.0.0.1:", "error: gave up waiting for a router", "is it running"],
    );
    for program in [&mut forwarder, &mut sequencer] {
        program.ends_saying(75, &["(c1 left: gave up waiting for a router at ", "needed by c1"]);
    }
}

#[test]
fn timeout_error_is_final() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "12s"]).start();
    let mut sequencer = stage.sequencer().start();
    let mut c1 = stage.client("c1", short("c1")).args(["--timeout", "5s"]).start();
    c1.ends_saying(75, &["(gives up in", "error: no start within 5.0 s: waited for 1 more client\n"]);
    for program in [&mut forwarder, &mut sequencer] {
        program.ends_saying(75, &["(c1 left: no start within 5.0 s: waited for 1 more client)"]);
    }
}

#[test]
fn timeout_missing_router_is_named_with_the_member_that_needs_it() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "12s"]).start();
    let mut sequencer = stage.sequencer().start();
    let [mut c1, mut c2] = [("c1", "c1,c2,x\n".to_owned()), ("c2", short("c2"))]
        .map(|(id, commands)| stage.client(id, commands).start());
    c2.says("waiting for a router, needed by c1 (gives up in");
    for program in [&mut forwarder, &mut sequencer, &mut c1, &mut c2] {
        program
            .ends_saying(75, &["error: ", "did not start within 12 s", "waiting for a router, needed by c1"]);
    }
}
