//! Signals: SIGINT, SIGTERM and SIGHUP end any program at any point, in order, with the exit code of each.

use std::time::Duration;

use groupcast::prng::Prng;
use rustix::process::Signal;

use super::support::{MidRun, short};
use crate::harness::{Launch, Program, Stage, events, lines, now, pause, side_by_side, until};

/// Each signal with its exit code and its word in a history.
const SIGNALS: [(Signal, i32, &str); 3] =
    [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated"), (Signal::HUP, 129, "hung_up")];
const VICTIMS: usize = 5;

/// When the signal comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    WaitingForTheStart,
    InMidRun,
    /// Shortly before or after the run is complete.
    AtTheEnd,
    Any,
}

#[test]
fn signal_ends_any_program_at_any_point() {
    let moments = [Moment::WaitingForTheStart, Moment::InMidRun, Moment::AtTheEnd, Moment::Any];
    side_by_side(VICTIMS * SIGNALS.len() * moments.len(), 8, |seed| {
        let signal = SIGNALS[seed / VICTIMS % SIGNALS.len()];
        interrupt(seed, signal, moments[seed / VICTIMS / SIGNALS.len()]);
    });
}

/// The victim ends within a second with its signal's exit code; the others end, too, and say why.
fn interrupt(seed: usize, (signal, code, reason): (Signal, i32, &str), moment: Moment) {
    let case = format!("seed {seed}, {moment:?}, {reason}");
    let mut dice = Prng::new(seed as u64);
    let stage = Stage::new();
    let commands = |id: &str| format!("Multicast,{id},x\nsleep,0.02\n").repeat(60);
    // The third client never comes.
    let clients = if moment == Moment::WaitingForTheStart { 3 } else { 2 };
    let mut programs = vec![stage.forwarder(clients).args(["--start-timeout", "5s"]).start()];
    programs.extend([stage.router().start(), stage.sequencer().start()]);
    programs.push(stage.client("c1", commands("c1")).start());
    programs.push(pipe(&stage, "c2").start());
    match moment {
        Moment::WaitingForTheStart => programs[0].says("ready: c1, c2 and sequencer"),
        Moment::InMidRun => {
            until("c2 delivers", || (programs[4].stdout().lines().count() > 20).then_some(()));
        }
        Moment::AtTheEnd => {
            until("c2 delivers", || (programs[4].stdout().lines().count() > 50).then_some(()));
            pause(Duration::from_millis(dice.below(600)));
        }
        Moment::Any => pause(Duration::from_millis(20 + dice.below(1300))),
    }
    let mut victim = programs.remove(seed % VICTIMS);
    let signalled = now();
    victim.signal(signal);
    let found = victim.wait();
    let took = signalled.elapsed();
    assert!(took < Duration::from_millis(1500), "{case}: {} took {took:?} to end", victim.name);
    if found != 0 {
        assert_eq!(found, code, "{case}: {}:\n{}", victim.name, victim.stderr());
    }
    let history = stage.out().join(format!("history_{}.jsonl.part", victim.name));
    if history.exists() && victim.stderr().contains("start of") {
        assert!(victim.stderr().contains("warning: partial: "), "{case}: {}", victim.stderr());
        let history = events(&history);
        let end = history.last().unwrap();
        assert_eq!((&end["event"], &end["reason"]), (&"end".into(), &reason.into()), "{case}");
        let kept = lines(&stage.out().join(format!("test_result_{}_tom.txt.part", victim.name)));
        assert_eq!(end["delivered"].as_u64(), Some(kept.len() as u64), "{case}");
        if victim.name == "c2" {
            let printed = victim.stdout();
            assert_eq!(printed.lines().collect::<Vec<_>>(), kept, "{case}: printed and kept");
        }
    }
    for other in &mut programs {
        let code = other.wait();
        let said = other.stderr();
        assert!([0, 69, 75].contains(&code), "{case}: {} ended with {code}:\n{said}", other.name);
        assert!(code == 0 || said.contains("error: "), "{case}: {}:\n{said}", other.name);
    }
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(8), "{case}: the others of {} took {took:?}", victim.name);
}

/// A client in a pipe that has only a few lines to multicast, and prints what the others do.
fn pipe<'a>(stage: &'a Stage, id: &str) -> Launch<'a> {
    let input = std::fs::File::open(stage.file(&format!("{id}.in"), "a\nb\nc\n")).unwrap();
    stage.program("client").named(id).args(["--id", id, "--lines"]).stdin(input).out(stage.out())
}

