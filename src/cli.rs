//! The common part of all programs' command lines, and the beginning and the end of each program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::FalseyValueParser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args, Command, Parser};

use crate::defect::{Defect, Defects};
use crate::exit::{Exit, Failure};
use crate::member::{DetectorConfig, MembershipConfig};
use crate::memory;
use crate::nearest::hint;
use crate::order::way::Way;
use crate::order::{self, DEFAULT_METHOD, Order, Reliability};
use crate::talk::{Color, Level, Talk};
use crate::transport::address::{Addresses, MAX_PORT_BASE, Site, Use, addresses, must_be_local};
use crate::transport::{limits, signals};
use crate::units::{parse_duration, split_bytes};
use crate::wire::Window;

/// The width of every `--help`, at any width of the terminal: an example that the terminal wraps is copied as one
/// line, and one that the help wraps is not.
pub const HELP_WIDTH: usize = 80;

/// The section of `--help` on environment variables.
pub const ENVIRONMENT: &str = "\
Environment:
  GROUPCAST_<FLAG>    the value of a flag that is not on the command line, in
                      capitals, with _ for -: GROUPCAST_PORT_BASE=6000; a flag
                      without a value is set by 1 and not set by 0
  NO_COLOR            no colours";

/// The amount of output, and its colours.
#[derive(Args, Clone, Debug)]
pub struct Voice {
    /// Say nothing but errors
    #[arg(short, long, env = "GROUPCAST_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, env = "GROUPCAST_VERBOSE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Use colours on standard error
    #[arg(long, value_name = "WHEN", env = "GROUPCAST_COLOR", hide_env = true, default_value = "auto")]
    pub color: Color,
}

impl Voice {
    /// Creates the output of the program with this name.
    #[must_use]
    pub fn talk(&self, name: &str) -> Talk {
        let level = match (self.quiet, self.verbose) {
            (true, false) => Level::Quiet,
            (false, true) => Level::Verbose,
            // One of them may come from the environment, so the other cancels it.
            (true, true) | (false, false) => Level::Normal,
        };
        Talk::new(name, level, self.color)
    }
}

/// An engine broken on purpose, in test builds.
#[derive(Args, Clone, Debug, Default)]
pub struct KnownBad {
    /// Let the engines do this wrong
    #[cfg(feature = "known-bad")]
    #[arg(long, value_name = "NAME", env = "GROUPCAST_KNOWN_BAD", hide = true, value_parser = PossibleValuesParser::new(Defect::ALL.map(|(name, _)| name)))]
    known_bad: Option<String>,
}

impl KnownBad {
    /// Returns the name of the chosen defect.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        #[cfg(feature = "known-bad")]
        return self.known_bad.as_deref();
        #[cfg(not(feature = "known-bad"))]
        None
    }

    /// Returns the chosen defect.
    #[must_use]
    pub fn defects(&self) -> Defects {
        let chosen = Defect::ALL.into_iter().find(|(name, _)| self.name() == Some(*name));
        chosen.map_or(Defects::NONE, |(_, defect)| Defects::only(defect))
    }
}

/// The threads of a program that listens.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Threads {
    /// Threads that send and receive, and encrypt [default: 1, with keys one for each processor, 4 at most]
    #[arg(long = "io-threads", value_name = "N", env = "GROUPCAST_IO_THREADS", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub io: Option<u16>,
}

impl Threads {
    /// The most threads that are used unless the user asks for more.
    const MOST: u16 = 4;

    /// Returns their number, with or without keys.
    #[must_use]
    pub fn number(self, has_keys: bool) -> u16 {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let usual =
            || if has_keys { processors().try_into().unwrap_or(Self::MOST).min(Self::MOST) } else { 1 };
        self.io.unwrap_or_else(usual)
    }
}

/// The keys of a process, or the consent to addresses beyond this machine without any.
#[derive(Args, Clone, Debug, Default)]
pub struct Access {
    /// Encrypt all connections, and prove who each one is, by these keys: the folder that `groupcast keys` makes or, of one
    /// member, the file of `groupcast keys pack`; in a cluster, prove by the key in this file, that of `groupcast keys
    /// cluster`, that datagrams are of members
    #[arg(long, value_name = "DIR|FILE", env = "GROUPCAST_KEYS", hide_env = true)]
    pub keys: Option<PathBuf>,
    /// Let other machines in, or connect to one, without keys: nothing is encrypted, and nobody proves who it is
    #[arg(long, env = "GROUPCAST_INSECURE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub insecure: bool,
}

