//! The plan of a run: every process with its whole command line, its ports and its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::clients::{Client, MAIN, PROXY, SERVERS, STANDBY, clients, proxy_of};
use super::process::Process;
use super::scenario::{Expect, Scenario};
use crate::cli;
use crate::cluster::file::on_loopback;
use crate::exit::{Exit, Failure};
use crate::fault::process::{Act, Fault};
use crate::fault::{self, link};
use crate::keys::{self, Role};
use crate::nearest::hint;
use crate::order::way::Way;
use crate::order::{self, Order, Reliability};
use crate::processes::{Ports, folder_of_programs};
use crate::replica::entry::MOST_MEMBERS;
use crate::talk::list;
use crate::transport::address::Port;
use crate::units::{duration, duration_argument};

/// The default time without progress after which a client gives up.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The time after which the forwarder gives up waiting for the clients.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A scenario with all values chosen and checked.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) clients: Vec<Client>,
    /// A warning that names entries of the folder that are no command files.
    pub(super) passed_over: Option<String>,
    pub(super) way: Way,
    pub(super) safe: bool,
    pub(super) can_sequence: bool,
    pub(super) standby: bool,
    pub(super) suspect_after: Option<Duration>,
    pub(super) speed: f64,
    pub(super) timeout: Duration,
    pub(super) expect: Expect,
    pub(super) faults: Vec<Fault>,
    /// The faults of links between members and servers.
    pub(super) links: Vec<link::Fault>,
    pub(super) seed: u64,
    /// Whether the processes run with `--verbose`.
    pub(super) verbose: bool,
    /// Whether the histories record waits.
    pub(super) trace: bool,
    /// Whether the processes use keys.
    pub(super) keys: bool,
    /// The defects that the engines have on purpose.
    pub(super) known_bad: Option<String>,
}

impl Settings {
    /// Checks a scenario and its command files.
    ///
    /// # Errors
    /// [`Exit::Usage`], [`Exit::NoInput`] or [`Exit::BadData`] for a scenario that cannot be run.
    pub(super) fn new(scenario: &Scenario, verbose: bool) -> Result<Self, Failure> {
        let (mut faults, mut links) = (Vec::new(), Vec::new());
        for fault in scenario.faults.clone() {
            match fault {
                fault::Fault::Process(fault) => faults.push(fault),
                fault::Fault::Link(fault) => links.push(fault),
            }
        }
        let mut passed_over = None;
        let settings = Self {
            clients: clients(scenario, &mut passed_over)?,
            passed_over,
            way: way(scenario)?,
            safe: scenario.safe,
            can_sequence: scenario.can_sequence,
            standby: scenario.standby,
            suspect_after: scenario.suspect_after,
            speed: scenario.speed.unwrap_or(1.0),
            timeout: scenario.timeout.unwrap_or(TIMEOUT),
            expect: scenario.expect.clone(),
            faults,
            links,
            seed: scenario.seed.unwrap_or(1),
            verbose,
            trace: false,
            keys: false,
            known_bad: None,
        };
        let names = settings.names();
        let expected = match &settings.expect {
            Expect::Died(process) => process.as_ref(),
            _ => None,
        };
        let mut named = settings.faults.iter().filter_map(Fault::process).chain(expected);
        if let Some(name) = named.find(|name| !names.contains(&name.as_str())) {
            return Err(no_process(name, &names));
        }
        let is_client = |name: &&String| settings.clients.iter().any(|client| client.id == **name);
        if let Some(name) =
            settings.links.iter().filter_map(|link| link.of.as_ref()).find(|name| !is_client(name))
        {
            return Err(Failure::new(Exit::BadData, format!("no client of this run is called {name}"))
                .help("the link of one client is meant with `of`; leave it out to mean all"));
        }
        let mut again = settings.faults.iter().filter(|fault| matches!(fault.act, Act::Restart { .. }));
        match again.find_map(|fault| fault.process().filter(|name| !SERVERS.contains(&name.as_str()))) {
            // A member of a cluster has a journal.
            Some(name) if !settings.way.is_cluster() => {
                Err(Failure::new(Exit::BadData, format!("the client {name} cannot be started again"))
                    .help("what it has delivered is in its memory; forwarder and router can"))
            }
            _ => check(&settings).map(|()| settings),
        }
    }

