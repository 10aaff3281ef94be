//! Scenarios: what each order does, as files under `testdata/order/<order>/` that people can read.
//!
//! A file is blocks between empty lines: comments (`#`), commands, `----`, and everything that the commands caused,
//! one line each; `testdata/order/README.md` describes them. `GROUPCAST_REWRITE=1` writes the present behaviour
//! into the files; the difference is to be reviewed. A broken promise of an order is never written, it fails.

mod messages;
mod names;
mod stage;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use groupcast::defect::Defects;
use groupcast::engine::{MemberId, View};
use groupcast::order::agreed::Agreed;
use groupcast::order::causal::Causal;
use groupcast::order::fifo::Fifo;
use groupcast::order::lamport::Lamport;
use groupcast::order::total_bb::{SequencerBb, TotalBb};
use groupcast::order::total_log::SequencerLog;
use groupcast::order::total_ub::{SequencerUb, TotalUb};
use groupcast::order::total_uub::{SequencerUub, TotalUub};
use groupcast::order::unordered::Unordered;
use groupcast::order::{ORDERS, Order, Promise};
use messages::Message;
use stage::{Node, Stage};

const RULE: &str = "----";

/// The folder of an order's scenarios.
fn folder(order: &Order) -> String {
    order.method.map_or(order.name.to_owned(), |method| format!("{}-{method}", order.name))
}

/// Plays a scenario of the order with this folder and returns the file as it should be.
fn play(order: &str, text: &str) -> Result<String, String> {
    let row = ORDERS.iter().find(|row| folder(row) == order).ok_or("no order has this folder")?;
    let promises = row.promises;
    match order {
        "unordered" => perform(text, promises, |at| Box::new(Unordered::new(at.me))),
        "fifo" => perform(text, promises, |at| Box::new(Fifo::new(at.me, at.view, Defects::NONE))),
        "causal" => perform(text, promises, |at| Box::new(Causal::new(at.me, at.view, Defects::NONE))),
        "total-bb" => perform(text, promises, |at| match at.sequencer() {
            None => Box::new(SequencerBb::new(at.view, Defects::NONE)),
            Some(sequencer) => Box::new(TotalBb::new(at.me, at.view, sequencer, Defects::NONE)),
        }),
        "total-ub" => perform(text, promises, |at| match at.sequencer() {
            None => Box::new(SequencerUb::new(at.view, Defects::NONE)),
            Some(sequencer) => Box::new(TotalUb::new(at.me, at.view, sequencer)),
        }),
        "total-uub" => perform(text, promises, |at| match at.sequencer() {
            None => Box::new(SequencerUub::new(at.view)),
            Some(sequencer) => Box::new(TotalUub::new(at.me, at.view, sequencer)),
        }),
        "total-log" => perform(text, promises, |at| match at.sequencer() {
            None => Box::new(SequencerLog::new(at.view, true, Defects::NONE)),
            Some(sequencer) => Box::new(TotalUb::new(at.me, at.view, sequencer)),
        }),
        "lamport" => perform(text, promises, |at| Box::new(Lamport::new(at.me, at.view, Defects::NONE))),
        "agreed" => perform(text, promises, |at| Box::new(Agreed::new(at.me, at.view, Defects::NONE))),
        _ => Err("this order's engines are not on stage yet: add them here".to_owned()),
    }
}

/// Where an engine is to stand.
struct Place<'a> {
    me: MemberId,
    view: &'a View,
}

type Make<W> = fn(Place<'_>) -> Box<dyn Node<W>>;

impl Place<'_> {
    /// The sequencer as a client sees it; none for the sequencer itself.
    fn sequencer(&self) -> Option<MemberId> {
        let sequencer = self.view.sequencer.expect("this order needs `members … sequencer NAME`");
        (sequencer != self.me).then_some(sequencer)
    }
}