impl Access {
    /// Refuses sites that are not on this machine alone, unless there are keys or the user consents.
    ///
    /// # Errors
    /// [`Exit::Config`].
    pub fn check(&self, sites: &[Site], used: Use) -> Result<(), Failure> {
        if self.may_go_beyond() { Ok(()) } else { must_be_local(sites, used) }
    }

    /// Returns whether addresses beyond this machine may be used: there are keys, or the user consents.
    #[must_use]
    pub const fn may_go_beyond(&self) -> bool {
        self.insecure || self.keys.is_some()
    }
}

/// The addresses of the forwarders and routers.
#[derive(Args, Clone, Debug)]
pub struct Address {
    /// Address of the forwarder and the router: a host, or HOST:PORT with the first of the ports; several with
    /// commas between, the same for all members: with two, either may fail
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "GROUPCAST_CONNECT",
        hide_env = true,
        default_value = "127.0.0.1",
        value_parser = addresses
    )]
    pub connect: Addresses,
    /// First of the four ports of an address without one: in, out, sync, router
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, default_value_t = DEFAULT_PORT_BASE, value_parser = port_base())]
    pub port_base: u16,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: Access,
}

/// The failure detector and the quorum, which must be the same at all members.
#[derive(Args, Clone, Debug)]
pub struct Patient {
    /// Take a member for lost that has been silent for this long and is not heard of when it is asked for; or by a
    /// name: fast is 600ms, lan 3s, peers 20s with a sign of life every 3s
    #[arg(long, value_name = "TIME", env = "GROUPCAST_SUSPECT_AFTER", hide_env = true, default_value = "10s", value_parser = patience)]
    pub suspect_after: DetectorConfig,
    /// Members that may go on when others are lost: those that are there, or only a majority
    #[arg(long, value_name = "WHO", env = "GROUPCAST_QUORUM", hide_env = true, default_value = "any", value_parser = ["any", "majority"])]
    pub quorum: String,
}

/// The time to wait for a forwarder that no longer answers.
#[derive(Args, Clone, Debug)]
pub struct Forwarder {
    /// Give up when no forwarder has answered for this long in mid-run; the suspect-after of all clients and sequencers must
    /// be more than this, or they take each other for lost meanwhile
    #[arg(long, value_name = "TIME", env = "GROUPCAST_FORWARDER_TIMEOUT", hide_env = true, default_value = "10s", value_parser = forwarder_timeout)]
    pub forwarder_timeout: Duration,
}

impl Patient {
    /// Returns the membership settings of these options.
    #[must_use]
    pub fn membership_config(&self) -> MembershipConfig {
        MembershipConfig {
            detector: Some(self.suspect_after),
            majority: self.quorum == "majority",
            safe: false,
        }
    }
}

impl Address {
    /// Returns every forwarder with its router, in the order in which they were named.
    ///
    /// # Errors
    /// [`Exit::Usage`] if one is named twice, [`Exit::Config`] if one may be on another machine without consent.
    pub fn sites(&self) -> Result<Vec<Site>, Failure> {
        let sites = self.connect.sites("--connect", self.port_base)?;
        self.access.check(&sites, Use::Connect).map(|()| sites)
    }
}

/// The default of the first port.
pub const DEFAULT_PORT_BASE: u16 = 5559;

/// Accepts a first port that leaves room for the other three.
#[must_use]
pub fn port_base() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=i64::from(MAX_PORT_BASE))
}

/// Parses a suspicion timeout, or the name of a preset.
///
/// # Errors
/// The mistake, for people.
pub fn patience(text: &str) -> Result<DetectorConfig, String> {
    match text {
        "fast" => Ok(DetectorConfig::FAST),
        "lan" => Ok(DetectorConfig::LAN),
        "peers" => Ok(DetectorConfig::PEERS),
        _ => match parse_duration(text) {
            Ok(Duration::ZERO) => Err("everybody would be lost at once; write for example 10s".to_owned()),
            Ok(silence) => Ok(DetectorConfig::with_silence(silence)),
            Err(wrong) => Err(format!("{wrong}, or fast, lan or peers")),
        },
    }
}

