//! The way of messages: through a broker in one of the orders, or from member to member in a cluster.

use super::{Order, Promise, Reliability, TENTATIVE};

/// The promises of a cluster about the messages that are confirmed.
const CONFIRMED: &[Promise] = &[Promise::Fifo, Promise::Causal, Promise::Total];

/// The way of the messages of a run.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Through a broker, in this order.
    Group(&'static Order),
    /// From member to member, in a cluster.
    Cluster,
}

impl Way {
    /// Returns whether it is that of a cluster.
    #[must_use]
    pub const fn is_cluster(self) -> bool {
        matches!(self, Self::Cluster)
    }

    /// Returns the value of `--order`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Group(order) => order.name,
            Self::Cluster => TENTATIVE,
        }
    }

    /// Returns the value of `--method`, if the order has several.
    #[must_use]
    pub const fn method(self) -> Option<&'static str> {
        match self {
            Self::Group(order) => order.method,
            Self::Cluster => None,
        }
    }

    /// Returns the value of `--reliability`; a cluster has none.
    #[must_use]
    pub const fn reliability(self) -> Option<Reliability> {
        match self {
            Self::Group(order) => Some(order.reliability),
            Self::Cluster => None,
        }
    }

    /// Returns the order with its method.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::Group(order) => order.title(),
            Self::Cluster => TENTATIVE.to_owned(),
        }
    }

    /// Returns the promises beyond reliable delivery; in a cluster, those about confirmed messages.
    #[must_use]
    pub const fn promises(self) -> &'static [Promise] {
        match self {
            Self::Group(order) => order.promises,
            Self::Cluster => CONFIRMED,
        }
    }
}
