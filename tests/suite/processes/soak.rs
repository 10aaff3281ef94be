//! Programs that stay among bad peers: run after run succeeds, and neither their memory nor their open files grow.
//!
//! `scripts/soak` gives this as many minutes as it is told. As an ordinary test it takes seconds, and only shows that
//! everything is served and every connection closed again.

use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Launch, Program, Stage, all_end, now, pause, until};
use crate::processes::hostile::{OUT, SYNC, Stranger, attack, flood_with_joins, request};

/// As an ordinary test.
const SHORT: Duration = Duration::from_secs(10);
/// Over less than this, growth is not judged: it is still warming up.
const JUDGED: Duration = Duration::from_secs(60);
const SAMPLE: Duration = Duration::from_millis(250);
/// Memory may grow by a tenth or by this, whichever is more: allocators do not give everything back.
const NOISE_KIB: u64 = 2048;
/// Open files that come and go for other reasons than a peer's connection.
const NOISE_FILES: u64 = 2;

/// Resources of one program at one moment.
#[derive(Clone, Copy)]
struct Sample {
    kib: u64,
    files: u64,
}

#[test]
fn soak_bad_peers_grow_neither_memory_nor_files() {
    let minutes = std::env::var("SOAK_MINUTES").ok().map(|text| text.parse::<f64>().expect("minutes"));
    let length = minutes.map_or(SHORT, |minutes| Duration::from_secs_f64(minutes * 60.0));
    let stage = Stage::new();
    let programs = [stage.forwarder(2).arg("--stay"), stage.router().arg("--stay"), stage.sequencer()]
        .map(Launch::start);
    run(&stage, 0);
    let before = programs.each_ref().map(sample);
    let over = AtomicBool::new(false);
    let began = now();
    let (samples, runs) = std::thread::scope(|scope| {
        for bad in [strangers, joins_without_end, comes_and_goes, never_reads] {
            let (stage, over) = (&stage, &over);
            scope.spawn(move || bad(stage, over));
        }
        let sampler = scope.spawn(|| watch(&programs, &over));
        // If a run fails the bad peers must end, too, or this would wait for them.
        let runs = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runs(&stage, began, length)));
        over.store(true, Relaxed);
        (sampler.join().unwrap(), runs.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let after = closed(&programs, &before);
    eprintln!("{runs} runs of two clients each, in {:.0} s", began.elapsed().as_secs_f64());
    eprintln!("{:<12}{:>32}{:>40}", "", "memory in MiB", "open files");
    eprintln!(
        "{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "", "start", "middle", "end", "max", "before", "start", "middle", "end", "after"
    );
    let mut grown = Vec::new();
    for ((program, samples), (before, after)) in programs.iter().zip(&samples).zip(before.iter().zip(after)) {
        let [start, middle, end] = [1, 2, 4].map(|fifth| typical(samples, fifth));
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        let max = samples.iter().map(|sample| sample.kib).max().unwrap_or_default();
        eprintln!(
            "{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
            program.name,
            mib(start.kib),
            mib(middle.kib),
            mib(end.kib),
            mib(max),
            before.files,
            start.files,
            middle.files,
            end.files,
            after.files
        );
        if end.kib > start.kib + NOISE_KIB.max(start.kib / 10) {
            grown.push(format!("{} grew from {} to {} KiB", program.name, start.kib, end.kib));
        }
    }
    assert!(length < JUDGED || grown.is_empty(), "{}", grown.join(", "));
}

/// Run after run, until it has been long enough; how many there were.
fn runs(stage: &Stage, began: Instant, length: Duration) -> u32 {
    let mut count = 0;
    while began.elapsed() < length {
        count += 1;
        run(stage, count);
    }
    count
}

/// Two clients multicast and send, and get everything.
fn run(stage: &Stage, number: u32) {
    let client = |id: &str, other: &str| {
        let texts: String = (0..20)
            .map(|text| format!("Multicast,{id},{number}-{text}\n{id},{other},{text}\nsleep,0.05\n"))
            .collect();
        stage.client(id, texts).arg("--force").start()
    };
    all_end(&mut [client("c1", "c2"), client("c2", "c1")]);
    let delivered = stage.lines("c1", "tom");
    assert_eq!(delivered, stage.lines("c2", "tom"));
    assert_eq!(
        (delivered.len(), stage.lines("c1", "uno").len(), stage.lines("c2", "uno").len()),
        (40, 20, 20)
    );
}

/// Bytes that are no ZeroMQ, half handshakes, huge frames, packets of strangers, requests without sense.
fn strangers(stage: &Stage, over: &AtomicBool) {
    let mut seed = 0;
    while !over.load(Relaxed) {
        seed += 1;
        let held = attack(stage, seed, None);
        pause(Duration::from_millis(500));
        drop(held);
    }
}

/// Members that join, and never get ready: in groups of their own, where they keep nobody from a seat.
fn joins_without_end(stage: &Stage, over: &AtomicBool) {
    while !over.load(Relaxed) {
        flood_with_joins(stage, "other");
        pause(Duration::from_secs(1));
    }
}

/// Connections that are opened and dropped.
fn comes_and_goes(stage: &Stage, over: &AtomicBool) {
    while !over.load(Relaxed) {
        for port in 0..4 {
            let _ = TcpStream::connect(("127.0.0.1", stage.port(port)));
        }
        pause(Duration::from_millis(20));
    }
}

/// Subscribers of everything, and members that ask, none of whom reads what comes.
fn never_reads(stage: &Stage, over: &AtomicBool) {
    let mut held = std::collections::VecDeque::new();
    while !over.load(Relaxed) {
        let ear = Stranger::new(stage, OUT);
        ear.hears_everything();
        let asker = Stranger::new(stage, SYNC);
        for seq in 0..1000 {
            asker.ask(&request(json!({ "ask": "attend", "group": "", "id": "x", "seq": seq })));
        }
        held.push_back((ear, asker));
        if held.len() > 5 {
            held.pop_front();
        }
        pause(Duration::from_secs(1));
    }
}

fn sample(program: &Program) -> Sample {
    let (kib, files) = program.usage();
    Sample { kib, files }
}

/// Resources of each program over time.
fn watch(programs: &[Program; 3], over: &AtomicBool) -> [Vec<Sample>; 3] {
    let mut samples = [(); 3].map(|()| Vec::new());
    while !over.load(Relaxed) {
        for (samples, program) in samples.iter_mut().zip(programs) {
            samples.push(sample(program));
        }
        pause(SAMPLE);
    }
    samples
}

/// The medians of one fifth of the time; the first, which is 0, is the warm-up.
fn typical(samples: &[Sample], fifth: usize) -> Sample {
    let part = &samples[samples.len() * fifth / 5..samples.len() * (fifth + 1) / 5];
    let median = |of: fn(&Sample) -> u64| {
        let mut all: Vec<u64> = part.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Sample { kib: median(|sample| sample.kib), files: median(|sample| sample.files) }
}

/// When all bad peers have gone every connection of theirs is closed, at the latest when its handshake has failed.
fn closed(programs: &[Program; 3], before: &[Sample; 3]) -> [Sample; 3] {
    until("the connections of bad peers are closed", || {
        let after = programs.each_ref().map(sample);
        let is_closed = |(after, before): (&Sample, &Sample)| after.files <= before.files + NOISE_FILES;
        after.iter().zip(before).all(is_closed).then_some(after)
    })
}
