//! The log of a group at its sequencer: it records what the engine has numbered, lets go what is durable, and gives
//! newcomers what they lack.

use std::collections::BTreeMap;

use crate::defect::{Defect, Defects};
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::{Node, clock};
use crate::engine::{MemberId, Time, To};
use crate::exit::Failure;
use crate::log::{Log, Opened, Retain};
use crate::member::App;
use crate::member::replay::{Missed, Replay};
use crate::talk::Talk;
use crate::transport::wakeup::wakeup;

/// Most pieces sent to one newcomer before anything else gets its turn.
const PIECES_PER_TURN: usize = 8;

/// The log of a group, and the newcomers that read it.
pub(super) struct Keeper {
    log: Log,
    /// The last place before each view.
    before: BTreeMap<u64, u64>,
    readers: BTreeMap<MemberId, Reader>,
}

/// A newcomer that reads the log.
#[derive(Clone, Copy)]
struct Reader {
    /// The last place that it has: the log keeps everything behind it.
    have: u64,
    /// The last place that it wants.
    last: u64,
    /// Whether it has asked in this view: pieces in flight are lost when a view ends, and it asks again.
    has_asked: bool,
}

impl Keeper {
    /// Begins to append to the log.
    ///
    /// # Errors
    /// [`Exit::Io`](crate::exit::Exit::Io) if the process may have no more files or threads.
    pub(super) fn begin(
        node: &mut Node,
        group: &str,
        (log, retain, defects): (Opened, Retain, Defects),
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let (wakeup, waker) = wakeup()?;
        node.wake_by(wakeup);
        if !defects.has(Defect::SpeaksBeforeSync) {
            node.keeps_a_log();
        }
        let mut log = log.begin(retain, waker)?;
        log.forget(now_us(), u64::MAX);
        talk.say(match log.place() {
            0 => format!("{group}: begins its log"),
            place => format!("{group}: goes on with its log behind place {place}"),
        });
        let before = BTreeMap::from([(node.view().number, log.place())]);
        Ok(Self { log, before, readers: BTreeMap::new() })
    }

    /// Takes what the engines deliver to a sequencer with a log.
    ///
    /// # Errors
    /// [`Exit::Bug`](crate::exit::Exit::Bug) if it cannot follow what is in the log.
    pub(super) fn take(&mut self, node: &Node, delivery: &Delivery) -> Result<(), Failure> {
        match &delivery.app {
            App::Record(batch) => {
                let seat = node.seat(delivery.from);
                let sender = (seat.id.clone(), seat.incarnation);
                let time_us = now_us();
                if self.log.append(delivery.number.unwrap_or(0), sender, batch.clone(), time_us)? {
                    let needed = self.readers.values().map(|reader| reader.have).min();
                    self.log.forget(time_us, needed.unwrap_or(u64::MAX));
                }
            }
            App::View(view, _) => {
                self.before.insert(view.number, self.log.place());
                self.readers.retain(|reader, _| view.clients.contains(reader));
                self.readers.values_mut().for_each(|reader| reader.has_asked = false);
            }
            App::Replay(Replay::Ask { what: Missed::Log, view, have }) => {
                let last = self.before.get(view).copied().unwrap_or(0);
                self.readers.insert(delivery.from, Reader { have: *have, last, has_asked: true });
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets go what is durable, and sends newcomers as many pieces as the windows allow. Returns the time at which to
    /// continue without input.
    ///
    /// # Errors
    /// The failure of the disk, or of a damaged log.
    pub(super) fn turn(&mut self, node: &mut Node) -> Result<Option<Time>, Failure> {
        node.recorded(self.log.durable()?);
        let mut more = None;
        for (by, mut reader) in std::mem::take(&mut self.readers) {
            let to = To::Member(by);
            let (mut is_over, mut is_durable) = (false, true);
            for _ in 0..PIECES_PER_TURN {
                if is_over || !reader.has_asked || node.window(to) == 0 {
                    break;
                }
                let Some(piece) = self.log.piece(reader.have, reader.last)? else {
                    // The disk wakes this member when it is done.
                    is_durable = false;
                    break;
                };
                match &piece {
                    Replay::Logged(_, batch) => reader.have = batch.next() - 1,
                    _ => is_over = true,
                }
                node.submit(to, App::Replay(piece));
            }
            if !is_over {
                self.readers.insert(by, reader);
                if is_durable && reader.has_asked && node.window(to) > 0 {
                    more = Some(node.now());
                }
            }
        }
        Ok(more)
    }

    /// Makes durable what is left, and ends.
    ///
    /// # Errors
    /// The failure of the disk.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.log.finish()
    }
}

fn now_us() -> u64 {
    clock::calendar().as_micros() as u64
}
