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
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Upper(input) => self.upper.handle(now, input, &mut self.up),
                Step::Lower(input) => self.lower.handle(now, input, &mut self.down),
            }
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
        self.tell_held(now);
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

    fn waiting(&self) -> Vec<Waiting> {
        self.upper.waiting()
    }

    fn clock(&self) -> Option<Clock> {
        self.upper.clock()
    }
}
