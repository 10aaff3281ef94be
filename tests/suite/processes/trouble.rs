//! Trouble: after any failure every program ends, with the exit code of the table and an error that helps.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::time::Duration;

use groupcast::prng::Prng;
use rustix::process::Signal;

use crate::harness::{Program, Stage, all_end, events, lines, now, pause, side_by_side, until};

/// Commands of a client in the middle of its run: something delivered, and a long time to go.
fn long(id: &str) -> String {
    format!("Multicast,{id},1\nMulticast,{id},2\nsleep,120\nMulticast,{id},3\n")
}

fn short(id: &str) -> String {
    format!("Multicast,{id},1\n")
}

/// The partial results of `id`: whole lines, and a history that can be read.
fn partial(stage: &Stage, id: &str) -> Vec<String> {
    for event in events(&stage.out().join(format!("history_{id}.jsonl.part"))) {
        assert_eq!(event["v"], 1);
    }
    lines(&stage.out().join(format!("test_result_{id}_tom.txt.part")))
}

/// Waits until `id` has written down `count` deliveries.
fn has_delivered(stage: &Stage, id: &str, count: usize) {
    let path = stage.out().join(format!("test_result_{id}_tom.txt.part"));
    until(&format!("{id} writes down {count} deliveries"), || {
        let text = fs::read_to_string(&path).ok()?;
        (text.lines().count() >= count).then_some(())
    });
}

/// Two clients, and those in the middle, in the middle of a run.
struct MidRun {
    stage: Stage,
    forwarder: Program,
    router: Program,
    sequencer: Program,
    c1: Program,
    c2: Program,
}

impl MidRun {
    fn new() -> Self {
        let stage = Stage::new();
        let [forwarder, router, sequencer] = stage.middle(2);
        let [c1, c2] = ["c1", "c2"].map(|id| stage.client(id, long(id)).start());
        ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 4));
        Self { stage, forwarder, router, sequencer, c1, c2 }
    }

    /// Everybody else ends with exit 69 and these words, within `limit`.
    fn the_others_end(&mut self, killed: &str, words: &[&str], limit: Duration) {
        let began = now();
        let Self { forwarder, router, sequencer, c1, c2, .. } = self;
        for program in [forwarder, router, sequencer, c1, c2] {
            if program.name != killed {
                program.ends_saying(69, words);
            }
        }
        let took = began.elapsed();
        assert!(took < limit, "the others of {killed} took {took:?}");
    }

    fn both_have_partial_results(&self) {
        for id in ["c1", "c2"] {
            assert_eq!(partial(&self.stage, id).len(), 4);
        }
        assert_eq!(partial(&self.stage, "c1"), partial(&self.stage, "c2"));
    }
}

/// One after the other these would take minutes of waiting.
#[test]
fn failover_dead_process_is_named_by_the_others() {
    let deaths: [fn(); 7] = [
        the_forwarder_dies,
        a_client_dies,
        the_sequencer_dies_and_nobody_can_take_its_place,
        the_router_dies,
        || nobody_is_there("sequencer"),
        || nobody_is_there("router"),
        a_client_stands_still_for_a_while,
    ];
    side_by_side(deaths.len(), deaths.len(), |number| deaths[number]());
}

const SOON: Duration = Duration::from_secs(20);

fn the_forwarder_dies() {
    let mut run = MidRun::new();
    run.forwarder.kill();
    run.the_others_end("forwarder", &["error: the forwarder at tcp://127.0.0.1:", "help: "], SOON);
    run.both_have_partial_results();
    for client in [&run.c1, &run.c2] {
        assert!(client.stderr().contains("partial: 2 multicast, 4 delivered"), "{}", client.stderr());
    }
}

fn a_client_dies() {
    let mut run = MidRun::new();
    run.c2.kill();
    run.c1.says("c2 is gone (silent for ");
    run.c1.says("view 2: c1");
    run.both_have_partial_results();
}

fn the_router_dies() {
    let mut run = MidRun::new();
    run.router.kill();
    run.the_others_end("router", &["error: ", "router is lost"], SOON);
    run.both_have_partial_results();
}

