//! The command lines of `groupcast cluster`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use super::errand::{self, Errand};
use super::{change, faults, show, up};
use crate::cluster::request::Asked;
use crate::exit::{Exit, Failure};
use crate::script::check_id;
use crate::units;

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  groupcast cluster status runs/latest

A member writes its status once a second into the folder of its journal. `cluster add data/s1 s6 10.0.0.6:5600` and
`cluster remove data/s1 s4` ask the running member with the folder data/s1.

`groupcast cluster up chat` runs five chat servers on this machine until Ctrl-C, with everything they need in the folder
chat. Meanwhile, in another terminal:

  groupcast cluster part chat s1,s2/s3,s4,s5   two sides, deaf to each other
  groupcast cluster loss chat 10%              each server loses a tenth
  groupcast cluster heal chat                  ends both
  groupcast cluster kill chat s3               as kill -9
  groupcast cluster start chat s3              it goes on where it was
  groupcast cluster status chat";

/// Most servers of `cluster up`: as many as a cluster can have.
const MOST_SERVERS: i64 = crate::replica::entry::MOST_MEMBERS as i64;

/// Arguments of `groupcast cluster`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show each member: life, what is confirmed, for whom it waits, whom it hears; and the faults in force
    Status {
        /// The folder of one journal, of several, of a run, or of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a member to a running cluster; then it can be started, with `added = true` in its cluster file
    Add {
        /// The folder of the journal of a running member on this machine (its --data)
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the new member
        id: String,
        /// The address of its datagrams
        #[arg(value_name = "IP:PORT")]
        udp: SocketAddr,
        /// The time to wait for the others' agreement
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::parse_duration)]
        timeout: Duration,
    },
    /// Remove a member, dead or alive, from a running cluster
    Remove {
        /// The folder of the journal of another, running member on this machine (its --data)
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the member that is to go
        id: String,
        /// The time to wait for the others' agreement
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::parse_duration)]
        timeout: Duration,
    },
    /// Run chat servers on this machine until Ctrl-C; prints the address of each. A folder of before goes on
    Up {
        /// The folder of their cluster file, journals, results and logs; made if it is not there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Number of servers [default: 5, or as many as the folder has]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_SERVERS))]
        servers: Option<u16>,
        /// First port of the web pages; those of the datagrams begin 100 above. Without it, free ones are found
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
        port_base: Option<u16>,
        /// Protect the datagrams by the key in this file or, without FILE, by one that is made in the folder [default: the one
        /// in the folder, if there is one]
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
        keys: Option<Option<PathBuf>>,
        /// Give up when a server has not answered for this long after its start
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::parse_duration)]
        start_timeout: Duration,
    },
    /// Part the servers: those on different sides hear nothing of one another
    Part {
        /// The folder of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The sides, as s1,s2/s3,s4,s5. Servers that are on none are one more side
        #[arg(value_name = "SIDES")]
        sides: String,
        /// Of two sides, only the first is not heard by the second
        #[arg(long)]
        one_way: bool,
    },
    /// End all faults of `part` and `loss`
    Heal {
        /// The folder of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Let every server lose a share of the datagrams that come to it
    Loss {
        /// The folder of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The share, as 10%
        #[arg(value_name = "SHARE", value_parser = faults::parse_loss)]
        share: u32,
    },
    /// Kill a server of a running `cluster up`, as kill -9 does
    Kill {
        /// The folder of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the server
        id: String,
    },
    /// Start a server of a running `cluster up` that was killed or has ended
    Start {
        /// The folder of `cluster up`
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The id of the server
        id: String,
    },
}

/// Shows the members, changes them, runs chat servers, or lets faults happen to them.
///
/// # Errors
/// Exit 64 for an unknown server, 66 if there is no status or no cluster file, 69 if a member or `cluster up` does not
/// run, is busy or refuses, or a port is taken, 73 if the folder of `up` cannot be made, 74 if standard output cannot be
/// written, 75 if nothing is decided in time, or a server does not answer in time.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    match &args.command {
        Command::Status { dir, json } => show::run(dir, *json),
        Command::Add { dir, id, udp, timeout } => {
            check_id(id).map_err(|why| Failure::new(Exit::Usage, why))?;
            change::run(dir, &Asked::Add { id: id.clone(), udp: *udp }, *timeout)
        }
        Command::Remove { dir, id, timeout } => change::run(dir, &Asked::Remove { id: id.clone() }, *timeout),
        Command::Up { dir, servers, port_base, keys, start_timeout } => {
            let keys = keys.as_ref().map(Option::as_deref);
            up::run(dir, *servers, *port_base, keys, *start_timeout)
        }
        Command::Part { dir, sides, one_way } => faults::part(dir, sides, *one_way),
        Command::Heal { dir } => faults::heal(dir),
        Command::Loss { dir, share } => faults::lose(dir, *share),
        Command::Kill { dir, id } => errand::run(dir, &Errand::Kill { id: id.clone() }),
        Command::Start { dir, id } => errand::run(dir, &Errand::Start { id: id.clone() }),
    }
}