/// The shortest timeout of a forwarder: a running one may take this long to answer.
pub const LEAST_FORWARDER_TIMEOUT: Duration = crate::session::QUIET_AFTER;

fn forwarder_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        limit if limit >= LEAST_FORWARDER_TIMEOUT => Ok(limit),
        _ => Err("a forwarder that goes on may take 3s to answer; write for example 10s".to_owned()),
    }
}

/// Parses a factor above zero.
///
/// # Errors
/// The mistake, for people.
pub fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// Parses a send window: messages, bytes with a unit, or both with a comma between.
///
/// # Errors
/// The mistake, for people.
pub fn window(text: &str) -> Result<Window, String> {
    let wrong = || "write for example 1000 (messages), 256KiB, or both: 1000,256KiB".to_owned();
    let (mut messages, mut bytes) = (None, None);
    for part in text.split(',').map(str::trim) {
        let split = split_bytes(part);
        let count: u64 = split.map_or(part, |(digits, _)| digits).parse().map_err(|_| wrong())?;
        let is_first = match split {
            None => messages.replace(count).is_none(),
            Some((_, size)) => bytes.replace(count.saturating_mul(size)).is_none(),
        };
        if !is_first || count == 0 {
            return Err(wrong());
        }
    }
    let whole = Window::default();
    let bytes = bytes.map_or(whole.bytes, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    Ok(Window { messages: messages.unwrap_or(whole.messages), bytes })
}

/// Parses a number of bytes, with a unit or not.
///
/// # Errors
/// Examples.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, size) = split_bytes(text).unwrap_or((text, 1));
    let count = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(size));
    count.filter(|&count| count > 0).ok_or_else(|| "write for example 1GiB or 200MB".to_owned())
}

/// Returns the order that `--order` and `--method` select.
///
/// # Errors
/// [`Exit::Usage`] if the order does not have this method, or has none.
pub fn order(name: &str, method: Option<&str>) -> Result<&'static Order, Failure> {
    let methods = order::methods(name);
    let is_known = method.is_none_or(|method| methods.contains(&method));
    let found = Order::find(name, method.unwrap_or(DEFAULT_METHOD)).filter(|_| is_known);
    found.ok_or_else(|| {
        let method = method.unwrap_or_default();
        if methods.is_empty() {
            let message = format!("cannot make order {name} by method {method}: it has no methods");
            return Failure::new(Exit::Usage, message).help("leave out --method, or choose --order total");
        }
        let known = format!("--method {}", methods.join(" | "));
        Failure::new(Exit::Usage, format!("--order {name} has no method '{method}'"))
            .help(hint(method, methods, &known))
    })
}

/// Returns the way that `--order` and `--method` select: that of a cluster, too.
///
/// # Errors
/// [`Exit::Usage`] if the order does not have this method, or has none.
pub fn way(name: &str, method: Option<&str>) -> Result<Way, Failure> {
    if name != order::TENTATIVE {
        return order(name, method).map(Way::Group);
    }
    match method {
        Some(method) => Err(Failure::new(Exit::Usage, format!("order tentative has no method {method}"))),
        None => Ok(Way::Cluster),
    }
}

/// Returns the order that `--order` and `--method` select, with this reliability.
///
/// # Errors
/// As [`fn@order`]; [`Exit::Usage`] if the order cannot have this reliability, or `--safe` cannot.
pub fn order_over(
    name: &str,
    method: Option<&str>,
    reliability: Reliability,
    safe: bool,
) -> Result<&'static Order, Failure> {
    let (order, wanted) = (order(name, method)?, reliability.name());
    let Some(over) = order.over(reliability) else {
        let why = format!(
            "--order {name} needs --reliability nack: with {wanted}, a member may lack a message that all later ones \
             wait for"
        );
        return Err(Failure::new(Exit::Usage, why)
            .help("the orders unordered, fifo and causal can have any reliability"));
    };
    if safe && !reliability.is_default() {
        let why =
            format!("--safe needs --reliability nack: with {wanted}, no member learns what all others have");
        return Err(Failure::new(Exit::Usage, why).help("leave out one of the two"));
    }
    Ok(over)
}

