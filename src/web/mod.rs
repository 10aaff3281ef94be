//! `chat-server`: one server of the replicated chat, with its API and its page.
//!
//! Two threads: the member's, with the node of the cluster and the state of the chat (`service`, with its `queue` of
//! operations and the `feed` of events), and that of the web (`serve`, with the requests of the `api`, the `socket`s and the
//! `page`). `desk` is the queue between them.

mod api;
mod desk;
mod earlier;
mod entries;
mod feed;
mod page;
mod queue;
mod serve;
mod service;
mod sessions;
mod shared;
mod socket;
mod view;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::{self, Access, KnownBad, Voice};
use crate::cluster::file::Cluster;
use crate::cluster::ledger::Ledger;
use crate::cluster::node::{Node, Settings};
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::results::cluster::{ClusterResults, Opening};
use crate::talk::Talk;
use crate::transport::signals::Signals;
use earlier::{Files, Sources};
use serve::Web;
use service::Service;

/// The time for which a server that was added to the cluster waits until the others let it in.
const LET_IN_LIMIT: Duration = Duration::from_secs(60);

/// The options of `chat-server`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Name of this server in the cluster file
    #[arg(short, long, value_name = "ID", env = "GROUPCAST_ID", hide_env = true, value_parser = cli::client_id)]
    pub id: String,
    /// The cluster file, the same at every server
    #[arg(long, value_name = "FILE", env = "GROUPCAST_CLUSTER", hide_env = true)]
    pub cluster: PathBuf,
    /// Folder for the journal; made if it is not there. Started again with the same, the server goes on
    #[arg(long, value_name = "DIR", env = "GROUPCAST_DATA", hide_env = true)]
    pub data: PathBuf,
    /// Address of the page and the API; otherwise the `web` address of the cluster file
    #[arg(long, value_name = "HOST:PORT")]
    pub web: Option<String>,
    /// Folder for the confirmed operations and the histories; otherwise `results` in the folder of the journal
    #[arg(long, value_name = "DIR", env = "GROUPCAST_OUT", hide_env = true)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: Access,
    /// Send a datagram to each server, also if the cluster file names a multicast group
    #[arg(long, env = "GROUPCAST_UNICAST", hide_env = true, value_parser = FalseyValueParser::new())]
    pub unicast: bool,
    /// Take in nothing more while servers that are away lack so much
    #[arg(long, value_name = "SIZE", env = "GROUPCAST_JOURNAL_LIMIT", hide_env = true, default_value = "1GiB", value_parser = cli::bytes)]
    pub journal_limit: u64,
    /// Drop datagrams as this file says, also while the server runs
    #[arg(long, value_name = "FILE", hide = true)]
    pub faults: Option<PathBuf>,
    /// Write no history file
    #[arg(long, env = "GROUPCAST_NO_HISTORY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_history: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub known_bad: KnownBad,
}

/// Serves until a signal comes.
///
/// # Errors
/// Any of the table of exit codes.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    let signals = Signals::catch()?;
    let cluster = Cluster::read(&options.cluster, Some(&signals))?;
    let me = cluster.member(&options.id, &options.cluster)?;
    let address = address(options, &cluster, me)?;
    let key = cluster.key(&options.access)?;
    serve::may_listen(&address, &options.access)?;
    let is_added = usize::from(me.0) >= cluster.servers.len();
    let sources = is_added.then(|| Sources::of(&cluster, me, &options.cluster)).transpose()?;
    let listener = serve::bind(&address)?;
    let (mut node, recovered) = Node::start(
        &Settings {
            cluster: &cluster,
            me,
            data: &options.data,
            is_unicast: options.unicast,
            key,
            limit: usize::try_from(options.journal_limit).unwrap_or(usize::MAX),
            patience: LET_IN_LIMIT,
            defects: options.known_bad.defects(),
            faults: options.faults.as_deref(),
        },
        signals,
        talk,
    )?;
    let results = open_results(options, recovered.life)?;
    node.begin()?;
    let earlier = match &sources {
        Some(sources) => sources.take(recovered.began, &options.data, &mut node, talk)?,
        None => None,
    };
    let confirmed = results.confirmed_path().map(Path::to_owned);
    let files = Files(earlier.iter().cloned().chain(confirmed).collect());
    let (desk, requests) = desk::desk(node.waker());
    let local = listener.local_addr().map_err(|error| serve::cannot_serve(&address, &error))?;
    let web = Web::start(listener, desk, files, &cluster, &address, local)?;
    cli::print(&format!("http://{local}"))?;
    let ledger = Ledger::new(results, &recovered);
    let mut service = Service::new(options, talk, &cluster, node, ledger, requests, &recovered);
    let Err(mut failure) = service.begin(&recovered, earlier).and_then(|()| service.run());
    web.end();
    if failure.exit.is_asked_for() {
        // A failure now counts more than the signal.
        failure = service.come_to_rest(|| web.is_over()).err().unwrap_or(failure);
    }
    web.join();
    service.conclude(failure)
}

/// Opens the files of the confirmed operations and the history.
fn open_results(options: &Options, life: u32) -> Result<ClusterResults, Failure> {
    let out = options.out.clone().unwrap_or_else(|| options.data.join("results"));
    let opening = Opening { life, history: !options.no_history, fresh: life == 1, force: false };
    ClusterResults::open(&out, &options.id, opening)
}

/// Returns the address of the page, as it is written.
fn address(options: &Options, cluster: &Cluster, me: MemberId) -> Result<String, Failure> {
    let listed = || cluster.all().nth(usize::from(me.0)).and_then(|server| server.web.clone());
    options.web.clone().or_else(listed).ok_or_else(|| {
        Failure::new(Exit::Config, format!("cannot serve the page: {} has no `web` address", options.id))
            .help("write one into the cluster file, or give it with --web HOST:PORT")
    })
}
