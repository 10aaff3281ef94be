//! Command files, waits and judgements of the tests of processes.

use std::fs;
use std::time::Duration;

use groupcast::check;
use groupcast::exit::Exit;
use groupcast::order::Order;

use crate::harness::{Program, Stage, events, lines, now, until};

/// Commands of a client in the middle of its run: something delivered, and a long time to go.
pub(super) fn long(id: &str) -> String {
    format!("Multicast,{id},1\nMulticast,{id},2\nsleep,120\nMulticast,{id},3\n")
}

pub(super) fn short(id: &str) -> String {
    format!("Multicast,{id},1\n")
}

/// The partial results of `id`: whole lines, and a history that can be read.
pub(super) fn partial(stage: &Stage, id: &str) -> Vec<String> {
    for event in events(&stage.out().join(format!("history_{id}.jsonl.part"))) {
        assert_eq!(event["v"], 1);
    }
    lines(&stage.out().join(format!("test_result_{id}_tom.txt.part")))
}

/// Waits until `id` has written down `count` deliveries.
pub(super) fn has_delivered(stage: &Stage, id: &str, count: usize) {
    let path = stage.out().join(format!("test_result_{id}_tom.txt.part"));
    until(&format!("{id} writes down {count} deliveries"), || {
        let text = fs::read_to_string(&path).ok()?;
        (text.lines().count() >= count).then_some(())
    });
}

/// Two clients, and those in the middle, in the middle of a run.
pub(super) struct MidRun {
    pub(super) stage: Stage,
    pub(super) forwarder: Program,
    pub(super) router: Program,
    pub(super) sequencer: Program,
    pub(super) c1: Program,
    pub(super) c2: Program,
}

impl MidRun {
    pub(super) fn new() -> Self {
        let stage = Stage::new();
        let [forwarder, router, sequencer] = stage.middle(2);
        let [c1, c2] = ["c1", "c2"].map(|id| stage.client(id, long(id)).start());
        ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 4));
        Self { stage, forwarder, router, sequencer, c1, c2 }
    }

    /// Everybody else ends with exit 69 and these words, within `limit`.
    pub(super) fn the_others_end(&mut self, killed: &str, words: &[&str], limit: Duration) {
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

    pub(super) fn both_have_partial_results(&self) {
        for id in ["c1", "c2"] {
            assert_eq!(partial(&self.stage, id).len(), 4);
        }
        assert_eq!(partial(&self.stage, "c1"), partial(&self.stage, "c2"));
    }
}

pub(super) const CLIENTS: [&str; 3] = ["c1", "c2", "c3"];
/// How many multicasts each client has, and how many messages to the next one.
const EACH: usize = 100;

/// Two seconds of multicasts and messages to one other, a few at a time.
pub(super) fn commands(place: usize) -> String {
    let (id, next) = (CLIENTS[place], CLIENTS[(place + 1) % CLIENTS.len()]);
    let line = |number: usize| {
        let rest = if number.is_multiple_of(5) { "sleep,0.1\n" } else { "" };
        format!("Multicast,{id},{number}\n{id},{next},{number}\n{rest}")
    };
    (1..=EACH).map(line).collect()
}

/// Everything that the order promises holds, and everything was delivered.
pub(super) fn is_all_there(stage: &Stage, order: &Order) {
    let judgements = check::judge_folder(&stage.out(), stage.dir()).unwrap();
    for judgement in &judgements {
        let verdicts = judgement.properties().map(|(_, verdict)| verdict);
        assert_eq!(check::exit(verdicts), Exit::Ok, "{}:\n{}", order.title(), judgement.lines());
    }
    for id in CLIENTS {
        assert_eq!(stage.lines(id, order.suffix).len(), EACH * CLIENTS.len(), "{id}, {}", order.title());
        assert_eq!(stage.lines(id, "uno").len(), EACH, "{id}, {}", order.title());
    }
}
