//! Clusters of real clients on loopback: equal results, through kills and restarts, partitions and hostile datagrams.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use groupcast::check;
use groupcast::exit::Exit;
use groupcast::prng::Prng;
use rustix::process::Signal;

use crate::harness::{Launch, Ports, Program, Stage, pause, set_variables, side_by_side, until};

/// Multicasts of each member.
const EACH: usize = 40;

/// A cluster on a stage.
struct Cluster {
    stage: Stage,
    /// Their UDP ports are those of the members.
    ports: Vec<Ports>,
    ids: Vec<String>,
}

impl Cluster {
    fn new(members: usize) -> Self {
        Self::with(members, "")
    }

    /// A cluster whose file has one more line.
    fn with(members: usize, line: &str) -> Self {
        let stage = Stage::new();
        let ports: Vec<Ports> = (0..members.div_ceil(4)).map(|_| Ports::take()).collect();
        let ids: Vec<String> = (1..=members).map(|number| format!("s{number}")).collect();
        let cluster = Self { stage, ports, ids };
        let mut text = format!("name = \"test\"\n{line}\n");
        for (at, id) in cluster.ids.iter().enumerate() {
            let _ = write!(text, "[[server]]\nid = \"{id}\"\nudp = \"127.0.0.1:{}\"\n", cluster.port(at));
        }
        cluster.stage.file("cluster.toml", text);
        cluster
    }

    fn port(&self, member: usize) -> u16 {
        self.ports[member / 4].first() + (member % 4) as u16
    }

    /// A member with these commands, always the same command line.
    fn member(&self, id: &str, commands: &str) -> Launch<'_> {
        let file = self.stage.file(&format!("{id}.txt"), commands);
        let member = self.stage.bare("client").named(id).args(["--order", "tentative", "--id", id]);
        let member = member.arg("--cluster").arg(self.stage.dir().join("cluster.toml"));
        let member = member.arg("--data").arg(self.stage.dir().join("data").join(id));
        member.arg("--commands").arg(file).out(self.stage.out())
    }

    fn start(&self, commands: &[String]) -> Vec<Program> {
        let start = |(id, commands): (&String, &String)| self.member(id, commands).start();
        self.ids.iter().zip(commands).map(start).collect()
    }

    /// Multicasts with sleeps, and messages to the next member.
    fn commands(&self, prng: &mut Prng) -> Vec<String> {
        self.slow_commands(prng, 100)
    }

    /// The same, with sleeps of up to so many milliseconds. Some texts are longer than a datagram.
    fn slow_commands(&self, prng: &mut Prng, most: u64) -> Vec<String> {
        let next = self.ids.iter().cycle().skip(1);
        let commands = |(id, next): (&String, &String)| {
            let mut text = String::new();
            for number in 1..=EACH {
                let rest = "x".repeat(if number % 13 == 7 { 4_000 } else { 0 });
                let _ = writeln!(text, "Multicast,{id},m{number}{rest}");
                if number % 5 == 0 {
                    let _ = write!(text, "{id},{next},d{number}\nsleep,0.{:03}\n", prng.below(most));
                }
            }
            text
        };
        self.ids.iter().zip(next).map(commands).collect()
    }

    /// All members have the same lines, each message of all once, and everything that the order promises holds.
    fn is_all_there(&self) {
        for id in &self.ids {
            assert_eq!(self.stage.lines(id, "uno").len(), EACH / 5, "{id}");
        }
        self.is_confirmed(EACH * self.ids.len());
    }

    /// All members have the same lines, so many different ones, and everything that the order promises holds.
    fn is_confirmed(&self, count: usize) {
        let lists: Vec<Vec<String>> = self.ids.iter().map(|id| self.stage.lines(id, "tom")).collect();
        for (id, list) in self.ids.iter().zip(&lists) {
            assert!(list == &lists[0], "{id} and {}", self.ids[0]);
            assert!(*list == self.stage.lines(id, "now"), "{id} has confirmed all that it shows");
        }
        let seen: BTreeSet<&String> = lists[0].iter().collect();
        assert_eq!((seen.len(), lists[0].len()), (count, count));
        for judgement in check::judge_folder(&self.stage.out(), self.stage.dir()).unwrap() {
            let verdicts = judgement.properties().map(|(_, verdict)| verdict);
            assert_eq!(check::exit(verdicts), Exit::Ok, "{}", judgement.lines());
        }
    }

    /// Waits until `id` shows as many messages in its history.
    fn has_shown(&self, id: &str, count: usize) {
        let path = self.stage.out().join(format!("history_{id}.1.jsonl"));
        until(&format!("{id} shows {count} messages"), || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            (text.matches("\"insert\"").count() >= count).then_some(())
        });
    }
}

