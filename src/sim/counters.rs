//! What happened in a run, counted from outside the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use crate::engine::{Effect, MemberId, To};
use crate::member::App;
use crate::wire::{Frames, Header, Kind, Reader};

/// Sums over a run, or over many.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Messages multicast.
    pub multicasts: u64,
    /// Messages sent to one member.
    pub directs: u64,
    /// Submissions that had to wait for a window.
    pub waited: u64,
    /// Packets handed to the network, a multicast one counted once for every receiver.
    pub packets: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Of these, carried twice.
    pub duplicated: u64,
    /// Requests to send again.
    pub nacks: u64,
    /// Data packets sent again.
    pub resends: u64,
    /// Batches that had arrived and were delivered only when a packet of another or an earlier batch came.
    pub held_back: u64,
    /// Packets that a receiver dropped as duplicates.
    pub dropped: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.multicasts += other.multicasts;
        self.directs += other.directs;
        self.waited += other.waited;
        self.packets += other.packets;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.nacks += other.nacks;
        self.resends += other.resends;
        self.held_back += other.held_back;
        self.dropped += other.dropped;
        self.simulated_us += other.simulated_us;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { multicasts, directs, waited, packets, lost, duplicated, .. } = self;
        let Self { nacks, resends, held_back, dropped, simulated_us, .. } = self;
        writeln!(
            f,
            "messages  {multicasts} multicast, {directs} to one member, {waited} submissions waited for a window"
        )?;
        writeln!(f, "packets   {packets} sent, {lost} lost, {duplicated} duplicated")?;
        writeln!(f, "repair    {nacks} requests, {resends} resends, {dropped} duplicates dropped")?;
        writeln!(f, "order     {held_back} batches held back")?;
        write!(f, "time      {:.1} s simulated", *simulated_us as f64 / 1e6)
    }
}

impl Counters {
    /// A client submits this.
    pub(super) fn submitted(&mut self, app: &App) {
        match app {
            App::Multicast(batch) => self.multicasts += u64::from(batch.count()),
            App::Direct(batch) => self.directs += u64::from(batch.count()),
            App::Finished(_) => {}
        }
    }

    /// These are the effects of a packet of `from`: the batch that it carried may be the first one delivered.
    pub(super) fn received(&mut self, from: MemberId, effects: &[Effect<App, Frames>]) {
        let mut senders = effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { from, app: App::Multicast(_), .. } => Some(*from),
            _ => None,
        });
        let first = senders.next().is_some_and(|sender| sender != from);
        self.held_back += u64::from(first) + senders.count() as u64;
    }
}

/// Tells a first sending from a resend.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<(MemberId, To), u64>);

impl Seen {
    /// Counts what a member asks the network to carry.
    pub(super) fn sent(&mut self, frames: &Frames, counters: &mut Counters) {
        let mut from = Reader::new(frames.header.clone(), bytes::Bytes::new());
        let Ok(header) = Header::read(&mut from) else { return };
        match (header.kind, from.u64()) {
            (Kind::Nack, _) => counters.nacks += 1,
            (Kind::Data, Ok(number)) => {
                let last = self.0.entry((header.sender, header.to)).or_default();
                counters.resends += u64::from(number <= *last);
                *last = number.max(*last);
            }
            _ => {}
        }
    }
}
