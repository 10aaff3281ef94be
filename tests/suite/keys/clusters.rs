//! Clusters whose members have a key: strangers and recorded datagrams have no effect, and other keys are told.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use groupcast::check;
use groupcast::cluster::file;
use groupcast::exit::Exit;
use groupcast::ids::{MemberId, To};
use groupcast::replica::entry::{Content, Entry, EntryId, Fields};
use groupcast::replica::message::Message;
use groupcast::wire::BatchBuilder;
use groupcast::wire::datagram::{Head, of_content};
use groupcast::wire::sealed::{Key, Seal, close};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Launch, Ports, Stage, all_end, pause, until};

const IDS: [&str; 3] = ["s1", "s2", "s3"];

/// A cluster of three on a stage, with the key of its members and one more.
struct Cluster {
    stage: Stage,
    ports: Ports,
}

impl Cluster {
    fn new() -> Self {
        let cluster = Self { stage: Stage::new(), ports: Ports::take() };
        let mut text = "name = \"test\"\n".to_owned();
        for (slot, id) in IDS.iter().enumerate() {
            let _ = write!(text, "[[server]]\nid = \"{id}\"\nudp = \"127.0.0.1:{}\"\n", cluster.port(slot));
        }
        cluster.stage.file("cluster.toml", text);
        for name in ["key", "other"] {
            let make = cluster.stage.bare("groupcast").args(["keys", "cluster"]);
            let (said, _) = make.arg(cluster.path(name)).ends(0);
            assert!(said.contains("cluster: key "), "{said}");
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.dir().join(name)
    }

    fn port(&self, slot: usize) -> u16 {
        self.ports.first() + slot as u16
    }

    /// A member of a run, whose files are in folders of its name. It has the key of the cluster.
    fn member(&self, run: &str, id: &str, commands: &str) -> Launch<'_> {
        self.keyless(run, id, commands).arg("--keys").arg(self.path("key"))
    }

    fn keyless(&self, run: &str, id: &str, commands: &str) -> Launch<'_> {
        fs::create_dir_all(self.commands(run)).unwrap();
        let file = self.stage.file(&format!("commands/{run}/{id}.txt"), commands);
        let member = self.stage.bare("client").named(id).args(["--order", "tentative", "--id", id]);
        let member = member.arg("--cluster").arg(self.path("cluster.toml"));
        let member = member.arg("--data").arg(self.path("data").join(run).join(id));
        member.arg("--commands").arg(file).out(self.out(run))
    }

    fn out(&self, run: &str) -> PathBuf {
        self.path("out").join(run)
    }

    fn commands(&self, run: &str) -> PathBuf {
        self.path("commands").join(run)
    }

    /// All members have these texts, and everything that the order promises holds.
    fn is_confirmed(&self, run: &str, expected: &[String]) {
        let out = self.out(run);
        for id in IDS {
            let path = out.join(format!("test_result_{id}_tom.txt"));
            let mut found: Vec<String> =
                fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
            found.sort();
            assert_eq!(found, expected, "{id}");
        }
        for judgement in check::judge_folder(&out, &self.commands(run)).unwrap() {
            let verdicts = judgement.properties().map(|(_, verdict)| verdict);
            assert_eq!(check::exit(verdicts), Exit::Ok, "{}", judgement.lines());
        }
    }

    /// The number of datagrams with other keys in the status of a member.
    fn other_keys(&self, run: &str, id: &str) -> u64 {
        let text = fs::read(self.path("data").join(run).join(id).join("status.json")).unwrap_or_default();
        let status: Value = serde_json::from_slice(&text).unwrap_or_default();
        status["other_keys"].as_u64().unwrap_or_default()
    }
}

/// So many multicasts of a member, with sleeps, and the lines that they become.
fn commands(id: &str, count: usize, word: &str) -> (String, Vec<String>) {
    let lines = |number| format!("Multicast,{id},{word}{number}\nsleep,0.02\n");
    let results = |number| format!("{id}###{word}{number}");
    ((1..=count).map(lines).collect(), (1..=count).map(results).collect())
}

/// The commands of all members, and the sorted lines that they become.
fn all_commands(count: usize, word: &str) -> (Vec<String>, Vec<String>) {
    let (commands, lines): (Vec<_>, Vec<_>) = IDS.map(|id| commands(id, count, word)).into_iter().unzip();
    let mut lines = lines.concat();
    lines.sort();
    (commands, lines)
}

#[test]
fn keys_cluster_goes_on_through_kills_and_keeps_its_promises() {
    let cluster = Cluster::new();
    let (commands, lines) = all_commands(60, "m");
    let start = |slot: usize| cluster.member("run", IDS[slot], &commands[slot]).start();
    let mut members: Vec<_> = (0..3).map(start).collect();
    for victim in [0, 2, 0] {
        pause(Duration::from_millis(300));
        members[victim].signal(Signal::KILL);
        members[victim].wait();
        members[victim] = start(victim);
    }
    all_end(&mut members);
    cluster.is_confirmed("run", &lines);
    // With the same key, everything is confirmed at once when they start again.
    let mut members: Vec<_> = (0..3).map(start).collect();
    all_end(&mut members);
    cluster.is_confirmed("run", &lines);
}

