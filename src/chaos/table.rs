//! The results of many runs, as tables in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::draw::KINDS;
use crate::exit::Exit;
use crate::order::ORDERS;

/// The result of one run.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) title: String,
    /// Passed, undecided, or any other code for failed.
    pub(super) exit: Exit,
    pub(super) why: String,
    /// The kind of each fault, and whether it acted.
    faults: Vec<(String, bool)>,
    sent_again: u64,
}

impl Report {
    /// Creates the report of a run without a summary.
    pub(super) fn failed(title: &str, exit: Exit, why: String) -> Self {
        Self { title: title.to_owned(), exit, why, faults: Vec::new(), sent_again: 0 }
    }

    /// Parses the output of `groupcast run --json`, one event a line.
    pub(super) fn read(title: &str, lines: &str) -> Self {
        let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut is_valid, mut summary) = (true, None);
        for event in events {
            match event["event"].as_str() {
                Some("property") => is_valid &= event["verdict"] == "valid",
                Some("summary") => summary = Some(event),
                _ => {}
            }
        }
        let Some(summary) = summary else {
            return Self::failed(title, Exit::Bug, "it ended without a word".to_owned());
        };
        let fault =
            |fault: &Value| (fault["kind"].as_str().unwrap_or_default().to_owned(), fault["acted"] == true);
        let faults: Vec<_> = summary["faults"].as_array().into_iter().flatten().map(fault).collect();
        let code = summary["exit"].as_u64().and_then(|code| u8::try_from(code).ok());
        let exit = match code.and_then(Exit::from_code).unwrap_or(Exit::Bug) {
            // Some of the faults may never act, but not all of them.
            Exit::Undecided if is_valid && faults.iter().any(|&(_, has_acted)| has_acted) => Exit::Ok,
            exit => exit,
        };
        let why = summary["why"].as_str().unwrap_or_default().to_owned();
        let sent_again = summary["sent_again"].as_u64().unwrap_or_default();
        Self { title: title.to_owned(), exit, why, faults, sent_again }
    }
}

/// The numbers of runs that passed, were undecided and failed; and of packets sent again.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    passed: u64,
    undecided: u64,
    failed: u64,
    sent_again: u64,
}

/// The results of all runs so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    orders: BTreeMap<String, Row>,
    all: Row,
    /// For each kind of fault: the numbers of times that it was drawn, and that it acted.
    kinds: BTreeMap<String, (u64, u64)>,
    /// The exit code of the first run that failed, or else of the first undecided one.
    worst: Option<Exit>,
}

impl Table {
    pub(super) fn add(&mut self, report: &Report) {
        for row in [self.orders.entry(report.title.clone()).or_default(), &mut self.all] {
            row.sent_again += report.sent_again;
            match report.exit {
                Exit::Ok => row.passed += 1,
                Exit::Undecided => row.undecided += 1,
                _ => row.failed += 1,
            }
        }
        for (kind, has_acted) in &report.faults {
            let (drawn, acted) = self.kinds.entry(kind.clone()).or_default();
            *drawn += 1;
            *acted += u64::from(*has_acted);
        }
        if report.exit != Exit::Ok && self.worst.is_none_or(|worst| worst == Exit::Undecided) {
            self.worst = Some(report.exit);
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.worst.unwrap_or(Exit::Ok)
    }

    pub(super) fn text(&self) -> String {
        let mut text = "| order | runs | passed | undecided | failed | sent again |\n".to_owned();
        text += "| --- | --- | --- | --- | --- | --- |\n";
        let mut line = |title: &str, Row { passed, undecided, failed, sent_again }| {
            let runs = passed + undecided + failed;
            let _ = writeln!(text, "| {title} | {runs} | {passed} | {undecided} | {failed} | {sent_again} |");
        };
        for order in &ORDERS {
            if let Some(&row) = self.orders.get(&order.title()) {
                line(&order.title(), row);
            }
        }
        line("all", self.all);
        text += "\n| fault | drawn | acted |\n| --- | --- | --- |\n";
        for kind in KINDS {
            if let Some((drawn, acted)) = self.kinds.get(kind) {
                let _ = writeln!(text, "| {kind} | {drawn} | {acted} |");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(exit: u8, acted: [bool; 2]) -> Report {
        let property = r#"{"event":"property","verdict":"valid"}"#;
        let [first, second] = acted;
        let summary = format!(
            r#"{{"event":"summary","exit":{exit},"why":"so","sent_again":3,"faults":[
               {{"kind":"cut","acted":{first}}},{{"kind":"loss","acted":{second}}}]}}"#
        );
        Report::read("fifo", &format!("{property}\n{}", summary.replace('\n', "")))
    }

    #[test]
    fn a_run_is_undecided_when_no_fault_acted() {
        assert_eq!(report(0, [true, true]).exit, Exit::Ok);
        assert_eq!(report(2, [true, false]).exit, Exit::Ok);
        assert_eq!(report(2, [false, false]).exit, Exit::Undecided);
        assert_eq!(report(69, [true, true]).exit, Exit::Unavailable);
        let undecided = r#"{"event":"property","verdict":"undecided"}"#;
        let summary = r#"{"event":"summary","exit":2,"faults":[{"kind":"cut","acted":true}]}"#;
        assert_eq!(Report::read("fifo", &format!("{undecided}\n{summary}")).exit, Exit::Undecided);
        assert_eq!(Report::read("fifo", "").exit, Exit::Bug);
    }

    #[test]
    fn runs_and_faults_are_summed_up() {
        let mut table = Table::default();
        for report in [report(0, [true, true]), report(2, [false, false]), report(69, [true, false])] {
            table.add(&report);
        }
        assert_eq!(table.exit(), Exit::Unavailable);
        let text = table.text();
        for line in [
            "| fifo | 3 | 1 | 1 | 1 | 9 |",
            "| all | 3 | 1 | 1 | 1 | 9 |",
            "| cut | 3 | 2 |",
            "| loss | 3 | 1 |",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