    /// Returns the names of the servers, in the order in which they start, and then of the clients.
    fn names(&self) -> Vec<&str> {
        let clients = self.clients.iter().map(|client| client.id.as_str());
        self.servers().map(|name| -> &str { name }).chain(clients).collect()
    }

    fn servers(&self) -> impl Iterator<Item = &'static str> {
        SERVERS.into_iter().filter(|name| match *name {
            _ if self.way.is_cluster() => false,
            "sequencer" => self.has_sequencer(),
            STANDBY => self.has_sequencer() && self.standby,
            PROXY => self.links.iter().any(|link| link.of.is_none()),
            _ => true,
        })
    }

    /// Returns free ports for the proxy of all, if a fault concerns the links of all.
    fn proxy(&self) -> Result<Option<Ports>, Failure> {
        self.links.iter().any(|link| link.of.is_none()).then(Ports::free).transpose()
    }

    /// Returns the clients whose links have faults of their own, each once.
    fn proxied(&self) -> Vec<&str> {
        let mut clients: Vec<&str> = self.links.iter().filter_map(|link| link.of.as_deref()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// Returns the number of clients that are not the victim of a fault.
    pub(super) fn survivors(&self) -> usize {
        let dies = |client: &&Client| self.faults.iter().any(|fault| fault.victim() == Some(&client.id));
        self.clients.len() - self.clients.iter().filter(dies).count()
    }

    pub(super) fn multicasts(&self) -> u64 {
        self.clients.iter().map(|client| client.multicasts).sum()
    }

    /// Describes the run in a few words.
    const fn has_sequencer(&self) -> bool {
        matches!(self.way, Way::Group(Order { sequencer: true, .. }))
    }

    pub(super) fn title(&self) -> String {
        let (order, clients) = (self.way.title(), self.clients.len());
        let s = if clients == 1 { "" } else { "s" };
        format!("order {order}, {clients} client{s}, speed {}", self.speed)
    }
}

/// Refuses settings that a sequencer with a log, or a cluster, has no use for.
fn check(settings: &Settings) -> Result<(), Failure> {
    let groups = settings.clients.iter().any(|client| !client.groups.is_empty());
    let of_log = [("can_sequence", settings.can_sequence), ("standby", settings.standby), ("groups", groups)];
    match settings.way {
        Way::Group(order) if order.is_logged() => {
            let given = of_log.iter().find(|(_, is_given)| *is_given);
            return given.map_or(Ok(()), |(key, _)| {
                let why = format!("`{key}` is not for method log: one process has the log of one group");
                let help = "method bb, ub and uub allow it; what is in the log survives without";
                Err(Failure::new(Exit::Usage, why).help(help))
            });
        }
        Way::Group(_) => return Ok(()),
        Way::Cluster => {}
    }
    let refused = of_log.into_iter().chain([
        ("safe", settings.safe),
        ("suspect_after", settings.suspect_after.is_some()),
        ("link", !settings.links.is_empty()),
        ("trace", settings.trace),
    ]);
    let refused: Vec<_> = refused.collect();
    if let Some((key, _)) = refused.iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::new(Exit::Usage, format!("`{key}` is not for order tentative")).help(
            "a cluster has no servers and no links to them; its members can be killed, restarted and paused",
        ));
    }
    if settings.clients.len() > MOST_MEMBERS {
        let why = format!("a cluster has at most {MOST_MEMBERS} members");
        return Err(Failure::new(Exit::Usage, why));
    }
    Ok(())
}

