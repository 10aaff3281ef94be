//! Clients that come into a group that runs, leave it before its end, or come back from death: under load, in every
//! order, and judged by `check`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use groupcast::check::{Judgement, judge_folder};
use serde_json::{Value, json};

use super::support::{MidRun, short};
use crate::harness::{Program, Stage, all_end, pause, side_by_side, until};
use rustix::process::Signal;

const ORDERS: [(&str, &str, &str); 8] = [
    ("unordered", "", "unordered"),
    ("fifo", "", "fifo"),
    ("causal", "", "causal"),
    ("total", "bb", "tom"),
    ("total", "ub", "tom"),
    ("total", "uub", "tom"),
    ("lamport", "", "tom"),
    ("agreed", "", "tom"),
];
const FOUNDERS: [&str; 3] = ["c1", "c2", "c3"];
/// Of each founder; of each that comes later.
const MANY: usize = 1_500;
const FEW: usize = 40;

/// So many messages, a few at a time.
fn commands(id: &str, count: usize, last: &str) -> String {
    let block = |block: usize| -> String {
        let lines = (10 * block..10 * (block + 1)).map(|line| format!("Multicast,{id},{line}\n"));
        lines.chain(["sleep,0.02\n".to_owned()]).collect()
    };
    (0..count / 10).map(block).collect::<String>() + last
}

/// The properties in this folder that `check` does not find valid.
fn verdicts(stage: &Stage) -> Vec<String> {
    // The commands of one: those of another are lost when it is started again with others.
    let commands = stage.dir().join("commands");
    std::fs::create_dir_all(&commands).unwrap();
    std::fs::copy(stage.dir().join("c1.txt"), commands.join("c1.txt")).unwrap();
    let judgements = judge_folder(&stage.out(), &commands).unwrap();
    let all = judgements.iter().flat_map(Judgement::properties);
    let wrong = all.filter(|(property, verdict)| {
        // Nothing was sent to one alone; and a member that was killed may not have written down what it multicast last.
        let may_be_open = ["point-to-point", "no-creation", "fifo", "causal"].contains(property);
        verdict.is_violated() || !may_be_open && !verdict.is_valid()
    });
    wrong.map(|(property, verdict)| format!("{property} {}", verdict.word())).collect()
}

/// A group under load, with those in the middle.
struct Busy {
    stage: Stage,
    middle: Vec<Program>,
    clients: Vec<Program>,
    options: Vec<&'static str>,
    suffix: &'static str,
}

