//! The command lines of all programs, for `bin/`, completions and man pages.

use clap::{Command, CommandFactory, Parser, Subcommand};

use crate::exit::Exit;
use crate::{
    bench, board, chaos, check, cli, client, diagram, doctor, exit, explain, forwarder, journal, keys, log,
    members, operator, post, proxy, router, run, sequencer, shell, sim,
};

/// Passes what one member multicasts on to all, and lets a group start and finish together
#[derive(Parser)]
#[command(name = "forwarder", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  forwarder --clients 4 --port-base 5559"))]
pub struct Forwarder {
    /// The options.
    #[command(flatten)]
    pub options: forwarder::Options,
}

/// Carries what one member sends to another
#[derive(Parser)]
#[command(name = "router", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  router --port-base 5559"))]
pub struct Router {
    /// The options.
    #[command(flatten)]
    pub options: router::Options,
}

/// Gives every multicast of every group its place in the total order
#[derive(Parser)]
#[command(name = "sequencer", version, term_width = cli::HELP_WIDTH, after_help = after("Example:\n  sequencer --connect 127.0.0.1 --port-base 5559\n  sequencer --standby --id second"))]
pub struct Sequencer {
    /// The options.
    #[command(flatten)]
    pub options: sequencer::Options,
}

const CLIENT: &str = "\
Example:
  client --id c1 --commands c1.txt --out results
  producer | client --id c1 --lines | consumer
  client --id c1 --interactive

A command file has one operation a line:
  Multicast,c1,some text     multicast to the group
  sleep,1.5                  do nothing for so many seconds
  c1,c2,some text            send to one member
  leave                      leave the group before the run ends; the last line
Fields are separated by commas; a text with a comma, a quote or a line break is
quoted as in CSV. Blank lines and lines that start with # are skipped.

With --lines, each delivery is SENDER###TEXT on a line of standard output, where \
\\\\, \\n and \\r stand for backslash, line feed and carriage return, as in a result file. \
The end of standard input is the end of what this client sends; it goes on \
delivering until all have finished.

