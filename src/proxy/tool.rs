//! `groupcast proxy`: the command line of the proxy.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use clap::builder::FalseyValueParser;
use serde_json::json;

use super::accept;
use super::dice::Dice;
use super::relay::{Relay, Totals};
use super::timeline::{Entry, Tally, Timeline};
use crate::cli::{self, Access, Voice};
use crate::exit::{Exit, Failure};
use crate::fault::link::{Fault, Kind, PORTS};
use crate::fault::script;
use crate::place::{Source, shown, without_mark};
use crate::talk;
use crate::transport::address::{MAX_PORT_BASE, Port, Site, Use, address};
use crate::transport::holder;
use crate::transport::resolve;
use crate::transport::signals::{self, interruption};
use crate::units;

/// The examples of `--help`; the notes are the grammar.
const HELP: &str = "\
Examples:
  groupcast proxy --listen 6000 --to 5559 --fault \"2s cut for 3s\"
  groupcast proxy --listen 6000 --to 5559 --random 20/min --seed 7
  groupcast proxy --listen 6000 --to 5559 --loss 5% --duplicate 2% --reorder 5%

Members then connect with --port-base 6000.

The proxy ends 2 s after the last connection, when nothing has moved for 15 s, or with Ctrl-C, and prints how often \
each fault acted.";

/// Arguments of `groupcast proxy`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}\n\n{}", script::GRAMMAR, crate::exit::HELP))]
pub(crate) struct Args {
    /// First of the four ports at which members connect: in, out, sync, router
    #[arg(long, value_name = "[HOST:]PORT", env = "GROUPCAST_LISTEN", hide_env = true, value_parser = first_port)]
    listen: Site,
    /// First of the four ports at which forwarder and router listen
    #[arg(long, value_name = "[HOST:]PORT", env = "GROUPCAST_TO", hide_env = true, value_parser = first_port)]
    to: Site,
    #[command(flatten)]
    access: Access,
    /// A file of faults, one a line
    #[arg(long, value_name = "FILE", env = "GROUPCAST_SCRIPT", hide_env = true)]
    script: Option<PathBuf>,
    /// A fault; may be given several times
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,
    /// Draw about so many faults a minute, of up to 3 s
    #[arg(long, value_name = "N/min", env = "GROUPCAST_RANDOM", hide_env = true, value_parser = a_minute)]
    random: Option<u32>,
    /// Lose this share of all packets; short for --fault "0s loss 5%"
    #[arg(long, value_name = "SHARE", env = "GROUPCAST_LOSS", hide_env = true, value_parser = units::parse_share)]
    loss: Option<u32>,
    /// Let this share of all packets arrive twice
    #[arg(long, value_name = "SHARE", env = "GROUPCAST_DUPLICATE", hide_env = true, value_parser = units::parse_share)]
    duplicate: Option<u32>,
    /// Let this share of all packets arrive after later ones
    #[arg(long, value_name = "SHARE", env = "GROUPCAST_REORDER", hide_env = true, value_parser = units::parse_share)]
    reorder: Option<u32>,
    /// The seed of random faults, of jitter, and of what becomes of packets
    #[arg(long, value_name = "N", env = "GROUPCAST_SEED", hide_env = true, default_value_t = 1)]
    seed: u64,
    /// Give up if nobody has connected by then
    #[arg(long, value_name = "TIME", env = "GROUPCAST_START_TIMEOUT", hide_env = true, default_value = "60s", value_parser = units::parse_duration)]
    start_timeout: Duration,
    /// Go on when all connections have ended
    #[arg(long, env = "GROUPCAST_STAY", hide_env = true, value_parser = FalseyValueParser::new())]
    stay: bool,
    /// Print JSON, one object a line: each fault, and what passed in all
    #[arg(long, env = "GROUPCAST_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    json: bool,
    #[command(flatten)]
    voice: Voice,
}

fn first_port(text: &str) -> Result<Site, String> {
    let expected = || "expected [HOST:]PORT with a port from 1 to 65532".to_owned();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port_base = text.parse().ok().filter(|port| (1..=MAX_PORT_BASE).contains(port));
        let host = "127.0.0.1".to_owned();
        return port_base.map(|port_base| Site { host, port_base }).ok_or_else(expected);
    }
    match address(text)? {
        (host, Some(port_base)) => Ok(Site { host, port_base }),
        (_, None) => Err(expected()),
    }
}

fn a_minute(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/min").and_then(|number| number.parse().ok());
    number.filter(|number| (1..=600).contains(number)).ok_or("expected 1/min to 600/min".to_owned())
}

/// Returns the addresses of the four ports of a site, as many as its host has.
fn addresses(sites: &[Site]) -> [Vec<SocketAddr>; 4] {
    let at = |port: Port, site: &Site| site.endpoint(port).strip_prefix("tcp://")?.parse().ok();
    Port::ALL.map(|port| sites.iter().filter_map(|site| at(port, site)).collect())
}

