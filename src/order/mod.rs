//! Station 4: the orders. Each order has one file; all share one hold-back queue.
//!
//! The table below is the only place that names the orders. An engine of an order delivers batches in its
//! order; the reliable layer below it ([`crate::reliable`]) provides each batch exactly once.

pub mod agreed;
pub mod causal;
mod describe;
pub mod fifo;
pub mod hold_back;
#[cfg(test)]
mod hostile;
pub mod lamport;
pub mod roles;
pub mod span;
pub mod total;
pub mod total_bb;
pub mod total_log;
pub mod total_ub;
pub mod total_uub;
pub mod unordered;
pub mod way;

/// An order as `--order` and `--method` name it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The value of `--order`.
    pub name: &'static str,
    /// The value of `--method`, for the order that has several.
    pub method: Option<&'static str>,
    /// Ends the names of result files: `test_result_<id>_<suffix>.txt`.
    pub suffix: &'static str,
    /// True if the order needs a sequencer.
    pub sequencer: bool,
    /// True if its members also send packets to single members, which needs a router.
    pub addressed: bool,
    /// How the packets of its members reach the group.
    pub reliability: Reliability,
    /// The promises beyond reliable delivery.
    pub promises: &'static [Promise],
    /// The engine that keeps them.
    pub algorithm: Algorithm,
}

/// The algorithm of an order; [`crate::member::stack::build`] creates its engines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Delivery on receipt.
    Unordered,
    /// Sequence numbers of each sender.
    Fifo,
    /// Vector clocks.
    Causal,
    /// A sequencer that multicasts numbers (broadcast, broadcast).
    Bb,
    /// A sequencer that receives, numbers and multicasts every batch (unicast, broadcast).
    Ub,
    /// A sequencer that grants numbers (unicast, unicast, broadcast).
    Uub,
    /// A sequencer that receives, numbers, records and multicasts every batch.
    Log,
    /// Lamport clocks, and acknowledgements from all members.
    Lamport,
    /// Proposed and agreed numbers (ISIS).
    Agreed,
}

/// How the packets of an order reach the group, as `--reliability` names it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reliability {
    /// One packet goes to all; a member that lacks it requests it.
    #[default]
    Nack,
    /// One packet goes to each member (B-multicast).
    Basic,
    /// The same, and a member sends on what it receives for the first time (R-multicast).
    Flood,
}

/// A promise about the order of deliveries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Promise {
    /// A sender's messages are delivered in the order it sent them.
    Fifo,
    /// A message is delivered after all messages that happened before it.
    Causal,
    /// All members deliver in the same order.
    Total,
}

use Promise::{Causal, Fifo, Total};

/// All orders. A new order needs a file in this folder, a row here and a line in
/// [`crate::member::stack::build`].
pub const ORDERS: [Order; 9] = [
    Order {
        name: "unordered",
        method: None,
        suffix: "unordered",
        sequencer: false,
        addressed: false,
        reliability: Reliability::Nack,
        promises: &[],
        algorithm: Algorithm::Unordered,
    },
    Order {
        name: "fifo",
        method: None,
        suffix: "fifo",
        sequencer: false,
        addressed: false,
        reliability: Reliability::Nack,
        promises: &[Fifo],
        algorithm: Algorithm::Fifo,
    },
    Order {
        name: "causal",
        method: None,
        suffix: "causal",
        sequencer: false,
        addressed: false,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal],
        algorithm: Algorithm::Causal,
    },
    Order {
        name: "total",
        method: Some("bb"),
        suffix: "tom",
        sequencer: true,
        addressed: false,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Bb,
    },
    Order {
        name: "total",
        method: Some("ub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Ub,
    },
    Order {
        name: "total",
        method: Some("uub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Uub,
    },
    Order {
        name: "total",
        method: Some("log"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Log,
    },
    Order {
        name: "lamport",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: false,
        reliability: Reliability::Nack,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Lamport,
    },
    Order {
        name: "agreed",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: true,
        reliability: Reliability::Nack,
        promises: &[Total],
        algorithm: Algorithm::Agreed,
    },
];

/// The orders whose packets may reach the group in another way. A total order is not among them: a member that lacks
/// a message for ever would hold back everything after it.
const OVER_PAIRS: [Order; 6] = [
    ORDERS[0].through(Reliability::Basic),
    ORDERS[0].through(Reliability::Flood),
    ORDERS[1].through(Reliability::Basic),
    ORDERS[1].through(Reliability::Flood),
    ORDERS[2].through(Reliability::Basic),
    ORDERS[2].through(Reliability::Flood),
];

/// The method of `--order total` when none is given.
pub const DEFAULT_METHOD: &str = "bb";

/// The order of a cluster, which has no broker ([`crate::replica`]). Its members are not built from the table above.
pub const TENTATIVE: &str = "tentative";

/// Returns the name of each order once, that of clusters last.
#[must_use]
pub fn all_names() -> Vec<&'static str> {
    names().into_iter().chain([TENTATIVE]).collect()
}

/// Returns the name of each order of a group once.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = ORDERS.iter().map(|order| order.name).collect();
    names.dedup();
    names
}

