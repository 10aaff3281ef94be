//! Station 2: one member: script in, engines in the middle, results out.
//!
//! The client replays its command file as fast as the send window allows (and as slowly as the file asks), writes
//! down what is delivered, says when it will send nothing more, and ends when it has everything that all have sent.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{self, Address, Voice};
use crate::driver::Node;
use crate::driver::node::{Delivery, Joining};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::{App, Finish, Tally};
use crate::order::{DEFAULT_METHOD, ORDERS, Order};
use crate::results::{Counts, MessageId, Results, Start};
use crate::script::{Op, Script};
use crate::talk::{self, Talk};
use crate::transport::signals::Signals;
use crate::transport::zmq::Context;
use crate::wire::BatchBuilder;
use crate::wire::control::Role;

/// What `client` is told.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Name of this client in its group
    #[arg(short, long, value_name = "ID", env = "GROUPCAST_ID", hide_env = true, value_parser = cli::id)]
    pub id: String,
    /// The command file to replay; - for standard input
    #[arg(short, long, value_name = "FILE", env = "GROUPCAST_COMMANDS", hide_env = true)]
    pub commands: PathBuf,
    /// Folder for the result files; made if it is not there
    #[arg(short, long, value_name = "DIR", env = "GROUPCAST_OUT", hide_env = true)]
    pub out: PathBuf,
    /// Order of delivery: unordered, fifo, causal, total, lamport, agreed
    #[arg(long, value_name = "ORDER", env = "GROUPCAST_ORDER", hide_env = true, default_value = "total", value_parser = order_name)]
    pub order: String,
    /// How `total` is made: bb (message, then its number), ub (through the sequencer), uub (ask for a number first)
    #[arg(long, value_name = "METHOD", env = "GROUPCAST_METHOD", hide_env = true, default_value = DEFAULT_METHOD)]
    pub method: String,
    /// Name of the group
    #[arg(long, value_name = "NAME", env = "GROUPCAST_GROUP", hide_env = true, default_value = "main", value_parser = cli::id)]
    pub group: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub address: Address,
    /// Give up if nothing has happened for this long
    #[arg(long, value_name = "TIME", env = "GROUPCAST_TIMEOUT", hide_env = true, default_value = "300s", value_parser = cli::duration)]
    pub timeout: Duration,
    /// Divide the sleeps of the command file by this
    #[arg(long, value_name = "FACTOR", env = "GROUPCAST_SPEED", hide_env = true, default_value = "1", value_parser = cli::factor)]
    pub speed: f64,
    /// Write no history file
    #[arg(long, env = "GROUPCAST_NO_HISTORY", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub no_history: bool,
    /// Overwrite the results of an earlier run
    #[arg(long, env = "GROUPCAST_FORCE", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub force: bool,
    /// Only check the command file and print what would be done
    #[arg(long, env = "GROUPCAST_DRY_RUN", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub dry_run: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

/// Most batches submitted before incoming packets get their turn.
const BATCHES_PER_TURN: usize = 8;
/// What was delivered is in the files after about this long, so that a client that dies leaves it behind.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

fn order_name(name: &str) -> Result<String, String> {
    if ORDERS.iter().any(|order| order.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = ORDERS.iter().map(|order| order.name).collect();
    Err(format!("the orders are {}", talk::list(&names)))
}

/// Runs a client to the end of its run.
///
/// # Errors
/// Everything in the table of exit codes; what was delivered before is in the `.part` files.
pub fn run(options: &Options, talk: &Talk) -> Result<Exit, Failure> {
    let order = Order::find(&options.order, &options.method).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("order {} has no method {}", options.order, options.method))
    })?;
    let script = Script::read(&options.commands, &options.id)?;
    if options.dry_run {
        cli::print(script.to_string().trim_end())?;
        return Ok(Exit::Ok);
    }
    // From here on a signal is an orderly end, which leaves no files of a run that never began.
    let signals = Signals::catch()?;
    let mut results =
        Results::create(&options.out, &options.id, order.suffix, !options.no_history, options.force)?;
    let context = Context::default();
    let mut node = Node::join(&context, &joining(options, order, &script), Some(signals), talk)?;
    let mut client = Client::new(options, talk, &node, &script, &mut results);
    let outcome = client.begin(&node, order).and_then(|()| client.replay(&mut node));
    let (counts, now) = (client.counts, node.elapsed_micros());
    talk.detail(format!("cost: {}", node.meter()));
    match outcome {
        Ok(()) => {
            results.end("done", &counts, now)?;
            let files: Vec<String> =
                results.finish()?.iter().map(|path| path.display().to_string()).collect();
            cli::print(&format!("{}: {}; {}", options.id, describe(&counts), files.join(" ")))?;
            Ok(Exit::Ok)
        }
        Err(failure) => {
            let kept = results.end(reason(failure.exit), &counts, now).and_then(|()| results.flush());
            let partial = format!(
                "partial: {}; see {}/*_{}*.part",
                describe(&counts),
                options.out.display(),
                options.id
            );
            if let Err(error) = kept
                && error != failure
            {
                talk.warn(error.message);
            }
            talk.warn(partial);
            node.leave(&failure);
            Err(failure)
        }
    }
}