/// Runs the proxy with the faults of the options, until all members have gone.
///
/// # Errors
/// A malformed script, a port that is taken, a server without an address, no member that connects, or interruption.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    signals::end_with_parent();
    let talk = args.voice.talk("proxy");
    let timeline = Timeline::new(args.faults()?, args.random.map(|count| Dice::new(args.seed, count)));
    args.access.check(std::slice::from_ref(&args.listen), Use::Listen)?;
    args.access.check(std::slice::from_ref(&args.to), Use::Connect)?;
    // Signals are not handled yet, so one ends the process even while the name server does not answer.
    let limit = args.start_timeout;
    let listen = addresses(&resolve::listening(std::slice::from_ref(&args.listen), None, limit)?);
    let to = addresses(&resolve::numbered(std::slice::from_ref(&args.to), None, limit)?);
    if listen.iter().flatten().any(|address| to.iter().flatten().any(|taken| taken == address)) {
        bail!(
            Failure::new(Exit::Usage, "--listen and --to have ports in common")
                .help("the proxy needs four ports of its own")
        );
    }
    let listening =
        format!("listening on {}, +1, +2 and +3; passing on to {}", named(&listen[0]), named(&to[0]));
    let relay = Relay::new(to, args.seed, timeline, talk.clone());
    let heard = std::sync::Arc::clone(&relay);
    signals::listen(move |exit| heard.interrupt(exit))?;
    let bind = |addresses: Vec<SocketAddr>| addresses.into_iter().map(bind).collect::<Result<Vec<_>, _>>();
    let listeners = listen.into_iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    let at_ports = listeners.into_iter().enumerate();
    for (port, listener) in at_ports.flat_map(|(port, all)| all.into_iter().map(move |one| (port, one))) {
        let served = accept::start(&relay, port, listener);
        served.context(Failure::new(Exit::Unavailable, "cannot start a thread"))?;
    }
    talk.say(listening);
    let exit = relay.conduct(args.start_timeout, args.stay)?;
    let told =
        relay.sum(|timeline, totals| if args.json { json(timeline, totals) } else { text(timeline, totals) });
    cli::print(told.trim_end())?;
    if exit == Exit::Ok { Ok(exit) } else { bail!(interruption(exit)) }
}

fn named(addresses: &[SocketAddr]) -> String {
    talk::list(&addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>())
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        holder::cannot_listen(&format!("tcp://{address}"), &error)
            .help("is the port free, and the host an address of this machine? choose others with --listen")
            .into()
    })
}

impl Args {
    fn faults(&self) -> Result<Vec<Fault>> {
        let mut faults = self.script.as_deref().map_or(Ok(Vec::new()), read)?;
        for line in &self.fault {
            let parsed = script::parse(line).map_err(|flaw| {
                let source = Source { name: "--fault".into(), text: Bytes::copy_from_slice(line.as_bytes()) };
                Failure { exit: Exit::Usage, ..source.failure(flaw) }
            });
            faults.extend(parsed?);
        }
        let shares = [
            self.loss.map(|share| Kind::Loss { share }),
            self.duplicate.map(|share| Kind::Duplicate { share }),
            self.reorder.map(|share| Kind::Reorder { share }),
        ];
        faults.extend(shares.into_iter().flatten().map(Fault::of_all_packets));
        Ok(faults)
    }
}

fn read(path: &Path) -> Result<Vec<Fault>> {
    let name = shown(path.as_os_str().as_encoded_bytes());
    let cannot = |reason: &str| Failure::new(Exit::NoInput, format!("cannot read {name}: {reason}"));
    let text = std::fs::read(path).map_err(|reason| cannot(&reason.to_string()))?;
    let text = without_mark(Bytes::from(text));
    let parsed = script::parse(std::str::from_utf8(&text).map_err(|_| cannot("it is not UTF-8"))?);
    Ok(parsed.map_err(|flaw| Source { name, text: text.clone() }.failure(flaw))?)
}

/// Formats the effects of each fault as a table for people.
fn text(timeline: &Timeline, totals: &Totals) -> String {
    let rows: Vec<(String, &Entry)> =
        timeline.entries().map(|entry| (entry.fault.to_string(), entry)).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(5);
    let mut text = String::new();
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "{:width$}  {:>11}  {:>7}  {:>11}  {:>7}",
            "fault", "connections", "refused", "bytes", "packets"
        );
    }
    for (name, Entry { tally, .. }) in rows {
        let never = if tally.has_acted() { "" } else { "  never acted" };
        let Tally { connections, refused, bytes, packets } = tally;
        let _ = writeln!(
            text,
            "{name:width$}  {connections:>11}  {refused:>7}  {bytes:>11}  {packets:>7}{never}"
        );
    }
    let Totals { connections, unreachable, strange, up, down } = totals;
    let all: u64 = connections.iter().sum();
    let _ = write!(text, "{all} connections, {up} bytes up, {down} down");
    if *unreachable > 0 {
        let _ = write!(text, "; {unreachable} times nobody was there to connect to");
    }
    if *strange > 0 {
        let _ = write!(text, "; {strange} times bytes were no ZMTP and passed unchanged");
    }
    text
}

/// Formats the effects for programs, one object a line.
fn json(timeline: &Timeline, totals: &Totals) -> String {
    let mut text = String::new();
    for Entry { fault, tally } in timeline.entries() {
        let object = json!({
            "v": 1,
            "event": "fault",
            "fault": fault.to_string(),
            "kind": fault.kind.word(),
            "at_ms": fault.at.as_millis() as u64,
            "acted": tally.has_acted(),
            "connections": tally.connections,
            "refused": tally.refused,
            "bytes": tally.bytes,
            "packets": tally.packets,
        });
        let _ = writeln!(text, "{object}");
    }
    let ports: serde_json::Map<_, _> = PORTS
        .iter()
        .zip(totals.connections)
        .map(|(port, count)| ((*port).to_owned(), json!(count)))
        .collect();
    let Totals { unreachable, strange, up, down, .. } = totals;
    let object = json!({
        "v": 1, "event": "end", "connections": ports, "unreachable": unreachable, "strange": strange,
        "bytes_up": up, "bytes_down": down,
    });
    text + &object.to_string()
}
