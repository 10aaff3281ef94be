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

use crate::defect::Defects;
use crate::engine::{Engine, MemberId, View};
use crate::exit::{Exit, Failure};
use crate::member::{self, Line};
use crate::nearest::hint;
use crate::wire::Window;
use crate::wire::{Batch, Wire};

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
    assemble: fn(Place<'_>) -> Line,
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

/// Every order that can be chosen. To add one: its file in this folder, and its row here.
pub const ORDERS: [Order; 8] = [
    Order {
        name: "unordered",
        method: None,
        suffix: "unordered",
        sequencer: false,
        addressed: false,
        promises: &[],
        assemble: |at| at.member(unordered::Unordered::new(at.me)),
    },
    Order {
        name: "fifo",
        method: None,
        suffix: "fifo",
        sequencer: false,
        addressed: false,
        promises: &[Fifo],
        assemble: |at| at.member(fifo::Fifo::new(at.me, at.view, at.defects)),
    },
    Order {
        name: "causal",
        method: None,
        suffix: "causal",
        sequencer: false,
        addressed: false,
        promises: &[Fifo, Causal],
        assemble: |at| at.member(causal::Causal::new(at.me, at.view, at.defects)),
    },
    Order {
        name: "total",
        method: Some("bb"),
        suffix: "tom",
        sequencer: true,
        addressed: false,
        promises: &[Fifo, Causal, Total],
        assemble: |at| {
            let client = |sequencer| total::Total::new(at.me, at.view, sequencer, at.defects);
            at.numbered(client, || numbering::Numbering::new(at.view, at.defects))
        },
    },
    Order {
        name: "total",
        method: Some("ub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        promises: &[Fifo, Causal, Total],
        assemble: |at| {
            let client = |sequencer| total_ub::TotalUb::new(at.me, at.view, sequencer);
            at.numbered(client, || total_ub::SequencerUb::new(at.view, at.defects))
        },
    },
    Order {
        name: "total",
        method: Some("uub"),
        suffix: "tom",
        sequencer: true,
        addressed: true,
        promises: &[Fifo, Causal, Total],
        assemble: |at| {
            let client = |sequencer| total_uub::TotalUub::new(at.me, at.view, sequencer);
            at.numbered(client, || total_uub::SequencerUub::new(at.view))
        },
    },
    Order {
        name: "lamport",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: false,
        promises: &[Fifo, Causal, Total],
        assemble: |at| at.member(lamport::Lamport::new(at.me, at.view, at.defects)),
    },
    Order {
        name: "agreed",
        method: None,
        suffix: "tom",
        sequencer: false,
        addressed: true,
        promises: &[Total],
        assemble: |at| at.member(agreed::Agreed::new(at.me, at.view, at.defects)),
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

    /// The whole line of engines of one member, from what a client submits down to bytes.
    #[must_use]
    pub fn assemble(&self, place: Place<'_>) -> Line {
        (self.assemble)(place)
    }

    /// Its name with its method, as people read it: `total (bb)`.
    #[must_use]
    pub fn title(&self) -> String {
        self.method.map_or_else(|| self.name.to_owned(), |method| format!("{} ({method})", self.name))
    }
}

/// Where a line of engines is to stand.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose line it is.
    pub me: MemberId,
    /// View 1.
    pub view: &'a View,
    /// The run's number, in every packet.
    pub run: u64,
    /// Of the jitter of back-off; any number, different for each member.
    pub seed: u64,
    /// How far it may be ahead of the slowest receiver.
    pub window: Window,
    /// Broken on purpose?
    pub defects: Defects,
}

impl Place<'_> {
    /// The member's side of an order that has a sequencer, which may be a client or not.
    fn numbered<C, S>(self, client: impl Fn(MemberId) -> C, sequencer: impl Fn() -> S) -> Line
    where
        C: Engine<App = Batch> + Send + 'static,
        S: Engine<App = Batch, Wire = C::Wire> + Send + 'static,
        C::Wire: Wire + Send + 'static,
    {
        let numbers = self.view.sequencer.expect("the start of a run with this order waits for a sequencer");
        match (self.view.clients.contains(&self.me), numbers == self.me) {
            (true, false) => self.member(client(numbers)),
            (false, true) => self.member(sequencer()),
            (true, true) => self.member(both::Both::new(self.me, client(numbers), sequencer())),
            (false, false) => self.member(both::StandBy::<C::Wire>::new()),
        }
    }

    fn member<O>(self, order: O) -> Line
    where
        O: Engine<App = Batch> + Send + 'static,
        O::Wire: Wire + Send + 'static,
    {
        member::assemble(order, self)
    }
}
