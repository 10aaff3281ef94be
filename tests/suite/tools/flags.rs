//! Command lines: what every program has in common, and that each flag has its variable in the environment.

use std::collections::BTreeSet;

use crate::harness::{Stage, all_end};

const PROGRAMS: [&str; 4] = ["forwarder", "router", "sequencer", "client"];

const EXIT_CODES: [&str; 16] =
    ["0", "1", "2", "64", "65", "66", "69", "70", "73", "74", "75", "77", "78", "129", "130", "143"];

#[test]
fn flags_help_shows_an_example_and_the_exit_codes() {
    let stage = Stage::new();
    for program in PROGRAMS {
        let (help, said) = stage.bare(program).arg("--help").ends(0);
        assert_eq!(said, "");
        assert!(help.contains("Example:") && help.contains(&format!("\n  {program} --")), "{help}");
        let (_, table) = help.split_once("Exit codes:").unwrap();
        let words: BTreeSet<&str> = table.split([' ', ',', '\n']).collect();
        for code in EXIT_CODES {
            assert!(words.contains(code), "{program} --help does not explain exit code {code}");
        }
        let (version, _) = stage.bare(program).arg("--version").ends(0);
        assert_eq!(version, format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
        stage.bare(program).arg("--help").through_shell("exec \"$@\" >/dev/full").ends(74);
    }
}

#[test]
fn flags_wrong_command_line_is_a_usage_error() {
    let stage = Stage::new();
    let client = "client --id c1 --commands f --out d";
    let long_id = format!("sequencer --id {}", "x".repeat(65));
    for line in [
        "forwarder",
        "forwarder --clients",
        "forwarder --clients 0",
        "forwarder --clients -1",
        "forwarder --clients 1e3",
        "forwarder --clients 10001",
        "forwarder --clients 4294967296",
        "forwarder --clients 2 --clients 3",
        "forwarder --clients 2 --nonsense",
        "forwarder --clients 2 extra",
        "forwarder --clients 2 --port-base 0",
        "forwarder --clients 2 --port-base 65533",
        "forwarder --clients 2 --port-base 65536",
        "forwarder --clients 2 --port-base -1",
        "forwarder --clients 2 --start-timeout -1",
        "forwarder --clients 2 --start-timeout soon",
        "forwarder --clients 2 --start-timeout inf",
        "forwarder --clients 2 --start-timeout 1e30",
        "forwarder --clients 2 --color blue",
        "router --clients 2",
        "router --port-base x",
        "sequencer --id a/b",
        &long_id,
        "client",
        "client --id c1 --commands f",
        "client --id c1 --out d",
        "client --commands f --out d",
        "client --id sleep --commands f --out d",
        "client --id ä --commands f --out d",
        &format!("{client} --order chaos"),
        &format!("{client} --method xx"),
        &format!("{client} --order causal --method ub"),
        &format!("{client} --order fifo --method bb"),
        "groupcast run --messages 1 --order causal --method ub",
        "groupcast sim --order causal --method ub",
        "groupcast bench --order causal --method ub",
        &format!("{client} --group a/b"),
        &format!("{client} --speed 0"),
        &format!("{client} --speed -1"),
        &format!("{client} --speed nan"),
        &format!("{client} --speed inf"),
        &format!("{client} --timeout -1s"),
        &format!("{client} --time 1s"),
    ] {
        let mut words = line.split(' ');
        let launch = stage.bare(words.next().unwrap()).args(words);
        let (result, said) = launch.ends(64);
        assert!(result.is_empty() && said.contains("error: "), "{line}\n{said}");
    }
    let (_, said) = stage.bare("client").arg("--id=").args(["--commands", "f", "--out", "d"]).ends(64);
    assert!(said.contains("an id must not be empty"), "{said}");
}

/// Each flag with a value for its variable, and how that shows: an exit code and a word on standard error.
const VARIABLES: &[(&str, &str, &str, i32, &str)] = &[
    ("forwarder", "clients", "none", 64, "--clients"),
    ("forwarder", "group-clients", "a", 64, "--group-clients"),
    ("forwarder", "bind", "nowhere.invalid", 78, "nowhere.invalid lets other machines in"),
    ("forwarder", "port-base", "x", 64, "--port-base"),
    ("forwarder", "start-timeout", "soon", 64, "--start-timeout"),
    ("forwarder", "keys", "nowhere", 66, "nowhere"),
    ("forwarder", "io-threads", "0", 64, "--io-threads"),
    ("forwarder", "log", "orders", 64, "--log needs --sequencer"),
    ("forwarder", "retain", "7", 64, "a time like 7d"),
    ("forwarder", "color", "blue", 64, "--color"),
    ("forwarder", "quiet", "yes", 75, "!listening"),
    ("forwarder", "verbose", "yes", 75, "listening"),
    ("router", "bind", "nowhere.invalid", 78, "nowhere.invalid lets other machines in"),
    ("router", "port-base", "x", 64, "--port-base"),
    ("router", "connect", "a:0", 64, "expected a number from 1 to 65532"),
    ("router", "forwarder-timeout", "1s", 64, "may take 3s to answer"),
    ("router", "keys", "nowhere", 66, "nowhere"),
    ("router", "io-threads", "0", 64, "--io-threads"),
    ("router", "color", "blue", 64, "--color"),
    ("sequencer", "id", "a/b", 64, "--id"),
    ("sequencer", "connect", "a b", 64, "expected HOST or HOST:PORT"),
    ("sequencer", "port-base", "x", 64, "--port-base"),
    ("sequencer", "suspect-after", "soon", 64, "--suspect-after"),
    ("sequencer", "forwarder-timeout", "soon", 64, "--forwarder-timeout"),
    ("sequencer", "quorum", "all", 64, "--quorum"),
    ("sequencer", "retain", "7", 64, "a time like 7d"),
    ("sequencer", "keys", "nowhere", 66, "nowhere"),
    ("sequencer", "color", "blue", 64, "--color"),
    ("client", "id", "a/b", 64, "--id"),
    ("client", "commands", "nothing.txt", 66, "nothing.txt"),
    ("client", "out", "c1.txt/below", 73, "c1.txt/below"),
    ("client", "order", "chaos", 64, "--order"),
    ("client", "method", "chaos", 64, "chaos"),
    ("client", "reliability", "chaos", 64, "--reliability"),
    ("client", "group", "a/b", 64, "--group"),
    ("client", "connect", "localhost,::1", 64, "in brackets"),
    ("client", "port-base", "x", 64, "--port-base"),
    ("client", "timeout", "soon", 64, "--timeout"),
    ("client", "suspect-after", "soon", 64, "--suspect-after"),
    ("client", "forwarder-timeout", "soon", 64, "--forwarder-timeout"),
    ("client", "quorum", "all", 64, "--quorum"),
    ("client", "speed", "slow", 64, "--speed"),
    ("client", "window", "none", 64, "--window"),
    ("client", "slow-member", "kill", 64, "--slow-member"),
    ("client", "join", "tomorrow", 64, "--join"),
    ("client", "resume", "yes", 64, "--resume needs --method log"),
    ("client", "keys", "nowhere", 66, "nowhere"),
    ("client", "color", "blue", 64, "--color"),
    ("client", "cluster", "c.toml", 64, "--cluster is for --order tentative"),
    ("client", "data", "journals", 64, "--data is for --order tentative"),
    ("client", "unicast", "yes", 64, "--unicast is for --order tentative"),
    ("client", "journal-limit", "none", 64, "--journal-limit"),
    ("client", "lines", "yes", 64, "only one of --commands FILE, --lines"),
    ("client", "interactive", "yes", 64, "only one of --commands FILE, --lines"),
    ("client", "dry-run", "yes", 0, ""),
    ("client", "quiet", "yes", 69, "!waiting"),
    ("client", "verbose", "yes", 69, ""),
];

#[test]
fn flags_invalid_environment_variable_is_named() {
    let stage = Stage::new();
    stage.file("c1.txt", "Multicast,c1,x\n");
    for &(program, flag, value, code, word) in VARIABLES {
        let variable = format!("GROUPCAST_{}", flag.replace('-', "_").to_uppercase());
        // An error after the port was found taken, or after a wait, is no error of the flag.
        if ![64, 66, 73].contains(&code) || word.starts_with('!') {
            continue;
        }
        let needed: &[(&str, &str)] = match program {
            "forwarder" => &[("clients", "1"), ("start-timeout", "100ms")],
            "client" => &[("id", "c1"), ("commands", "c1.txt"), ("out", "out"), ("timeout", "2.5s")],
            _ => &[],
        };
        let words: Vec<String> = needed
            .iter()
            .filter(|(name, _)| *name != flag)
            .map(|(name, value)| format!("--{name}={value}"))
            .collect();
        let note = format!("{variable}={value} is set in the environment");
        let (_, said) = stage.bare(program).env(&variable, value).args(&words).ends(code);
        assert!(said.contains(&note), "{program}: {note} is not in\n{said}");
        // The command line takes precedence over the environment.
        if code == 64 && !["lines", "interactive"].contains(&flag) {
            let written = format!("--{flag}={value}");
            let (_, said) = stage.bare(program).env(&variable, value).args(&words).arg(written).ends(code);
            assert!(!said.contains(&note), "{program}: {said}");
        }
    }
}

/// Those whose variable shows in a run: below and, of `trace`, in `traces`, of `standby`, in `failover`, of `insecure`, in
/// `keys`, of a sequencer's `log`, in every test.
const IN_A_RUN: [&str; 11] = [
    "no-history",
    "force",
    "stay",
    "quiet",
    "trace",
    "can-sequence",
    "safe",
    "sequencer",
    "standby",
    "insecure",
    "log",
];

#[test]
fn flags_each_flag_has_a_variable() {
    let stage = Stage::new();
    stage.file("c1.txt", "Multicast,c1,x\n");
    for &(program, flag, value, code, word) in VARIABLES {
        let variable = format!("GROUPCAST_{}", flag.replace('-', "_").to_uppercase());
        let needed: &[(&str, &str)] = match program {
            "forwarder" => &[("clients", "1"), ("start-timeout", "100ms")],
            "client" => &[("id", "c1"), ("commands", "c1.txt"), ("out", "out"), ("timeout", "2.5s")],
            _ => &[],
        };
        let mut launch = stage.bare(program).env(&variable, value);
        if flag != "port-base" {
            launch = launch.args(["--port-base", &stage.port(0).to_string()]);
        }
        for (name, value) in needed.iter().filter(|(name, _)| *name != flag) {
            launch = launch.arg(format!("--{name}={value}"));
        }
        let (_, said) = launch.ends(code);
        match word.strip_prefix('!') {
            Some(word) => assert!(!said.contains(word), "{program} with {variable}:\n{said}"),
            None => assert!(said.contains(word), "{program} with {variable}:\n{said}"),
        }
    }
}

#[test]
fn flags_each_variable_is_tested() {
    let stage = Stage::new();
    for program in PROGRAMS {
        let (help, _) = stage.bare(program).arg("--help").ends(0);
        let (options, _) = help.split_once("Example:").unwrap();
        let flags = options.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        let flags: BTreeSet<&str> = flags.filter(|flag| !["help", "version"].contains(flag)).collect();
        assert!(flags.len() >= 5, "{help}");
        for flag in flags {
            let known = VARIABLES.iter().any(|row| (row.0, row.1) == (program, flag));
            // Those of the voice are the same in every program.
            let common = ["quiet", "verbose"].contains(&flag);
            assert!(known || common || IN_A_RUN.contains(&flag), "{program} --{flag}");
        }
    }
}

#[test]
fn flags_switches_in_the_environment_work_in_a_run() {
    let stage = Stage::new();
    let stay =
        |program| stage.program(program).env("GROUPCAST_STAY", "1").env("GROUPCAST_CLIENTS", "1").start();
    let inside = stage.program("forwarder").env("GROUPCAST_STAY", "1").env("GROUPCAST_CLIENTS", "1");
    let mut middle = [inside.env("GROUPCAST_SEQUENCER", "1").start(), stay("router")];
    for _ in 0..2 {
        let client = stage.client("c1", "Multicast,c1,x\n");
        let client = client
            .env("GROUPCAST_NO_HISTORY", "1")
            .env("GROUPCAST_FORCE", "1")
            .env("GROUPCAST_CAN_SEQUENCE", "1")
            .env("GROUPCAST_SAFE", "1")
            .env("GROUPCAST_QUIET", "1");
        assert_eq!(client.ends(0).1, "");
    }
    assert_eq!(stage.files(), ["test_result_c1_tom.txt", "test_result_c1_uno.txt"]);
    assert!(middle.iter_mut().all(crate::harness::Program::is_running));
}

#[test]
fn flags_switch_off_in_the_environment_is_off() {
    let stage = Stage::new();
    let mut programs = Vec::from(stage.middle(1));
    let client = stage.client("c1", "Multicast,c1,x\n").arg("-v");
    let client = ["QUIET", "NO_HISTORY", "TRACE", "FORCE", "DRY_RUN", "LINES", "INTERACTIVE"]
        .into_iter()
        .fold(client, |client, name| client.env(&format!("GROUPCAST_{name}"), "0"));
    programs.push(client.start());
    all_end(&mut programs);
    assert_eq!(stage.files().len(), 3);
}

#[test]
fn flags_colours_only_for_terminals_or_on_demand() {
    let stage = Stage::new();
    for (arguments, variable, coloured) in [
        (&["--color", "always"][..], "0", true),
        (&["--color", "auto"], "", false),
        (&["--color", "never"], "", false),
        (&["--color", "always"], "1", true),
    ] {
        let launch = stage.program("client").args(["-i", "c1", "-c", "nothing", "-o", "out"]).args(arguments);
        let (_, said) = launch.env("NO_COLOR", variable).ends(66);
        assert_eq!(said.contains('\x1b'), coloured, "{arguments:?}: {said:?}");
    }
}