/// Parses the value of `--reliability`.
#[must_use]
pub fn reliability() -> impl TypedValueParser<Value = Reliability> {
    let names = PossibleValuesParser::new(Reliability::ALL.map(Reliability::name));
    names.map(|name| Reliability::find(&name).unwrap_or_default())
}

/// Parses the id of a member, or the name of a group.
///
/// # Errors
/// The mistake, for people.
pub fn id(text: &str) -> Result<String, String> {
    crate::script::check_id(text).map(|()| text.to_owned())
}

/// Parses the id of a client.
///
/// # Errors
/// The reason why it is none.
pub fn client_id(text: &str) -> Result<String, String> {
    crate::script::check_client_id(text).map(|()| text.to_owned())
}

/// Runs a program: parses its arguments, does its work, reports a failure, and returns the exit code.
pub fn main<P: Parser>(voice: fn(&P) -> Talk, work: fn(&P, &Talk) -> anyhow::Result<Exit>) -> ExitCode {
    limits::prepare();
    signals::end_with_parent();
    memory::prepare();
    let arguments = match P::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let printed = error.print();
            if exit == Exit::Usage
                && let Some(note) = from_environment(&P::command(), &error.to_string(), true)
            {
                eprintln!("note: {note}");
            }
            return if exit == Exit::Ok && printed.is_err() { Exit::Io.into() } else { exit.into() };
        }
    };
    let talk = voice(&arguments);
    match catch_unwind(AssertUnwindSafe(|| work(&arguments, &talk))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => {
            let mut failure = Failure::from(error);
            let is_told =
                matches!(failure.exit, Exit::Usage | Exit::BadData | Exit::NoInput | Exit::CannotCreate);
            if let Some(note) = from_environment(&P::command(), &failure.to_string(), is_told) {
                failure.help =
                    Some(failure.help.map_or(note.clone(), |help| format!("{help}\n  note: {note}")));
            }
            talk.fail(&failure);
            failure.exit.into()
        }
        Err(_) => {
            talk.fail(
                &Failure::new(Exit::Bug, "this is a bug in groupcast")
                    .help("please report it with the lines above and the command that you ran"),
            );
            Exit::Bug.into()
        }
    }
}

/// Names the environment variables that set the flags in an error, because the user may not have written these flags.
/// With `values`, also those whose values are in the error.
fn from_environment(command: &Command, error: &str, values: bool) -> Option<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    // A usage line names flags without a mistake.
    let error: Vec<&str> = error.lines().take_while(|line| !line.starts_with("Usage:")).collect();
    let error = error.join("\n");
    let mut notes: Vec<String> = Vec::new();
    for arg in arguments(command) {
        let (Some(variable), Some(long)) = (arg.get_env(), arg.get_long()) else { continue };
        let Some(value) = std::env::var_os(variable) else { continue };
        let (variable, value) = (variable.to_string_lossy(), value.to_string_lossy());
        let is_named = parts(&error).any(|part| part.strip_prefix("--") == Some(long))
            || (values && value.len() >= 3 && error.contains(&*value));
        let note = format!("{variable}={value} is set in the environment");
        if is_named && !is_written(arg, long, &words) && !notes.contains(&note) {
            notes.push(note);
        }
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Returns the arguments of a command and of all commands below it.
fn arguments(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    Box::new(command.get_arguments().chain(command.get_subcommands().flat_map(arguments)))
}

/// Splits a text into flags and words.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '-')
}

/// Returns true if a flag is on the command line.
fn is_written(arg: &Arg, long: &str, words: &[String]) -> bool {
    words.iter().any(|word| match word.strip_prefix("--") {
        Some(word) => word.split('=').next() == Some(long),
        None => arg.get_short().is_some_and(|short| word.starts_with('-') && word[1..].starts_with(short)),
    })
}

/// Prints a result line on standard output.
///
/// A closed pipe is no failure: its reader wants no more results.
///
/// # Errors
/// [`Exit::Io`] if standard output cannot be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    is_read(text).map(drop)
}

/// Prints a line as [`print()`] does; returns false if the pipe is closed.
///
/// # Errors
/// [`Exit::Io`] if it cannot be written for any other reason.
pub fn is_read(text: &str) -> anyhow::Result<bool> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context(Failure::new(Exit::Io, "cannot write to standard output")),
    }
}
