//! Flow control: whoever is behind makes the senders wait; nothing queues without a bound, and nothing is lost.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use groupcast::check;
use groupcast::defect::Defects;
use groupcast::engine::{Effect, Effects, Input, MemberId, Time, To, View};
use groupcast::exit::Exit;
use groupcast::member::App;
use groupcast::member::stack::{self, ProtocolStack, StackConfig};
use groupcast::order::{ORDERS, Order};
use groupcast::reliable::WINDOW_PACKETS;
use groupcast::wire::{BatchBuilder, Frames, Window};
use rustix::process::Signal;

use crate::harness::{Program, Stage, all_end, pause};

const CLIENTS: u16 = 3;
/// More batches than all windows together hold.
const BATCHES: u64 = 400;
/// What any member may hold back: a window of each of the others, or what each may have undelivered.
const MOST_HELD: usize = (CLIENTS as usize + 1) * WINDOW_PACKETS as usize;

/// A group whose packets arrive at once, but for those of `mute` on their way to `deaf`.
struct Group {
    lines: Vec<ProtocolStack>,
    submitted: Vec<u64>,
    delivered: Vec<u64>,
    flying: VecDeque<(MemberId, MemberId, Frames)>,
    cut: Option<(MemberId, MemberId)>,
    now: Time,
    effects: Effects<App, Frames>,
}

impl Group {
    fn new(order: &Order, window: Window) -> Self {
        let clients: Vec<MemberId> = (0..CLIENTS).map(MemberId).collect();
        let sequencer = order.sequencer.then_some(MemberId(CLIENTS));
        let view = View { number: 1, clients, sequencer, candidates: Vec::new() };
        let place = |me| StackConfig { me, view: &view, run: 7, seed: 1, window, defects: Defects::NONE };
        let lines: Vec<ProtocolStack> =
            view.members().into_iter().map(|me| stack::build(order, place(me))).collect();
        Self {
            delivered: vec![0; lines.len()],
            lines,
            submitted: vec![0; CLIENTS.into()],
            flying: VecDeque::new(),
            cut: None,
            now: Time::ZERO,
            effects: Effects::default(),
        }
    }

    fn handle(&mut self, at: usize, input: Input<App, Frames>) {
        self.lines[at].handle(self.now, input, &mut self.effects);
        let me = MemberId(at as u16);
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { to: To::Member(to), message } => self.flying.push_back((me, to, message)),
                Effect::Send { to: To::Group, message } => {
                    let others = (0..self.lines.len() as u16).map(MemberId).filter(|&other| other != me);
                    self.flying.extend(others.map(|other| (me, other, message.clone())));
                }
                Effect::Deliver { app: App::Multicast(batch), .. } => {
                    self.delivered[at] += u64::from(batch.count());
                }
                Effect::Deliver { .. } | Effect::Drop { .. } => {}
            }
        }
    }

    /// Every client submits what its window lets in, up to `BATCHES` of `count` messages in all.
    fn submit(&mut self, count: u64) {
        for at in 0..usize::from(CLIENTS) {
            while self.submitted[at] < BATCHES * count && self.lines[at].window(To::Group) > 0 {
                let mut batch = BatchBuilder::new(self.submitted[at] + 1);
                (0..count).for_each(|_| {
                    batch.push(b"text");
                });
                self.submitted[at] += count;
                self.handle(
                    at,
                    Input::Submit { to: To::Group, app: App::Multicast(batch.finish().unwrap()) },
                );
            }
        }
    }

    /// Lets what flies arrive, then lets time pass to the next deadline.
    fn round(&mut self) {
        while let Some((from, to, message)) = self.flying.pop_front() {
            if self.cut != Some((from, to)) {
                self.handle(usize::from(to.0), Input::Receive { from, message });
            }
        }
        let due = self.lines.iter().filter_map(|stack| stack.next_deadline()).min();
        self.now = self.now.max(due.unwrap_or(self.now.after(Duration::from_millis(1))));
        for at in 0..self.lines.len() {
            if self.lines[at].next_deadline().is_some_and(|due| due <= self.now) {
                self.handle(at, Input::Wake);
            }
        }
    }
}

/// While one member misses what one other sends, everybody stops soon, and goes on when it has been given.
fn nobody_runs_away(order: &Order, mute: u16, deaf: u16) {
    let mut group = Group::new(order, Window::default());
    group.cut = Some((MemberId(mute), MemberId(deaf)));
    let mut most = 0;
    for _ in 0..400 {
        group.submit(1);
        group.round();
        most = group.lines.iter().map(|stack| stack.held()).max().max(Some(most)).unwrap();
    }
    let case = format!("{}, p{mute} not heard by p{deaf}", order.title());
    assert!(most <= MOST_HELD, "{case}: {most} batches held back");
    group.cut = None;
    let all = BATCHES * u64::from(CLIENTS);
    for _ in 0..20_000 {
        group.submit(1);
        group.round();
        if group.delivered.iter().take(CLIENTS.into()).all(|&delivered| delivered == all) {
            return;
        }
    }
    panic!("{case}: {:?} of {all} delivered", group.delivered);
}

#[test]
fn what_is_held_back_is_bounded_in_every_order() {
    for order in &ORDERS {
        let members = CLIENTS + u16::from(order.sequencer);
        for mute in 0..members {
            for deaf in (0..members).filter(|&deaf| deaf != mute) {
                nobody_runs_away(order, mute, deaf);
            }
        }
    }
}

