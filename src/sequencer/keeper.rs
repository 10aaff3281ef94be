//! The log of a group at its sequencer: it records what the engine has numbered, lets go what is durable, and gives
//! newcomers what they lack.

use std::collections::BTreeMap;

use crate::defect::{Defect, Defects};
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::driver::{Node, clock};
use crate::engine::{MemberId, Time, To};
use crate::exit::Failure;
use crate::log::{Log, Opened};
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
    /// The newcomers: the last place that each one has, and the last one that it wants.
    readers: BTreeMap<MemberId, (u64, u64)>,
}

impl Keeper {
    /// Begins to append to the log.
    ///
    /// # Errors
    /// [`Exit::Io`](crate::exit::Exit::Io) if the process may have no more files or threads.
    pub(super) fn begin(
        node: &mut Node,
        group: &str,
        (log, defects): (Opened, Defects),
        talk: &Talk,
    ) -> Result<Self, Failure> {
        let (wakeup, waker) = wakeup()?;
        node.wake_by(wakeup);
        if !defects.has(Defect::SpeaksBeforeSync) {
            node.keeps_a_log();
        }
        let log = log.begin(waker)?;
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
                let time_us = clock::calendar().as_micros() as u64;
                self.log.append(delivery.number.unwrap_or(0), sender, batch.clone(), time_us)?;
            }
            App::View(view, _) => {
                self.before.insert(view.number, self.log.place());
                // Pieces in flight are lost; the newcomers ask again.
                self.readers.clear();
            }
            App::Replay(Replay::Ask { what: Missed::Log, view, have }) => {
                let last = self.before.get(view).copied().unwrap_or(0);
                self.readers.insert(delivery.from, (*have, last));
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
        for (by, (mut have, last)) in std::mem::take(&mut self.readers) {
            let to = To::Member(by);
            let mut is_over = false;
            for _ in 0..PIECES_PER_TURN {
                if is_over || node.window(to) == 0 {
                    break;
                }
                let Some(piece) = self.log.piece(have, last)? else { break };
                match &piece {
                    Replay::Logged(_, batch) => have = batch.next() - 1,
                    _ => is_over = true,
                }
                node.submit(to, App::Replay(piece));
            }
            if !is_over {
                self.readers.insert(by, (have, last));
                if node.window(to) > 0 {
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