fn joining(options: &Options, order: &'static Order, script: &Script) -> Joining {
    Joining {
        host: options.address.connect.clone(),
        port_base: options.address.port_base,
        group: options.group.clone(),
        id: options.id.clone(),
        role: Role::Client,
        order,
        needs_router: order.addressed || script.receivers().next().is_some(),
        timeout: Some(options.timeout),
    }
}

/// The word for an end in a history.
const fn reason(exit: Exit) -> &'static str {
    match exit {
        Exit::Interrupted => "interrupted",
        Exit::Terminated => "terminated",
        Exit::TimedOut => "timed_out",
        Exit::Unavailable => "lost",
        _ => "failed",
    }
}

fn describe(counts: &Counts) -> String {
    format!(
        "{} multicast, {} delivered, {} sent, {} received",
        counts.multicasts, counts.delivered, counts.sent, counts.received
    )
}

/// A client between start and end.
struct Client<'a> {
    options: &'a Options,
    talk: &'a Talk,
    script: &'a Script,
    results: &'a mut Results,
    /// The next line of the script.
    at: usize,
    /// Asleep until then.
    wakes: Time,
    me: MemberId,
    /// The member that each receiver of the script is.
    receivers: Vec<MemberId>,
    tally: Tally,
    has_finished: bool,
    is_done: bool,
    finish: Finish,
    counts: Counts,
    /// When something last happened.
    progress: Time,
    flushed: Time,
}

impl<'a> Client<'a> {
    fn new(
        options: &'a Options,
        talk: &'a Talk,
        node: &Node,
        script: &'a Script,
        results: &'a mut Results,
    ) -> Self {
        Self {
            options,
            talk,
            script,
            results,
            at: 0,
            wakes: Time::ZERO,
            me: node.me(),
            receivers: Vec::new(),
            tally: Tally::default(),
            has_finished: false,
            is_done: false,
            finish: Finish::new(node.me(), node.view()),
            counts: Counts::default(),
            progress: Time::ZERO,
            flushed: Time::ZERO,
        }
    }

    /// Writes down the start, now that it is known who takes part.
    fn begin(&mut self, node: &Node, order: &Order) -> Result<(), Failure> {
        let mut members: Vec<&str> =
            node.view().clients.iter().map(|&client| node.seat(client).id.as_str()).collect();
        members.sort_unstable();
        self.talk.say(format!(
            "start of {} with {}, order {}",
            self.options.group,
            talk::list(&members),
            order.title()
        ));
        let time_us = node.elapsed_micros();
        self.results.start(&Start {
            member: &self.options.id,
            incarnation: node.seat(self.me).incarnation,
            group: &self.options.group,
            order: order.name,
            method: order.method,
            members: &members,
            time_us,
        })?;
        self.results.view(node.view().number, &members, time_us)?;
        if let Some(failure) = self.script.unknown_receiver(&members) {
            return Err(failure);
        }
        self.receivers = self.script.receivers().filter_map(|id| node.find(id)).collect();
        Ok(())
    }

    fn replay(&mut self, node: &mut Node) -> Result<(), Failure> {
        self.progress = node.now();
        self.wakes = self.progress;
        while !node.is_over() {
            let before = self.counts;
            self.feed(node)?;
            let turned = node.turn(self.next_feed(node));
            // Also after a failure: what was delivered before belongs into the results.
            self.take_deliveries(node)?;
            turned?;
            let now = node.now();
            if self.counts != before || now < self.wakes {
                self.progress = now;
            }
            if now.since(self.flushed) >= FLUSH_EVERY {
                self.flushed = now;
                self.results.flush()?;
            }
            self.look_for_the_end(node, now)?;
        }
        Ok(())
    }

    /// Submits what the script has for now and the window has room for.
    fn feed(&mut self, node: &mut Node) -> Result<(), Failure> {
        for _ in 0..BATCHES_PER_TURN {
            let now = node.now();
            let Some(line) = self.script.lines().get(self.at).filter(|_| now >= self.wakes) else { break };
            match line.op {
                Op::Sleep(length) => {
                    self.wakes = now.after(length.div_f64(self.options.speed));
                    self.at += 1;
                }
                Op::Multicast(_) if node.window(To::Group) > 0 => self.multicast(node)?,
                Op::Send { to, .. } if node.window(To::Member(self.receivers[to.0 as usize])) > 0 => {
                    self.send(node, self.receivers[to.0 as usize])?;
                }
                Op::Multicast(_) | Op::Send { .. } => break,
            }
        }
        if self.at == self.script.lines().len() && node.now() >= self.wakes && !self.has_finished {
            self.has_finished = true;
            self.finish.finished(self.me, self.tally.clone());
            node.submit(To::Group, App::Finished(self.tally.clone()));
        }
        Ok(())
    }