#[test]
fn no_more_messages_are_under_way_than_the_window_allows() {
    let fifo = Order::find("fifo", "").unwrap();
    for (messages, each) in [(1, 1), (10, 1), (10, 3), (2, 5)] {
        let mut group = Group::new(fifo, Window { messages, ..Window::default() });
        group.submit(each);
        // The rest waits in the window until the first are acknowledged; one packet always goes.
        let sent =
            group.flying.iter().filter(|(from, to, _)| *from == MemberId(0) && *to == MemberId(1)).count();
        let most = (messages / each).max(1);
        assert_eq!(sent as u64, most, "a window of {messages}, {each} in each packet");
    }
}

#[test]
fn a_window_of_one_message_is_enough_to_get_on() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for id in ["c1", "c2"] {
        let commands: String = (0..20).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands).args(["--window", "1"]).start());
    }
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 40);
    for bad in ["0", "x", "5furlongs", "", "0KiB", "1,2,3x", "10,10", "5kB,6kB"] {
        let (_, stderr) = stage.client("c3", "").args(["--window", bad]).ends(64);
        assert!(stderr.contains("1000,256KiB"), "{stderr}");
    }
}

/// A few lines, with a pause after the first.
fn lines(id: &str) -> String {
    let mut commands = format!("Multicast,{id},first\nsleep,2\n");
    (0..100).for_each(|number| writeln!(commands, "Multicast,{id},{number}").unwrap());
    commands
}

#[test]
fn a_member_that_takes_nothing_is_excluded_if_that_is_asked_for() {
    let stage = Stage::new();
    // Nobody is taken for lost in this time.
    let patient = ["--suspect-after", "90s"];
    let sequencer = stage.sequencer().args(patient).start();
    let mut programs = vec![stage.forwarder(3).start(), stage.router().start(), sequencer];
    for id in ["c1", "c2", "c3"] {
        let client = stage.client(id, lines(id)).args(["--slow-member", "exclude:3s"]);
        programs.push(client.args(patient).start());
    }
    programs[5].says("start of main");
    pause(Duration::from_millis(300));
    programs[5].signal(Signal::STOP);
    programs[3].says("waiting for c3, which has taken nothing for");
    programs[3].says("c3 is gone (excluded by c");
    programs[3].says(": has taken nothing for 3");
    programs[3].says("view 2: c1 and c2");
    programs[4].ends(0);
    programs[5].signal(Signal::CONT);
    let why =
        ["excluded by c", ": it has taken nothing for 3", "the group went on without this member, to view 2"];
    programs[5].ends_saying(69, &why);
    programs.remove(5);
    all_end(&mut programs);
    let lines = stage.lines("c1", "tom");
    assert!(lines == stage.lines("c2", "tom"));
    let count = |id: &str| lines.iter().filter(|line| line.starts_with(id)).count();
    assert_eq!((count("c1#"), count("c2#")), (101, 101), "whoever goes on is given everything");
}

/// It is there, and says so; but what is delivered to it, nobody takes.
#[test]
fn a_member_whose_reader_waits_is_excluded_too_and_hears_of_it() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let (_reader, full) = std::io::pipe().unwrap();
    let slow =
        stage.bare("client").args(["--id", "c2", "--lines", "--port-base", &stage.port(0).to_string()]);
    let mut slow = slow.stdin(std::process::Stdio::piped()).stdout(full).start();
    let long = "x".repeat(400);
    let commands: String = (0..20_000).map(|_| format!("Multicast,c1,{long}\n")).collect();
    programs.push(stage.client("c1", commands).args(["--slow-member", "exclude:3s"]).start());
    programs[3].says("c2 is gone (excluded by c1: has taken nothing for");
    slow.ends_saying(69, &["excluded by c1: it has taken nothing for"]);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 20_000);
}

/// Nobody hears anybody: that is nobody's fault.
#[test]
fn while_the_forwarder_is_paused_nobody_is_excluded() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    for id in ["c1", "c2", "c3"] {
        programs.push(stage.client(id, lines(id)).args(["--slow-member", "exclude:3s"]).start());
    }
    programs[5].says("start of main");
    pause(Duration::from_millis(1_900));
    programs[0].signal(Signal::STOP);
    pause(Duration::from_secs(6));
    programs[0].signal(Signal::CONT);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 303);
    assert!(programs.iter().all(|program| !program.stderr().contains("excluded")));
}

/// A client is stopped for ten seconds while all multicast as fast as they can: they wait for it, small as ever.
#[test]
fn a_stopped_client_holds_the_others_up_and_nothing_more() {
    const LINES: usize = 50_000;
    const MAX_MIB: u64 = 300;
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(4).into();
    for id in ["c1", "c2", "c3", "c4"] {
        let mut commands = String::new();
        for number in 0..LINES {
            writeln!(commands, "Multicast,{id},command {number}").unwrap();
            // So that it is in the middle that one is stopped.
            if number == LINES / 2 {
                commands.push_str("sleep,1\n");
            }
        }
        programs.push(stage.client(id, commands).start());
    }
    programs[3].says("start of main");
    pause(Duration::from_millis(700));
    programs[5].signal(Signal::STOP);
    pause(Duration::from_secs(10));
    assert!(programs[3..].iter_mut().all(Program::is_running), "they wait for the one that is stopped");
    programs[5].signal(Signal::CONT);
    all_end(&mut programs);
    for program in &programs {
        let peak = program.peak_mib();
        assert!(peak > 0 && peak < MAX_MIB, "{}: {peak} MiB", program.name);
    }
    for judgement in &check::judge_folder(&stage.out(), stage.dir()).unwrap() {
        let verdicts = judgement.properties().map(|(_, verdict)| verdict);
        assert_eq!(check::exit(verdicts), Exit::Ok, "{}", judgement.lines());
    }
    assert_eq!(stage.lines("c3", "tom").len(), 4 * LINES);
}
