//! Defects of engines, planted to test that the oracles and the simulator find them.
//!
//! Without the feature `known-bad`, [`Defects::has`] is false at compile time.

/// A planted defect.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Defect {
    /// Hold-back queues release messages in the order of arrival.
    NoHoldBack,
    /// A receiver sends no NACK.
    NoNack,
    /// A receiver delivers duplicates.
    NoDuplicateFilter,
    /// A silent sender does not announce its last sequence number, so a loss at the end stays unnoticed.
    NoTailAnnouncement,
    /// Causal order keeps FIFO order only.
    FifoForCausal,
    /// Lamport order delivers without the acknowledgements of all members.
    NotAllAcknowledged,
    /// Agreed order takes the first proposal for the agreed number.
    ProposalAsAgreed,
    /// The sequencer numbers batches in the order of arrival, not in FIFO order.
    NumberedOnArrival,
    /// A member that was left behind is not told so, and ignores signs of it.
    NoFencing,
    /// A new leader does not adopt a proposal that the old leader may have installed.
    NoAdoption,
    /// A member does not submit undelivered messages again in the next view.
    ForgetsOpen,
    /// Members do not keep the packets of others, so they cannot resend those of a failed member.
    ForgetsUnstable,
    /// A sender is not told that a direct message is undeliverable.
    ForgetsUndeliverable,
    /// A replica sends its entries before they are stored.
    SendEarly,
    /// A replica says that it has stored what it has only received.
    AcknowledgeEarly,
    /// A replica confirms by its own clock, though entries of its own below it are not stored yet.
    ConfirmEarly,
    /// A replica counts a member's clock though it lacks entries that the member sent before.
    WordAlone,
    /// A replica confirms without the members that are silent.
    ReachableOnly,
    /// A replica confirms what no majority has stored.
    NoMajority,
    /// A replica shows entries without waiting for their causes.
    NoCauses,
    /// A replica merges the clock and the number of entries of a promise, each for itself.
    MixedPairs,
    /// With `--reliability flood`, a member does not send on what it receives.
    NoSendingOn,
    /// A replica takes its own vote for the decision on the next epoch.
    EpochAlone,
    /// A new member may begin below what others have confirmed.
    NoFloor,
    /// A replica takes entries of a member after its vote on the removal of it.
    NoCut,
    /// A member of several groups does not wait for the others before it delivers.
    GroupsUnmerged,
    /// A sequencer tells of numbers before their records are durable.
    SpeaksBeforeSync,
}

impl Defect {
    /// Every defect, by its name for `groupcast sim --known-bad`.
    pub const ALL: [(&'static str, Self); 27] = [
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
        ("send-early", Self::SendEarly),
        ("acknowledge-early", Self::AcknowledgeEarly),
        ("confirm-early", Self::ConfirmEarly),
        ("word-alone", Self::WordAlone),
        ("reachable-only", Self::ReachableOnly),
        ("no-majority", Self::NoMajority),
        ("no-causes", Self::NoCauses),
        ("mixed-pairs", Self::MixedPairs),
        ("no-sending-on", Self::NoSendingOn),
        ("epoch-alone", Self::EpochAlone),
        ("no-floor", Self::NoFloor),
        ("no-cut", Self::NoCut),
        ("groups-unmerged", Self::GroupsUnmerged),
        ("speaks-before-sync", Self::SpeaksBeforeSync),
    ];
}

/// The defect of an engine: none, except in tests.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Defects(Option<Defect>);

impl Defects {
    /// No defect.
    pub const NONE: Self = Self(None);

    /// Plants one defect.
    #[must_use]
    pub const fn only(defect: Defect) -> Self {
        Self(Some(defect))
    }

    /// Returns true if this defect is planted.
    #[must_use]
    pub fn has(self, defect: Defect) -> bool {
        cfg!(feature = "known-bad") && self.0 == Some(defect)
    }
}