/// Returns the way that a scenario selects.
fn way(scenario: &Scenario) -> Result<Way, Failure> {
    let name = scenario.order.as_deref().unwrap_or("total");
    let (method, reliability) = (scenario.method.as_deref(), scenario.reliability.unwrap_or_default());
    if name != order::TENTATIVE {
        return cli::order_over(name, method, reliability, scenario.safe).map(Way::Group);
    }
    if !reliability.is_default() {
        return Err(Failure::new(Exit::Usage, "`reliability` is not for order tentative"));
    }
    cli::way(name, method)
}

fn no_process(name: &str, names: &[&str]) -> Failure {
    Failure::new(Exit::BadData, format!("no process of this run is called {name}")).help(hint(
        name,
        names.iter().copied(),
        &format!("there are {}", list(names)),
    ))
}

/// One run of [`Settings`], with its folder and its ports.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) folder: PathBuf,
    pub(super) ports: Ports,
    /// The ports of the proxy to which members connect, if there is one.
    proxy: Option<Ports>,
    /// The ports of the proxies of single clients, in the order of [`Settings::proxied`].
    own_proxies: Vec<Ports>,
    /// The UDP ports of the members of a cluster, and what keeps other runs from taking them.
    datagrams: (Vec<Ports>, Vec<u16>),
    pub(super) processes: Vec<Process>,
    /// The number of servers, which are the first of the processes.
    pub(super) servers: usize,
}

impl Plan {
    /// Plans a run in `folder`, with the ports from `port_base` on, or free ones.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if there are no free ports, or the programs are missing.
    pub(super) fn new(settings: &Settings, folder: PathBuf, port_base: Option<u16>) -> anyhow::Result<Self> {
        let ports = port_base.map_or_else(Ports::free, |base| Ok(Ports::at(base)))?;
        let (proxy, proxied) = (settings.proxy()?, settings.proxied());
        let own_proxies = proxied.iter().map(|_| Ports::free()).collect::<Result<Vec<_>, _>>()?;
        let members = settings.clients.iter().filter(|_| settings.way.is_cluster()).count();
        let datagrams = Ports::free_for_datagrams(members)?;
        let (middle, seen) = (ports.base, proxy.as_ref().map_or(ports.base, |proxy| proxy.base));
        let programs = folder_of_programs()?;
        let process = |name: &str, program: &str, arguments: String, operations| {
            let mut arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            arguments.extend(common_arguments(settings, &folder, program));
            Process { name: name.to_owned(), program: programs.join(program), arguments, operations }
        };
        let new_proxy = |name: &str, of: Option<&str>, listen: u16, to: u16| {
            let proxy = process(name, "groupcast", proxy_arguments(settings, listen, to), None);
            with_script(proxy, &folder, of)
        };
        let mut processes: Vec<Process> = settings
            .servers()
            .map(|name| match name {
                PROXY => new_proxy(name, None, seen, middle),
                "sequencer" | STANDBY => {
                    let patience = patience(settings);
                    let standby = if name == STANDBY { " --standby" } else { "" };
                    let arguments = format!("--port-base {seen} --progress{patience}{standby}");
                    with_log(process(name, "sequencer", arguments, None), settings, &folder)
                }
                _ => process(name, name, server_arguments(name, settings, middle), None),
            })
            .collect();
        let own = |(of, own): (&&str, &Ports)| new_proxy(&proxy_of(of), Some(of), own.base, seen);
        processes.extend(proxied.iter().zip(&own_proxies).map(own));
        let servers = processes.len();
        for client in &settings.clients {
            let arguments = match settings.way {
                Way::Group(order) => {
                    let own = proxied.iter().position(|id| *id == client.id).map(|own| own_proxies[own].base);
                    client_arguments(client, settings, order, own.unwrap_or(seen))
                }
                Way::Cluster => member_arguments(client, settings),
            };
            let mut process = process(&client.id, "client", arguments, Some(client.operations));
            process.arguments.extend(settings.trace.then(|| "--trace".to_owned()));
            // These are words of their own, because a path may contain a space.
            let (commands, out) = (commands_file(&folder, client), folder.display().to_string());
            let commands = commands.display().to_string();
            process.arguments.extend(["--commands".to_owned(), commands, "--out".to_owned(), out]);
            if settings.way.is_cluster() {
                let data = folder.join("data").join(&client.id);
                let cluster = cluster_file(&folder).display().to_string();
                process.arguments.extend(["--cluster".to_owned(), cluster]);
                process.arguments.extend(["--data".to_owned(), data.display().to_string()]);
            }
            processes.push(process);
        }
        Ok(Self { folder, ports, proxy, own_proxies, datagrams, processes, servers })
    }

