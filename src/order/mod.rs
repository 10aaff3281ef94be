//! Station 4: may it be delivered yet? One file per order, one hold-back queue for all.
//!
//! The table below is the only place that names the orders. An engine here hands batches up in its order; that
//! each batch arrives, and exactly once, is the business of [`crate::reliable`] beneath it.

pub mod agreed;
pub mod both;
pub mod causal;
mod describe;
pub mod fifo;
pub mod hold_back;
#[cfg(test)]
mod hostile;
pub mod lamport;
pub mod numbering;
pub mod total;
pub mod total_ub;
pub mod total_uub;
pub mod unordered;

use crate::exit::{Exit, Failure};
use crate::nearest::hint;

/// An order as `--order` and `--method` name it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The value of `--order`.
    pub name: &'static str,
    /// The value of `--method`, for the order that has several.
    pub method: Option<&'static str>,
    /// Ends the names of result files: `test_result_<id>_<suffix>.txt`.
    pub suffix: &'static str,
    /// Whether a sequencer must be running.
    pub sequencer: bool,
    /// Whether its members also send to single members, which goes through a router.
    pub addressed: bool,
    /// What it promises beyond reliable delivery.
    pub promises: &'static [Promise],
    /// The engine that makes it.
    pub algorithm: Algorithm,
}

/// The algorithm of an order; [`crate::member::stack::build`] makes the engines of it.
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
    /// A sequencer through which every batch goes (unicast, broadcast).
    Ub,
    /// A sequencer that grants numbers (unicast, unicast, broadcast).
    Uub,
    /// Lamport clocks and acknowledgements of all members.
    Lamport,
    /// Proposed and agreed numbers (ISIS).
    Agreed,
}

/// A promise about the order of deliveries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Promise {
    /// A sender's messages are delivered in the order it sent them.
    Fifo,
    /// What happened before a multicast is delivered before it.
    Causal,
    /// All members deliver in the same order.
    Total,
}

use Promise::{Causal, Fifo, Total};

/// Every order that can be chosen. To add one: its file in this folder, its row here, its line in
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

/// The name of every order, each once.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = ORDERS.iter().map(|order| order.name).collect();
    names.dedup();
    names
}

/// The methods by which the order of this name can be made.
#[must_use]
pub fn methods(name: &str) -> Vec<&'static str> {
    ORDERS.iter().filter(|order| order.name == name).filter_map(|order| order.method).collect()
}

impl Order {
    /// The order that a command line asks for.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it is not made by this method, or by any.
    pub fn chosen(name: &str, method: Option<&str>) -> Result<&'static Self, Failure> {
        let methods = methods(name);
        let is_known = method.is_none_or(|method| methods.contains(&method));
        let found = Self::find(name, method.unwrap_or(DEFAULT_METHOD)).filter(|_| is_known);
        found.ok_or_else(|| {
            let method = method.unwrap_or_default();
            if methods.is_empty() {
                let message = format!("cannot make order {name} by method {method}: it has no methods");
                return Failure::new(Exit::Usage, message)
                    .help("leave out --method, or choose --order total");
            }
            let known = format!("--method {}", methods.join(" | "));
            Failure::new(Exit::Usage, format!("--order {name} has no method '{method}'"))
                .help(hint(method, methods, &known))
        })
    }

    /// The order with this name and, where it has methods, this method.
    #[must_use]
    pub fn find(name: &str, method: &str) -> Option<&'static Self> {
        ORDERS.iter().find(|order| order.name == name && order.method.is_none_or(|own| own == method))
    }

    /// Its name with its method, as people read it: `total (bb)`.
    #[must_use]
    pub fn title(&self) -> String {
        self.method.map_or_else(|| self.name.to_owned(), |method| format!("{} ({method})", self.name))
    }
}