fn the_sequencer_dies_and_nobody_can_take_its_place() {
    let mut run = MidRun::new();
    run.sequencer.kill();
    for program in [&mut run.c1, &mut run.c2, &mut run.forwarder, &mut run.router] {
        program.ends_saying(69, &["error: "]);
    }
    run.both_have_partial_results();
}

fn nobody_is_there(who: &str) {
    let stage = Stage::new();
    let mut program = stage.program(who).start();
    let endpoint = format!("the forwarder at tcp://127.0.0.1:{}", stage.port(2));
    program.ends_saying(
        69,
        &[&format!("waiting for {endpoint}"), &format!("error: {endpoint} does not answer")],
    );
}

fn a_client_stands_still_for_a_while() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    for id in ["c1", "c2", "c3"] {
        let commands: String = (0..10_000).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands).start());
    }
    for index in [3, 2, 1, 0] {
        pause(Duration::from_millis(30));
        programs[index].signal(Signal::STOP);
        pause(Duration::from_secs(2));
        programs[index].signal(Signal::CONT);
    }
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 30_000);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c3", "tom"));
}

#[test]
fn timeout_client_without_answer_names_the_forwarder() {
    let stage = Stage::new();
    let [mut forwarder, mut router] = [stage.forwarder(2).start(), stage.router().start()];
    let many = |id: &str| {
        (0..1000).map(|number| format!("Multicast,{id},{number}{}\n", "x".repeat(5000))).collect::<String>()
    };
    let [mut c1, mut c2] = ["c1", "c2"].map(|id| {
        let commands = if id == "c1" { format!("sleep,1\n{}", many(id)) } else { "sleep,3\n".to_owned() };
        stage.client(id, commands).args(["--order", "fifo"]).start()
    });
    c2.says("start of main");
    c2.signal(Signal::STOP);
    c1.says("nothing heard from the group for");
    c2.signal(Signal::CONT);
    [&mut c1, &mut c2, &mut forwarder, &mut router].into_iter().for_each(|program| program.ends(0));
}

#[test]
fn barrier_late_client_is_waited_for() {
    let stage = Stage::new();
    let [mut forwarder, router, sequencer] = stage.middle(2);
    let mut c1 = stage.client("c1", short("c1")).start();
    c1.says("waiting for 1 more client");
    forwarder.says("waiting for 1 more client");
    let c2 = stage.client("c2", short("c2")).start();
    all_end(&mut [forwarder, router, sequencer, c1, c2]);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}

#[test]
fn barrier_timeout_missing_client_is_named() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "2.5s"]).start();
    let (mut router, mut sequencer) = (stage.router().start(), stage.sequencer().start());
    let mut c1 = stage.client("c1", short("c1")).start();
    for program in [&mut forwarder, &mut router, &mut sequencer, &mut c1] {
        program.ends_saying(75, &["error: ", "did not start within 2.5 s", "waiting for 1 more client"]);
    }
    assert!(stage.files().is_empty(), "a run that never began leaves nothing: {:?}", stage.files());
}

#[test]
fn barrier_timeout_missing_sequencer_is_named() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(1).args(["--start-timeout", "1s"]).start();
    let mut c1 = stage.client("c1", short("c1")).start();
    for program in [&mut forwarder, &mut c1] {
        program.ends_saying(75, &["error: ", "did not start within 1.0 s", "waiting for a sequencer"]);
    }
}

#[test]
fn barrier_timeout_forwarder_without_clients_ends() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(3).args(["--start-timeout", "3s"]).start();
    forwarder.ends_saying(75, &["error: nobody came within 3.0 s", "3 clients", "gives up in"]);
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
fn ports_busy_port_is_named() {
    for offset in 0..4 {
        let stage = Stage::new();
        let port = stage.port(offset);
        let _busy = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let program = if offset == 3 { stage.router() } else { stage.forwarder(1) };
        let holder = format!("(pid {})", std::process::id());
        let words = ["error: ", &format!("127.0.0.1:{port}"), "in use", &*holder, "--port-base"];
        program.start().ends_saying(69, &words);
    }
}

