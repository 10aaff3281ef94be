//! The servers of a cluster as one of them sees them, as JSON and as metrics.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::chat::state::State;
use crate::cluster::node::Node;
use crate::cluster::status::UNREACHABLE_AFTER;
use crate::ids::{MemberId, Time};

/// The silence after which a page says that a server is silent.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// The servers of a cluster, as one of them sees it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    server: String,
    cluster: String,
    epoch: u16,
    /// The number of the last confirmed operation.
    confirmed: u64,
    /// The number of operations that are not confirmed.
    tentative: usize,
    /// The servers for which the first of them waits.
    waits_for: Vec<String>,
    servers: Vec<Server>,
}

/// A server.
#[derive(Clone, Debug, Serialize)]
struct Server {
    id: String,
    web: Option<String>,
    reachable: bool,
    silent: bool,
    /// The time since its last datagram; absent if it was not heard in this life of the server.
    heard_ms: Option<u64>,
}

impl View {
    /// Returns the view of a server at a time. `webs` has the addresses of the pages by slot.
    pub(super) fn of(node: &Node, state: &State, cluster: &str, webs: &[Option<String>], now: Time) -> Self {
        let (replica, me) = (node.replica(), node.me());
        let slots = (0..node.names().len() as u16).map(MemberId);
        let server = |member: MemberId| {
            let silence = silence(node, member, now);
            let is_within = |limit| silence.is_some_and(|silence| silence < limit);
            Server {
                id: node.name(member).to_owned(),
                web: webs.get(usize::from(member.0)).cloned().flatten(),
                reachable: is_within(UNREACHABLE_AFTER),
                silent: !is_within(SILENT_AFTER),
                heard_ms: silence.map(|silence| silence.as_millis() as u64),
            }
        };
        Self {
            server: node.name(me).to_owned(),
            cluster: cluster.to_owned(),
            epoch: replica.epoch(),
            confirmed: state.confirmed(),
            tentative: state.tentative(),
            waits_for: replica.waits_for().into_iter().map(|it| node.name(it).to_owned()).collect(),
            servers: slots.filter(|&member| replica.is_member(member)).map(server).collect(),
        }
    }

    /// Returns whether other servers are reachable than in an earlier view.
    pub(super) fn has_other_servers(&self, earlier: &Self) -> bool {
        let reachable = |view: &Self| view.servers.iter().map(|it| it.reachable).collect::<Vec<_>>();
        reachable(self) != reachable(earlier)
    }

    /// Returns whether this view tells a client anything that an earlier one did not.
    pub(super) fn is_news(&self, earlier: &Self) -> bool {
        let seen = |view: &Self| {
            let servers: Vec<_> =
                view.servers.iter().map(|it| (it.id.clone(), it.reachable, it.silent)).collect();
            (view.epoch, view.confirmed, view.tentative, view.waits_for.clone(), servers)
        };
        seen(self) != seen(earlier)
    }
}

/// Returns the time since the last datagram of a server; none if it was not heard in this life.
fn silence(node: &Node, member: MemberId, now: Time) -> Option<Duration> {
    if member == node.me() {
        return Some(Duration::ZERO);
    }
    node.replica().heard(member).map(|at| now.since(at))
}

/// Returns whether a server is away: not a member, or not heard for a while.
pub(super) fn is_away(node: &Node, member: MemberId, now: Time) -> bool {
    !node.replica().is_member(member)
        || silence(node, member, now).is_none_or(|silence| silence >= UNREACHABLE_AFTER)
}

/// Returns the metrics, in the text format of Prometheus.
pub(super) fn metrics(node: &Node, state: &State, sockets: usize) -> String {
    let mut text = String::new();
    for (name, help, value) in [
        ("confirmed", "Number of the last confirmed operation", state.confirmed()),
        ("tentative", "Operations that are not confirmed", state.tentative() as u64),
        ("journal_bytes", "Bytes of the records in the journal", node.journal_size()),
        ("sockets", "Clients that receive events", sockets as u64),
        ("epoch", "Number of the list of servers", node.replica().epoch().into()),
    ] {
        let name = format!("groupcast_chat_{name}");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
    text
}
