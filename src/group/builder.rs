//! The settings of a member.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use crate::cli;
use crate::defect::Defects;
use crate::driver::node::Joining;
use crate::keys::context;
use crate::member::replay::Missed;
use crate::member::{DetectorConfig, MembershipConfig};
use crate::order::{self, Algorithm, ORDERS};
use crate::participant::Settings;
use crate::participant::slow_member::SlowMember;
use crate::session::LOST_AFTER;
use crate::talk::{Color, Level, Talk};
use crate::transport::address::{Use, addresses};
use crate::transport::zmq::Context;
use crate::wire::Window;
use crate::wire::control::Role;

/// The order of delivery.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// Every message once, in any order.
    Unordered,
    /// The messages of each sender in their order.
    Fifo,
    /// No message before one that causally precedes it; by vector clocks.
    Causal,
    /// The same order at all members; numbered by a sequencer.
    Total(Method),
    /// The same order at all members; by Lamport clocks, without a sequencer.
    Lamport,
    /// The same order at all members; by proposed and agreed numbers, without a sequencer. Neither FIFO nor causal.
    Agreed,
}

/// The way in which messages get their global numbers from the sequencer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// Members multicast, the sequencer multicasts the numbers.
    #[default]
    Bb,
    /// Members send to the sequencer, which multicasts.
    Ub,
    /// Members ask the sequencer for numbers, and then multicast.
    Uub,
    /// As [`Ub`](Self::Ub), and the sequencer records every message before it multicasts it; it needs a log.
    Log,
}

/// The start of what a member delivers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// The common start of the group: the member waits for the others.
    #[default]
    Together,
    /// The view in which a running group admits the member. A group that has not started starts with it.
    FromNow,
    /// The same, but first the member receives [the state](super::Event::State) of another member at the beginning of that view.
    WithState,
    /// The same, but first the member receives all earlier deliveries: from a `client` that keeps a history or, with
    /// [`Method::Log`], from the log of the sequencer.
    FromStart,
}

impl Default for Order {
    fn default() -> Self {
        Self::Total(Method::Bb)
    }
}

impl Order {
    /// Returns the row of the table of orders.
    pub(super) fn row(self) -> &'static order::Order {
        let algorithm = match self {
            Self::Unordered => Algorithm::Unordered,
            Self::Fifo => Algorithm::Fifo,
            Self::Causal => Algorithm::Causal,
            Self::Total(Method::Bb) => Algorithm::Bb,
            Self::Total(Method::Ub) => Algorithm::Ub,
            Self::Total(Method::Uub) => Algorithm::Uub,
            Self::Total(Method::Log) => Algorithm::Log,
            Self::Lamport => Algorithm::Lamport,
            Self::Agreed => Algorithm::Agreed,
        };
        ORDERS.iter().find(|row| row.algorithm == algorithm).expect("every algorithm has a row")
    }
}

/// The settings of a member; [`join`](Self::join) makes it one.
///
/// ```no_run
/// use std::time::Duration;
/// use groupcast::{Group, Order, SlowMember, Start};
///
/// let group = Group::builder("c4")
///     .forwarders(["10.0.0.1:5559", "10.0.0.2:5559"])
///     .keys("c4.keys")
///     .order(Order::Causal)
///     .start(Start::WithState)
///     .gives_state(true)
///     .slow_member(SlowMember::Exclude(Duration::from_secs(15)))
///     .join()?;
/// # Ok::<(), groupcast::Error>(())
/// ```
pub struct Builder {
    pub(super) id: String,
    group: String,
    forwarders: Vec<String>,
    access: cli::Access,
    pub(super) order: Order,
    pub(super) window: Window,
    pub(super) membership_config: MembershipConfig,
    pub(super) timeout: Duration,
    forwarder_timeout: Duration,
    pub(super) can_sequence: bool,
    pub(super) gives_state: bool,
    pub(super) start: Start,
    pub(super) slow_member: SlowMember,
    listener: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Builder {
    pub(super) fn new(id: String) -> Self {
        let detector = Some(DetectorConfig::with_silence(Duration::from_secs(10)));
        Self {
            id,
            group: "main".to_owned(),
            forwarders: vec!["127.0.0.1".to_owned()],
            access: cli::Access::default(),
            order: Order::default(),
            window: Window::default(),
            membership_config: MembershipConfig { detector, ..MembershipConfig::default() },
            timeout: Duration::from_secs(60),
            forwarder_timeout: LOST_AFTER,
            can_sequence: false,
            gives_state: false,
            start: Start::Together,
            slow_member: SlowMember::Block,
            listener: Arc::new(|_| {}),
        }
    }

    /// Sets the addresses of the forwarders, each with its router: `HOST` or `HOST:PORT`. Others than this machine need
    /// [keys](Self::keys) or [consent](Self::insecure). Default: this machine.
    #[must_use]
    pub fn forwarders<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.forwarders = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Consents to forwarders on other machines: nothing is encrypted on the way there, and nobody proves who it is.
    /// Default: no.
    #[must_use]
    pub fn insecure(mut self, consents: bool) -> Self {
        self.access.insecure = consents;
        self
    }

    /// Sets the keys: the folder that `groupcast keys` makes, or the file of one member of `groupcast keys pack`. All
    /// connections are then encrypted, and each side proves who it is. Default: none.
    #[must_use]
    pub fn keys(mut self, path: impl Into<PathBuf>) -> Self {
        self.access.keys = Some(path.into());
        self
    }

    /// Sets the name of the group. Default: `main`.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = name.into();
        self
    }