#[test]
fn ports_two_forwarders_do_not_share_one() {
    let stage = Stage::new();
    let mut first = stage.forwarder(1).start();
    first.says("listening");
    stage.forwarder(1).start().ends_saying(69, &["in use by forwarder (pid "]);
    stage.router().start().says("listening");
}

#[test]
fn timeout_client_without_forwarder_gives_up() {
    let stage = Stage::new();
    let mut c1 = stage.client("c1", short("c1")).args(["--timeout", "5s"]).start();
    c1.ends_saying(
        69,
        &["error: the forwarder at tcp://127.0.0.1:", "does not answer", "help: is `forwarder` running"],
    );
    let took = c1.began.elapsed();
    assert!(Duration::from_secs(5) <= took && took < Duration::from_secs(10), "{took:?}");
    let said = c1.stderr().matches("waiting for the forwarder").count();
    assert!(said >= 2, "every two seconds:\n{}", c1.stderr());
    assert!(stage.files().is_empty());
}

#[test]
fn timeout_client_sends_without_router_names_it() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(1).args(["--start-timeout", "8s"]).start();
    let mut sequencer = stage.sequencer().start();
    let mut c1 = stage.client("c1", "c1,c2,x\n").args(["--timeout", "3s"]).start();
    c1.ends_saying(
        69,
        &["waiting for a router at tcp://127.0.0.1:", "error: gave up waiting for a router", "is it running"],
    );
    for program in [&mut forwarder, &mut sequencer] {
        program.ends_saying(75, &["(c1 left: gave up waiting for a router at ", "needed by c1"]);
    }
}

#[test]
fn timeout_error_is_final() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "12s"]).start();
    let mut sequencer = stage.sequencer().start();
    let mut c1 = stage.client("c1", short("c1")).args(["--timeout", "5s"]).start();
    c1.ends_saying(75, &["(gives up in", "error: no start within 5.0 s: waited for 1 more client\n"]);
    for program in [&mut forwarder, &mut sequencer] {
        program.ends_saying(75, &["(c1 left: no start within 5.0 s: waited for 1 more client)"]);
    }
}

#[test]
fn timeout_missing_router_is_named_with_the_member_that_needs_it() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).args(["--start-timeout", "12s"]).start();
    let mut sequencer = stage.sequencer().start();
    let [mut c1, mut c2] = [("c1", "c1,c2,x\n".to_owned()), ("c2", short("c2"))]
        .map(|(id, commands)| stage.client(id, commands).start());
    c2.says("waiting for a router, needed by c1 (gives up in");
    for program in [&mut forwarder, &mut sequencer, &mut c1, &mut c2] {
        program
            .ends_saying(75, &["error: ", "did not start within 12 s", "waiting for a router, needed by c1"]);
    }
}

#[test]
fn commands_unknown_receiver_is_shown() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let mut c1 = stage.client("c1", "Multicast,c1,a\nc1,c9,x\n").start();
    programs.push(stage.client("c2", short("c2")).start());
    c1.ends_saying(65, &["c1.txt:2:4: `c9` is not a member", "\n2 | c1,c9,x\n  |    ^^", "c1, c2"]);
    programs[0].says("c1 left the run");
    all_end(&mut programs);
}

#[test]
fn barrier_client_killed_before_the_start_may_return() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let mut first = stage.client("c1", short("c1")).start();
    programs[0].says("ready: c1");
    first.kill();
    programs.push(stage.client("c1", short("c1")).arg("--force").start());
    programs[3].says("waiting for 1 more client");
    programs.push(stage.client("c2", short("c2")).start());
    all_end(&mut programs);
    let starts = ["c1", "c2"].map(|id| stage.history(id)[0]["incarnation"].as_u64());
    assert_eq!(starts, [Some(2), Some(1)]);
    assert_eq!(stage.history("c2").iter().filter(|event| event["id"] == "c1/2/1").count(), 1);
}

/// At any moment of the barrier, not only at those when it waits for something.
#[test]
fn barrier_client_killed_at_any_point_may_return() {
    side_by_side(24, 6, |seed| {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(2).into();
        let mut first = stage.client("c1", short("c1")).start();
        pause(Duration::from_millis(Prng::new(seed as u64).below(150)));
        first.kill();
        programs.push(stage.client("c1", short("c1")).arg("--force").start());
        programs.push(stage.client("c2", short("c2")).start());
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    });
}

