//! Load: as many lines as the window lets out, without a pause; nothing is lost and memory stays small.

use std::fmt::Write as _;
use std::fs;

use crate::harness::{Program, Stage, all_end};

/// No program may ever have more memory than this.
const MAX_MIB: u64 = 300;

#[test]
fn load_four_clients_multicast_fifty_thousand_lines_each() {
    multicast(4, 50_000);
}

#[test]
fn load_twenty_clients_multicast_two_thousand_lines_each() {
    multicast(20, 2_000);
}

fn multicast(clients: usize, lines: usize) {
    let stage = Stage::new();
    let ids: Vec<String> = (1..=clients).map(|number| format!("c{number}")).collect();
    let mut programs: Vec<Program> = stage.middle(clients).into();
    for id in &ids {
        let mut commands = String::new();
        (0..lines).for_each(|number| writeln!(commands, "Multicast,{id},command {number}").unwrap());
        programs.push(stage.client(id, commands).start());
    }
    all_end(&mut programs);
    let result = |id: &str| fs::read(stage.out().join(format!("test_result_{id}_tom.txt"))).unwrap();
    let first = result("c1");
    for id in &ids {
        assert!(result(id) == first, "the results of {id} and c1 differ");
    }
    let delivered = stage.lines("c1", "tom");
    assert_eq!(delivered.len(), clients * lines);
    for id in &ids {
        let start = format!("{id}###command ");
        let numbers = delivered.iter().filter_map(|line| line.strip_prefix(&start)?.parse::<usize>().ok());
        assert!(numbers.eq(0..lines), "the lines of {id} in their order");
    }
    assert_small(&programs);
}

#[test]
fn load_two_clients_send_each_other_twenty_thousand_direct_messages() {
    const LINES: usize = 20_000;
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for (id, other) in [("c1", "c2"), ("c2", "c1")] {
        let mut commands = String::new();
        (0..LINES).for_each(|number| writeln!(commands, "{id},{other},command {number}").unwrap());
        programs.push(stage.client(id, commands).start());
    }
    all_end(&mut programs);
    for (id, other) in [("c1", "c2"), ("c2", "c1")] {
        let expected = (0..LINES).map(|number| format!("{other}###command {number}"));
        assert!(stage.lines(id, "uno").into_iter().eq(expected), "messages that {id} received");
    }
    assert_small(&programs);
}

fn assert_small(programs: &[Program]) {
    for program in programs {
        assert!(
            program.peak_mib() > 0 && program.peak_mib() < MAX_MIB,
            "{}: {} MiB",
            program.name,
            program.peak_mib()
        );
    }
}