/// Goes through the blocks of `text`; an error begins with the line of its command.
fn perform<W: Message>(text: &str, promises: &'static [Promise], make: Make<W>) -> Result<String, String> {
    let (mut stage, mut played, mut at) = (None, Vec::new(), 0);
    for block in text.trim_end().split("\n\n") {
        let (mut lines, mut outcome) = (Vec::new(), Vec::new());
        for command in block.lines().take_while(|&line| line != RULE) {
            at += 1;
            lines.push(command.to_owned());
            if command.starts_with('#') {
                continue;
            }
            let told = match &mut stage {
                Some(stage) => Stage::perform(stage, command),
                None => Stage::open(command, promises, make).map(|opened| {
                    stage = Some(opened);
                    Vec::new()
                }),
            };
            outcome.extend(told.map_err(|error| format!("{at}: `{command}`: {error}"))?);
        }
        at += 1 + block.lines().skip_while(|&line| line != RULE).count();
        if !outcome.is_empty() {
            lines.push(RULE.to_owned());
        }
        played.push([lines, outcome].concat().join("\n"));
    }
    Ok(played.join("\n\n") + "\n")
}

/// Returns the differences between the two texts, block by block; their blocks have the same commands.
fn difference(path: &str, told: &str, played: &str) -> String {
    let (mut shown, mut line) = (String::new(), 1);
    for (told, played) in told.split("\n\n").zip(played.split("\n\n")) {
        if told != played {
            shown += &block_difference(path, line, told, played);
        }
        line += told.lines().count() + 1;
    }
    shown
}

/// From the first line that differs to the last.
fn block_difference(path: &str, line: usize, told: &str, played: &str) -> String {
    let (told, played): (Vec<_>, Vec<_>) = (told.lines().collect(), played.lines().collect());
    let before = told.iter().zip(&played).take_while(|(a, b)| a == b).count();
    let (told, played) = (&told[before..], &played[before..]);
    let after = told.iter().rev().zip(played.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut shown = format!("{path}:{}: this is told (-), that happens (+)\n", line + before);
    for (sign, lines) in [('-', &told[..told.len() - after]), ('+', &played[..played.len() - after])] {
        shown.extend(lines.iter().map(|line| format!("{sign} {line}\n")));
    }
    shown
}

/// Plays the file, and compares or rewrites it; an error begins with `path:line`.
fn judge(order: &str, file: &Path) -> Result<(), String> {
    let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
    let told = fs::read_to_string(file).unwrap();
    let played = play(order, &told).map_err(|error| format!("{path}:{error}"))?;
    if played == told {
        Ok(())
    } else if std::env::var_os("GROUPCAST_REWRITE").is_some_and(|value| value == "1") {
        fs::write(file, played).unwrap();
        Ok(())
    } else {
        Err(difference(&path, &told, &played))
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn order_scenarios_match_their_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/order");
    let mut failures = Vec::new();
    for order in ORDERS.iter().map(folder) {
        let files = entries(&root.join(&order));
        failures.extend(files.iter().filter_map(|file| judge(&order, file).err()));
    }
    let folders = entries(&root).iter().filter(|entry| entry.is_dir()).count();
    assert_eq!(folders, ORDERS.len(), "a folder belongs to no order");
    assert!(failures.is_empty(), "{}\n(GROUPCAST_REWRITE=1 rewrites the files)", failures.join("\n"));
}

#[test]
fn order_scenario_mismatch_is_reported_with_its_place() {
    let told = "# Two members.\nmembers a b\n\na multicasts hi\n----\na delivers a/1 \"ho\"\n";
    let played = play("unordered", told).unwrap();
    assert_eq!(
        difference("x.txt", told, &played),
        "x.txt:6: this is told (-), that happens (+)\n- a delivers a/1 \"ho\"\n\
         + a sends body a/1 \"hi\" to all\n+ a delivers a/1 \"hi\"\n"
    );
    assert_eq!(play("unordered", &played), Ok(played));
    let unknown = play("unordered", "members a b\n\nb receives body a/1");
    assert_eq!(unknown, Err("3: `b receives body a/1`: nothing under way to it begins with that".to_owned()));
}