#[test]
fn barrier_forwarder_router_and_sequencer_may_restart() {
    for who in ["router", "sequencer"] {
        let stage = Stage::new();
        let forwarder = stage.forwarder(2).start();
        let mut programs = vec![forwarder, stage.client("c1", "c1,c2,x\nMulticast,c1,y\n").start()];
        let (mut router, mut sequencer) = (stage.router().start(), stage.sequencer().start());
        programs[0].says("ready: c1 and sequencer");
        (if who == "router" { &mut router } else { &mut sequencer }).kill();
        let again = stage.program(who).start();
        programs.push(stage.client("c2", short("c2")).start());
        programs.push(again);
        programs.push(if who == "router" { sequencer } else { router });
        all_end(&mut programs);
        assert_eq!(stage.lines("c2", "uno"), ["c1###x"]);
    }
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

#[test]
fn signal_client_waiting_for_forwarder_is_interrupted() {
    for program in ["c1", "router", "sequencer", "forwarder"] {
        let stage = Stage::new();
        let launch = match program {
            "c1" => stage.client("c1", short("c1")),
            "forwarder" => stage.forwarder(1),
            other => stage.program(other),
        };
        let mut waiting = launch.start();
        waiting.says(if program == "forwarder" { "listening" } else { "waiting for the forwarder" });
        let signalled = now();
        waiting.signal(Signal::INT);
        waiting.ends(130);
        let took = signalled.elapsed();
        assert!(took < Duration::from_secs(1), "{program} took {took:?}");
        assert!(stage.files().is_empty());
    }
}

#[test]
fn signal_second_signal_ends_at_once() {
    let mut run = MidRun::new();
    // It cannot say farewell to a forwarder that stands still, but tries for a moment.
    run.forwarder.signal(Signal::STOP);
    for _ in 0..2 {
        run.c1.signal(Signal::INT);
    }
    run.c1.ends(130);
    run.forwarder.signal(Signal::CONT);
}

#[test]
fn output_standard_output_full_spares_the_results() {
    for (redirection, code) in [("exec \"$@\" >/dev/full", 74), ("exec \"$@\" >&-", 0)] {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(1).into();
        let mut c1 = stage.client("c1", short("c1")).through_shell(redirection).start();
        c1.ends(code);
        if code != 0 {
            c1.ends_saying(code, &["error: cannot write to standard output: "]);
        }
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
        assert_eq!(stage.files().len(), 3);
    }
}

#[test]
fn output_standard_error_full_is_harmless() {
    for redirection in ["exec \"$@\" 2>/dev/full", "exec \"$@\" 2>&-"] {
        let stage = Stage::new();
        let middle = [stage.forwarder(1), stage.router(), stage.sequencer(), stage.client("c1", short("c1"))];
        let mut programs: Vec<Program> =
            middle.into_iter().map(|launch| launch.through_shell(redirection).start()).collect();
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
    }
}

#[test]
fn output_closed_reader_is_no_failure() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    programs.push(stage.client("c1", short("c1")).stdout(writer).start());
    all_end(&mut programs);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (_, said) = stage.client("c2", short("c2").repeat(9999)).arg("--dry-run").stdout(writer).ends(0);
    assert_eq!(said, "");
}

#[test]
fn output_file_size_limit_is_an_error() {
    let stage = Stage::new();
    let _middle = stage.middle(1);
    let commands = format!("Multicast,c1,{}\n", "x".repeat(1000)).repeat(1000);
    let mut c1 = stage.client("c1", commands).through_shell("ulimit -f 8; exec \"$@\"").start();
    c1.ends_saying(74, &["error: cannot write ", ".part", "partial"]);
    assert!(partial(&stage, "c1").iter().all(|line| line.len() == 1005));
}