    /// Writes the command files and a description of the run into the folder.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`].
    pub(super) fn prepare(&self, settings: &Settings, replay: &str) -> anyhow::Result<()> {
        let description = format!("{:#}\n", self.describe(settings, replay));
        let write = || -> anyhow::Result<()> {
            fs::create_dir_all(self.commands_folder())?;
            for client in &settings.clients {
                client.write_commands(&commands_file(&self.folder, client))?;
            }
            fs::write(self.folder.join("run.json"), description)?;
            if settings.keys {
                self.make_keys(settings)?;
            }
            if settings.way.is_cluster() {
                fs::write(cluster_file(&self.folder), self.cluster(settings))?;
            }
            let of_each = settings.links.iter().map(|link| link.of.as_deref());
            of_each.collect::<BTreeSet<_>>().into_iter().try_for_each(|of| {
                let links = settings.links.iter().filter(|link| link.of.as_deref() == of);
                let links: String = links.map(|link| format!("{link}\n")).collect();
                fs::write(links_file(&self.folder, of), links)
            })?;
            Ok(())
        };
        write().with_context(|| {
            Failure::new(Exit::CannotCreate, format!("cannot fill {}", self.folder.display()))
        })
    }

    /// Makes the keys of all processes.
    fn make_keys(&self, settings: &Settings) -> Result<(), Failure> {
        if settings.way.is_cluster() {
            return keys::cluster::make(&keys_of(settings, &self.folder)).map(drop);
        }
        let sequencers = [("sequencer", Role::Sequencer), (STANDBY, Role::Standby)];
        let sequencers =
            sequencers.into_iter().filter(|(name, _)| settings.servers().any(|server| server == *name));
        let clients = settings.clients.iter().map(|client| (client.id.as_str(), Role::Client));
        keys::make_all(&keys_of(settings, &self.folder), clients.chain(sequencers))
    }

    /// Returns the text of the cluster file.
    fn cluster(&self, settings: &Settings) -> String {
        let ids = settings.clients.iter().map(|client| client.id.as_str());
        on_loopback("run", None, ids.zip(self.datagrams.1.iter().copied()))
    }

    pub(super) fn commands_folder(&self) -> PathBuf {
        self.folder.join("commands")
    }

    /// Returns the path of the log that keeps the output of a process.
    pub(super) fn log(&self, process: &Process) -> PathBuf {
        self.folder.join(format!("{}.log", process.name))
    }

    /// Returns the processes of the clients.
    pub(super) fn clients(&self) -> &[Process] {
        &self.processes[self.servers..]
    }

    /// Formats the plan for programs.
    pub(super) fn describe(&self, settings: &Settings, replay: &str) -> Value {
        let processes = self.processes.iter();
        let processes: Vec<Value> = processes
            .map(
                |process| json!({"name": process.name, "command": process.words(), "log": self.log(process)}),
            )
            .collect();
        let links = settings.links.iter().map(words_of);
        let faults = links.chain(settings.faults.iter().map(ToString::to_string));
        json!({
            "v": 1,
            "event": "plan",
            "version": env!("CARGO_PKG_VERSION"),
            "dir": self.folder,
            "order": settings.way.name(),
            "method": settings.way.method(),
            "reliability": settings.way.reliability().map(Reliability::name),
            "speed": settings.speed,
            "clients": self.clients().iter().map(|client| &client.name).collect::<Vec<_>>(),
            "operations": settings.clients.iter().map(|client| client.operations).sum::<u64>(),
            "multicasts": settings.multicasts(),
            "port_base": self.ports.base,
            "proxy_port_base": self.proxy.as_ref().map(|ports| ports.base),
            "client_proxy_port_bases": self.own_proxies.iter().map(|ports| ports.base).collect::<Vec<_>>(),
            "seed": settings.seed,
            "faults": faults.collect::<Vec<_>>(),
            "processes": processes,
            "replay": replay,
        })
    }