    /// When the script goes on by itself; nothing if it waits for the window or is at its end.
    fn next_feed(&self, node: &Node) -> Option<Time> {
        let to = match &self.script.lines().get(self.at)?.op {
            Op::Sleep(_) => return Some(self.wakes),
            Op::Multicast(_) => To::Group,
            Op::Send { to, .. } => To::Member(self.receivers[to.0 as usize]),
        };
        (node.window(to) > 0).then_some(self.wakes)
    }

    /// Multicasts the script's next lines, as many as go into one batch.
    fn multicast(&mut self, node: &mut Node) -> Result<(), Failure> {
        let mut batch = BatchBuilder::new(self.tally.multicasts + 1);
        while let Some(Op::Multicast(text)) = self.script.lines().get(self.at).map(|line| &line.op) {
            if batch.is_full() {
                break;
            }
            let number = batch.push(text);
            self.results.multicast(self.own(node, number), text, node.elapsed_micros())?;
            self.at += 1;
            self.counts.multicasts += 1;
            self.tally.multicasts = number;
        }
        if let Some(batch) = batch.finish() {
            node.submit(To::Group, App::Multicast(batch));
        }
        self.take_deliveries(node)
    }

    /// Sends the script's next lines for this receiver, as many as go into one batch.
    fn send(&mut self, node: &mut Node, receiver: MemberId) -> Result<(), Failure> {
        let mut batch = BatchBuilder::new(self.tally.sent.get(&receiver).copied().unwrap_or(0) + 1);
        while let Some(Op::Send { to, text }) = self.script.lines().get(self.at).map(|line| &line.op) {
            if batch.is_full() || self.receivers[to.0 as usize] != receiver {
                break;
            }
            let number = batch.push(text);
            let to = &node.seat(receiver).id;
            self.results.send(self.own(node, number), to, text, node.elapsed_micros())?;
            self.at += 1;
            self.counts.sent += 1;
            self.tally.sent.insert(receiver, number);
        }
        if let Some(batch) = batch.finish() {
            node.submit(To::Member(receiver), App::Direct(batch));
        }
        Ok(())
    }

    fn own<'n>(&self, node: &'n Node, number: u64) -> MessageId<'n> {
        message_id(node, self.me, number)
    }

    fn take_deliveries(&mut self, node: &mut Node) -> Result<(), Failure> {
        node.delivered().into_iter().try_for_each(|delivery| self.deliver(node, delivery))
    }

    fn deliver(&mut self, node: &Node, delivery: Delivery) -> Result<(), Failure> {
        let Delivery { at_us, from, number, app } = delivery;
        let sender = &node.seat(from).id;
        match app {
            App::Multicast(batch) => {
                for (place, (own_number, text)) in batch.messages().enumerate() {
                    let id = message_id(node, from, own_number);
                    self.results.deliver(
                        sender,
                        id,
                        text,
                        number.map(|first| first + place as u64),
                        at_us,
                    )?;
                    self.counts.delivered += 1;
                }
                self.finish.delivered(from, u64::from(batch.count()));
            }
            App::Direct(batch) => {
                for (own_number, text) in batch.messages() {
                    self.results.receive(message_id(node, from, own_number), sender, text, at_us)?;
                    self.counts.received += 1;
                }
                self.finish.received(from, u64::from(batch.count()));
            }
            App::Finished(tally) => self.finish.finished(from, tally),
        }
        Ok(())
    }

    /// Tells the group when this client has everything; says for whom it waits until then, but not for ever.
    fn look_for_the_end(&mut self, node: &mut Node, now: Time) -> Result<(), Failure> {
        if self.is_done || !self.has_finished {
            return self.check_limit(node, now);
        }
        if self.finish.is_complete() {
            self.is_done = true;
            self.progress = now;
            node.done();
            return Ok(());
        }
        node.say_waiting(&format!(
            "waiting for {} to finish ({})",
            self.waits_for(node),
            describe(&self.counts)
        ));
        self.check_limit(node, now)
    }

    fn waits_for(&self, node: &Node) -> String {
        talk::list(&self.finish.waits_for().map(|client| node.seat(client).id.as_str()).collect::<Vec<_>>())
    }

    fn check_limit(&self, node: &Node, now: Time) -> Result<(), Failure> {
        if now.since(self.progress) < self.options.timeout {
            return Ok(());
        }
        let limit = talk::duration(self.options.timeout);
        let message = format!("nothing has happened for {limit}; waited for {}", self.waits_for(node));
        Err(Failure::new(Exit::TimedOut, message).help("a longer --timeout waits longer"))
    }
}

fn message_id(node: &Node, member: MemberId, number: u64) -> MessageId<'_> {
    let seat = node.seat(member);
    MessageId { member: &seat.id, incarnation: seat.incarnation, number }
}
