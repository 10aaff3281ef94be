//! The reports of `groupcast check`: text, JSON, and JUnit for continuous integration.

use std::fmt::Write as _;

use serde::Serialize;

use super::checker::Checker;
use super::direct;
use super::history::Event;
use super::verdict::{Place, Verdict};
use crate::exit::Exit;
use crate::talk::printable;

/// The version of the JSON format.
const VERSION: u8 = 1;

/// The property of direct messages.
const POINT_TO_POINT: &str = "point-to-point";

/// The verdicts on one run.
#[derive(Debug)]
pub struct Judgement {
    group: Option<String>,
    order: String,
    members: Vec<String>,
    counts: Counts,
    verdicts: Vec<(&'static str, Verdict)>,
    /// The undeliverable messages as text, if there are any.
    undeliverable: Option<String>,
}

/// The numbers of events that were judged.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    multicasts: u64,
    deliveries: u64,
    /// Of a cluster, whose deliveries are what members confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    inserted: Option<u64>,
    sent: u64,
    received: u64,
    undeliverable: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    v: u8,
    verdict: &'static str,
    groups: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Group<'a> {
    group: Option<&'a str>,
    order: &'a str,
    members: &'a [String],
    counts: Counts,
    verdict: &'static str,
    properties: Vec<Judged<'a>>,
}

#[derive(Serialize)]
struct Judged<'a> {
    property: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    places: &'a [Place],
}

impl Judgement {
    pub(super) fn new(
        checker: &Checker<'_>,
        order: Option<&str>,
        verdicts: Vec<(&'static str, Verdict)>,
    ) -> Self {
        let run = checker.run;
        Self {
            group: run.group.clone(),
            order: checker.order(order),
            members: run.members.iter().map(|member| member.id.clone()).collect(),
            counts: Counts::of(checker),
            verdicts,
            undeliverable: direct::undeliverable(&run.history),
        }
    }

    /// Returns the group of the run, if the files name it.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Returns the judged properties with their verdicts.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &Verdict)> {
        self.verdicts.iter().map(|(property, verdict)| (*property, verdict))
    }

    pub(super) fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().map(|(_, verdict)| verdict)
    }

    /// Formats a line for each property.
    #[must_use]
    pub fn lines(&self) -> String {
        let line = |(property, verdict): (&str, &Verdict)| match self.note(property, verdict) {
            None => format!("{property:<16}{}\n", printable(&verdict.to_string())),
            Some(note) => format!("{property:<16}{:<10}{}\n", verdict.word(), printable(note)),
        };
        self.properties().map(line).collect()
    }

    /// Returns the undeliverable messages as a note on a valid point-to-point property.
    fn note(&self, property: &str, verdict: &Verdict) -> Option<&str> {
        self.undeliverable.as_deref().filter(|_| property == POINT_TO_POINT && verdict.is_valid())
    }

    /// Describes the judged run in one line.
    fn title(&self) -> String {
        let kind = if self.counts.inserted.is_some() { "cluster" } else { "group" };
        let group =
            self.group.as_ref().map_or_else(|| "result files".to_owned(), |group| format!("{kind} {group}"));
        let Counts { multicasts, deliveries, inserted, sent, received, undeliverable } = self.counts;
        let delivered = match inserted {
            None => format!("{deliveries} delivered"),
            Some(inserted) => format!("{inserted} inserted, {deliveries} confirmed"),
        };
        let undeliverable = match undeliverable {
            0 => String::new(),
            count => format!(", {count} undeliverable"),
        };
        format!(
            "{group}, {}, {} members: {multicasts} multicast, {delivered}, {sent} sent, {received} received{undeliverable}",
            self.order,
            self.members.len()
        )
    }

    fn json(&self) -> Group<'_> {
        let properties = self.verdicts.iter().map(|(property, verdict)| Judged {
            property,
            verdict: verdict.word(),
            why: verdict.why().or_else(|| self.note(property, verdict)),
            places: verdict.places(),
        });
        Group {
            group: self.group.as_deref(),
            order: &self.order,
            members: &self.members,
            counts: self.counts,
            verdict: word(exit(self.verdicts())),
            properties: properties.collect(),
        }
    }

    fn junit(&self, out: &mut String) {
        let name = self.group.as_deref().unwrap_or("results");
        let count = |is_one: fn(&Verdict) -> bool| self.verdicts().filter(|verdict| is_one(verdict)).count();
        let (failures, skipped) =
            (count(Verdict::is_violated), count(|verdict| matches!(verdict, Verdict::Undecided(_))));
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            escaped(name),
            self.verdicts.len()
        );
        for (property, verdict) in &self.verdicts {
            let class = escaped(&format!("groupcast.check.{name}"));
            let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{property}\"");
            let _ = match verdict {
                Verdict::Valid => writeln!(out, "/>"),
                Verdict::Violated(witness) => {
                    let story = escaped(&witness.story);
                    writeln!(
                        out,
                        "><failure type=\"violated\" message=\"{story}\">{story}</failure></testcase>"
                    )
                }
                Verdict::Undecided(reason) => {
                    writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(reason))
                }
            };
        }
        out.push_str("  </testsuite>\n");
    }
}

