//! The files that the members of a simulated cluster would write: for `groupcast check`, `diagram` and `explain`.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::check::cluster::{ClusterHistory, Happening, Life, MemberStory};
use crate::engine::{MemberId, Time};
use crate::exit::Failure;
use crate::order;
use crate::replica::entry::Stamp;
use crate::results::cluster::{ClusterResults, Opening};
use crate::results::{Counts, MessageId, Start};

/// The stories of all members, with times.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Files {
    pub(super) history: ClusterHistory,
    /// For each member and each life, the time of every event.
    pub(super) times: Vec<Vec<Vec<Time>>>,
}

/// The files of one member, while its lives are written.
struct Writer<'f> {
    files: &'f Files,
    slot: u16,
    results: ClusterResults,
    /// The messages that it shows and has not confirmed, by their places.
    list: BTreeMap<((u64, u16), u64), Bytes>,
    counts: Counts,
    /// The number of confirmed messages, and of direct messages received, through all lives.
    written: (u64, u64),
}

impl Files {
    /// Writes the files into a folder, as members do.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        (0..).zip(&self.history.members).try_for_each(|(slot, story)| self.write_member(dir, slot, story))
    }

    fn write_member(&self, dir: &Path, slot: u16, story: &MemberStory) -> Result<(), Failure> {
        let (mut list, mut written) = (BTreeMap::new(), (0, 0));
        for (number, (life, times)) in (1..).zip(story.lives.iter().zip(&self.times[usize::from(slot)])) {
            let opening = Opening { life: number, history: true, fresh: number == 1, force: false };
            let results = ClusterResults::open(dir, &story.name, opening);
            let results = results.map_err(|failure| failure.help("name another folder with --histories"))?;
            let mut writer = Writer { files: self, slot, results, list, counts: Counts::default(), written };
            writer.life(number, life, times)?;
            writer.results.finish()?;
            (list, written) = (writer.list, writer.written);
        }
        Ok(())
    }

    fn id(&self, (slot, number): (u16, u64)) -> MessageId<'_> {
        MessageId { member: self.history.who(slot), incarnation: 1, number }
    }
}

impl Writer<'_> {
    fn life(&mut self, number: u32, life: &Life, times: &[Time]) -> Result<(), Failure> {
        let began = times.first().copied().unwrap_or_default().as_micros();
        self.results.forgotten(self.written.0, self.written.1, |_, _| ())?;
        self.results.recovered();
        let members: Vec<&str> = self.files.history.members.iter().map(|story| &*story.name).collect();
        self.results.start(&Start {
            member: members[usize::from(self.slot)],
            incarnation: number,
            group: "main",
            groups: (&[]).into(),
            order: order::TENTATIVE,
            method: None,
            log: None,
            members: (&members).into(),
            time_us: 0,
        })?;
        let mut last = 0;
        for (happening, time) in life.events.iter().zip(times) {
            last = time.as_micros().saturating_sub(began);
            match happening {
                Happening::Recover { entries, confirmed } => {
                    self.results.recover(*entries, *confirmed, 0, began)?;
                }
                // An event with the time of the recovery would seem to be told again.
                happening => self.event(happening, last.max(1))?,
            }
        }
        if let Some(end) = &life.end {
            let shown =
                self.list.iter().map(|(((_, origin), _), text)| (self.files.history.who(*origin), &text[..]));
            self.results.now(shown)?;
            self.results.end(end, &self.counts, last.max(1))?;
        }
        Ok(())
    }

    fn event(&mut self, happening: &Happening, time_us: u64) -> Result<(), Failure> {
        let files = self.files;
        let own = |number: u64| files.id((self.slot, number));
        let results = &mut self.results;
        match happening {
            Happening::Multicast { number, text } => {
                self.counts.multicasts += 1;
                results.multicast(own(*number), text, time_us)
            }
            Happening::Stored { number } => results.stored(own(*number), time_us),
            Happening::Insert { id, at, deps, text } => {
                self.list.insert((*at, id.1), text.clone());
                results.insert(files.id(*id), stamp(*at), deps, text, time_us)
            }
            Happening::Confirm { upto, number, count, digest } => {
                for _ in 0..*count {
                    let Some((((_, origin), _), text)) = self.list.pop_first() else { break };
                    results.confirm(files.history.who(origin), &text)?;
                    self.counts.delivered += 1;
                    self.written.0 += 1;
                }
                results.confirmed(stamp(*upto), *number, *count, *digest, time_us)
            }
            Happening::Send { to, number, text } => {
                self.counts.sent += 1;
                results.sent(own(*number), files.history.who(*to), text, time_us)
            }
            Happening::Receive { from, number, text } => {
                self.counts.received += 1;
                self.written.1 += 1;
                results.receive(files.history.who(*from), text)?;
                results.received(files.id((*from, *number)), text, time_us)
            }
            Happening::Withdraw { id } => {
                self.list.retain(|((_, origin), number), _| (*origin, *number) != *id);
                results.withdraw(files.id(*id), time_us)
            }
            Happening::Epoch { number, members, removed } => {
                let members: Vec<&str> = members.iter().map(|slot| files.history.who(*slot)).collect();
                results.epoch(*number, &members, removed.map(|slot| files.history.who(slot)), time_us)
            }
            // Clusters give no direct message up, and the start of a life is written before.
            Happening::Undeliverable { .. } | Happening::Recover { .. } => Ok(()),
        }
    }
}

const fn stamp((time, slot): (u64, u16)) -> Stamp {
    Stamp { time, origin: MemberId(slot) }
}
