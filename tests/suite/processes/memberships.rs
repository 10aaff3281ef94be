//! Changes of the members of running clusters by an operator: a dead member goes, a new one comes, and a minority
//! changes nothing.

use std::fmt::Write as _;
use std::fs;

use groupcast::check;
use groupcast::exit::Exit;
use rustix::process::Signal;

use crate::harness::{Launch, Ports, Program, Stage, until};

/// A cluster on a stage. Its fourth port is that of a member that comes later.
struct Cluster {
    stage: Stage,
    ports: Ports,
    members: usize,
}

impl Cluster {
    fn new(members: usize) -> Self {
        let cluster = Self { stage: Stage::new(), ports: Ports::take(), members };
        cluster.stage.file("cluster.toml", cluster.list(members));
        cluster
    }

    fn address(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.ports.first() + number as u16 - 1)
    }

    fn list(&self, members: usize) -> String {
        let mut text = "name = \"test\"\n".to_owned();
        for number in 1..=members {
            let address = self.address(number);
            let _ = write!(text, "[[server]]\nid = \"s{number}\"\nudp = \"{address}\"\n");
            if number > self.members {
                text.push_str("added = true\n");
            }
        }
        text
    }

    fn member(&self, number: usize, list: &str, commands: &str) -> Launch<'_> {
        let id = format!("s{number}");
        let file = self.stage.file(&format!("{id}.txt"), commands);
        let member = self.stage.bare("client").named(&id).args(["--order", "tentative", "--id", &id]);
        let member = member.arg("--cluster").arg(self.stage.dir().join(list));
        let member = member.arg("--data").arg(self.data(number)).args(["--timeout", "60"]);
        member.arg("--commands").arg(file).out(self.stage.out())
    }

    fn data(&self, number: usize) -> std::path::PathBuf {
        self.stage.dir().join("data").join(format!("s{number}"))
    }

    /// Asks the member `at` for a change.
    fn change(&self, what: &str, at: usize, arguments: &[&str]) -> Launch<'_> {
        let launch = self.stage.bare("groupcast").args(["cluster", what]);
        launch.arg(self.data(at)).args(arguments)
    }

    /// Waits until the member has confirmed so many messages.
    fn has_confirmed(&self, number: usize, count: usize) {
        until(&format!("s{number} confirms {count} messages"), || {
            let path = self.stage.out().join(format!("test_result_s{number}_tom.txt"));
            let text = fs::read_to_string(path).unwrap_or_default();
            (text.lines().count() >= count).then_some(())
        });
    }

    /// Waits until the member has written its first status.
    fn runs(&self, number: usize) {
        until(&format!("s{number} runs"), || self.data(number).join("status.json").is_file().then_some(()));
    }

    /// Nothing is violated, and the changes of the members are valid.
    fn is_valid(&self) {
        for judgement in check::judge_folder(&self.stage.out(), self.stage.dir()).unwrap() {
            let violated = judgement.properties().any(|(_, verdict)| verdict.is_violated());
            let is_judged =
                judgement.properties().any(|(name, verdict)| name == "membership" && verdict.is_valid());
            assert!(!violated && is_judged, "{}", judgement.lines());
        }
    }

    /// With this change of one history, the changes of the members are violated, with these words.
    fn is_violated(&self, history: &str, change: impl Fn(&str) -> String, words: &str) {
        let path = self.stage.out().join(history);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed);
        fs::write(&path, changed).unwrap();
        let [judgement] = &check::judge_folder(&self.stage.out(), self.stage.dir()).unwrap()[..] else {
            panic!("one cluster");
        };
        let (_, verdict) = judgement.properties().find(|(name, _)| *name == "membership").unwrap();
        assert!(verdict.is_violated() && verdict.to_string().contains(words), "{verdict}");
        fs::write(&path, text).unwrap();
    }
}