#[test]
fn cluster_members_end_with_equal_files() {
    for line in ["", "multicast = \"239.192.7.7:{port}\""] {
        let own = Ports::take();
        let cluster = Cluster::with(4, &line.replace("{port}", &own.first().to_string()));
        let commands = cluster.commands(&mut Prng::new(1));
        let mut members = cluster.start(&commands);
        members.iter_mut().for_each(|member| member.ends(0));
        cluster.is_all_there();
    }
}

#[test]
fn cluster_members_killed_and_started_again_go_on() {
    let cluster = Cluster::new(5);
    let mut prng = Prng::new(2);
    let commands = cluster.commands(&mut prng);
    let mut members = cluster.start(&commands);
    cluster.has_shown("s1", 60);
    for _ in 0..6 {
        let victim = prng.below(5) as usize;
        if members[victim].is_running() {
            members[victim].signal(Signal::KILL);
            members[victim].wait();
            pause(Duration::from_millis(prng.below(200)));
            members[victim] = cluster.member(&cluster.ids[victim], &commands[victim]).start();
        }
        pause(Duration::from_millis(prng.below(100)));
    }
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_all_there();
}

/// A journal forgets what all members have: by then, the result files must have it.
#[test]
fn cluster_member_killed_while_its_journal_forgets_goes_on() {
    let cluster = Cluster::new(3);
    let text = |id: &String| {
        let line = |number: usize| format!("Multicast,{id},{number} {}\n", "x".repeat(800));
        (0..3_000).map(line).collect::<String>()
    };
    let commands: Vec<String> = cluster.ids.iter().map(text).collect();
    let mut prng = Prng::new(7);
    let mut members = cluster.start(&commands);
    cluster.has_shown("s1", 300);
    let mut kills = 0;
    for _ in 0..8 {
        let victim = prng.below(3) as usize;
        if members[victim].is_running() {
            members[victim].signal(Signal::KILL);
            members[victim].wait();
            members[victim] = cluster.member(&cluster.ids[victim], &commands[victim]).start();
            kills += 1;
        }
        pause(Duration::from_millis(prng.below(200)));
    }
    assert!(kills > 1, "{kills} kills");
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_confirmed(3 * 3_000);
}

#[test]
fn cluster_killed_as_a_whole_goes_on() {
    let cluster = Cluster::new(5);
    let commands = cluster.commands(&mut Prng::new(3));
    let mut members = cluster.start(&commands);
    cluster.has_shown("s1", 50);
    members.iter_mut().for_each(|member| member.signal(Signal::KILL));
    for member in &mut members {
        member.wait();
    }
    let before = cluster.stage.lines("s1", "tom");
    let mut members = cluster.start(&commands);
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_all_there();
    assert!(cluster.stage.lines("s1", "tom").starts_with(&before), "what was confirmed stays");
}

#[test]
fn cluster_member_that_is_away_holds_confirmation_up_and_nothing_else() {
    let cluster = Cluster::new(3);
    let commands = cluster.commands(&mut Prng::new(4));
    let mut members: Vec<Program> =
        (0..2).map(|at| cluster.member(&cluster.ids[at], &commands[at]).start()).collect();
    cluster.has_shown("s1", 2 * EACH);
    assert_eq!(cluster.stage.lines("s1", "tom").len(), 0, "nothing is final without s3");
    members[0].signal(Signal::USR1);
    let now = until("s1 writes its list", || {
        let path = cluster.stage.out().join("test_result_s1_now.txt");
        fs::read_to_string(path).ok().filter(|text| text.lines().count() == 2 * EACH)
    });
    assert!(now.lines().all(|line| line.starts_with("~ s")), "{now}");
    members.push(cluster.member("s3", &commands[2]).start());
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_all_there();
}

