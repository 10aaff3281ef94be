//! Station 2 in a cluster: a command file in, a replicated log in the middle, results out.
//!
//! A member that is started again goes on in its script after the last message that its journal has, and in its result
//! files after the last line. `member` is the member between its start and its end, `place` finds its place in the
//! script, `epochs` is how its cluster changes.

mod epochs;
mod member;
mod place;

use std::path::PathBuf;

use super::Options;
use crate::cli;
use crate::cluster::file::Cluster;
use crate::cluster::node::{Node, Settings};
use crate::exit::{Exit, Failure};
use crate::results::cluster::{ClusterResults, Opening};
use crate::script::Script;
use crate::talk::Talk;
use crate::transport::signals::Signals;
use member::Member;

/// Runs a member of a cluster to the end of its run.
///
/// # Errors
/// Any of the table of exit codes.
pub(super) fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    let paths = Paths::of(options)?;
    let script = Script::read(&paths.commands, &options.id)?;
    if options.group.len() > 1 {
        let why = format!("a cluster is one group, and --group names {}", options.group.len());
        return Err(Failure::new(Exit::Usage, why).into());
    }
    if let Some(failure) = script.unknown_group(&options.group) {
        return Err(failure.into());
    }
    let signals = Signals::catch()?;
    let cluster = Cluster::read(&paths.cluster, Some(&signals))?;
    let me = cluster.member(&options.id, &paths.cluster)?;
    let ids = cluster.ids();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    if let Some(failure) = script.unknown_receiver(&names) {
        return Err(failure.into());
    }
    if options.dry_run {
        cli::print(script.to_string().trim_end())?;
        return Ok(Exit::Ok);
    }
    let key = cluster.key(&options.address.access)?;
    let (mut node, recovered) = Node::start(
        &Settings {
            cluster: &cluster,
            me,
            data: &paths.data,
            is_unicast: options.unicast,
            key,
            limit: usize::try_from(options.journal_limit).unwrap_or(usize::MAX),
            patience: options.timeout,
            defects: options.known_bad.defects(),
            faults: options.faults.as_deref(),
        },
        signals,
        talk,
    )?;
    let opening = Opening {
        life: recovered.life,
        history: !options.no_history,
        fresh: recovered.life == 1,
        force: options.force,
    };
    // The files are there before the journal knows of the life: no life is without a history, however soon it is killed.
    let results = ClusterResults::open(&paths.out, &options.id, opening)?;
    node.begin()?;
    let mut member = Member::new(options, talk, &script, &cluster.name, node, results, &recovered)?;
    let outcome = member.begin(&recovered).and_then(|()| member.run());
    member.conclude(outcome, &paths.out)
}

/// The files and folders of a member.
struct Paths {
    cluster: PathBuf,
    data: PathBuf,
    commands: PathBuf,
    out: PathBuf,
}

impl Paths {
    /// Returns the paths that a cluster needs; refuses flags that it has no use for.
    fn of(options: &Options) -> Result<Self, Failure> {
        let unused = [
            ("--lines", options.lines),
            ("--interactive", options.interactive),
            ("--method", options.method.is_some()),
            ("--reliability", !options.reliability.is_default()),
            ("--join", options.join.is_some()),
            ("--safe", options.safe),
            ("--can-sequence", options.can_sequence),
            ("--trace", options.trace),
        ];
        if let Some((flag, _)) = unused.iter().find(|(_, is_given)| *is_given) {
            let why = format!("{flag} is not for --order tentative");
            return Err(
                Failure::new(Exit::Usage, why).help("a cluster has no forwarder: `client --help` says more")
            );
        }
        let needed = |flag: &str, path: &Option<PathBuf>| {
            path.clone().ok_or_else(|| {
                Failure::new(Exit::Usage, format!("--order tentative needs {flag}")).help(
                    "client --order tentative --cluster FILE --id s1 --data DIR --commands FILE --out DIR",
                )
            })
        };
        let out = if options.dry_run { Ok(PathBuf::new()) } else { needed("--out DIR", &options.out) };
        let data = if options.dry_run { Ok(PathBuf::new()) } else { needed("--data DIR", &options.data) };
        Ok(Self {
            cluster: needed("--cluster FILE", &options.cluster)?,
            data: data?,
            commands: needed("--commands FILE", &options.commands)?,
            out: out?,
        })
    }
}
