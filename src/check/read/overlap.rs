//! The groups of a folder that have members in common: the order across all of them is judged together.

use std::collections::BTreeMap;

use super::Run;
use crate::check::across::{Delivery, TextLine, judge_groups, judge_texts};
use crate::check::history::{Event, History};
use crate::check::verdict::Verdict;

/// Gives each run of which a member is in several groups the verdict on the order across these.
pub(super) fn judge(runs: &mut [Run]) {
    let is_shared = |run: &Run| run.members.iter().any(|member| member.groups().len() > 1);
    let shared: Vec<usize> = (0..runs.len()).filter(|&run| is_shared(&runs[run])).collect();
    if !shared.is_empty() {
        let verdict = by_histories(&shared.iter().map(|&run| &runs[run]).collect::<Vec<_>>());
        shared.iter().for_each(|&run| runs[run].history.across = Some(verdict.clone()));
    }
    let labelled = |run: &Run| run.members.iter().any(|member| member.has_labels);
    let labelled: Vec<usize> = (0..runs.len()).filter(|&run| labelled(&runs[run])).collect();
    if !labelled.is_empty() {
        let verdict = by_texts(&labelled.iter().map(|&run| &runs[run]).collect::<Vec<_>>());
        labelled.iter().for_each(|&run| runs[run].history.across = Some(verdict.clone()));
    }
}

fn by_histories(runs: &[&Run]) -> Verdict {
    let groups: Vec<(&str, &History)> =
        runs.iter().map(|run| (run.group.as_deref().unwrap_or_default(), &run.history)).collect();
    // A member has one history file, in which the lines are in the order of its deliveries.
    let mut members: BTreeMap<&str, Vec<(u32, Delivery)>> = BTreeMap::new();
    for (group, run) in runs.iter().enumerate() {
        for (record, it) in run.history.records.iter().enumerate() {
            let Some(source) = &it.source else { continue };
            let deliveries = members.entry(&it.name).or_default();
            for (event, (told, &line)) in it.events.iter().zip(&source.lines).enumerate() {
                if matches!(told, Event::Deliver { .. }) {
                    deliveries.push((line, Delivery { group, record, event }));
                }
            }
        }
    }
    let in_order = members.into_values().map(|mut deliveries| {
        deliveries.sort_by_key(|(line, _)| *line);
        deliveries.into_iter().map(|(_, delivery)| delivery).collect()
    });
    judge_groups(&groups, &in_order.collect::<Vec<_>>())
}

fn by_texts(runs: &[&Run]) -> Verdict {
    let mut files: BTreeMap<&str, (String, Vec<TextLine>)> = BTreeMap::new();
    for run in runs {
        let group = run.group.clone().unwrap_or_default();
        for member in &run.members {
            let Some(file) = &member.delivered else { continue };
            let (_, lines) = files.entry(&member.id).or_insert_with(|| (file.name.clone(), Vec::new()));
            lines.extend(
                file.lines().enumerate().map(|(at, line)| (file.number(at), group.clone(), line.to_vec())),
            );
        }
    }
    let files = files.into_iter().map(|(member, (file, mut lines))| {
        lines.sort_by_key(|(number, ..)| *number);
        (member.to_owned(), file, lines)
    });
    judge_texts(&files.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::read::read;

    /// A client: its id, its groups, and its deliveries: a sender and its group, each message the first of that sender in
    /// that group.
    type Told<'t> = (&'t str, &'t [&'t str], &'t [(&'t str, &'t str)]);

    /// Writes the files of clients.
    fn folder(clients: &[Told<'_>], has_histories: bool) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (id, groups, delivered) in clients {
            let quoted: Vec<String> = groups.iter().map(|group| format!("\"{group}\"")).collect();
            let (mut history, mut lines) = (String::new(), String::new());
            let (named, of) = (format!("[{}]", quoted.join(",")), groups.len() > 1);
            for group in *groups {
                let groups = if of { format!(",\"groups\":{named}") } else { String::new() };
                history += &format!(
                    "{{\"v\":1,\"event\":\"start\",\"member\":\"{id}\",\"incarnation\":1,\"group\":\"{group}\"{groups},\
                     \"order\":\"total\",\"method\":\"bb\",\"members\":[\"c1\",\"c2\"]}}\n"
                );
            }
            for (sender, group) in *delivered {
                let text = format!("{sender} to {group}");
                let group_field = if of { format!(",\"group\":\"{group}\"") } else { String::new() };
                let event = |name| {
                    format!(
                        "{{\"v\":1,\"event\":\"{name}\",\"id\":\"{sender}/1/1\",\"text\":\"{text}\"{group_field}}}\n"
                    )
                };
                if sender == id {
                    history += &event("multicast");
                }
                history += &event("deliver");
                let label = if of { format!("@{group}") } else { String::new() };
                lines += &format!("{sender}{label}###{text}\n");
            }
            for group in *groups {
                let group = if of { format!(",\"group\":\"{group}\"") } else { String::new() };
                history += &format!("{{\"v\":1,\"event\":\"end\",\"reason\":\"done\"{group}}}\n");
            }
            if has_histories {
                std::fs::write(dir.path().join(format!("history_{id}.jsonl")), history).unwrap();
            }
            std::fs::write(dir.path().join(format!("test_result_{id}_tom.txt")), lines).unwrap();
        }
        dir
    }

    fn across(clients: &[Told<'_>], has_histories: bool) -> Vec<Option<Verdict>> {
        let dir = folder(clients, has_histories);
        let (runs, _) = read(dir.path(), None).unwrap();
        for run in runs.iter().filter(|run| run.has_histories()) {
            let index = crate::check::MessageIndex::new(&run.history);
            let consistent = crate::check::consistency::judge(run, &index);
            assert!(!matches!(consistent, Verdict::Violated(_)), "{consistent:?}");
        }
        runs.into_iter().map(|run| run.history.across).collect()
    }

    const BOTH: &[&str] = &["a", "b"];

    #[test]
    fn order_across_two_groups_is_judged_by_histories_and_by_texts() {
        let (first, then) = (("c1", "a"), ("c2", "b"));
        for has_histories in [true, false] {
            let same = [("c1", BOTH, &[first, then][..]), ("c2", BOTH, &[first, then][..])];
            assert_eq!(across(&same, has_histories), vec![Some(Verdict::Valid); 2]);
            let other = [("c1", BOTH, &[first, then][..]), ("c2", BOTH, &[then, first][..])];
            let verdicts = across(&other, has_histories);
            let Some(Some(Verdict::Violated(witness))) = verdicts.first() else { panic!("{verdicts:?}") };
            let story = if has_histories {
                "c1 delivered c1/1/1 of a then c2/1/1 of b (history_c1.jsonl:4,5); c2 delivered c2/1/1 of b then \
                 c1/1/1 of a (history_c2.jsonl:4,5)"
            } else {
                "c1 delivered `c1###c1 to a` of a then `c2###c2 to b` of b (test_result_c1_tom.txt:1,2); c2 delivered \
                 `c2###c2 to b` of b then `c1###c1 to a` of a (test_result_c2_tom.txt:1,2)"
            };
            assert!(witness.story.contains(story), "{}", witness.story);
        }
    }

    #[test]
    fn groups_without_shared_members_have_no_order_across() {
        let alone = [("c1", &["a"][..], &[("c1", "a")][..]), ("c2", &["b"][..], &[("c2", "b")][..])];
        assert_eq!(across(&alone, true), vec![None; 2]);
    }
}