    /// Formats the plan for people.
    pub(super) fn text(&self, settings: &Settings) -> String {
        let mut text = String::new();
        let width = self.width().max("folder".len());
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "{name:<width$}  {what}");
        };
        let timeout = duration(settings.timeout);
        line("run", &format!("{}, timeout {timeout}; a dry run: nothing is started", settings.title()));
        line("folder", &format!("{}/", self.folder.display()));
        line("ports", &self.ports(settings));
        for link in &settings.links {
            line("link", &words_of(link));
        }
        for process in &self.processes {
            line(&process.name, &process.command_line());
        }
        for (place, Process { name, .. }) in self.clients().iter().enumerate() {
            let files = match settings.way {
                Way::Group(Order { suffix, .. }) => {
                    format!(
                        "test_result_{name}_{suffix}.txt  test_result_{name}_uno.txt  history_{name}.jsonl"
                    )
                }
                Way::Cluster => format!(
                    "test_result_{name}_tom.txt  test_result_{name}_now.txt  test_result_{name}_uno.txt  history_{name}.1.jsonl"
                ),
            };
            line(if place == 0 { "files" } else { "" }, &files);
        }
        let logs: Vec<String> =
            self.processes.iter().map(|process| format!("{}.log", process.name)).collect();
        line("", &format!("commands/  run.json  {}", logs.join("  ")));
        text
    }

    /// Formats the ports for people.
    pub(super) fn ports(&self, settings: &Settings) -> String {
        let port = |port: Port| port.number(self.ports.base);
        let [input, output, sync, router] = [Port::In, Port::Out, Port::Sync, Port::Router].map(port);
        match settings.way {
            Way::Group(_) => format!("in {input}, out {output}, sync {sync}, router {router}"),
            Way::Cluster => {
                let ports: Vec<String> = self.datagrams.1.iter().map(u16::to_string).collect();
                format!("UDP {}", ports.join(", "))
            }
        }
    }

    /// Formats the range of ports in a few words.
    pub(super) fn range(&self, settings: &Settings) -> String {
        match settings.way {
            Way::Group(_) => format!("{}-{}", self.ports.base, self.ports.base + 3),
            Way::Cluster => self.ports(settings),
        }
    }

    /// Returns the length of the longest name.
    pub(super) fn width(&self) -> usize {
        self.processes.iter().map(|process| process.name.len()).max().unwrap_or_default()
    }
}

/// Gives a sequencer the folder of its log, if the order has one.
fn with_log(mut sequencer: Process, settings: &Settings, folder: &Path) -> Process {
    if matches!(settings.way, Way::Group(order) if order.is_logged()) {
        sequencer.arguments.extend(["--log".to_owned(), folder.join("log").display().to_string()]);
    }
    sequencer
}

/// Returns the arguments that do not depend on the process, but on its program.
fn common_arguments(settings: &Settings, folder: &Path, program: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    arguments.extend(settings.verbose.then(|| "--verbose".to_owned()));
    // The proxy passes on what it cannot read.
    if settings.keys && program != "groupcast" {
        arguments.extend(["--keys".to_owned(), keys_of(settings, folder).display().to_string()]);
    }
    if let (Some(known_bad), "client" | "sequencer") = (&settings.known_bad, program) {
        arguments.extend(["--known-bad".to_owned(), known_bad.clone()]);
    }
    arguments
}