With --interactive, a line goes to everybody:
  @c2 some text              to c2 alone (// and @@ begin a text with / and @)
  /who                       lists the members
  /help                      lists the commands
  /quit or Ctrl-D            sends no more, and waits for the others";

/// One member of a group: replays a command file, is a pipe, or lets a person talk
#[derive(Parser)]
#[command(name = "client", version, term_width = cli::HELP_WIDTH, after_help = after(CLIENT))]
pub struct Client {
    /// The options.
    #[command(flatten)]
    pub options: client::Options,
}

#[cfg(feature = "web")]
const CHAT_SERVER: &str = "\
Example:
  chat-server --id s1 --cluster cluster.toml --data data/s1

The address of the page and the API is that of `web` in the cluster file. `groupcast cluster up DIR` starts a whole \
cluster on this machine. Addresses beyond this machine need --keys, with the file that `groupcast keys cluster` makes, or \
--insecure; the page is plain HTTP in either case.";

/// One server of the replicated chat: a member of a cluster, with an API and a page
#[cfg(feature = "web")]
#[derive(Parser)]
#[command(name = "chat-server", version, term_width = cli::HELP_WIDTH, after_help = after(CHAT_SERVER))]
pub struct ChatServer {
    /// The options.
    #[command(flatten)]
    pub options: crate::web::Options,
}

#[cfg(feature = "web")]
const CHAT: &str = "\
Examples:
  producer | chat --connect http://127.0.0.1:8081 --user ann --group news \\
    --lines | consumer
  chat --connect http://127.0.0.1:8081,http://127.0.0.1:8082 --user ann \\
    --group news

At a terminal, a line is a post, and /help lists the commands. A post has a number once it is confirmed, #12, and an id \
before, ~s1-7; times are in UTC. If the server is lost, the client goes on at another one; nothing is lost or posted twice.

The name of a user has up to 32 characters, that of a group up to 64, and a post up to 4000. A group that is not there is \
made, and the client says that it is new.

With --lines, each line of standard input is a post, except blank ones. Standard output has the confirmed posts of the \
group in their order, from the first or from --after on, one a line: NUMBER<TAB>USER<TAB>TEXT, where \\\\, \\n and \\r \
stand for backslash, line feed and carriage return. All clients of a group print the same lines, at whatever servers. At \
the end of standard input, the client waits until its own posts are confirmed.";

/// Talks in the replicated chat, at a terminal or in a pipe
#[cfg(feature = "web")]
#[derive(Parser)]
#[command(name = "chat", version, term_width = cli::HELP_WIDTH, after_help = after(CHAT))]
pub struct Chat {
    /// The options.
    #[command(flatten)]
    pub options: crate::talker::Options,
}

/// Tools for ordered, reliable group communication.
#[derive(Parser)]
#[command(name = "groupcast", version, term_width = cli::HELP_WIDTH, after_help = format!("Examples:\n  groupcast run testdata/banks --speed 50\n  groupcast check results\n  groupcast sim --order total --seeds 100\n  groupcast examples\n\n{}", exit::HELP))]
pub struct Groupcast {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Start everything, wait for the end, and judge what was delivered
    Run(run::tool::Args),
    /// Judge the results of a run: did everyone deliver everything, and in the order that was promised?
    Check(check::tool::Args),
    /// Draw a run: who multicast, received and delivered what, and what was held back
    Diagram(diagram::tool::Args),
    /// Say what a message waited for at a member
    Explain(explain::Args),
    /// Show the results of a run as bulletin boards: item, author, subject
    Board(board::Args),
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
    /// Send a text to an open group without being a member of it
    Post(post::Args),
    /// Run, show and change a cluster on this machine, and let faults happen to it
    Cluster(operator::tool::Args),
    /// Show or check the journal of a member of a cluster
    Journal(journal::tool::Args),
    /// Show or check the logs of a sequencer
    Log(log::tool::Args),
    /// Make, list and remove the keys of a forwarder and its members, or make that of a cluster
    Keys(keys::tool::Args),
    /// Show how something is done, with commands to copy
    Examples(shell::examples::Args),
    /// Say whether everything is here that a run needs
    Doctor(doctor::Args),
    /// Print what lets a shell complete the command lines of all programs
    Completions(shell::completions::Args),
    /// Write the manual pages of all programs
    Man(shell::man::Args),
}

impl Groupcast {
    /// Runs the chosen tool.
    ///
    /// # Errors
    /// Those of the tool.
    pub fn run(&self) -> anyhow::Result<Exit> {
        match &self.tool {
            Tool::Run(args) => run::tool::run(args),
            Tool::Check(args) => check::tool::run(args),
            Tool::Diagram(args) => diagram::tool::run(args),
            Tool::Explain(args) => explain::run(args),
            Tool::Board(args) => board::run(args),
            Tool::Sim(args) => sim::tool::run(args),
            Tool::Bench(args) => bench::tool::run(args),
            Tool::Proxy(args) => proxy::tool::run(args),
            Tool::Chaos(args) => chaos::tool::run(args),
            Tool::Members(args) => members::run(args),
            Tool::Post(args) => post::run(args),
            Tool::Cluster(args) => operator::tool::run(args),
            Tool::Journal(args) => journal::tool::run(args),
            Tool::Log(args) => log::tool::run(args),
            Tool::Keys(args) => keys::tool::run(args),
            Tool::Examples(args) => shell::examples::run(args),
            Tool::Doctor(args) => doctor::run(args, &commands()),
            Tool::Completions(args) => shell::completions::run(args, commands()),
            Tool::Man(args) => shell::man::run(args, commands()),
        }
    }
}

/// Formats the part of a program's help after the options.
fn after(notes: &str) -> String {
    format!("{notes}\n\n{}\n\n{}", cli::ENVIRONMENT, exit::HELP)
}

/// Returns the command lines of all programs that this build has, `groupcast` last.
pub(crate) fn commands() -> Vec<Command> {
    let mut commands = vec![Forwarder::command(), Router::command(), Sequencer::command(), Client::command()];
    #[cfg(feature = "web")]
    commands.extend([ChatServer::command(), Chat::command()]);
    commands.push(Groupcast::command());
    commands
}