    /// Sets the order of delivery, the same for all members. Default: total, by BB.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets the most data in flight to each destination. Default: 4 MiB.
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Sets the silence after which a member is suspected, the same for all members. Default: 10 s.
    #[must_use]
    pub fn suspect_after(mut self, silence: Duration) -> Self {
        self.membership_config.detector = Some(DetectorConfig::with_silence(silence));
        self
    }

    /// Lets only more than half of a view go on when members are lost, the same for all members. Default: false.
    #[must_use]
    pub fn majority(mut self, majority: bool) -> Self {
        self.membership_config.majority = majority;
        self
    }

    /// Delivers only stable messages (uniform agreement): even a member that fails has delivered nothing that the others will
    /// not. It costs the time of acknowledgements. Default: false.
    #[must_use]
    pub fn uniform(mut self, uniform: bool) -> Self {
        self.membership_config.safe = uniform;
        self
    }

    /// Sets the longest wait of [`join`](Self::join), and of `multicast`, `send` and `leave` of the group. Default: 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest silence of a forwarder in mid-run before it is lost; at least 3 s. Members suspect each other
    /// meanwhile unless [`suspect_after`](Self::suspect_after) is longer. Default: 10 s.
    #[must_use]
    pub fn forwarder_timeout(mut self, timeout: Duration) -> Self {
        self.forwarder_timeout = timeout.max(cli::LEAST_FORWARDER_TIMEOUT);
        self
    }

    /// Lets this member become the sequencer when the sequencer is lost. Default: false.
    #[must_use]
    pub fn can_sequence(mut self, can_sequence: bool) -> Self {
        self.can_sequence = can_sequence;
        self
    }

    /// Lets this member give its state to newcomers: it receives a [`StateRequest`](super::StateRequest) for each view with
    /// newcomers. With two such members the newcomers survive the loss of one. Default: false.
    #[must_use]
    pub fn gives_state(mut self, gives_state: bool) -> Self {
        self.gives_state = gives_state;
        self
    }

    /// Sets the start of what this member delivers. Default: the common start.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets the policy for a member that acknowledges nothing. Default: wait for it.
    #[must_use]
    pub fn slow_member(mut self, policy: SlowMember) -> Self {
        self.slow_member = policy;
        self
    }

    /// Sets the receiver of status lines such as `c1: waiting for c2`. It must not call the group. Default: none.
    #[must_use]
    pub fn notices(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }

    /// Checks the id and returns it.
    pub(super) fn checked_id(&self) -> Result<String, Error> {
        cli::client_id(&self.id).map_err(Error::Invalid)
    }

    /// Returns the settings of the participant.
    pub(super) fn settings(&self) -> Settings {
        let missed = match self.start {
            Start::WithState => Some(Missed::State),
            Start::FromStart if self.order.row().is_logged() => Some(Missed::Log),
            Start::FromStart => Some(Missed::Deliveries),
            Start::Together | Start::FromNow => None,
        };
        Settings { batch: self.window.messages, slow_member: self.slow_member, missed, behind: 0 }
    }

    /// Returns the context of its sockets.
    pub(super) fn context(&self) -> Result<Context, Error> {
        context::of_member(self.access.keys.as_deref(), &self.id).map_err(Error::of_joining)
    }

    /// Returns the configuration of the member.
    pub(super) fn joining(&self) -> Result<Joining, Error> {
        let order = self.order.row();
        let sites = addresses(&self.forwarders.join(",")).map_err(Error::Invalid)?;
        let sites = sites.sites("forwarders", cli::DEFAULT_PORT_BASE).map_err(Error::of_joining)?;
        self.access.check(&sites, Use::Connect).map_err(|failure| Error::Invalid(failure.message))?;
        Ok(Joining {
            sites,
            only_at: None,
            group: cli::id(&self.group).map_err(Error::Invalid)?,
            id: self.checked_id()?,
            role: Role::Client,
            order,
            // States are sent to single members.
            needs_router: true,
            timeout: Some(self.timeout),
            forwarder_timeout: self.forwarder_timeout,
            window: self.window,
            defects: Defects::NONE,
            membership_config: self.membership_config,
            can_sequence: self.can_sequence && order.sequencer,
            may_open_door: false,
            late: self.start != Start::Together,
            log: None,
            leaves: Arc::default(),
        })
    }

    /// Returns the voice of the member, which is heard by the listener alone.
    pub(super) fn talk(&self) -> Talk {
        let (talk, listener) = (Talk::new(&self.id, Level::Normal, Color::Never), Arc::clone(&self.listener));
        talk.divert(Some(Box::new(move |line| listener(line.trim_end()))));
        talk
    }
}

impl From<&str> for Builder {
    fn from(id: &str) -> Self {
        Self::new(id.to_owned())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("id", &self.id).field("group", &self.group).finish_non_exhaustive()
    }
}