#[test]
fn cluster_that_plays_faults_to_itself_heals() {
    let cluster = Cluster::new(5);
    let fault = |words: &[&str]| {
        let tool = cluster.stage.bare("groupcast").args(["cluster", words[0]]).arg(cluster.stage.dir());
        tool.args(&words[1..]).ends(0).0
    };
    fault(&["loss", "20%"]);
    let told = fault(&["part", "s1,s2/s3,s4,s5"]);
    assert_eq!(told, "faults: parted s1,s2 / s3,s4,s5; each server loses 20% of what comes\n");
    let file = cluster.stage.dir().join("faults.json");
    let commands = cluster.slow_commands(&mut Prng::new(8), 100);
    let start = |(id, commands): (&String, &String)| {
        cluster.member(id, commands).arg("--faults").arg(&file).arg("-v").start()
    };
    let mut members: Vec<Program> = cluster.ids.iter().zip(&commands).map(start).collect();
    cluster.has_shown("s1", 2 * EACH);
    cluster.has_shown("s3", 3 * EACH);
    pause(Duration::from_millis(500));
    for (id, count) in [("s1", 2 * EACH), ("s5", 3 * EACH)] {
        let history = fs::read_to_string(cluster.stage.out().join(format!("history_{id}.1.jsonl"))).unwrap();
        assert!(history.matches("\"insert\"").count() <= count, "{id} hears the other side");
        assert_eq!(cluster.stage.lines(id, "tom").len(), 0, "nothing is final without the other side");
    }
    // Each member tells its status once a second.
    until("the status tells of both sides", || {
        let status = cluster.stage.bare("groupcast").args(["cluster", "status"]).arg(cluster.stage.dir());
        let (status, _) = status.ends(0);
        (status.contains("cannot confirm without s") && status.contains(told.trim_end())).then_some(())
    });
    assert_eq!(fault(&["heal"]), "faults: none\n");
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_all_there();
    for member in &members {
        let said = member.stderr();
        assert!(said.contains(" dropped by faults"), "{said}");
    }
}

#[test]
fn cluster_takes_no_harm_from_hostile_datagrams() {
    let cluster = Cluster::new(3);
    let commands = cluster.commands(&mut Prng::new(5));
    let mut members = cluster.start(&commands);
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    attacker.set_nonblocking(true).unwrap();
    let mut prng = Prng::new(6);
    let mut sent = 0_u32;
    while members.iter_mut().all(Program::is_running) && sent < 20_000 {
        let mut bytes: Vec<u8> = (0..prng.between(1, 1_300)).map(|_| prng.next_u64() as u8).collect();
        let head = [b'G', b'C', 3];
        let count = bytes.len().min(head.len());
        bytes[..count].copy_from_slice(&head[..count]);
        let _ = attacker.send_to(&bytes, ("127.0.0.1", cluster.port(prng.below(3) as usize)));
        sent += 1;
    }
    assert!(sent > 100, "{sent}");
    members.iter_mut().for_each(|member| member.ends(0));
    cluster.is_all_there();
    assert!(attacker.recv(&mut [0; 2_000]).is_err(), "a stranger is answered");
}

#[test]
fn cluster_member_that_lost_its_journal_is_told_what_to_do() {
    let cluster = Cluster::new(3);
    let commands =
        |id: &String| format!("Multicast,{id},one\nMulticast,{id},two\nsleep,60\nMulticast,{id},late\n");
    let commands: Vec<String> = cluster.ids.iter().map(commands).collect();
    let mut members = cluster.start(&commands);
    for id in &cluster.ids {
        let path = cluster.stage.out().join(format!("test_result_{id}_tom.txt"));
        let lines = || fs::read_to_string(&path).unwrap_or_default().lines().count();
        until("all texts are final", || (lines() == 6).then_some(()));
    }
    // They tell each other so, and forget them.
    pause(Duration::from_secs(1));
    members[2].signal(Signal::KILL);
    members[2].wait();
    // Its machine is gone, with all its files.
    fs::remove_dir_all(cluster.stage.dir().join("data/s3")).unwrap();
    for entry in fs::read_dir(cluster.stage.out()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("_s3") {
            fs::remove_file(path).unwrap();
        }
    }
    let mut again = cluster.member("s3", &commands[2]).start();
    again.ends_saying(65, &["which all others have forgotten", "Bring back the last one"]);
    assert!(members[..2].iter_mut().all(Program::is_running), "it is nobody else's matter");
    // Its journal remembers it, also when nobody is there who could tell.
    drop(members);
    for _ in 0..2 {
        let mut again = cluster.member("s3", &commands[2]).start();
        again.ends_saying(65, &["which all others have forgotten", "Bring back the last one"]);
    }
    let show = cluster.stage.bare("groupcast").args(["journal", "show"]);
    let (said, _) = show.arg(cluster.stage.dir().join("data/s3")).ends(0);
    assert!(said.contains("an old copy: others have forgotten entry "), "{said}");
}