/// Returns the methods of the order with this name.
#[must_use]
pub fn methods(name: &str) -> Vec<&'static str> {
    ORDERS.iter().filter(|order| order.name == name).filter_map(|order| order.method).collect()
}

impl Order {
    /// Returns the order with this name and, if it has methods, this method.
    #[must_use]
    pub fn find(name: &str, method: &str) -> Option<&'static Self> {
        ORDERS.iter().find(|order| order.name == name && order.method.is_none_or(|own| own == method))
    }

    /// Returns the order with these names; an empty reliability is the default.
    #[must_use]
    pub fn named(name: &str, method: &str, reliability: &str) -> Option<&'static Self> {
        let reliability = match reliability {
            "" => Reliability::default(),
            name => Reliability::find(name)?,
        };
        Self::find(name, method)?.over(reliability)
    }

    /// Returns this order with this reliability, if it may have it.
    #[must_use]
    pub fn over(&'static self, reliability: Reliability) -> Option<&'static Self> {
        let is_it = |order: &&Self| (order.name, order.reliability) == (self.name, reliability);
        [self].into_iter().chain(&OVER_PAIRS).find(is_it)
    }

    /// Returns whether its sequencer keeps a log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        self.algorithm == Algorithm::Log
    }

    /// Returns the row of this order with this reliability.
    const fn through(self, reliability: Reliability) -> Self {
        Self { addressed: true, reliability, ..self }
    }

    /// Returns the name with the method or the reliability for status lines: `total (bb)`, `fifo (flood)`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.method.unwrap_or(self.reliability.told()) {
            "" => self.name.to_owned(),
            more => format!("{} ({more})", self.name),
        }
    }
}

impl Reliability {
    /// Every value, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Nack, Self::Basic, Self::Flood];

    /// Returns the value of `--reliability`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nack => "nack",
            Self::Basic => "basic",
            Self::Flood => "flood",
        }
    }

    /// Returns the name as members tell it to the forwarder: nothing for the default.
    #[must_use]
    pub fn told(self) -> &'static str {
        if self.is_default() { "" } else { self.name() }
    }

    /// Returns the reliability with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Returns whether it is the one of a group that chose none.
    #[must_use]
    pub fn is_default(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_has_another_reliability_only_without_global_numbers() {
        for order in &ORDERS {
            for reliability in Reliability::ALL {
                let over = order.over(reliability);
                let may = reliability.is_default() || !order.promises.contains(&Total);
                assert_eq!(over.is_some(), may, "{} over {}", order.title(), reliability.name());
                let Some(over) = over else { continue };
                assert_eq!(
                    (over.name, over.promises, over.reliability),
                    (order.name, order.promises, reliability)
                );
                assert!(reliability.is_default() || over.addressed, "pair channels lead through the router");
                assert_eq!(over.title().contains(reliability.name()), !reliability.is_default());
            }
        }
    }
}
