//! `groupcast`: the tools around the four programs.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use groupcast::exit::{self, Exit, Failure};
use groupcast::talk::{Color, Level, Talk};
use groupcast::{
    bench, chaos, check, cli, diagram, doctor, explain, members, proxy, run as runs, shell, sim,
};

/// Tools for ordered, reliable group communication.
#[derive(Parser)]
#[command(version, term_width = cli::HELP_WIDTH, after_help = format!("Examples:\n  groupcast run testdata/banks --speed 50\n  groupcast check results\n  groupcast sim --order total --seeds 100\n  groupcast examples\n\n{}", exit::HELP))]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Start everything, wait for the end, and judge what was delivered
    Run(runs::tool::Args),
    /// Judge the results of a run: did everyone deliver everything, and in the order that was promised?
    Check(check::tool::Args),
    /// Draw a run: who multicast, received and delivered what, and what was held back
    Diagram(diagram::tool::Args),
    /// Say what a message waited for at a member
    Explain(explain::Args),
    /// Run the engines on a simulated network and judge what they deliver
    Sim(sim::tool::Args),
    /// Measure how fast it is here, beside ZeroMQ without any order
    Bench(bench::tool::Args),
    /// Pass a run's traffic on and let happen to it what a script says: cuts, resets, loss, delay
    Proxy(proxy::tool::Args),
    /// Let many short runs meet faults that seeds draw: links, restarts, pauses, a busy machine
    Chaos(chaos::tool::Args),
    /// Show who is in the groups of a forwarder, and how far each one is
    Members(members::Args),
    /// Show how something is done, with commands to copy
    Examples(shell::examples::Args),
    /// Say whether everything is here that a run needs
    Doctor(doctor::Args),
    /// Print what lets a shell complete the command lines of all programs
    Completions(shell::completions::Args),
    /// Write the manual pages of all programs
    Man(shell::man::Args),
}

fn main() -> ExitCode {
    cli::main::<Cli>(|_| Talk::new("groupcast", Level::Normal, Color::Auto), |program, _| run(&program.tool))
}

fn run(tool: &Tool) -> Result<Exit, Failure> {
    match tool {
        Tool::Run(args) => runs::tool::run(args),
        Tool::Check(args) => check::tool::run(args),
        Tool::Diagram(args) => diagram::tool::run(args),
        Tool::Explain(args) => explain::run(args),
        Tool::Sim(args) => sim::tool::run(args),
        Tool::Bench(args) => bench::tool::run(args),
        Tool::Proxy(args) => proxy::tool::run(args),
        Tool::Chaos(args) => chaos::tool::run(args),
        Tool::Members(args) => members::run(args),
        Tool::Examples(args) => shell::examples::run(args),
        Tool::Doctor(args) => doctor::run(args, &Cli::command()),
        Tool::Completions(args) => shell::completions::run(args, Cli::command()),
        Tool::Man(args) => shell::man::run(args, Cli::command()),
    }
}