#[test]
fn cluster_member_that_is_started_again_after_the_end_ends_without_the_others() {
    let cluster = Cluster::new(2);
    let commands = ["Multicast,s1,x\n".to_owned(), "Multicast,s2,x\n".to_owned()];
    let mut members = cluster.start(&commands);
    members.iter_mut().for_each(|member| member.ends(0));
    // Nobody tells it anything: a limit that is shorter than the silence of a lost member would end it with 75.
    for _ in 0..2 {
        cluster.member("s1", &commands[0]).args(["--timeout", "6"]).ends(0);
    }
    cluster.is_confirmed(2);
    // Without what the life before knew, it waits for the other.
    fs::remove_file(cluster.stage.dir().join("data/s1/status.json")).unwrap();
    cluster.member("s1", &commands[0]).args(["--timeout", "6"]).ends(Exit::TimedOut as i32);
}

#[test]
fn cluster_mistakes_are_refused_with_what_to_do() {
    let cluster = Cluster::new(2);
    let short = "Multicast,s1,x\n";
    let of = |id: &str| cluster.member(id, short);
    for (launch, code, words) in [
        (of("s1").arg("--safe"), 64, "--safe is not for --order tentative"),
        (of("s9").args(["--dry-run"]), 65, "s9"),
        (cluster.stage.bare("client").args(["--order", "tentative", "--id", "s1"]), 64, "--out DIR"),
        (
            cluster.stage.client("c1", "Multicast,c1,x\n").args(["--data", "d"]),
            64,
            "--data is for --order tentative",
        ),
        (
            cluster.stage.client("c1", "Multicast,c1,x\n").args(["--faults", "f"]),
            64,
            "--faults is for --order tentative",
        ),
        (of("s1").args(["--cluster", "missing.toml"]), 64, "--cluster"),
    ] {
        let (_, said) = launch.ends(code);
        assert!(said.contains(words), "{said}");
    }
    let mut first = of("s1").start();
    cluster.has_shown("s1", 1);
    let (_, said) = of("s1").ends(69);
    assert!(said.contains("journal"), "{said}");
    first.signal(Signal::INT);
    assert_eq!(first.wait(), 130);
    for (commands, how) in [("sleep,1\n", "that this file lacks"), ("Multicast,s1,y\n", "it has `x` where")] {
        let (_, said) = cluster.member("s1", commands).ends(78);
        assert!(said.contains("another command file") && said.contains(how), "{said}");
        assert!(!said.contains("it goes on"), "{said}");
    }
    // A refusal begins no life: the next start is the first of this member.
    cluster.stage.file("out/test_result_s2_tom.txt", "of another run\n");
    let of = || cluster.member("s2", "Multicast,s2,x\n");
    let (_, said) = of().ends(73);
    assert!(said.contains("bring its journal back"), "{said}");
    let mut second = of().arg("--force").start();
    cluster.has_shown("s2", 1);
    second.signal(Signal::INT);
    assert_eq!(second.wait(), 130);
    assert!(!second.stderr().contains("life"), "{}", second.stderr());
}

/// Runs the members, which `$IDS` names, in a network in which the kernel keeps datagrams away as `$RULES` says, and lets
/// all through after `$HEAL` seconds. With `$BEAT`, they are kept away for so many seconds again and again. `$MTU` is that
/// of the network until then.
const SCRIPT: &str = r#"
PATH="$PATH:/usr/sbin:/sbin"
ip link set lo mtu "$MTU" up || exit 77
nft -f - <<'END' || exit 77
table inet bad {
    chain parts { type filter hook input priority 0; }
}
END
part() { echo "$RULES" | while read -r rule; do nft add rule inet bad parts $rule || exit 77; done; }
heal() { nft list chain inet bad parts; nft flush chain inet bad parts; }
for id in $IDS; do
    "$1" --order tentative --cluster cluster.toml --id $id --data data/$id --commands $id.txt --out out &
    pids="$pids $!"
