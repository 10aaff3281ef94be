//! Flow control between processes: senders wait for the slowest receiver, which is excluded only if that was asked for.

use std::fmt::Write as _;
use std::time::Duration;

use groupcast::check;
use groupcast::exit::Exit;
use rustix::process::Signal;

use crate::harness::{Program, Stage, all_end, pause};

#[test]
fn flow_window_of_one_message_makes_progress() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for id in ["c1", "c2"] {
        let commands: String = (0..20).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands).args(["--window", "1"]).start());
    }
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 40);
    for bad in ["0", "x", "5furlongs", "", "0KiB", "1,2,3x", "10,10", "5kB,6kB"] {
        let (_, stderr) = stage.client("c3", "").args(["--window", bad]).ends(64);
        assert!(stderr.contains("1000,256KiB"), "{stderr}");
    }
}

/// A few lines, with a pause after the first.
fn lines(id: &str) -> String {
    let mut commands = format!("Multicast,{id},first\nsleep,2\n");
    (0..100).for_each(|number| writeln!(commands, "Multicast,{id},{number}").unwrap());
    commands
}

#[test]
fn flow_stopped_client_is_excluded_if_asked_for() {
    let stage = Stage::new();
    // Nobody is taken for lost in this time.
    let patient = ["--suspect-after", "90s"];
    let sequencer = stage.sequencer().args(patient).start();
    let mut programs = vec![stage.forwarder(3).start(), stage.router().start(), sequencer];
    for id in ["c1", "c2", "c3"] {
        let client = stage.client(id, lines(id)).args(["--slow-member", "exclude:5s"]);
        programs.push(client.args(patient).start());
    }
    programs[5].says("start of main");
    pause(Duration::from_millis(300));
    programs[5].signal(Signal::STOP);
    programs[3].says("waiting for c3, which has taken nothing for");
    programs[3].says("c3 is gone (excluded by c");
    programs[3].says(": has taken nothing for 5");
    programs[3].says("view 2: c1 and c2");
    programs[4].ends(0);
    programs[5].signal(Signal::CONT);
    let why =
        ["excluded by c", ": it has taken nothing for 5", "the group went on without this member, to view 2"];
    programs[5].ends_saying(69, &why);
    programs.remove(5);
    all_end(&mut programs);
    let lines = stage.lines("c1", "tom");
    assert!(lines == stage.lines("c2", "tom"));
    let count = |id: &str| lines.iter().filter(|line| line.starts_with(id)).count();
    assert_eq!((count("c1#"), count("c2#")), (101, 101), "survivors deliver everything");
}

/// It is there, and says so; but what is delivered to it, nobody takes.
#[test]
fn flow_client_with_stalled_reader_is_excluded_and_told() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let (_reader, full) = std::io::pipe().unwrap();
    let slow =
        stage.bare("client").args(["--id", "c2", "--lines", "--port-base", &stage.port(0).to_string()]);
    let mut slow = slow.stdin(std::process::Stdio::piped()).stdout(full).start();
    let long = "x".repeat(400);
    let commands: String = (0..20_000).map(|_| format!("Multicast,c1,{long}\n")).collect();
    programs.push(stage.client("c1", commands).args(["--slow-member", "exclude:3s"]).start());
    programs[3].says("c2 is gone (excluded by c1: has taken nothing for");
    slow.ends_saying(69, &["excluded by c1: it has taken nothing for"]);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 20_000);
}

/// Nobody hears anybody: that is nobody's fault.
#[test]
fn flow_forwarder_paused_no_member_is_excluded() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    for id in ["c1", "c2", "c3"] {
        programs.push(stage.client(id, lines(id)).args(["--slow-member", "exclude:3s"]).start());
    }
    programs[5].says("start of main");
    pause(Duration::from_millis(1_900));
    programs[0].signal(Signal::STOP);
    pause(Duration::from_secs(6));
    programs[0].signal(Signal::CONT);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 303);
    assert!(programs.iter().all(|program| !program.stderr().contains("excluded")));
}

/// A client is stopped for ten seconds while all multicast as fast as they can: they wait for it, small as ever.
#[test]
fn flow_stopped_client_only_delays_the_others() {
    const LINES: usize = 50_000;
    const MAX_MIB: u64 = 300;
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(4).into();
    for id in ["c1", "c2", "c3", "c4"] {
        let mut commands = String::new();
        for number in 0..LINES {
            writeln!(commands, "Multicast,{id},command {number}").unwrap();
            // So that it is in the middle that one is stopped.
            if number == LINES / 2 {
                commands.push_str("sleep,1\n");
            }
        }
        programs.push(stage.client(id, commands).start());
    }
    programs[3].says("start of main");
    pause(Duration::from_millis(700));
    programs[5].signal(Signal::STOP);
    pause(Duration::from_secs(10));
    assert!(programs[3..].iter_mut().all(Program::is_running), "they wait for the one that is stopped");
    programs[5].signal(Signal::CONT);
    all_end(&mut programs);
    for program in &programs {
        let peak = program.peak_mib();
        assert!(peak > 0 && peak < MAX_MIB, "{}: {peak} MiB", program.name);
    }
    for judgement in &check::judge_folder(&stage.out(), stage.dir()).unwrap() {
        let verdicts = judgement.properties().map(|(_, verdict)| verdict);
        assert_eq!(check::exit(verdicts), Exit::Ok, "{}", judgement.lines());
    }
    assert_eq!(stage.lines("c3", "tom").len(), 4 * LINES);
}