impl Busy {
    fn new((order, method, suffix): (&'static str, &'static str, &'static str)) -> Self {
        let stage = Stage::new();
        let mut middle: Vec<Program> = vec![stage.forwarder(FOUNDERS.len()).start(), stage.router().start()];
        let mut options = vec!["--order", order, "--suspect-after", "3s"];
        if order == "total" {
            middle.push(stage.sequencer().args(["--suspect-after", "3s"]).start());
            options.extend(["--method", method]);
        }
        let mut busy = Self { stage, middle, clients: Vec::new(), options, suffix };
        for id in FOUNDERS {
            busy.start(id, &commands(id, MANY, ""), &[]);
        }
        busy.delivers("c1", 100);
        busy
    }

    fn start(&mut self, id: &str, commands: &str, more: &[&str]) {
        let client = self.stage.client(id, commands).args(&self.options).args(more);
        self.clients.push(client.start());
    }

    /// Waits until a client has written so many bytes.
    fn delivers(&self, id: &str, bytes: u64) {
        let path = self.stage.out().join(format!("test_result_{id}_{}.txt.part", self.suffix));
        until(&format!("{id} delivers"), || (std::fs::metadata(&path).ok()?.len() > bytes).then_some(()));
    }

    fn ends(&mut self) {
        self.clients.iter_mut().for_each(|client| client.ends(0));
        self.middle.iter_mut().for_each(|program| program.ends(0));
        assert_eq!(verdicts(&self.stage), [""; 0]);
    }

    /// The deliveries of a client; sorted, where members may differ in order.
    fn lines(&self, id: &str) -> Vec<String> {
        let mut lines = self.stage.lines(id, self.suffix);
        if self.suffix != "tom" {
            lines.sort_unstable();
        }
        lines
    }

    /// The members of each view that a client was given.
    fn views(&self, id: &str) -> Vec<(u64, Vec<String>)> {
        let history = self.stage.history(id);
        let views = history.iter().filter(|event| event["event"] == "view");
        let names = |event: &Value| {
            let members = event["members"].as_array().unwrap().iter();
            members.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        views.map(|event| (event["number"].as_u64().unwrap(), names(event))).collect()
    }
}

#[test]
fn join_newcomer_is_given_later_messages_or_all() {
    side_by_side(ORDERS.len(), 2, |number| {
        let mut busy = Busy::new(ORDERS[number]);
        busy.start("late", &commands("late", FEW, ""), &["--join"]);
        busy.start("all", &commands("all", FEW, ""), &["--join", "from-start"]);
        busy.ends();
        let (everything, late) = (busy.lines("c1"), busy.lines("late"));
        assert_eq!(everything.len(), 3 * MANY + 2 * FEW);
        for id in ["c2", "c3", "all"] {
            assert!(busy.lines(id) == everything, "{id} was given something else than c1");
        }
        assert!(late.len() < everything.len(), "it came before everything");
        if busy.suffix == "tom" {
            assert!(everything.ends_with(&late), "deliveries after the join are the end of all deliveries");
        }
        assert!(busy.views("late")[0].0 > 1, "{:?}", busy.views("late"));
        assert_eq!(busy.views("c1").last().unwrap().1, ["all", "c1", "c2", "c3", "late"]);
    });
}

#[test]
fn leave_client_has_all_deliveries_until_then_others_continue() {
    side_by_side(ORDERS.len(), 2, |number| {
        let mut busy = Busy::new(ORDERS[number]);
        busy.start("guest", &commands("guest", FEW, "leave\n"), &["--join", "from-start"]);
        busy.ends();
        let everything = busy.lines("c1");
        assert_eq!(everything.len(), 3 * MANY + FEW, "all that the guest sent, too");
        assert!(busy.lines("c2") == everything && busy.lines("c3") == everything);
        let guest = busy.lines("guest");
        assert!(guest.len() < everything.len(), "it stayed to the end");
        if busy.suffix == "tom" {
            assert!(everything.starts_with(&guest), "its deliveries are the beginning of all deliveries");
        }
        let last = busy.views("c1").last().unwrap().1.clone();
        assert_eq!(last, FOUNDERS);
        let history = busy.stage.history("guest");
        assert_eq!(history.last().unwrap()["reason"], "left");
    });
}

#[test]
fn leave_first_clients_leave_run_ends_with_the_last() {
    let stage = Stage::new();
    let mut middle = stage.middle(2);
    let mut clients =
        ["c1", "c2"].map(|id| stage.client(id, format!("Multicast,{id},one\nleave\n")).start()).into_iter();
    let (mut one, mut two) = (clients.next().unwrap(), clients.next().unwrap());
    one.ends(0);
    two.ends(0);
    middle.iter_mut().for_each(|program| program.ends(0));
    assert!(stage.lines("c1", "tom").contains(&"c1###one".to_owned()));
}

#[test]
fn leave_direct_message_to_client_that_left_is_undeliverable() {
    let stage = Stage::new();
    let mut middle = stage.middle(2);
    let mut one = stage.client("c1", "Multicast,c1,a\nsleep,5\nc1,c2,late\nc1,c2,later\n").start();
    let mut two = stage.client("c2", "c2,c1,in time\nleave\n").start();
    two.ends(0);
    one.ends_saying(
        69,
        &["c1/1/1 and 1 more message to c2 are undeliverable: not sent", "error: 2 messages"],
    );
    middle.iter_mut().for_each(|program| program.ends(0));
    let history = stage.history("c1");
    let lost: Vec<&Value> = history.iter().filter(|event| event["event"] == "undeliverable").collect();
    assert_eq!(lost.len(), 2, "{history:?}");
    assert_eq!((&lost[0]["id"], &lost[0]["to"]), (&json!("c1/1/1"), &json!("c2")));
    assert!(lost[0]["reason"].as_str().unwrap().starts_with("not sent: "), "{lost:?}");
    let end = history.last().unwrap();
    assert_eq!((&end["reason"], &end["sent"], &end["undeliverable"]), (&json!("done"), &json!(2), &json!(2)));
    assert_eq!(stage.lines("c1", "uno"), ["c2###in time"], "everything else is complete");
    let (checked, _) = stage.bare("groupcast").arg("check").arg(stage.out()).ends(0);
    let named = "point-to-point  valid     undeliverable: c1/1/1 to c2 (history_c1.jsonl:";
    assert!(checked.contains(named) && checked.contains(", 2 undeliverable\n"), "{checked}");
}

#[test]
fn join_killed_client_returns_as_new_incarnation_with_all_messages() {
    side_by_side(ORDERS.len(), 2, |number| {
        let mut busy = Busy::new(ORDERS[number]);
        busy.clients.remove(1).kill();
        busy.start("c2", &commands("c2", FEW, ""), &["--join", "from-start", "--force"]);
        busy.ends();
        let everything = busy.lines("c1");
        for id in ["c2", "c3"] {
            assert!(busy.lines(id) == everything, "{id} was given something else than c1");
        }
        let start = &busy.stage.history("c2")[0];
        assert_eq!((start["event"].as_str(), start["incarnation"].as_u64()), (Some("start"), Some(2)));
    });
}

#[test]
fn join_twenty_clients_join_and_leave_under_load() {
    let mut busy = Busy::new(("total", "bb", "tom"));
    let mut guests = Vec::new();
    for number in 0..20 {
        let id = format!("guest{number}");
        let join = ["from-now", "from-start"][number % 2];
        busy.start(&id, &commands(&id, 10, "leave\n"), &["--join", join]);
        guests.push(id);
        pause(Duration::from_millis(50));
    }
    busy.ends();
    let everything = busy.lines("c1");
    assert!(busy.lines("c2") == everything && busy.lines("c3") == everything);
    for id in guests {
        let own = everything.iter().filter(|line| line.starts_with(&format!("{id}###"))).count();
        assert_eq!(own, 10, "{id}");
    }
}

#[test]
fn join_too_late_or_not_allowed_is_refused_with_reason() {
    let mut busy = Busy::new(("fifo", "", "fifo"));
    let stranger = busy.stage.client("stranger", "Multicast,stranger,x\n").args(&busy.options);
    let (_, said) = stranger.ends(69);
    assert!(said.contains("already started") && said.contains("--join"), "{said}");
    let other = busy.stage.client("other", "Multicast,other,x\n").args(["--order", "causal", "--join"]);
    let (_, said) = other.ends(78);
    assert!(said.contains("wants order causal"), "{said}");
    busy.ends();
}

/// The same command line each time, as a service manager has it: before the start, after a death among others, after a death
/// alone, and for the next run.
#[test]
fn join_same_command_line_works_at_any_time() {
    for out in [false, true] {
        let stage = Stage::new();
        let _middle = [stage.forwarder(2), stage.router(), stage.sequencer()]
            .map(|launch| launch.arg("--stay").start());
        let start = |id: &str| {
            let launch = stage.program("client").named(id).args(["--id", id, "--lines", "--join"]);
            let (input, line) = std::io::pipe().unwrap();
            writeln!(&line, "from {id}").unwrap();
            let launch = if out { launch.out(stage.out()) } else { launch };
            (launch.stdin(input).start(), line)
        };
        let hears = |program: &Program, from: &str| {
            until(&format!("{} hears {from}", program.name), || {
                program.stdout().contains(&format!("{from}###from {from}\n")).then_some(())
            });
        };
        let (mut c1, line1) = start("c1");
        c1.says("waiting for 1 more client");
        let (mut c2, line2) = start("c2");
        hears(&c1, "c2");
        hears(&c2, "c1");
        c1.kill();
        drop(line1);
        let (mut c1, line1) = start("c1");
        hears(&c2, "c1");
        hears(&c1, "c1");
        // Both die, and both come again: a run that nobody is in ends, and another one begins.
        c1.kill();
        c2.kill();
        drop((line1, line2));
        let [c1, c2] = ["c1", "c2"].map(|id| {
            until("it takes part", || {
                let (mut client, line) = start(id);
                until("it starts or is refused", || {
                    let is_in = client.stderr().contains("waiting for 1 more client")
                        || client.stderr().contains("start of main");
                    (is_in || !client.is_running()).then_some(())
                });
                client.is_running().then_some((client, line))
            })
        });
        hears(&c1.0, "c2");
        hears(&c2.0, "c1");
        // The end of all input is the end of the run.
        let mut both = [c1, c2].map(|(client, line)| {
            drop(line);
            client
        });
        both.iter_mut().for_each(|client| client.ends(0));
        let kept =
            stage.files().iter().filter(|file| file.starts_with("test_result_c1_tom.txt.part.old-")).count();
        assert_eq!(kept, if out { 2 } else { 0 }, "{:?}", stage.files());
    }
}

#[test]
fn join_from_start_without_history_fails() {
    let stage = Stage::new();
    let mut middle = stage.middle(1);
    let mut founder = stage.client("c1", commands("c1", MANY, "")).arg("--no-history").start();
    let path = stage.out().join("test_result_c1_tom.txt.part");
    until("c1 delivers", || (std::fs::metadata(&path).ok()?.len() > 100).then_some(()));
    let late = stage.client("late", "Multicast,late,x\n").args(["--join", "from-start"]);
    let (_, said) = late.ends(69);
    assert!(said.contains("no member can tell") && said.contains("--join from-now"), "{said}");
    founder.ends(0);
    middle.iter_mut().for_each(|program| program.ends(0));
}

/// The history of a member: its first view, what it delivers (numbers; 0 for the next view), and how it ends.
fn history(id: &str, mut view: u64, members: &[&[&str]], deliveries: &[u64], reason: &str) -> String {
    let names = |view: u64| serde_json::to_string(members[view as usize - 1]).unwrap();
    let mut text = format!(
        r#"{{"v":1,"event":"start","member":"{id}","incarnation":1,"group":"g","order":"total","method":"bb","members":{}}}"#,
        names(view)
    );
    let mut line = |more: String| write!(text, "\n{{\"v\":1,\"event\":{more}}}").unwrap();
    let given = |view: u64| format!(r#""view","number":{view},"members":{}"#, names(view));
    line(given(view));
    if id == "c1" {
        (1..=6).for_each(|number| line(format!(r#""multicast","id":"c1/1/{number}","text":"x""#)));
    }
    for &number in deliveries {
        if number == 0 {
            view += 1;
            line(given(view));
        } else {
            line(format!(r#""deliver","id":"c1/1/{number}","text":"x","number":{number}"#));
        }
    }
    line(format!(r#""end","reason":"{reason}""#));
    text + "\n"
}

#[test]
fn join_leave_checker_requires_deliveries_of_own_views_only() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.out()).unwrap();
    stage.file("c1.txt", "Multicast,c1,x\n".repeat(6));
    let views: &[&[&str]] = &[&["c1", "early"], &["c1", "early", "late"], &["c1", "late"]];
    let judge = |early: &[u64], late: &[u64]| {
        for (id, first, deliveries, reason) in [
            ("c1", 1, &[1, 2, 0, 3, 4, 0, 5, 6][..], "done"),
            ("early", 1, early, "left"),
            ("late", 2, late, "done"),
        ] {
            let path = stage.out().join(format!("history_{id}.jsonl"));
            std::fs::write(path, history(id, first, views, deliveries, reason)).unwrap();
        }
        verdicts(&stage)
    };
    let (early, late): (&[u64], &[u64]) = (&[1, 2, 0, 3, 4], &[3, 4, 0, 5, 6]);
    assert_eq!(judge(early, late), [""; 0]);
    assert_eq!(judge(&[1, 2, 0, 3], late), [""; 0], "it went in the middle of its last view");
    for (early, late, wrong) in [
        (early, &[4, 0, 5, 6][..], "agreement violated"),
        (early, &[3, 4, 0, 5], "agreement violated"),
        (early, &[3, 4, 0, 6, 5], "fifo violated"),
        (early, &[3, 0, 5, 6], "numbers violated"),
        (&[1, 0, 3], late, "agreement violated"),
        (&[2, 0, 3, 4], late, "agreement violated"),
    ] {
        let found = judge(early, late);
        assert!(found.contains(&wrong.to_owned()), "{early:?} {late:?}: {found:?}");
    }
}

#[test]
fn join_duplicate_id_is_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.push(stage.client("c1", short("c1")).start());
    programs[0].says("ready: c1");
    let mut again = stage.client("c1", short("c1")).out("elsewhere").start();
    again.ends_saying(69, &["error: ", "the id c1 is taken"]);
    programs.push(stage.client("c2", short("c2")).start());
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 2);
}

#[test]
fn join_other_order_is_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.push(stage.client("c1", short("c1")).start());
    programs[0].says("ready: c1");
    let mut other = stage.client("c2", short("c2")).args(["--order", "fifo"]).start();
    other.ends_saying(78, &["error: ", "c2 wants order fifo", "main has order total (bb), set by c1"]);
    programs[0].says("main: refused c2: c2 wants order fifo");
    programs[3].says("1 more client (c2 was refused: it wants order fifo)");
    programs.push(stage.client("c2", short("c2")).start());
    all_end(&mut programs);
}

#[test]
fn join_too_many_clients_are_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client("c1", "sleep,2\n").start());
    programs[3].says("start of main");
    stage.client("c2", short("c2")).start().ends_saying(69, &["error: ", "main", "c1"]);
    all_end(&mut programs);
}

#[test]
fn join_second_sequencer_or_router_is_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client("c1", "sleep,3\n").start());
    programs[3].says("start of main");
    stage.sequencer().start().ends_saying(69, &["already a sequencer"]);
    all_end(&mut programs);
}

#[test]
fn leave_departed_process_is_named_at_once() {
    for who in 0..5 {
        let mut run = MidRun::new();
        let victim = match who {
            0 => &mut run.forwarder,
            1 => &mut run.router,
            2 => &mut run.sequencer,
            3 => &mut run.c1,
            _ => &mut run.c2,
        };
        let name = victim.name.clone();
        victim.signal(Signal::INT);
        victim.ends_saying(130, &["error: interrupted (Ctrl-C)"]);
        if let Some((other, view)) = match who {
            3 => Some((&mut run.c2, "view 2: c2")),
            4 => Some((&mut run.c1, "view 2: c1")),
            _ => None,
        } {
            other.says(view);
            run.both_have_partial_results();
            continue;
        }
        run.the_others_end(&name, &["error: ", &name, "interrupted"], Duration::from_secs(4));
        run.both_have_partial_results();
    }
}
