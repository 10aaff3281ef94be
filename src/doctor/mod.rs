//! `groupcast doctor`: checks that a run has all it needs here, and gives advice.
//!
//! `machine` checks the system, `network` the ports and ZeroMQ on loopback. Each check prints one line, or several if
//! several things are wrong.

mod machine;
mod network;

use std::path::PathBuf;

use clap::Command;
use serde::Serialize;

use crate::cli;
use crate::driver::Clock;
use crate::exit::Exit;
use crate::transport::address::{Addresses, addresses_to_listen_on};

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast doctor
  groupcast doctor --port-base 6000 --out results --json

One line for each check: ok, warn (a run can work all the same) or fail (it cannot). The exit code is 0 if nothing \
fails, and 69 otherwise.";

/// Arguments of `groupcast doctor`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// Address that the forwarder and the router are to listen on
    #[arg(long, value_name = "ADDRESS", env = "GROUPCAST_BIND", hide_env = true, default_value = "127.0.0.1", value_parser = addresses_to_listen_on)]
    bind: Addresses,
    /// First of the four ports that they are to have
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, default_value_t = cli::DEFAULT_PORT_BASE, value_parser = cli::port_base())]
    port_base: u16,
    /// Folder in which clients are to leave their results
    #[arg(short, long, value_name = "DIR", env = "GROUPCAST_OUT", hide_env = true)]
    out: Option<PathBuf>,
    /// Answer in JSON: one object a line
    #[arg(long)]
    json: bool,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// A run can work, but something is wrong.
    Warn,
    /// No run can work.
    Fail,
}

/// The finding of a check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Finding {
    v: u32,
    check: &'static str,
    verdict: Verdict,
    says: String,
    help: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { v: 1, check, verdict: Verdict::Ok, says: says.into(), help: None }
    }

    fn warn(check: &'static str, says: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, help: Some(help.into()), ..Self::ok(check, says) }
    }

    fn fail(check: &'static str, says: impl Into<String>, help: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, help: Some(help.into()), ..Self::ok(check, says) }
    }

    fn text(&self) -> String {
        let word = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        format!("{word:<6}{:<13}{}{help}", self.check, self.says)
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("a finding is always JSON")
    }
}

/// Performs all checks and prints their findings.
///
/// # Errors
/// [`Exit::Io`] if standard output cannot be written.
pub(crate) fn run(args: &Args, programs: &[Command]) -> anyhow::Result<Exit> {
    let mut worst = Exit::Ok;
    let sites = args.bind.sites("--bind", args.port_base)?;
    let (clock, calendar) = (Clock::start(), machine::calendar());
    let checks: [&dyn Fn() -> Vec<Finding>; 9] = [
        &|| vec![machine::versions()],
        &machine::programs,
        &|| machine::environment(programs),
        &|| network::ports(&sites),
        &|| machine::folders(args.out.as_deref()),
        &|| vec![machine::descriptors()],
        &|| vec![network::loopback()],
        &|| network::udp().into_iter().collect(),
        // The last check, so that time has passed since the first.
        &|| vec![machine::clock(&clock, calendar)],
    ];
    for check in checks {
        for finding in check() {
            if finding.verdict == Verdict::Fail {
                worst = Exit::Unavailable;
            }
            cli::print(&if args.json { finding.json() } else { finding.text() })?;
        }
    }
    Ok(worst)
}