#[test]
fn results_of_earlier_run_survive_a_refusal() {
    let stage = Stage::new();
    let mut middle = stage.middle(1);
    let mut client = stage.client("c1", "Multicast,c1,x\nsleep,3\n").start();
    client.says("start of main");
    for join in [None, Some("--join")] {
        let mut other = stage.client("c1", "Multicast,c1,y\n").arg("--force").args(join).start();
        other.ends_saying(69, &["c1"]);
    }
    client.ends(0);
    middle.iter_mut().for_each(|program| program.ends(0));
    assert_eq!(stage.lines("c1", "tom"), ["c1###x"]);
    // Nobody is there: what an earlier run has left stays.
    let mut alone = stage.client("c1", "").args(["--force", "--timeout", "3s"]).start();
    assert_ne!(alone.wait(), 0);
    assert_eq!(stage.lines("c1", "tom"), ["c1###x"]);
    assert_eq!(stage.files().iter().filter(|file| file.contains("_c1")).count(), 3, "{:?}", stage.files());
}

#[test]
fn results_are_not_overwritten_unless_forced() {
    let stage = Stage::new();
    let run = |force: &str| {
        let mut programs: Vec<Program> = stage.middle(1).into();
        programs.push(stage.client("c1", short("c1")).args(force.split_whitespace()).start());
        all_end(&mut programs);
    };
    run("");
    let (_, said) = stage.client("c1", short("c1")).ends(73);
    assert!(said.contains("is there already") && said.contains("--force"), "{said}");
    run("--force");
    assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
    run("--force --no-history");
    assert_eq!(stage.files().len(), 2, "no history of another run beside these results");
}

/// Nobody is there to connect to, and yet each ends at once.
#[test]
fn results_folder_cannot_be_created_is_refused_before_connecting() {
    let stage = Stage::new();
    stage.file("file", "");
    symlink("loop", stage.dir().join("loop")).unwrap();
    for out in ["file", "file/below", "loop", "loop/below", "/proc/nothing"] {
        let (_, said) = stage.client("c1", short("c1")).out(out).ends(73);
        assert!(said.contains("error: "), "{said}");
    }
    fs::create_dir_all(stage.dir().join("taken/test_result_c1_uno.txt")).unwrap();
    stage.client("c1", short("c1")).out("taken").arg("--force").ends(73);
}

#[test]
fn commands_from_standard_input() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let file = fs::File::open(stage.file("commands", "Multicast,c1,from afar\n")).unwrap();
    let client = |id: &str, file| {
        stage.program("client").args(["--id", id, "--commands", "-"]).out(stage.out()).stdin(file)
    };
    programs.push(client("c1", file).start());
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom"), ["c1###from afar"]);
    let (_, said) = client("c2", fs::File::open(stage.file("x", "say")).unwrap()).ends(65);
    assert!(said.contains("<stdin>:1:1: this is a line of another client, `say`"), "{said}");
}

#[test]
fn stay_programs_serve_run_after_run() {
    let stage = Stage::new();
    let [mut forwarder, mut router] =
        [stage.forwarder(2), stage.router()].map(|launch| launch.arg("--stay").start());
    let mut sequencer = stage.sequencer().start();
    for _ in 0..8 {
        let mut clients = ["c1", "c2"].map(|id| {
            let other = if id == "c1" { "c2" } else { "c1" };
            stage.client(id, format!("{id},{other},x\nMulticast,{id},1\n")).arg("--force").start()
        });
        all_end(&mut clients);
        assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
        assert_eq!(stage.lines("c1", "uno"), ["c2###x"]);
        assert_eq!(stage.lines("c2", "uno"), ["c1###x"]);
    }
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        assert!(program.is_running(), "{} has left:\n{}", program.name, program.stderr());
    }
    forwarder.signal(Signal::TERM);
    forwarder.ends(0);
    sequencer.ends_saying(69, &["the forwarder was terminated"]);
    assert!(router.is_running());
    router.signal(Signal::INT);
    router.ends(0);
}

/// The next run may begin while some of the last one still say goodbye.
#[test]
fn stay_client_may_return_at_once() {
    let stage = Stage::new();
    let _middle = [stage.forwarder(2).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(crate::harness::Launch::start);
    let again = |id: &'static str| {
        for run in 0..10 {
            stage.client(id, short(id)).out(format!("out-{run}")).ends(0);
        }
    };
    side_by_side(2, 2, |number| again(["c1", "c2"][number]));
}

