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
    /// Lamport clocks, and acknowledgements from all members.
    Lamport,
    /// Proposed and agreed numbers (ISIS).
    Agreed,
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
pub const ORDERS: [Order; 8] = [
    Order {
        name: "unordered",
        method: None,
        suffix: "unordered",
        sequencer: false,
        addressed: false,
        promises: &[],
        algorithm: Algorithm::Unordered,
    },
    Order {
        name: "fifo",
        method: None,
        suffix: "fifo",
        sequencer: false,
        addressed: false,
        promises: &[Fifo],
        algorithm: Algorithm::Fifo,
    },
    Order {
        name: "causal",
        method: None,
        suffix: "causal",
        sequencer: false,
        addressed: false,
        promises: &[Fifo, Causal],
        algorithm: Algorithm::Causal,
    },
    Order {
        name: "total",
        method: Some("bb"),
        suffix: "tom",
        sequencer: true,
        addressed: false,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Bb,
    },
    Order {
        name: "total",
        method: Some("ub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Ub,
    },
    Order {
        name: "total",
        method: Some("uub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Uub,
    },
    Order {
        name: "lamport",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: false,
        promises: &[Fifo, Causal, Total],
        algorithm: Algorithm::Lamport,
    },
    Order {
        name: "agreed",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: true,
        promises: &[Total],
        algorithm: Algorithm::Agreed,
    },
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

    /// Returns the name with the method for status lines: `total (bb)`.
    #[must_use]
    pub fn title(&self) -> String {
        self.method.map_or_else(|| self.name.to_owned(), |method| format!("{} ({method})", self.name))
    }
}
