//! Programs with `--stay` serve run after run.

use rustix::process::Signal;

use super::support::{has_delivered, long, short};
use crate::harness::{Stage, all_end, side_by_side};

#[test]
fn stay_programs_serve_run_after_run() {
    let stage = Stage::new();
    let [mut forwarder, mut router] =
        [stage.forwarder(2), stage.router()].map(|launch| launch.arg("--stay").start());
    let mut sequencer = stage.sequencer().start();
    for _ in 0..8 {
        let mut clients = ["c1", "c2"].map(|id| {
            let other = if id == "c1" { "c2" } else { "c1" };
            stage.client(id, format!("{id},{other},x\nMulticast,{id},1\n")).arg("--force").start()
        });
        all_end(&mut clients);
        assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
        assert_eq!(stage.lines("c1", "uno"), ["c2###x"]);
        assert_eq!(stage.lines("c2", "uno"), ["c1###x"]);
    }
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        assert!(program.is_running(), "{} has left:\n{}", program.name, program.stderr());
    }
    forwarder.signal(Signal::TERM);
    forwarder.ends(0);
    sequencer.ends_saying(69, &["the forwarder was terminated"]);
    assert!(router.is_running());
    router.signal(Signal::INT);
    router.ends(0);
}

/// The next run may begin while some of the last one still say goodbye.
#[test]
fn stay_client_may_return_at_once() {
    let stage = Stage::new();
    let _middle = [stage.forwarder(2).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(crate::harness::Launch::start);
    let again = |id: &'static str| {
        for run in 0..10 {
            stage.client(id, short(id)).out(format!("out-{run}")).ends(0);
        }
    };
    side_by_side(2, 2, |number| again(["c1", "c2"][number]));
}

#[test]
fn stay_failed_run_does_not_prevent_the_next() {
    let stage = Stage::new();
    let _middle = [stage.forwarder(2).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(crate::harness::Launch::start);
    let [mut c1, mut c2] = ["c1", "c2"].map(|id| stage.client(id, long(id)).start());
    ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 4));
    c1.signal(Signal::TERM);
    c1.ends(143);
    c2.says("view 2: c2");
    c2.signal(Signal::TERM);
    c2.ends(143);
    all_end(&mut ["c1", "c2"].map(|id| stage.client(id, short(id)).arg("--force").start()));
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}
