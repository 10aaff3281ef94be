//! `chat`: the terminal client of the replicated chat.
//!
//! A `keeper` keeps a session at some server of the `roster`: a `link` with requests (`server`) and a `socket` with
//! events. The posts of this client stay in the `outbox` until they are confirmed, and `posting` sends them. A `person`
//! sees the `story` of a group at a terminal; a `pipe` gets the confirmed posts alone.

mod command;
mod keeper;
mod link;
mod outbox;
mod person;
mod pipe;
mod posting;
mod reader;
mod roster;
mod server;
mod socket;
mod story;
mod told;
mod words;

use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::chat::operation::{check_group, check_user};
use crate::cli::Voice;
use crate::driver::clock::Clock;
use crate::exit::{Exit, Failure};
use crate::talk::Talk;
use crate::transport::signals::Signals;
use crate::transport::terminal;
use crate::units;
use keeper::Keeper;
use outbox::Outbox;
use person::Person;
use pipe::Pipe;

/// Longest wait for the first server: several may just be starting.
const START_LIMIT: Duration = Duration::from_secs(5);

/// The options of `chat`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Addresses of servers, with commas between, tried in this order; the others of the cluster are learned from them
    #[arg(short, long, value_name = "URL", env = "GROUPCAST_SERVERS", hide_env = true, required = true, value_delimiter = ',', value_parser = roster::parse_address)]
    pub connect: Vec<String>,
    /// Name of the user
    #[arg(short, long, value_name = "NAME", env = "GROUPCAST_USER", hide_env = true, value_parser = user)]
    pub user: String,
    /// The group to join; needed with --lines
    #[arg(short, long, value_name = "GROUP", env = "GROUPCAST_GROUP", hide_env = true, value_parser = group)]
    pub group: Option<String>,
    /// Post each line of standard input, and print each confirmed post on standard output: NUMBER, USER and TEXT, with
    /// tabs between
    #[arg(long, env = "GROUPCAST_LINES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub lines: bool,
    /// With --lines, print only posts with higher numbers
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub after: u64,
    /// Give up when no server has answered, or nothing of its own has been stored or confirmed, for this long
    #[arg(long, value_name = "TIME", env = "GROUPCAST_TIMEOUT", hide_env = true, default_value = "60s", value_parser = units::parse_duration)]
    pub timeout: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

fn user(text: &str) -> Result<String, String> {
    check_user(text).map(|()| text.to_owned())
}

fn group(text: &str) -> Result<String, String> {
    check_group(text).map(|()| text.to_owned())
}

/// Talks until the end of standard input, or until the person quits.
///
/// # Errors
/// [`Exit::Usage`] for options that do not go together, [`Exit::Unavailable`] if no server answers, [`Exit::TimedOut`] if
/// posts are not stored or not confirmed in time, [`Exit::BadData`] for a line that can be no post, [`Exit::Io`] for
/// the standard streams, and interruption.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    let mut clock = Clock::start();
    let now = clock.now();
    match (options.lines, &options.group) {
        (true, Some(group)) => {
            let signals = Signals::catch()?;
            Pipe::begin(options, group, talk, now)?.run(&signals, &mut clock)?;
        }
        (true, None) => {
            let failure = Failure::new(Exit::Usage, "--lines needs --group, the group of the posts");
            return Err(failure.help("`chat --help` shows an example").into());
        }
        (false, _) if options.after > 0 => {
            return Err(Failure::new(Exit::Usage, "--after needs --lines").into());
        }
        (false, _) => {
            terminal::check("chat without --lines", "--lines posts each line of standard input")?;
            let signals = Signals::catch()?;
            Person::begin(options, talk, now)?.run(&signals, &mut clock)?;
        }
    }
    Ok(Exit::Ok)
}

/// Adds to the failure with which the client ends how many posts are lost by that.
fn with_unsent(mut failure: Failure, outbox: &Outbox) -> Failure {
    match outbox.waiting() {
        0 => {}
        1 => failure.message += "; 1 post was not stored",
        count => failure.message += &format!("; {count} posts were not stored"),
    }
    failure
}

/// Returns the failure of a client that no server answers.
fn nobody_answers(keeper: &Keeper) -> Failure {
    Failure::new(Exit::Unavailable, keeper.failure())
        .help("name the addresses of running servers with --connect URL,URL")
}