impl Counts {
    fn of(checker: &Checker<'_>) -> Self {
        let mut counts = Self { inserted: checker.inserted(), ..Self::default() };
        for event in checker.run.history.records.iter().flat_map(|record| &record.events) {
            *match event {
                Event::Multicast { .. } => &mut counts.multicasts,
                Event::Deliver { .. } => &mut counts.deliveries,
                Event::Send { .. } => &mut counts.sent,
                Event::Receive { .. } => &mut counts.received,
                Event::Undeliverable { .. } => &mut counts.undeliverable,
            } += 1;
        }
        for member in checker.run.members.iter().filter(|member| member.history_file.is_none()) {
            counts.deliveries += member.delivered.as_ref().map_or(0, |file| file.lines().len() as u64);
            counts.received += member.received.as_ref().map_or(0, |file| file.lines().len() as u64);
        }
        counts
    }
}

/// Combines verdicts into an exit code: violated before undecided before valid.
pub fn exit<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Exit {
    verdicts.fold(Exit::Ok, |exit, verdict| match (exit, verdict) {
        (Exit::Violated, _) | (_, Verdict::Violated(_)) => Exit::Violated,
        (Exit::Undecided, _) | (_, Verdict::Undecided(_)) => Exit::Undecided,
        _ => Exit::Ok,
    })
}

const fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "valid",
        Exit::Undecided => "undecided",
        _ => "violated",
    }
}

/// Formats the report for people: a line for each property, and one for each run.
pub(super) fn text(judgements: &[Judgement]) -> String {
    let mut text = String::new();
    for judgement in judgements {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &judgement.lines();
        let verdict = match exit(judgement.verdicts()) {
            Exit::Ok => "PASS",
            Exit::Undecided => "UNDECIDED",
            _ => "FAIL",
        };
        let _ = writeln!(text, "{verdict}: {}", printable(&judgement.title()));
    }
    text
}

/// Formats the report for programs: one JSON object.
pub(super) fn json(judgements: &[Judgement]) -> String {
    let all = judgements.iter().flat_map(Judgement::verdicts);
    let document = Document {
        v: VERSION,
        verdict: word(exit(all)),
        groups: judgements.iter().map(Judgement::json).collect(),
    };
    serde_json::to_string_pretty(&document).expect("verdicts are made of strings and numbers")
}

/// Formats the report for continuous integration: a test suite for each run, a test case for each property; undecided
/// properties are skipped tests.
pub(super) fn junit(judgements: &[Judgement]) -> String {
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"groupcast check\">\n");
    judgements.iter().for_each(|judgement| judgement.junit(&mut text));
    text + "</testsuites>\n"
}

/// Escapes a text for XML, and replaces the characters that XML cannot hold.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ if character.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
    out
}