/// Returns the argument for the number of clients of each group, if the scenario names groups.
fn group_sizes(settings: &Settings) -> String {
    if settings.clients.iter().all(|client| client.groups.is_empty()) {
        return String::new();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for client in &settings.clients {
        let main = client.groups.is_empty().then_some(MAIN);
        for group in client.groups.iter().map(String::as_str).chain(main) {
            *sizes.entry(group).or_default() += 1;
        }
    }
    let sizes: Vec<String> = sizes.iter().map(|(group, count)| format!("{group}={count}")).collect();
    format!(" --group-clients {}", sizes.join(","))
}

fn server_arguments(name: &str, settings: &Settings, port_base: u16) -> String {
    let clients = settings.clients.len();
    let timeout = duration_argument(settings.timeout.min(START_TIMEOUT));
    match name {
        "forwarder" => {
            let sizes = group_sizes(settings);
            let no_sequencer = if settings.has_sequencer() { "" } else { " --no-sequencer" };
            format!(
                "--clients {clients}{sizes}{no_sequencer} --start-timeout {timeout} --port-base {port_base}"
            )
        }
        _ => format!("--port-base {port_base}"),
    }
}

/// Returns the arguments of a member of a cluster, but for its files.
fn member_arguments(client: &Client, settings: &Settings) -> String {
    let (id, speed, timeout) = (&client.id, settings.speed, duration_argument(settings.timeout));
    format!("--id {id} --order {} --speed {speed} --timeout {timeout} --progress", order::TENTATIVE)
}

fn client_arguments(client: &Client, settings: &Settings, order: &Order, port_base: u16) -> String {
    let Settings { speed, timeout, .. } = settings;
    let safe = if settings.safe { " --safe" } else { "" };
    let can_sequence = if settings.can_sequence && order.sequencer { " --can-sequence" } else { "" };
    let patience = patience(settings);
    let timeout = duration_argument(*timeout);
    let method = order.method.map_or_else(String::new, |method| format!(" --method {method}"));
    let reliability = match order.reliability {
        reliability if reliability.is_default() => String::new(),
        reliability => format!(" --reliability {}", reliability.name()),
    };
    let groups = match &client.groups[..] {
        [] => String::new(),
        groups => format!(" --group {}", groups.join(",")),
    };
    let (id, order) = (&client.id, order.name);
    format!(
        "--id {id}{groups} --order {order}{method}{reliability} --speed {speed} --timeout {timeout} --port-base {port_base} --progress{patience}{can_sequence}{safe}"
    )
}

/// Returns the argument for the suspicion timeout, if the scenario sets one.
fn patience(settings: &Settings) -> String {
    let after = settings.suspect_after.map(duration_argument);
    after.map_or_else(String::new, |after| format!(" --suspect-after {after}"))
}

fn commands_file(folder: &Path, client: &Client) -> PathBuf {
    folder.join("commands").join(format!("{}.txt", client.id))
}

/// Returns the folder of the keys, or the file of the key of a cluster.
fn keys_of(settings: &Settings, folder: &Path) -> PathBuf {
    folder.join(if settings.way.is_cluster() { "cluster.key_secret" } else { "keys" })
}

fn cluster_file(folder: &Path) -> PathBuf {
    folder.join("cluster.toml")
}

fn proxy_arguments(settings: &Settings, listen: u16, to: u16) -> String {
    let (seed, timeout) = (settings.seed, START_TIMEOUT.as_secs());
    // The supervisor ends the proxy once all other processes have ended.
    format!("proxy --listen {listen} --to {to} --seed {seed} --start-timeout {timeout}s --stay --json")
}

/// Returns the file with the faults of the links of all, or of one client.
fn links_file(folder: &Path, of: Option<&str>) -> PathBuf {
    folder.join(of.map_or_else(|| "faults.txt".to_owned(), |client| format!("faults@{client}.txt")))
}

/// Adds the faults of the links of all, or of one client, to the arguments of a proxy.
fn with_script(mut proxy: Process, folder: &Path, of: Option<&str>) -> Process {
    proxy.arguments.extend(["--script".to_owned(), links_file(folder, of).display().to_string()]);
    proxy
}

/// Formats a fault of a link for people, with the client that it concerns.
fn words_of(link: &link::Fault) -> String {
    link.of.as_ref().map_or_else(|| link.to_string(), |of| format!("{link}, of {of}"))
}
