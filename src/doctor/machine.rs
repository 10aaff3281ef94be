//! Checks of the machine: programs, variables, folders with room, open files, and the clock.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Command;
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::driver::{Clock, clock as time};
use crate::nearest::nearest;
use crate::processes::PROGRAMS;
use crate::talk;
use crate::transport::limits::{FILES_A_CLIENT, OWN_FILES};
use crate::transport::zmq;

/// The oldest version with heartbeats and with the handover of a name to a new connection.
const OLDEST_ZEROMQ: (u32, u32) = (4, 2);
/// The room below which a long run may fill the disk.
const LITTLE_ROOM: u64 = 100 << 20;
/// The number of clients below which the limit of open files may matter.
const MANY_CLIENTS: u64 = 100;
/// The earliest time (2025-01-01) that a correct clock can show.
const PAST: Duration = Duration::from_secs(1_735_689_600);
/// The latest time (2100-01-01) that a correct clock can show.
const FUTURE: Duration = Duration::from_secs(4_102_444_800);
/// The most that calendar and clock may drift apart during the checks.
const DRIFT: Duration = Duration::from_secs(1);

/// Checks the versions of the program and of ZeroMQ.
pub(super) fn versions() -> Finding {
    let library = zmq::library_version();
    let says = format!("groupcast {}, libzmq {library}", env!("CARGO_PKG_VERSION"));
    let mut numbers = library.split('.').map(|number| number.parse().unwrap_or(0));
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST_ZEROMQ {
        return Finding::ok("versions", says);
    }
    let (major, minor) = OLDEST_ZEROMQ;
    Finding::fail("versions", says, format!("install libzmq {major}.{minor} or newer"))
}

/// Checks that a shell finds the programs of this installation, and not others of the same name.
pub(super) fn programs() -> Vec<Finding> {
    let Some(own) = env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned())) else {
        return vec![Finding::warn("programs", "where they are cannot be told", "is /proc mounted?")];
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let found: Vec<Finding> = PROGRAMS.iter().filter_map(|name| program(name, &own, &folders)).collect();
    if found.is_empty() {
        return vec![Finding::ok("programs", format!("{} are in {}", talk::list(&PROGRAMS), own.display()))];
    }
    found
}

/// Returns the problem with the program that a shell would start by this name.
fn program(name: &str, own: &Path, folders: &[PathBuf]) -> Option<Finding> {
    let ours = own.join(name);
    let help = format!("PATH=\"{}:$PATH\" lets the shell find ours", own.display());
    match folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
        _ if !ours.is_file() => Some(Finding::fail(
            "programs",
            format!("{name} is not in {}", own.display()),
            "install all five together",
        )),
        None => Some(Finding::warn("programs", format!("{name} is not on the PATH"), help)),
        Some(path) if fs::canonicalize(&path).ok() == fs::canonicalize(&ours).ok() => None,
        Some(path) => Some(Finding::warn(
            "programs",
            format!("`{name}` is {} and not {}", path.display(), ours.display()),
            help,
        )),
    }
}

/// Checks the variables that set flags, and those that look as if they did.
pub(super) fn environment(programs: &[Command]) -> Vec<Finding> {
    let known = variables(programs);
    let (mut used, mut found) = (Vec::new(), Vec::new());
    for name in env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if !name.starts_with("GROUPCAST_") {
            continue;
        }
        if known.contains(&name) {
            used.push(name);
            continue;
        }
        let help = match nearest(&name, known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "--help shows the flags, and GROUPCAST_<FLAG> is the variable of each".to_owned(),
        };
        found.push(Finding::warn("environment", format!("{name} does nothing"), help));
    }
    used.sort();
    let set =
        if used.is_empty() { "no variable is set".to_owned() } else { format!("{} set", talk::list(&used)) };
    found.insert(0, Finding::ok("environment", set));
    found
}

/// Returns the variables of all programs and tools.
fn variables(programs: &[Command]) -> BTreeSet<String> {
    let commands = programs.iter().chain(programs.iter().flat_map(Command::get_subcommands));
    let arguments = commands.flat_map(Command::get_arguments);
    arguments.filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned())).collect()
}

/// Checks that files can be written where programs, scripts and clients write them.
pub(super) fn folders(out: Option<&Path>) -> Vec<Finding> {
    let named = [
        ("temporary", Some(env::temp_dir())),
        ("current", Some(PathBuf::from("."))),
        ("results", out.map(Path::to_owned)),
    ];
    named.into_iter().filter_map(|(name, path)| Some(folder(name, &path?))).collect()
}

