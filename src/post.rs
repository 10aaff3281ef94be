//! `groupcast post`: a text for an open group, from a process that is no member. The tool hands it to the forwarder, which
//! hands it to a client; it ends when that client has delivered the text.

use std::time::Duration;

use crate::cli::{self, Address};
use crate::driver::{Clock, ForwarderLinks, clock};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::keys::context;
use crate::session::SAY_EVERY;
use crate::session::attendance::News;
use crate::talk::{self, Color, Level, Talk};
use crate::transport::address::Site;
use crate::transport::signals::Signals;
use crate::transport::zmq;
use crate::units;
use crate::wire::batch::MAX_POSTED;
use crate::wire::control::{Ask, Identity, Role};

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  groupcast post --group main --as M.Walker 'Re: Mach'

A client of the group multicasts the text in the group's order; every member delivers it once, as a line \
NAME###TEXT. The message that it became, like c1/1/7, is printed when that client has delivered it. If the client is \
lost before, another one multicasts it. NAME must not be the id of a member of the group. A group that has not \
started is waited for.";

/// The interval at which a group that is not there is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Arguments of `groupcast post`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    #[command(flatten)]
    address: Address,
    /// The group
    #[arg(long, value_name = "NAME", env = "GROUPCAST_GROUP", hide_env = true, default_value = "main", value_parser = cli::id)]
    group: String,
    /// The name of the author, which the group sees
    #[arg(long = "as", value_name = "NAME", value_parser = cli::client_id)]
    author: String,
    /// Give up if no client has delivered the text by then
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::parse_duration)]
    timeout: Duration,
    /// The text
    #[arg(value_name = "TEXT", value_parser = text)]
    text: String,
}

/// Accepts a text that a request can hold.
fn text(text: &str) -> Result<String, String> {
    if text.len() <= MAX_POSTED {
        return Ok(text.to_owned());
    }
    Err(format!("a text has at most {MAX_POSTED} bytes, this one has {}", text.len()))
}

/// Posts the text.
///
/// # Errors
/// [`Exit::Unavailable`] if no forwarder answers, there is no such group, or no client multicasts; [`Exit::Usage`] if the
/// author has the id of a member; [`Exit::TimedOut`] if no client delivers the text in time; and [`Exit::Io`].
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let talk = Talk::new("groupcast", Level::Normal, Color::Auto);
    let signals = Signals::catch()?;
    let mut clock = Clock::start();
    let who = Identity::new(&args.group, &args.author, Role::Client, clock::nonce());
    let sites = args.address.sites()?;
    let mut posting =
        Posting { args, who, talk, is_known: false, may_be_handed: false, waits_for: None, said: Time::ZERO };
    for (place, site) in sites.iter().enumerate() {
        match posting.try_at(site, &mut clock, &signals) {
            Err(failure) if failure.exit == Exit::Unavailable && place + 1 < sites.len() => {
                posting.talk.warn(format!("{}; trying the next forwarder", failure.message));
            }
            Err(failure) => return Err(failure.into()),
            Ok(Done::Interrupted(exit)) => return Ok(exit),
            Ok(Done::Posted(id)) => {
                cli::print(&format!("{} posted to {}: {id}", args.author, args.group))?;
                return Ok(Exit::Ok);
            }
        }
    }
    Ok(Exit::Ok)
}

/// The end of an attempt.
enum Done {
    /// A client has delivered the text as this message.
    Posted(String),
    Interrupted(Exit),
}

/// A text on its way.
struct Posting<'a> {
    args: &'a Args,
    who: Identity,
    talk: Talk,
    /// Whether the forwarder has the group.
    is_known: bool,
    /// Whether a client may have the text.
    may_be_handed: bool,
    /// The last wait that the forwarder named.
    waits_for: Option<String>,
    said: Time,
}

impl Posting<'_> {
    fn ask(&self) -> Ask {
        Ask::Post { number: 1, text: self.args.text.clone(), again: self.may_be_handed }
    }

    /// Hands the text to the forwarder at one site, and waits for the delivery.
    fn try_at(&mut self, site: &Site, clock: &mut Clock, signals: &Signals) -> Result<Done, Failure> {
        let context = context::of_member(self.args.address.access.keys.as_deref(), &self.args.author)?;
        let sites = std::slice::from_ref(site);
        let limit = Some(self.args.timeout);
        let mut forwarder = ForwarderLinks::new(&context, sites, clock.now(), &self.who, &self.ask(), limit)?;
        loop {
            let now = clock.now();
            let wait = forwarder.next_deadline().since(now).min(clock::LONGEST_WAIT);
            zmq::wait(&forwarder.sockets().collect::<Vec<_>>(), signals.fds(), wait);
            if let Some(exit) = signals.received() {
                return Ok(Done::Interrupted(exit));
            }
            let now = clock.now();
            for (at, news) in forwarder.turn(now, &self.talk)? {
                match news {
                    News::Posted(id) => return Ok(Done::Posted(id)),
                    News::Failed(failure) => forwarder.lose(at, failure, now, &self.talk)?,
                    News::Wait { missing, .. } => {
                        self.is_known = true;
                        if !std::mem::replace(&mut self.may_be_handed, true) {
                            forwarder.turn_to(&self.ask());
                        }
                        self.waits_for = Some(talk::list(&missing));
                    }
                    News::Forgotten => {
                        // A forwarder that was started again does not know which client has the text.
                        (self.is_known, self.waits_for) = (false, None);
                        forwarder.turn_to(&self.ask());
                        forwarder.pause(now.after(LOOK_AGAIN));
                    }
                    _ => {}
                }
            }
            self.check_time(now)?;
        }
    }

    /// Says at intervals what it waits for; fails when the time is up.
    fn check_time(&mut self, now: Time) -> Result<(), Failure> {
        let group = &self.args.group;
        let waits_for = self.waits_for.clone().unwrap_or_else(|| format!("group {group}"));
        let left = self.args.timeout.saturating_sub(now.since(Time::ZERO));
        if left.is_zero() {
            if !self.is_known {
                return Err(Failure::new(Exit::Unavailable, format!("the forwarder has no group {group}"))
                    .help("a group is there from when its first client joins until all know how it ended"));
            }
            let limit = units::duration(self.args.timeout);
            let why = format!("the text was not delivered within {limit}: waited for {waits_for}");
            return Err(Failure::new(Exit::TimedOut, why)
                .help("it may be delivered later; give it more time with --timeout"));
        }
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            self.talk.say(format!("waiting for {waits_for} (gives up in {})", units::duration(left)));
        }
        Ok(())
    }
}
