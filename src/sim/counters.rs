//! The counts of the events in a run, taken from outside the engines.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use super::network::Passage;
use crate::engine::{Effect, MemberId, Time, To};
use crate::member::App;
use crate::reliable::Body;
use crate::wire::{Batch, Header, Kind, Packet};

/// Sums over one run or several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Messages multicast.
    pub multicasts: u64,
    /// Direct messages sent.
    pub directs: u64,
    /// Submissions that had to wait for a window.
    pub waited: u64,
    /// Packets given to the network, a multicast counted once for each receiver.
    pub packets: u64,
    /// Packets lost, except to a partition.
    pub lost: u64,
    /// Packets carried twice.
    pub duplicated: u64,
    /// Slow packets.
    pub slow: u64,
    /// Packets held by a clogged link.
    pub clogged: u64,
    /// Packets lost to a partition.
    pub cut: u64,
    /// Events delayed by the pause of a member: packets to it, tasks and deadlines.
    pub paused: u64,
    /// NACKs sent.
    pub nacks: u64,
    /// NACKs for packets that the receiver knew only from the sender's announcement of its last number.
    pub announced: u64,
    /// NACKs that another member's NACK made unnecessary for now, as far as that is visible from outside.
    pub spared: u64,
    /// Data packets sent again.
    pub resends: u64,
    /// Batches that had arrived and were delivered only when a packet of another or an earlier batch arrived.
    pub held_back: u64,
    /// Packets that a receiver dropped as duplicates.
    pub dropped: u64,
    /// Members that crashed.
    #[serde(skip_serializing_if = "is_zero")]
    pub crashed: u64,
    /// Entries that a member of a cluster showed above others.
    #[serde(skip_serializing_if = "is_zero")]
    pub inserted_above: u64,
    /// Epochs of clusters that began, counted at each member.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Entries of removed members that a member took back.
    #[serde(skip_serializing_if = "is_zero")]
    pub withdrawn: u64,
    /// Members that learned that the group had gone on without them.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_behind: u64,
    /// Direct messages that their senders reported as undeliverable.
    #[serde(skip_serializing_if = "is_zero")]
    pub undeliverable: u64,
    /// Processes that joined.
    #[serde(skip_serializing_if = "is_zero")]
    pub joined: u64,
    /// Views installed after the first.
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
        self.inserted_above += other.inserted_above;
        self.changed += other.changed;
        self.withdrawn += other.withdrawn;
        self.left_behind += other.left_behind;
        self.undeliverable += other.undeliverable;
        self.joined += other.joined;
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
        if self.inserted_above > 0 {
            let Self { inserted_above, crashed, .. } = self;
            writeln!(f, "cluster   {inserted_above} entries inserted above others, {crashed} crashes")?;
            let Self { changed, withdrawn, .. } = self;
            if *changed > 0 {
                writeln!(f, "epochs    {changed} began at members, {withdrawn} entries were withdrawn")?;
            }
        } else if self.views > 0 || self.crashed > 0 {
            let Self { crashed, left_behind, undeliverable, joined, views, .. } = self;
            writeln!(
                f,
                "members   {crashed} died, {left_behind} were left behind, {views} views were installed"
            )?;
            if *joined > 0 {
                writeln!(f, "          {joined} joined")?;
            }
            writeln!(f, "          {undeliverable} messages to one member were undeliverable")?;
        }
        write!(f, "time      {:.1} s simulated", self.simulated_us as f64 / 1e6)
    }
}

impl Counters {
    /// Counts the messages of a submission.
    pub(super) fn submitted(&mut self, app: &App) {
        match app {
            App::Multicast(batch) => self.multicasts += u64::from(batch.count()),
            App::Direct(batch) => self.directs += u64::from(batch.count()),
            App::Finished(_)
            | App::View(..)
            | App::Replay(_)
            | App::Advance(_)
            | App::Record(_)
            | App::Fenced(_)
            | App::Notice(_)
            | App::Undeliverable(..) => {}
        }
    }

    /// Counts the passage of a packet through the network.
    pub(super) fn carried(&mut self, passage: Passage) {
        let is_lost = passage.arrivals[0].is_none();
        self.packets += 1;
        self.lost += u64::from(is_lost && !passage.is_cut);
        self.cut += u64::from(passage.is_cut);
        self.duplicated += u64::from(passage.arrivals[1].is_some());
        self.slow += u64::from(passage.is_slow);
        self.clogged += u64::from(passage.is_clogged);
    }

    /// Counts the batches held back before a packet of `from` had these effects. The packet's own batch may be the
    /// first delivered.
    pub(super) fn received(&mut self, from: MemberId, effects: &[Effect<App, Packet>]) {
        let mut senders = effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { from, app: App::Multicast(_), .. } => Some(*from),
            _ => None,
        });
        let first = senders.next().is_some_and(|sender| sender != from);
        self.held_back += u64::from(first) + senders.count() as u64;
    }

    /// Counts a member's own NACK as spared if another member's NACK moved its deadline.
    pub(super) fn overheard(&mut self, before: Option<Time>, after: Option<Time>) {
        self.spared += u64::from(before.is_some() && before < after);
    }
}

/// Returns true if the packet is a NACK to another member than `at`.
pub(super) fn is_overheard(at: MemberId, packet: &Packet) -> bool {
    packet.header.kind == Kind::Nack && nacked(packet).is_some_and(|(sender, _)| sender != at)
}

/// Returns the sender from which a NACK requests packets, and the highest number requested.
fn nacked(packet: &Packet) -> Option<(MemberId, u64)> {
    match Body::<Batch>::read_nack(&mut packet.clone().reader()) {
        Ok(Body::Nack { sender, missing }) => Some((sender, missing.last()?.1)),
        _ => None,
    }
}

/// The highest numbers of each stream, which tell resends from first sendings and announced packets from others.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The highest number sent, for each sender and destination.
    sent: BTreeMap<(MemberId, To), u64>,
    /// The highest number received, for each receiver, sender and destination.
    received: BTreeMap<(MemberId, MemberId, To), u64>,
}

impl Seen {
    /// Counts a packet that a member sends.
    pub(super) fn sent(&mut self, packet: &Packet, counters: &mut Counters) {
        let Header { kind, sender, to, .. } = packet.header;
        if let Some(number) = packet.number() {
            let last = self.sent.entry((sender, to)).or_default();
            counters.resends += u64::from(number <= *last);
            *last = number.max(*last);
        }
        if kind == Kind::Nack {
            counters.nacks += 1;
            counters.announced += u64::from(self.is_announced(sender, to, packet));
        }
    }

    /// Records a packet that a member receives.
    pub(super) fn received(&mut self, at: MemberId, packet: &Packet) {
        if let Some(number) = packet.number() {
            let highest = self.received.entry((at, packet.header.sender, packet.header.to)).or_default();
            *highest = number.max(*highest);
        }
    }

    /// Returns true if `asker` requests a packet with a higher number than all that it has received.
    fn is_announced(&self, asker: MemberId, to: To, packet: &Packet) -> bool {
        let Some((sender, last)) = nacked(packet) else { return false };
        let stream = if to == To::Group { To::Group } else { To::Member(asker) };
        self.received.get(&(asker, sender, stream)).is_none_or(|&highest| highest < last)
    }
}
