//! `groupcast`: the tools around the four programs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use groupcast::exit::{self, Exit, Failure};
use groupcast::{check, proxy, run as runs, sim};

/// Tools for ordered, reliable group communication.
#[derive(Parser)]
#[command(version, after_help = format!("Examples:\n  groupcast run testdata/banks --speed 50\n  groupcast check results\n  groupcast sim --order total --seeds 100\n\n{}", exit::HELP))]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Judge the results of a run: did everyone deliver everything, and in the order that was promised?
    Check(check::tool::Args),
    /// Run the engines on a simulated network and judge what they deliver
    Sim(sim::tool::Args),
    /// Pass a run's traffic on and let happen to it what a script says: cuts, resets, stalls, delay
    Proxy(proxy::tool::Args),
    /// Start everything, wait for the end, and judge what was delivered
    Run(runs::tool::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return told(&error),
    };
    match run(&cli.tool) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("groupcast: {failure}");
            failure.exit.into()
        }
    }
}

fn run(tool: &Tool) -> Result<Exit, Failure> {
    match tool {
        Tool::Check(args) => check::tool::run(args),
        Tool::Sim(args) => sim::tool::run(args),
        Tool::Proxy(args) => proxy::tool::run(args),
        Tool::Run(args) => runs::tool::run(args),
    }
}

/// Help and version were asked for; everything else is an error in the command line.
fn told(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => Exit::Usage.into(),
        (false, Ok(())) => Exit::Ok.into(),
        (false, Err(_)) => Exit::Io.into(),
    }
}