#[test]
fn stay_failed_run_does_not_prevent_the_next() {
    let stage = Stage::new();
    let _middle = [stage.forwarder(2).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(crate::harness::Launch::start);
    let [mut c1, mut c2] = ["c1", "c2"].map(|id| stage.client(id, long(id)).start());
    ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 4));
    c1.signal(Signal::TERM);
    c1.ends(143);
    c2.says("view 2: c2");
    c2.signal(Signal::TERM);
    c2.ends(143);
    all_end(&mut ["c1", "c2"].map(|id| stage.client(id, short(id)).arg("--force").start()));
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}

#[test]
fn groups_are_isolated() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for (group, id) in [("red", "r1"), ("red", "r2"), ("blue", "b1"), ("blue", "b2")] {
        let commands: String = (0..200).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands + "sleep,1\n").args(["--group", group]).start());
    }
    all_end(&mut programs);
    for [one, other] in [["r1", "r2"], ["b1", "b2"]] {
        let delivered = stage.lines(one, "tom");
        assert_eq!(delivered, stage.lines(other, "tom"));
        assert_eq!(delivered.len(), 400);
        assert!(delivered.iter().all(|line| line.starts_with(&one[..1])));
        let numbers = stage
            .history(one)
            .iter()
            .filter_map(|event| event["number"].as_u64())
            .skip(1)
            .collect::<Vec<_>>();
        assert_eq!(numbers, (1..=400).collect::<Vec<_>>(), "each group counts for itself");
    }
}

#[test]
fn groups_failed_group_does_not_affect_others() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let [mut r1, mut r2] = ["r1", "r2"].map(|id| stage.client(id, long(id)).args(["--group", "red"]).start());
    let commands = |id: &str| format!("Multicast,{id},x\nsleep,0.1\n").repeat(40);
    let blue = ["b1", "b2"].map(|id| stage.client(id, commands(id)).args(["--group", "blue"]).start());
    has_delivered(&stage, "r1", 4);
    r1.signal(Signal::INT);
    r1.ends(130);
    r2.says("view 2: r2");
    r2.signal(Signal::INT);
    r2.ends(130);
    let mut blue = blue;
    all_end(&mut blue);
    assert_eq!(stage.lines("b1", "tom").len(), 80);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends_saying(69, &["r1 left the run"]);
    }
}

#[test]
fn groups_group_deserted_before_its_start_does_not_fail_the_sequencer() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let mut r1 = stage.client("r1", long("r1")).args(["--group", "red"]).start();
    r1.says("waiting for 1 more client");
    r1.signal(Signal::INT);
    r1.ends(130);
    sequencer.says("warning: red: ");
    let mut blue = ["b1", "b2"].map(|id| stage.client(id, short(id)).args(["--group", "blue"]).start());
    all_end(&mut blue);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends(0);
    }
}

#[test]
fn output_few_file_descriptors_are_an_error() {
    let stage = Stage::new();
    let limit = "ulimit -n 48; exec \"$@\"";
    let mut programs = vec![stage.forwarder(2).through_shell(limit).start()];
    programs[0].says("listening");
    let flood: Vec<_> =
        (0..100).map(|_| std::net::TcpStream::connect(("127.0.0.1", stage.port(2)))).collect();
    programs.extend([stage.router().start(), stage.sequencer().start()]);
    programs.extend(["c1", "c2"].map(|id| stage.client(id, short(id)).start()));
    pause(Duration::from_millis(500));
    drop(flood);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}

#[test]
fn names_host_name_is_resolved() {
    let stage = Stage::new();
    let mut programs = vec![
        stage.forwarder(1).args(["--bind", "localhost"]).start(),
        stage.router().args(["--bind", "localhost"]).start(),
        stage.sequencer().args(["--connect", "localhost"]).start(),
    ];
    programs.push(stage.client("c1", short("c1")).args(["--connect", "localhost"]).start());
    all_end(&mut programs);
}

#[test]
fn names_client_by_name_reaches_the_default_address() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client("c1", short("c1")).args(["--connect", "localhost"]).start());
    all_end(&mut programs);
}