#[test]
fn keys_cluster_members_with_other_keys_say_so_on_both_sides() {
    let cluster = Cluster::new();
    let patience = ["--timeout", "12s"];
    let other = cluster.keyless("run", "s2", "Multicast,s2,x\n").arg("--keys").arg(cluster.path("other"));
    let mut members = [
        cluster.member("run", "s1", "Multicast,s1,x\n").args(patience).start(),
        other.args(patience).start(),
        cluster.keyless("run", "s3", "Multicast,s3,x\n").args(patience).start(),
    ];
    let is_told = |slot: usize, words: &str| {
        format!("datagrams of the member at 127.0.0.1:{} {words}", cluster.port(slot))
    };
    let (another, has_one, none) =
        ("have another key", "have a key, and this member has none", "have no key");
    let words = [[(1, another), (2, none)], [(0, another), (2, none)], [(0, has_one), (1, has_one)]];
    for (member, words) in members.iter_mut().zip(words) {
        member.ends_saying(75, &["with another key, or none, came: have all members the same --keys?"]);
        let said = member.stderr();
        for (slot, words) in words {
            assert_eq!(said.matches(&is_told(slot, words)).count(), 1, "{said}");
        }
    }
    assert!(IDS.iter().all(|id| cluster.other_keys("run", id) > 0));
    let status = cluster.stage.bare("groupcast").args(["cluster", "status"]).arg(cluster.path("data/run"));
    let (shown, _) = status.ends(0);
    assert!(shown.contains("with another key, or none"), "{shown}");
}

/// A datagram as the third member would send it, with an entry that the others would show.
fn forged(cluster: &Cluster) -> (Head, Vec<u8>) {
    let number = file::Cluster::read(&cluster.path("cluster.toml"), None).unwrap().number();
    let head = Head { cluster: number, epoch: 1, sender: MemberId(2) };
    let mut batch = BatchBuilder::new(1);
    batch.push(b"forged");
    let entry = Message::Entry(Entry::new(&Fields {
        id: EntryId { origin: MemberId(2), number: 1 },
        time: 1,
        life: 1,
        previous: 0,
        causes: vec![0; 3],
        content: Content::Multicast(batch.finish().unwrap()),
    }));
    let length = (entry.bytes().len() as u16).to_le_bytes();
    (head, [&length[..], &entry.bytes()].concat())
}

#[test]
fn keys_cluster_takes_nothing_from_a_stranger_in_the_name_of_a_member() {
    let cluster = Cluster::new();
    let (commands, lines) = all_commands(20, "m");
    let start = |slot: usize| cluster.member("run", IDS[slot], &commands[slot]).start();
    let mut members: Vec<_> = (0..2).map(start).collect();
    let stranger = UdpSocket::bind(("127.0.0.1", cluster.port(2))).unwrap();
    let (head, content) = forged(&cluster);
    let mut other = Vec::new();
    let seal = Seal { to: To::Group, mark: 1, number: 1 };
    close(&Key([0; 32]), head, seal, &content, &mut other);
    until("the members have counted them", || {
        for datagram in [&of_content(head, &content)[..], &other] {
            (0..2).for_each(|slot| drop(stranger.send_to(datagram, ("127.0.0.1", cluster.port(slot)))));
        }
        ["s1", "s2"].iter().all(|id| cluster.other_keys("run", id) >= 20).then_some(())
    });
    drop(stranger);
    members.push(start(2));
    all_end(&mut members);
    cluster.is_confirmed("run", &lines);
    assert_eq!(members[0].stderr().matches("or are forged").count(), 1, "{}", members[0].stderr());
}

/// Each member is sent the same datagrams: a recorder in the place of the third has those that the others take.
#[test]
fn keys_cluster_takes_nothing_that_was_recorded_in_an_earlier_run() {
    let cluster = Cluster::new();
    let recorder = UdpSocket::bind(("127.0.0.1", cluster.port(2))).unwrap();
    recorder.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (old, _) = all_commands(20, "old");
    let start = |slot: usize| cluster.member("old", IDS[slot], &old[slot]).start();
    let mut members: Vec<_> = (0..2).map(start).collect();
    let mut recorded: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    until("both have multicast", || {
        let mut buffer = [0; 2_000];
        if let Ok((length, from)) = recorder.recv_from(&mut buffer) {
            let slot = (0..2).find(|&slot| cluster.port(slot) == from.port()).unwrap();
            recorded[slot].push(buffer[..length].to_vec());
        }
        recorded.iter().all(|all| all.len() >= 40).then_some(())
    });
    members.iter_mut().for_each(|member| {
        member.signal(Signal::KILL);
        member.wait();
    });
    drop(recorder);
    // The same key and the same addresses, and new journals: nothing else tells the runs apart.
    let (new, lines) = all_commands(20, "new");
    let start = |slot: usize| cluster.member("new", IDS[slot], &new[slot]).start();
    let mut members = vec![start(1)];
    members[0].says("start of test");
    let player = UdpSocket::bind(("127.0.0.1", cluster.port(0))).unwrap();
    for _ in 0..3 {
        for datagram in recorded.iter().flatten() {
            player.send_to(datagram, ("127.0.0.1", cluster.port(1))).unwrap();
            pause(Duration::from_millis(1));
        }
    }
    drop(player);
    let third = UdpSocket::bind(("127.0.0.1", cluster.port(2))).unwrap();
    for datagram in recorded.iter().flatten() {
        third.send_to(datagram, ("127.0.0.1", cluster.port(1))).unwrap();
    }
    drop(third);
    members.extend([start(0), start(2)]);
    all_end(&mut members);
    cluster.is_confirmed("new", &lines);
}
