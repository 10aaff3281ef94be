//! What happened in a run, counted from outside the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use bytes::Bytes;
use serde::Serialize;

use super::network::Passage;
use crate::engine::{Effect, MemberId, Time, To};
use crate::member::App;
use crate::reliable::Body;
use crate::wire::{Batch, Frames, Header, Kind, Malformed, Reader};

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
    /// Of these, lost, a partition apart.
    pub lost: u64,
    /// Of these, carried twice.
    pub duplicated: u64,
    /// Of these, slow.
    pub slow: u64,
    /// Of these, held by a clogged link.
    pub clogged: u64,
    /// Of these, lost to a partition.
    pub cut: u64,
    /// What a pause of a member delayed: packets for it, and what it would have done by itself.
    pub paused: u64,
    /// Requests to send again.
    pub nacks: u64,
    /// Of these, for packets of which nobody would know if the sender had not announced how far it got.
    pub announced: u64,
    /// Requests that another member's request made unnecessary for now; those that can be seen from outside.
    pub spared: u64,
    /// Data packets sent again.
    pub resends: u64,
    /// Batches that had arrived and were delivered only when a packet of another or an earlier batch came.
    pub held_back: u64,
    /// Packets that a receiver dropped as duplicates.
    pub dropped: u64,
    /// Members that died.
    #[serde(skip_serializing_if = "is_zero")]
    pub crashed: u64,
    /// Members that were told that the group went on without them.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_behind: u64,
    /// Messages to one member that their senders were told to be undeliverable.
    #[serde(skip_serializing_if = "is_zero")]
    pub undeliverable: u64,
    /// Views that were given to members, the first ones apart.
    #[serde(skip_serializing_if = "is_zero")]
    pub views: u64,
    /// Simulated time, in microseconds.
    pub simulated_us: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.multicasts += other.multicasts;
        self.directs += other.directs;
        self.waited += other.waited;
        self.packets += other.packets;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.slow += other.slow;
        self.clogged += other.clogged;
        self.cut += other.cut;
        self.paused += other.paused;
        self.nacks += other.nacks;
        self.announced += other.announced;
        self.spared += other.spared;
        self.resends += other.resends;
        self.held_back += other.held_back;
        self.dropped += other.dropped;
        self.crashed += other.crashed;
        self.left_behind += other.left_behind;
        self.undeliverable += other.undeliverable;
        self.views += other.views;
        self.simulated_us += other.simulated_us;
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { multicasts, directs, waited, packets, lost, duplicated, slow, .. } = self;
        let Self { clogged, cut, paused, nacks, announced, spared, resends, held_back, dropped, .. } = self;
        writeln!(
            f,
            "messages  {multicasts} multicast, {directs} to one member, {waited} submissions waited for a window"
        )?;
        writeln!(f, "packets   {packets} sent, {lost} lost, {duplicated} duplicated, {slow} slow")?;
        writeln!(f, "outages   {clogged} packets clogged, {cut} cut off, {paused} events delayed by pauses")?;
        writeln!(f, "repair    {nacks} requests, {announced} thanks to an announcement, {spared} spared")?;
        writeln!(f, "          {resends} resends, {dropped} duplicates dropped")?;
        writeln!(f, "order     {held_back} batches held back")?;
        if self.views > 0 || self.crashed > 0 {
            let Self { crashed, left_behind, undeliverable, views, .. } = self;
            writeln!(
                f,
                "members   {crashed} died, {left_behind} were left behind, {views} views were installed"
            )?;
            writeln!(f, "          {undeliverable} messages to one member were undeliverable")?;
        }
        write!(f, "time      {:.1} s simulated", self.simulated_us as f64 / 1e6)
    }
}

impl Counters {
    /// A client submits this.
    pub(super) fn submitted(&mut self, app: &App) {
        match app {
            App::Multicast(batch) => self.multicasts += u64::from(batch.count()),
            App::Direct(batch) => self.directs += u64::from(batch.count()),
            App::Finished(_)
            | App::View(..)
            | App::Replay(_)
            | App::Fenced(_)
            | App::Notice(_)
            | App::Undeliverable(..) => {}
        }
    }

    /// The network did this with a packet.
    pub(super) fn carried(&mut self, passage: Passage) {
        let is_lost = passage.arrivals[0].is_none();
        self.packets += 1;
        self.lost += u64::from(is_lost && !passage.is_cut);
        self.cut += u64::from(passage.is_cut);
        self.duplicated += u64::from(passage.arrivals[1].is_some());
        self.slow += u64::from(passage.is_slow);
        self.clogged += u64::from(passage.is_clogged);
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

    /// Another's request put off what a member was going to do next: that was a request of its own.
    pub(super) fn overheard(&mut self, before: Option<Time>, after: Option<Time>) {
        self.spared += u64::from(before.is_some() && before < after);
    }
}

/// What a packet says of itself, read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    pub(super) header: Header,
    /// Its number, if it carries data.
    number: Option<u64>,
}

impl Heading {
    pub(super) fn read(frames: &Frames) -> Result<Self, Malformed> {
        let mut from = Reader::new(frames.header.clone(), Bytes::new());
        let header = Header::read(&mut from)?;
        let number = if header.kind == Kind::Data { Some(from.u64()?) } else { None };
        Ok(Self { header, number })
    }

    /// Whether it is a request to somebody else than `at`.
    pub(super) fn is_overheard(&self, at: MemberId, frames: &Frames) -> bool {
        self.header.kind == Kind::Nack && nacked(frames).is_some_and(|(sender, _)| sender != at)
    }
}

/// Who is asked for what, up to which number.
fn nacked(frames: &Frames) -> Option<(MemberId, u64)> {
    let mut from = Reader::new(frames.header.clone(), Bytes::new());
    Header::read(&mut from).ok()?;
    match Body::<Batch>::read_nack(&mut from) {
        Ok(Body::Nack { sender, missing }) => Some((sender, missing.last()?.1)),
        _ => None,
    }
}

/// What has been seen of each stream: tells a first sending from a resend, and whose word a request goes by.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of each sender and destination: the highest number sent.
    sent: BTreeMap<(MemberId, To), u64>,
    /// Of each receiver, sender and destination: the highest number received.
    received: BTreeMap<(MemberId, MemberId, To), u64>,
}

impl Seen {
    /// Counts what a member asks the network to carry.
    pub(super) fn sent(&mut self, heading: Heading, frames: &Frames, counters: &mut Counters) {
        let Header { kind, sender, to, .. } = heading.header;
        if let Some(number) = heading.number {
            let last = self.sent.entry((sender, to)).or_default();
            counters.resends += u64::from(number <= *last);
            *last = number.max(*last);
        }
        if kind == Kind::Nack {
            counters.nacks += 1;
            counters.announced += u64::from(self.is_announced(sender, to, frames));
        }
    }

    /// Takes note of what a member receives.
    pub(super) fn received(&mut self, at: MemberId, heading: Heading) {
        if let Some(number) = heading.number {
            let highest = self.received.entry((at, heading.header.sender, heading.header.to)).or_default();
            *highest = number.max(*highest);
        }
    }

    /// Whether `asker` asks for a packet after all that it has received.
    fn is_announced(&self, asker: MemberId, to: To, frames: &Frames) -> bool {
        let Some((sender, last)) = nacked(frames) else { return false };
        let stream = if to == To::Group { To::Group } else { To::Member(asker) };
        self.received.get(&(asker, sender, stream)).is_none_or(|&highest| highest < last)
    }
}
