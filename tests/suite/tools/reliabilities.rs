//! `--reliability` in real runs: equal results, and a sender that is killed while the router loses packets.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{lines, side_by_side};
use crate::tools::run::{output, text};

#[test]
fn reliability_run_passes_with_equal_results() {
    let cases = [("unordered", "basic"), ("fifo", "basic"), ("causal", "flood"), ("fifo", "flood")];
    side_by_side(cases.len(), cases.len(), |number| {
        let (order, reliability) = cases[number];
        let folder = tempfile::tempdir().unwrap();
        let banks = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/banks");
        let banks = banks.to_str().unwrap();
        let output =
            output(folder.path(), &[banks, "--speed", "50", "--order", order, "--reliability", reliability]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
        assert!(said.contains("PASS  26 multicasts, each delivered by all 4 clients"), "{said}");
        assert!(said.contains(&format!("--reliability {reliability}")), "how to run it again: {said}");
        let results = |id| {
            let mut all = lines(&folder.path().join(format!("runs/latest/test_result_{id}_{order}.txt")));
            all.sort();
            all
        };
        let first = results("c1");
        assert_eq!(first.len(), 26);
        assert!(["c2", "c3", "c4"].into_iter().all(|id| results(id) == first), "{order} over {reliability}");
    });
}

/// Four members, of which the first multicasts without end and is killed, while a fifth of all packets to members is lost.
fn scenario(folder: &Path, reliability: &str, expect: &str) -> PathBuf {
    // With `nack`, packets go through the forwarder: each member lacks others of them.
    let port = if reliability == "nack" { "out" } else { "router" };
    let busy = (1..3000).fold(String::new(), |mut text, number| {
        let _ = write!(text, "Multicast,c1,message {number}\nsleep,0.001\n");
        text
    });
    fs::write(folder.join("c1.txt"), busy).unwrap();
    for id in ["c2", "c3", "c4"] {
        fs::write(folder.join(format!("{id}.txt")), format!("Multicast,{id},hello\n")).unwrap();
    }
    let scenario = folder.join("scenario.toml");
    let faults = format!(
        "[[faults]]\nkill = \"c1\"\nafter = \"1500ms\"\ndies = true\n[[faults]]\nlink = \"0s loss 20% on {port}\"\n"
    );
    let head = format!(
        "commands = \".\"\norder = \"fifo\"\nreliability = \"{reliability}\"\nsuspect_after = \"2s\"\nexpect = \"{expect}\"\n"
    );
    fs::write(&scenario, head + &faults).unwrap();
    scenario
}

#[test]
fn reliability_killed_sender_breaks_agreement_over_basic_alone() {
    // A killed sender may not have written down what it multicast last, which leaves some properties undecided.
    let cases =
        [("basic", "violated:agreement", [0, 0]), ("flood", "pass", [0, 2]), ("nack", "pass", [0, 2])];
    side_by_side(cases.len(), cases.len(), |number| {
        let (reliability, expect, codes) = cases[number];
        let folder = tempfile::tempdir().unwrap();
        let scenario = scenario(folder.path(), reliability, expect);
        let output = output(folder.path(), &[scenario.to_str().unwrap()]);
        let said = text(&output.stdout);
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{reliability}: {code}: {said}{}", text(&output.stderr));
        let is_agreed = said.lines().any(|line| line.starts_with("agreement") && line.ends_with(" valid"));
        assert_eq!(is_agreed, reliability != "basic", "{said}");
        let of_sender = |id| {
            let all = lines(&folder.path().join(format!("runs/latest/test_result_{id}_fifo.txt")));
            all.into_iter().filter(|line| line.starts_with("c1###")).count()
        };
        let counts = ["c2", "c3", "c4"].map(of_sender);
        assert!(counts.iter().any(|&count| count > 10), "{reliability}: {counts:?}");
        let is_equal = counts.iter().all(|&count| count == counts[0]);
        assert_eq!(is_equal, reliability != "basic", "{reliability}: {counts:?}");
    });
}

#[test]
fn reliability_that_an_order_cannot_have_is_a_usage_error() {
    let client = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        crate::harness::set_variables(&mut command);
        let output = command.args(["--id", "c1", "--lines"]).args(arguments.split(' ')).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    for (arguments, why) in [
        ("--order total --reliability flood", "--order total needs --reliability nack: with flood,"),
        ("--order lamport --reliability basic", "--order lamport needs --reliability nack: with basic,"),
        ("--order fifo --reliability flood --safe", "--safe needs --reliability nack: with flood,"),
    ] {
        let (code, said) = client(arguments);
        assert_eq!(code, Some(64), "{arguments}: {said}");
        assert!(said.contains(why), "{arguments}: {said}");
    }
}
