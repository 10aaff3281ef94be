//! Engines broken on purpose, so that tests can show that the oracles and the simulator notice.
//!
//! Without the feature `known-bad` every question below is answered "no" at compile time.

/// One way in which an engine can be wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Defect {
    /// Hold-back queues let everything through in the order of arrival.
    NoHoldBack,
    /// A receiver that misses a packet never asks for it.
    NoNack,
    /// What arrives twice is given upwards twice.
    NoDuplicateFilter,
    /// A sender that falls silent never says how far it got, so a lost tail stays unnoticed.
    NoTailAnnouncement,
    /// Causal order looks at each sender's own order only.
    FifoForCausal,
    /// Lamport's order delivers without waiting for everybody.
    NotAllAcknowledged,
    /// Agreed order takes the first proposal for what was agreed.
    ProposalAsAgreed,
    /// The sequencer numbers batches as they arrive, in no sender's order.
    NumberedOnArrival,
    /// A process that the group has left behind is not told so, and does not believe it.
    NoFencing,
    /// A new leader does not take up what the old one may have installed.
    NoAdoption,
    /// What a member had sent and nobody will deliver is not sent again in the next view.
    ForgetsOpen,
    /// Packets of others are not kept, so that nobody can repeat those of a lost member.
    ForgetsUnstable,
    /// A sender never learns that a message to one member is undeliverable.
    ForgetsUndeliverable,
}

impl Defect {
    /// Every defect, by the name that `groupcast sim --known-bad` takes.
    pub const ALL: [(&'static str, Self); 13] = [
        ("no-hold-back", Self::NoHoldBack),
        ("no-nack", Self::NoNack),
        ("no-duplicate-filter", Self::NoDuplicateFilter),
        ("no-tail-announcement", Self::NoTailAnnouncement),
        ("fifo-for-causal", Self::FifoForCausal),
        ("not-all-acknowledged", Self::NotAllAcknowledged),
        ("proposal-as-agreed", Self::ProposalAsAgreed),
        ("numbered-on-arrival", Self::NumberedOnArrival),
        ("no-fencing", Self::NoFencing),
        ("no-adoption", Self::NoAdoption),
        ("forgets-open", Self::ForgetsOpen),
        ("forgets-unstable", Self::ForgetsUnstable),
        ("forgets-undeliverable", Self::ForgetsUndeliverable),
    ];
}

/// The defect that an engine was built with: none, outside of tests.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Defects(Option<Defect>);

impl Defects {
    /// An engine as it should be.
    pub const NONE: Self = Self(None);

    /// An engine with one defect.
    #[must_use]
    pub const fn only(defect: Defect) -> Self {
        Self(Some(defect))
    }

    /// Whether the engine is to misbehave in this way.
    #[must_use]
    pub fn has(self, defect: Defect) -> bool {
        cfg!(feature = "known-bad") && self.0 == Some(defect)
    }
}