/// Returns the lines of a text without those of epochs.
fn without_epochs(text: &str) -> String {
    text.lines()
        .filter(|line| !line.contains("\"event\":\"epoch\""))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Returns the number of the line of the first epoch in a history, from 1.
fn line_of_epoch(cluster: &Cluster, history: &str) -> usize {
    let text = fs::read_to_string(cluster.stage.out().join(history)).unwrap();
    text.lines().position(|line| line.contains("\"event\":\"epoch\"")).unwrap() + 1
}

/// Multicasts with a sleep between them.
fn commands(number: usize, count: usize, sleep: &str) -> String {
    (1..=count).map(|text| format!("Multicast,s{number},m{text}\nsleep,{sleep}\n")).collect()
}

fn end(members: &mut [Program]) {
    members.iter_mut().for_each(|member| member.ends(0));
}

#[test]
fn memberships_cluster_goes_on_without_a_dead_member_that_was_removed() {
    let cluster = Cluster::new(4);
    let start = |number| cluster.member(number, "cluster.toml", &commands(number, 30, "0.3")).start();
    let mut members: Vec<Program> = (1..=4).map(start).collect();
    cluster.has_confirmed(1, 10);
    cluster.runs(1);
    members[3].signal(Signal::KILL);
    members[3].wait();
    members.truncate(3);
    let (said, _) = cluster.change("remove", 1, &["s4"]).ends(0);
    assert!(said.contains("s4 was removed: epoch 2"), "{said}");
    // While the others run, it is told.
    let mut late = cluster.member(4, "cluster.toml", &commands(4, 30, "0.3")).start();
    late.ends_saying(69, &["s4 was removed from the cluster in epoch 2"]);
    end(&mut members);
    let lists: Vec<Vec<String>> =
        (1..=3).map(|number| cluster.stage.lines(&format!("s{number}"), "tom")).collect();
    assert!(lists[0].len() >= 90 && lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    cluster.is_valid();
    // It knows it by itself, too.
    let mut again = cluster.member(4, "cluster.toml", &commands(4, 30, "0.3")).start();
    again.ends_saying(69, &["s4 was removed from the cluster in epoch 2"]);
}

#[test]
fn memberships_new_member_gets_the_log_and_takes_part() {
    let cluster = Cluster::new(3);
    let start = |number| cluster.member(number, "cluster.toml", &commands(number, 40, "0.2")).start();
    let mut members: Vec<Program> = (1..=3).map(start).collect();
    cluster.has_confirmed(1, 10);
    cluster.runs(2);
    let (said, _) = cluster.change("add", 2, &["s4", &cluster.address(4)]).ends(0);
    assert!(said.contains("was added: epoch 2"), "{said}");
    cluster.stage.file("longer.toml", cluster.list(4));
    let mut late = cluster.member(4, "longer.toml", &commands(4, 20, "0.05")).start();
    cluster.has_confirmed(4, 5);
    late.signal(Signal::KILL);
    late.wait();
    members.push(cluster.member(4, "longer.toml", &commands(4, 20, "0.05")).start());
    // One of the others comes back with the old file, and knows the new member from its journal.
    members[0].signal(Signal::KILL);
    members[0].wait();
    members[0] = cluster.member(1, "cluster.toml", &commands(1, 40, "0.2")).start();
    end(&mut members);
    let lists: Vec<Vec<String>> =
        (1..=4).map(|number| cluster.stage.lines(&format!("s{number}"), "tom")).collect();
    assert!(lists[..3].iter().all(|list| *list == lists[0]), "{lists:?}");
    assert_eq!(lists[0].len(), 3 * 40 + 20);
    assert!(lists[0].ends_with(&lists[3]) && lists[3].len() >= 20, "{:?}", lists[3]);
    cluster.is_valid();
    // A history that tells of another change, or of none, although the member took what came after it.
    let line = line_of_epoch(&cluster, "history_s3.1.jsonl");
    let other = |text: &str| text.replace("\"s1\",\"s2\",\"s3\",\"s4\"]", "\"s1\",\"s2\",\"s3\",\"s5\"]");
    cluster.is_violated(
        "history_s3.1.jsonl",
        other,
        &format!("at s3 (history_s3.1.jsonl:{line}) with s1, s2, s3 and s5"),
    );
    let skipped = "before it began epoch 2; s";
    cluster.is_violated("history_s3.1.jsonl", without_epochs, skipped);
    let later = |text: &str| text.replace("\"epoch\",\"number\":2", "\"epoch\",\"number\":3");
    let words =
        format!("epoch 3 began at s3 (history_s3.1.jsonl:{line}) without epoch 2, which began at s1 (");
    cluster.is_violated("history_s3.1.jsonl", later, &words);
}

#[test]
fn memberships_mistakes_in_the_lines_of_added_members_are_told() {
    let cluster = Cluster::new(2);
    let start = |number| cluster.member(number, "cluster.toml", "sleep,60\n").start();
    let mut members: Vec<Program> = (1..=2).map(start).collect();
    cluster.runs(1);
    let [third, fourth] = [3, 4].map(|number| cluster.address(number));
    cluster.change("add", 1, &["s3", &third]).ends(0);
    // Another address than the one that was given to `add`.
    let list = cluster.list(3);
    cluster.stage.file("address.toml", list.replace(&third, &fourth));
    let mut late = cluster.member(3, "address.toml", "Multicast,s3,x\n").start();
    late.says(&format!("waiting for the members to let s3 at {fourth} in"));
    members[0].says(&format!("a datagram from {fourth} says that it is of the member at {third}"));
    late.signal(Signal::KILL);
    late.wait();
    // The right address, and another id.
    cluster.stage.file("id.toml", list.replace("\"s3\"", "\"s4\""));
    let mut late = cluster.member(4, "id.toml", "Multicast,s4,x\n").start();
    late.ends_saying(78, &[&format!("the cluster has added s3 at {third} in its place")]);
    fs::remove_dir_all(cluster.data(4)).unwrap();
    // The right line; later it is changed.
    cluster.stage.file("right.toml", &*list);
    let mut third_member = cluster.member(3, "right.toml", "Multicast,s3,x\nsleep,60\n").start();
    cluster.has_confirmed(1, 1);
    third_member.signal(Signal::KILL);
    third_member.wait();
    let mut late = cluster.member(3, "address.toml", "Multicast,s3,x\nsleep,60\n").start();
    late.ends_saying(78, &["cannot start s3 at"]);
    let _third = cluster.member(3, "right.toml", "Multicast,s3,x\nsleep,60\n").start();
    // The next one has a wrong address of the one before, and hears it all the same.
    cluster.change("add", 1, &["s4", &fourth]).ends(0);
    let nowhere = cluster.list(4).replace(&third, "127.0.0.1:9");
    cluster.stage.file("nowhere.toml", nowhere);
    let _fourth = cluster.member(4, "nowhere.toml", "Multicast,s4,y\nsleep,60\n").start();
    cluster.has_confirmed(4, 1);
}

#[test]
fn memberships_minority_cannot_change_the_cluster() {
    let cluster = Cluster::new(3);
    let start = |number| cluster.member(number, "cluster.toml", &commands(number, 5, "0.05")).start();
    let mut members = vec![start(1)];
    cluster.runs(1);
    let (_, said) = cluster.change("remove", 1, &["s3", "--timeout", "3"]).ends(Exit::TimedOut as i32);
    assert!(said.contains("no majority"), "{said}");
    let (_, said) = cluster.change("remove", 1, &["s9"]).ends(69);
    assert!(said.contains("s9 is none of the members s1"), "{said}");
    let (_, said) = cluster.change("remove", 2, &["s3"]).ends(69);
    assert!(said.contains("no member of a cluster runs"), "{said}");
    // A request that was not decided in time is not met when a majority comes.
    members.extend([start(2), start(3)]);
    members.iter_mut().for_each(|member| member.ends(0));
    let said: String = members.iter().map(Program::stderr).collect();
    assert!(!said.contains("epoch 2"), "{said}");
}