fn folder(name: &str, path: &Path) -> Finding {
    let shown = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let says = |what: &str| format!("the {name} folder {} {what}", shown.display());
    let room = writes(path).and_then(|()| room(path));
    match room {
        Err(error) => Finding::fail(
            "folders",
            says(&format!("cannot be written: {error}")),
            "choose another, or change its permissions",
        ),
        Ok(room) if room < LITTLE_ROOM => Finding::warn(
            "folders",
            says(&format!("has only {} MiB of room", room >> 20)),
            "remove something",
        ),
        Ok(room) => Finding::ok("folders", says(&format!("can be written, {} MiB of room", room >> 20))),
    }
}

/// Writes a file and removes it, in the folder or its nearest existing ancestor.
fn writes(folder: &Path) -> io::Result<()> {
    let file = existing(folder).join(format!(".groupcast-doctor-{}", std::process::id()));
    let written = File::create_new(&file).and_then(|mut open| {
        io::Write::write_all(&mut open, b"groupcast doctor was here\n")?;
        open.sync_all()
    });
    let removed = fs::remove_file(&file);
    written.and(removed)
}

/// Returns the folder itself, or its nearest existing ancestor.
fn existing(folder: &Path) -> &Path {
    let found = folder.ancestors().find(|ancestor| ancestor.exists());
    found.unwrap_or_else(|| Path::new("."))
}

/// Returns the number of bytes that a user may still write in a folder.
fn room(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(existing(folder))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Checks the number of clients that the limit of open files allows a forwarder.
pub(super) fn descriptors() -> Finding {
    match getrlimit(Resource::Nofile).current {
        None => Finding::ok("open files", "as many as one likes"),
        Some(limit) => {
            let clients = limit.saturating_sub(OWN_FILES) / FILES_A_CLIENT;
            let says = format!("at most {limit}, enough for {clients} clients");
            let help = "`ulimit -n 4096` before the forwarder starts allows more";
            match clients {
                0 | 1 => Finding::fail("open files", says, help),
                _ if clients < MANY_CLIENTS => Finding::warn("open files", says, help),
                _ => Finding::ok("open files", says),
            }
        }
    }
}

/// Returns the time of the calendar, from 1970 on.
pub(super) fn calendar() -> Duration {
    time::calendar()
}

/// Checks that calendar and clock advance alike, and that the calendar shows a possible date. `calendar` is its time
/// when `clock` was started.
pub(super) fn clock(clock: &Clock, calendar: Duration) -> Finding {
    judge_clock(calendar, time::calendar(), Duration::from_micros(clock.elapsed_micros()))
}

fn judge_clock(before: Duration, after: Duration, elapsed: Duration) -> Finding {
    let help = "set the clock: times in histories are taken from it";
    if after < PAST || after > FUTURE {
        return Finding::warn("clock", format!("it shows {} s since 1970", after.as_secs()), help);
    }
    if after.abs_diff(before + elapsed) > DRIFT {
        return Finding::warn("clock", "it was set, or jumped, while this program ran", help);
    }
    Finding::ok("clock", "it goes, and shows a possible date")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn clocks_that_cannot_be_right_are_found() {
        let now = Duration::from_secs(1_800_000_000);
        let second = Duration::from_secs(1);
        for (before, after, elapsed, expected) in [
            (now, now + second, second, Verdict::Ok),
            (now, now + 60 * second, second, Verdict::Warn),
            (now, now - 60 * second, second, Verdict::Warn),
            (Duration::ZERO, second, second, Verdict::Warn),
            (FUTURE, FUTURE + second, second, Verdict::Warn),
        ] {
            assert_eq!(judge_clock(before, after, elapsed).verdict, expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_variables_of_all_programs_are_known() {
        let known = variables(&crate::programs::commands());
        for name in ["GROUPCAST_PORT_BASE", "GROUPCAST_CLIENTS", "GROUPCAST_ID", "GROUPCAST_STAY"] {
            assert!(known.contains(name), "{name}");
        }
        assert_eq!(
            nearest("GROUPCAST_PORTBASE", known.iter().map(String::as_str)),
            Some("GROUPCAST_PORT_BASE")
        );
    }

    #[test]
    fn a_folder_is_judged_without_being_made() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("not/yet");
        assert_ne!(folder("results", &below).verdict, Verdict::Fail);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(folder("results", Path::new("/proc/none")).verdict, Verdict::Fail);
    }
}
