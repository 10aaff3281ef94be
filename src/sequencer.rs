//! Station 9, in the middle: gives every multicast its place in the total order, one sequence for each group.
//!
//! The process asks the forwarder which groups there are and becomes a member of each, in a thread of its own.
//! What it does as a member is [`crate::order::numbering`].

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use clap::Args;

use crate::cli::{self, Address, KnownBad, Voice};
use crate::driver::node::Joining;
use crate::driver::{Caller, Clock, Node, clock};
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::router::identity;
use crate::session::CONNECT_LIMIT;
use crate::session::attendance::News;
use crate::session::register::clients;
use crate::talk::Talk;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context, Port};
use crate::wire::Window;
use crate::wire::control::{Ask, GroupEntry, Role};

/// What `sequencer` is told.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Its name among the members
    #[arg(short, long, value_name = "ID", env = "GROUPCAST_ID", hide_env = true, default_value = "sequencer", value_parser = cli::id)]
    pub id: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub address: Address,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub known_bad: KnownBad,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

/// Runs the sequencer until the forwarder says that the run is over.
///
/// # Errors
/// [`Exit::Unavailable`] if the forwarder is not there or a member was lost, and interruption.
pub fn run(options: &Options, talk: &Talk) -> Result<Exit, Failure> {
    let signals = Signals::catch()?;
    let context = Context::default();
    let mut clock = Clock::start();
    let who = identity(Role::Sequencer, &options.id);
    let forwarder = (options.address.connect.as_str(), options.address.port_base);
    let mut caller = Caller::new(&context, forwarder, clock.now(), who, Ask::Attend, Some(CONNECT_LIMIT))?;
    talk.say(format!(
        "asking the forwarder at {}:{} for groups",
        forwarder.0,
        Port::Sync.number(forwarder.1)
    ));
    let mut groups = Groups { context: context.clone(), options, talk, members: BTreeMap::new() };
    loop {
        let now = clock.now();
        let limit = caller.next_deadline().since(now).min(clock::LONGEST_WAIT);
        zmq::wait(&[caller.socket()], signals.fds(), limit);
        let now = clock.now();
        if let Some(exit) = signals.received() {
            let failure = interruption(exit);
            caller.leave(now, &failure);
            return Err(failure);
        }
        groups.reap()?;
        match caller.turn(now, talk)? {
            News::Groups(entries) => groups.serve(entries)?,
            News::End => return Ok(Exit::Ok),
            _ => {}
        }
    }
}

/// The groups that this process is a member of.
struct Groups<'a> {
    context: Context,
    options: &'a Options,
    talk: &'a Talk,
    /// By the number of their run.
    members: BTreeMap<String, JoinHandle<Result<(), Failure>>>,
}

impl Groups<'_> {
    fn serve(&mut self, entries: Vec<GroupEntry>) -> Result<(), Failure> {
        for entry in entries {
            let order = Order::find(&entry.order, &entry.method).ok_or_else(|| {
                Failure::new(
                    Exit::Config,
                    format!("group {} wants an unknown order {}", entry.group, entry.order),
                )
            })?;
            if order.sequencer && !self.members.contains_key(&entry.run) {
                self.members.insert(entry.run, self.become_member(entry.group, order));
            }
        }
        Ok(())
    }

    fn become_member(&self, group: String, order: &'static Order) -> JoinHandle<Result<(), Failure>> {
        let joining = Joining {
            host: self.options.address.connect.clone(),
            port_base: self.options.address.port_base,
            group,
            id: self.options.id.clone(),
            role: Role::Sequencer,
            order,
            needs_router: order.addressed,
            timeout: None,
            window: Window::default(),
            defects: self.options.known_bad.defects(),
        };
        let (context, talk) = (self.context.clone(), self.talk.clone());
        std::thread::spawn(move || {
            let named = |failure: Failure| Failure {
                message: format!("{}: {}", joining.group, failure.message),
                ..failure
            };
            let mut node = Node::join(&context, &joining, None, &talk).map_err(named)?;
            talk.say(format!("{}: numbering for {}", joining.group, clients(node.view().clients.len())));
            while !node.is_over() {
                node.turn(None).map_err(named)?;
                node.delivered();
            }
            Ok(())
        })
    }

    /// Takes note of groups that are over. If one has failed, the others go on: the forwarder knows, and says how
    /// everything has ended when it has.
    fn reap(&mut self) -> Result<(), Failure> {
        let over: Vec<String> = self
            .members
            .iter()
            .filter(|(_, thread)| thread.is_finished())
            .map(|(run, _)| run.clone())
            .collect();
        for run in over {
            let Some(thread) = self.members.remove(&run) else { continue };
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => self.talk.warn(failure.message),
                Err(_) => return Err(Failure::new(Exit::Bug, "the numbering of a group ended in a panic")),
            }
        }
        Ok(())
    }
}