done
sleep 0.3
part
if [ -n "$BEAT" ]; then
    for _ in 1 2 3 4 5 6 7 8; do sleep "$BEAT"; heal; sleep "$BEAT"; part; done
else
    sleep "$HEAL"
fi
heal
ip link set lo mtu 65536
code=0
for pid in $pids; do wait $pid || code=1; done
exit $code
"#;

/// A shape of partition of five members.
struct Shape {
    name: &'static str,
    /// The links that are cut, each from the first member to the second, by slots.
    cuts: fn(usize, usize) -> bool,
    rule: &'static str,
    /// The seconds until the heal, and the beat of a partition that flaps.
    seconds: &'static str,
    beat: &'static str,
    /// The MTUs of the network and of the cluster.
    mtu: (u32, u32),
}

const SHAPE: Shape =
    Shape { name: "", cuts: |_, _| false, rule: "", seconds: "1.5", beat: "", mtu: (65_536, 1_200) };
const IS_PARTED: fn(usize, usize) -> bool = |from, to| (from < 2) != (to < 2);

const SHAPES: [Shape; 8] = [
    Shape { name: "2 against 3", cuts: IS_PARTED, ..SHAPE },
    Shape { name: "one alone", cuts: |from, to| from == 0 || to == 0, ..SHAPE },
    Shape { name: "a line", cuts: |from, to| from.abs_diff(to) > 1, ..SHAPE },
    // Longer than the members send: the others must learn of the end only after the heal.
    Shape { name: "one direction", cuts: |from, _| from == 0, seconds: "6", ..SHAPE },
    Shape { name: "flapping", cuts: IS_PARTED, beat: "0.1", ..SHAPE },
    Shape { name: "loss", rule: "meta l4proto udp numgen random mod 100 < 20 counter drop", ..SHAPE },
    Shape { name: "small MTU", cuts: IS_PARTED, mtu: (576, 576), ..SHAPE },
    // The kernel refuses what is longer: a report of its own, not a rule that counts.
    Shape { name: "a narrow network", mtu: (600, 1_200), ..SHAPE },
];

impl Shape {
    fn rules(&self, cluster: &Cluster) -> String {
        let links = (0..5).flat_map(|from| (0..5).map(move |to| (from, to)));
        let cut = links.filter(|&(from, to)| from != to && (self.cuts)(from, to));
        let rule = |(from, to)| {
            format!("udp sport {} udp dport {} counter drop", cluster.port(from), cluster.port(to))
        };
        let rules: Vec<String> = cut.map(rule).chain([self.rule.to_owned()]).collect();
        rules.join("\n").trim().to_owned()
    }
}

#[test]
fn namespaces_cluster_heals_from_partitions_of_every_shape() {
    side_by_side(SHAPES.len(), 3, |number| {
        let shape = &SHAPES[number];
        let cluster = Cluster::with(5, &format!("mtu = {}", shape.mtu.1));
        let commands = cluster.slow_commands(&mut Prng::new(7), 500);
        for (id, commands) in cluster.ids.iter().zip(&commands) {
            cluster.stage.file(&format!("{id}.txt"), commands);
        }
        let Some((code, said)) = run_parted(&cluster, shape) else { return };
        let name = shape.name;
        assert_eq!(code, 0, "{name}: {said}");
        let kept_away = said.split("counter packets ").skip(1).filter(|rest| !rest.starts_with("0 ")).count();
        assert!(kept_away > 0 || said.contains("Message too long"), "{name}: {said}");
        cluster.is_all_there();
    });
}

/// Runs the cluster in a network of its own; nothing if there is none.
fn run_parted(cluster: &Cluster, shape: &Shape) -> Option<(i32, String)> {
    let mut command = Command::new("unshare");
    set_variables(&mut command);
    command.args(["--map-root-user", "--net", "sh", "-c", SCRIPT, "sh", env!("CARGO_BIN_EXE_client")]);
    command.current_dir(cluster.stage.dir()).stdin(Stdio::null());
    command.env("IDS", cluster.ids.join(" ")).env("RULES", shape.rules(cluster));
    command.env("HEAL", shape.seconds).env("BEAT", shape.beat).env("MTU", shape.mtu.0.to_string());
    let output = command.output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let code = output.status.code()?;
    if code == 77 || !Path::new(&cluster.stage.out()).is_dir() {
        eprintln!("skipped, because no network namespace with nftables is to be had: {}", said.trim());
        return None;
    }
    Some((code, said))
}
