//! Station 3, continued: two engines, one on the other, are again an engine.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{Effect, Effects, Engine, Input, MemberId, Time, To, sooner};
use crate::waiting::{Clock, Waiting};

/// `Upper` on `Lower`: what the upper engine sends is what the lower one is asked to carry.
pub struct Stack<Upper: Engine, Lower: Engine<App = Upper::Wire>> {
    upper: Upper,
    lower: Lower,
    /// Of which senders the upper engine holds something back, and how many packets.
    held: BTreeMap<MemberId, u64>,
    // Reused between calls, empty outside of them.
    steps: VecDeque<Step<Upper, Lower>>,
    touched: Vec<MemberId>,
    up: Effects<Upper::App, Upper::Wire>,
    down: Effects<Lower::App, Lower::Wire>,
}

enum Step<Upper: Engine, Lower: Engine> {
    Upper(Input<Upper::App, Upper::Wire>),
    Lower(Input<Lower::App, Lower::Wire>),
}

impl<Upper: Engine, Lower: Engine<App = Upper::Wire>> Stack<Upper, Lower> {
    /// Puts `upper` on `lower`.
    pub fn new(upper: Upper, lower: Lower) -> Self {
        Self {
            upper,
            lower,
            held: BTreeMap::new(),
            steps: VecDeque::new(),
            touched: Vec::new(),
            up: Effects::default(),
            down: Effects::default(),
        }
    }

    /// Tells the lower engine what the upper one holds back, of those senders with whom something has happened.
    fn tell_held(&mut self, now: Time) {
        for sender in self.touched.drain(..) {
            let packets = self.upper.held_of(sender);
            let before = self.held.get(&sender).copied().unwrap_or(0);
            if packets == before {
                continue;
            }
            self.held.insert(sender, packets);
            self.lower.held_above(now, sender, packets);
        }
    }

    /// Takes every step that is due, and those that follow from it.
    fn run(&mut self, now: Time, out: &mut Effects<Upper::App, Lower::Wire>) {
        loop {
            self.pass_on(out);
            match self.steps.pop_front() {
                Some(Step::Upper(input)) => self.upper.handle(now, input, &mut self.up),
                Some(Step::Lower(input)) => self.lower.handle(now, input, &mut self.down),
                None => break,
            }
        }
        self.tell_held(now);
    }

    /// Gives what the engines asked for to each other, or out.
    fn pass_on(&mut self, out: &mut Effects<Upper::App, Lower::Wire>) {
        for effect in self.down.drain() {
            match effect {
                Effect::Send { to, message } => out.send(to, message),
                Effect::Deliver { from, app, .. } => {
                    self.touched.push(from);
                    self.steps.push_back(Step::Upper(Input::Receive { from, message: app }));
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
        for effect in self.up.drain() {
            match effect {
                Effect::Send { to, message } => {
                    self.steps.push_back(Step::Lower(Input::Submit { to, app: message }));
                }
                Effect::Deliver { from, number, app } => {
                    self.touched.push(from);
                    out.deliver(from, number, app);
                }
                Effect::Drop { from, reason } => out.drop(from, reason),
            }
        }
    }
}

impl<Upper: Engine, Lower: Engine<App = Upper::Wire>> Engine for Stack<Upper, Lower> {
    type App = Upper::App;
    type Wire = Lower::Wire;

    fn handle(
        &mut self,
        now: Time,
        input: Input<Upper::App, Lower::Wire>,
        out: &mut Effects<Upper::App, Lower::Wire>,
    ) {
        match input {
            Input::Submit { to, app } => self.steps.push_back(Step::Upper(Input::Submit { to, app })),
            Input::Receive { from, message } => {
                self.steps.push_back(Step::Lower(Input::Receive { from, message }));
            }
            Input::Wake => self.steps.extend([Step::Lower(Input::Wake), Step::Upper(Input::Wake)]),
        }
        self.run(now, out);
    }

    fn flush(&mut self, now: Time, out: &mut Effects<Upper::App, Lower::Wire>) {
        self.upper.flush(now, &mut self.up);
        self.run(now, out);
        self.lower.flush(now, &mut self.down);
        self.run(now, out);
    }

    fn close(&mut self, out: &mut Effects<Upper::App, Lower::Wire>) -> Vec<Upper::App> {
        let open = self.upper.close(&mut self.up);
        // What it still delivers counts; it has nobody to send to any more.
        self.pass_on(out);
        self.steps.clear();
        open
    }

    fn next_deadline(&self) -> Option<Time> {
        sooner(self.upper.next_deadline(), self.lower.next_deadline())
    }

    fn window(&self, to: To) -> usize {
        self.upper.window(to).min(self.lower.window(to))
    }

    fn held(&self) -> usize {
        self.upper.held() + self.lower.held()
    }

    fn laggard(&self) -> Option<(MemberId, u64)> {
        self.lower.laggard()
    }

    fn is_settled(&self) -> bool {
        self.upper.is_settled() && self.lower.is_settled()
    }

    fn unsent(&self) -> u64 {
        self.lower.unsent()
    }

    fn ask_all(&mut self, now: Time) {
        self.lower.ask_all(now);
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.upper.waiting()
    }

    fn clock(&self) -> Option<Clock> {
        self.upper.clock()
    }
}