#[test]
fn signal_between_two_runs_ends_staying_programs_without_failure() {
    side_by_side(SIGNALS.len(), SIGNALS.len(), |which| {
        let (signal, code, _) = SIGNALS[which];
        for is_running in [false, true] {
            let stage = Stage::new();
            let mut middle = [stage.forwarder(1), stage.router(), stage.sequencer()]
                .map(|launch| launch.arg("--stay").start());
            stage.client("c1", "Multicast,c1,x\n").out("first").ends(0);
            let mut client = is_running.then(|| stage.client("c1", "Multicast,c1,x\nsleep,60\n").start());
            if let Some(client) = &mut client {
                client.says("start of main");
                pause(Duration::from_millis(300));
            } else {
                // Those who stay hear of the end of a run within a moment.
                pause(Duration::from_millis(1500));
            }
            // The forwarder last: the others would lose it.
            for program in middle.iter_mut().rev() {
                program.signal(signal);
                let found = program.wait();
                // The first one that goes ends the run; the others may know that, or not yet.
                let is_first = program.name == "sequencer";
                let expected: &[i32] = match (is_running, is_first) {
                    (false, _) => &[0],
                    (true, true) => &[code],
                    (true, false) => &[0, code],
                };
                assert!(expected.contains(&found), "{}: {found}\n{}", program.name, program.stderr());
            }
        }
    });
}

#[test]
fn signal_ignored_hangup_stays_ignored() {
    let stage = Stage::new();
    let nohup = "trap '' HUP; exec \"$@\"";
    let mut programs = [
        stage.forwarder(1).through_shell(nohup).start(),
        stage.router().through_shell(nohup).start(),
        stage.sequencer().through_shell(nohup).start(),
        stage.client("c1", "Multicast,c1,x\nsleep,2\n").through_shell(nohup).start(),
    ];
    programs[3].says("start of main");
    programs.iter_mut().for_each(|program| program.signal(Signal::HUP));
    programs.iter_mut().for_each(|program| program.ends(0));
    assert_eq!(stage.lines("c1", "tom"), ["c1###x"]);
}

/// A terminal that is closed may send it twice, and a service manager right after another signal.
#[test]
fn signal_hangup_never_counts_as_second_signal() {
    let stage = Stage::new();
    let _middle = stage.middle(1);
    let mut client = stage.client("c1", "Multicast,c1,x\nsleep,60\n").start();
    client.says("start of main");
    for _ in 0..20 {
        client.signal(Signal::HUP);
    }
    client.ends(129);
    let end = events(&stage.out().join("history_c1.jsonl.part")).pop().unwrap();
    assert_eq!(end["reason"], "hung_up");
}

#[test]
fn signal_ends_every_tool() {
    let stage = Stage::new();
    let _forwarder = stage.forwarder(1).arg("--stay").start();
    let port = stage.port(0).to_string();
    let proxy = Stage::new();
    let listen = proxy.port(0).to_string();
    let tools: [&[&str]; 5] = [
        &["members", "--watch", "--port-base", &port],
        &["proxy", "--listen", &listen, "--to", &port],
        &["chaos", "--minutes", "5", "--jobs", "1"],
        &["sim", "--order", "fifo", "--seeds", "100000"],
        &["bench", "--duration", "60s", "--clients", "2"],
    ];
    for tool in tools {
        for (signal, code, _) in SIGNALS {
            let mut program: Program = stage.bare("groupcast").args(tool).start();
            pause(Duration::from_millis(700));
            let signalled = now();
            program.signal(signal);
            let found = program.wait();
            let took = signalled.elapsed();
            assert_eq!(found, code, "{tool:?}: {}", program.stderr());
            assert!(took < Duration::from_secs(15), "{tool:?} took {took:?}");
        }
    }
}

#[test]
fn signal_client_waiting_for_forwarder_is_interrupted() {
    for program in ["c1", "router", "sequencer", "forwarder"] {
        let stage = Stage::new();
        let launch = match program {
            "c1" => stage.client("c1", short("c1")),
            "forwarder" => stage.forwarder(1),
            other => stage.program(other),
        };
        let mut waiting = launch.start();
        waiting.says(if program == "forwarder" { "listening" } else { "waiting for the forwarder" });
        let signalled = now();
        waiting.signal(Signal::INT);
        waiting.ends(130);
        let took = signalled.elapsed();
        assert!(took < Duration::from_secs(1), "{program} took {took:?}");
        assert!(stage.files().is_empty());
    }
}

#[test]
fn signal_second_signal_ends_at_once() {
    let mut run = MidRun::new();
    // It cannot say farewell to a forwarder that stands still, but tries for a moment.
    run.forwarder.signal(Signal::STOP);
    for _ in 0..2 {
        run.c1.signal(Signal::INT);
    }
    run.c1.ends(130);
    run.forwarder.signal(Signal::CONT);
}
