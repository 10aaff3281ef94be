//! The scenario of a run, from the command line or a `scenario.toml`; each mistake is reported with its place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::fault::{Act, Fault, SIGNALS};
use crate::check::PROPERTIES;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::nearest::hint;
use crate::order::ORDERS;
use crate::place::{Flaw, Source, quoted, shown};
use crate::proxy;

/// The keys of a scenario, and of a fault in it.
const KEYS: [&str; 14] = [
    "commands",
    "members",
    "messages",
    "order",
    "method",
    "safe",
    "can_sequence",
    "standby",
    "suspect_after",
    "speed",
    "timeout",
    "seed",
    "expect",
    "faults",
];
const FAULT_KEYS: [&str; 8] = ["kill", "starve", "link", "after", "signal", "restart", "for", "dies"];

/// The most clients of a run, and the most multicasts of a generated workload of each.
pub(super) const MOST_MEMBERS: u16 = 1000;
pub(super) const MOST_MESSAGES: u64 = 10_000_000;
/// The most threads that keep the processors busy.
const MOST_THREADS: u64 = 1000;

/// All settings that a scenario may have; the plan has the defaults of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Scenario {
    pub(super) commands: Option<Commands>,
    pub(super) members: Option<usize>,
    pub(super) messages: Option<u64>,
    pub(super) order: Option<String>,
    pub(super) method: Option<String>,
    /// Whether clients deliver only stable messages.
    pub(super) safe: bool,
    /// Whether clients can become the sequencer after it has failed.
    pub(super) can_sequence: bool,
    /// Whether the run has a standby.
    pub(super) standby: bool,
    /// The suspicion timeout.
    pub(super) suspect_after: Option<Duration>,
    pub(super) speed: Option<f64>,
    pub(super) timeout: Option<Duration>,
    /// The seed of the random choices of the proxy.
    pub(super) seed: Option<u64>,
    pub(super) expect: Expect,
    pub(super) faults: Vec<Fault>,
    /// The faults of links, as `groupcast proxy` writes them.
    pub(super) links: Vec<String>,
}

/// The command files.
#[derive(Clone, Debug)]
pub(super) enum Commands {
    /// All `*.txt` files of a folder.
    Folder(PathBuf),
    /// The listed files.
    Files(Vec<PathBuf>),
}

/// The verdict that lets a run pass.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Expect {
    #[default]
    Pass,
    Undecided,
    /// A violation of this property, or of any.
    Violated(Option<String>),
    /// The death of this process, or of any.
    Died(Option<String>),
}

/// A scenario file, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    commands: Option<Spanned<Value>>,
    members: Option<Spanned<i64>>,
    messages: Option<Spanned<i64>>,
    order: Option<Spanned<String>>,
    method: Option<Spanned<String>>,
    #[serde(default)]
    safe: bool,
    #[serde(default)]
    can_sequence: bool,
    #[serde(default)]
    standby: bool,
    suspect_after: Option<Spanned<String>>,
    speed: Option<Spanned<f64>>,
    timeout: Option<Spanned<String>>,
    seed: Option<u64>,
    expect: Option<Spanned<String>>,
    #[serde(default)]
    faults: Vec<Spanned<FaultInFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultInFile {
    kill: Option<Spanned<String>>,
    starve: Option<Spanned<i64>>,
    link: Option<Spanned<String>>,
    after: Option<Spanned<String>>,
    signal: Option<Spanned<String>>,
    restart: Option<Spanned<String>>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<String>>,
    dies: Option<Spanned<bool>>,
}

/// A fault of the run itself, or of its links.
enum FaultOrLink {
    Fault(Fault),
    Link(String),
}

impl Scenario {
    /// Reads a scenario file. Its paths are relative to its folder.
    ///
    /// # Errors
    /// [`Exit::NoInput`] if it cannot be read, [`Exit::BadData`] with the place of the first mistake.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = shown(path.as_os_str().as_encoded_bytes());
        let text = std::fs::read_to_string(path)
            .map_err(|reason| Failure::new(Exit::NoInput, format!("cannot read {name}: {reason}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        parse(&text, folder).map_err(|flaw| Source { name, text: Bytes::from(text) }.failure(flaw))
    }
}

/// Returns the first mistake in the text of a scenario file.
pub(crate) fn objection(text: &str) -> Option<Flaw> {
    parse(text, Path::new("")).err()
}

fn parse(text: &str, folder: &Path) -> Result<Scenario, Flaw> {
    let file: File = toml::from_str(text).map_err(|error| flaw(&error, text))?;
    let (mut faults, mut links) = (Vec::new(), Vec::new());
    for fault in file.faults {
        let place = fault.span();
        match fault.into_inner().read(place)? {
            FaultOrLink::Fault(fault) => faults.push(fault),
            FaultOrLink::Link(link) => links.push(link),
        }
    }
    Ok(Scenario {
        commands: file.commands.map(|commands| read_commands(&commands, folder)).transpose()?,
        members: file
            .members
            .map(|members| checked(&members, |&n| Ok(count(n, MOST_MEMBERS.into())? as usize)))
            .transpose()?,
        messages: file
            .messages
            .map(|messages| checked(&messages, |&n| count(n, MOST_MESSAGES)))
            .transpose()?,
        order: file.order.map(|order| checked(&order, |name| order_name(name))).transpose()?,
        method: file.method.map(|method| checked(&method, |name| method_name(name))).transpose()?,
        safe: file.safe,
        can_sequence: file.can_sequence,
        standby: file.standby,
        suspect_after: file
            .suspect_after
            .map(|time| checked(&time, |time| cli::duration(time)))
            .transpose()?,
        speed: file
            .speed
            .map(|speed| checked(&speed, |speed| cli::factor(&speed.to_string())))
            .transpose()?,
        timeout: file.timeout.map(|time| checked(&time, |time| cli::duration(time))).transpose()?,
        expect: file
            .expect
            .map(|expect| checked(&expect, |text| Expect::parse(text)))
            .transpose()?
            .unwrap_or_default(),
        seed: file.seed,
        faults,
        links,
    })
}

impl FaultInFile {
    fn read(self, place: Range<usize>) -> Result<FaultOrLink, Flaw> {
        let (what, span) = match (&self.kill, &self.starve, &self.link) {
            (Some(kill), None, None) => ("kill", kill.span()),
            (None, Some(starve), None) => ("starve", starve.span()),
            (None, None, Some(link)) => ("link", link.span()),
            _ => return Err(Flaw::new(place, "a fault has one of kill, link and starve")),
        };
        let allowed: &[&str] = match what {
            "kill" => &["after", "signal", "restart", "for", "dies"],
            "starve" => &["after", "for"],
            _ => &[],
        };
        let said = [
            ("after", &self.after),
            ("signal", &self.signal),
            ("restart", &self.restart),
            ("for", &self.lasts),
        ];
        for (key, value) in said {
            if let Some(value) = value.as_ref().filter(|_| !allowed.contains(&key)) {
                return Err(Flaw::new(value.span(), format!("a fault with {what} has no {key}")));
            }
        }
        if let Some(dies) = self.dies.as_ref().filter(|_| what != "kill") {
            return Err(Flaw::new(dies.span(), format!("a fault with {what} has no dies")));
        }
        let dies = self.dies.as_ref().is_some_and(|dies| *dies.get_ref());
        if let Some(link) = &self.link {
            return read_link(link).map(FaultOrLink::Link);
        }
        let time = |value: &Option<Spanned<String>>| {
            value.as_ref().map(|time| checked(time, |time| cli::duration(time))).transpose()
        };
        let (after, restart, lasts) = (time(&self.after)?, time(&self.restart)?, time(&self.lasts)?);
        let missing = |key: &str| Flaw::new(span.clone(), format!("a fault with {what} needs {key}"));
        let after = after.ok_or_else(|| missing("after"))?;
        let act = match (self.kill, self.starve) {
            (None, Some(starve)) => Act::Starve {
                threads: checked(&starve, |&number| Ok(count(number, MOST_THREADS)? as u16))?,
                lasts: lasts.ok_or_else(|| missing("for"))?,
            },
            (kill, _) => {
                let process = kill.map(Spanned::into_inner).unwrap_or_default();
                let place = self.signal.as_ref().map_or(0..0, Spanned::span);
                let sent = self.signal.map(|name| checked(&name, |name| signal(name))).transpose()?;
                match (sent, restart, lasts) {
                    (sent, None, None) => Act::Signal { process, signal: sent.unwrap_or(Signal::KILL), dies },
                    (None | Some(Signal::KILL), Some(pause), None) => Act::Restart { process, pause },
                    (Some(Signal::STOP), None, Some(lasts)) => Act::Pause { process, lasts },
                    (_, None, Some(_)) => return Err(Flaw::new(span, "only signal = \"STOP\" has a for")),
                    _ => return Err(Flaw::new(place, "only who is killed can be started again")),
                }
            }
        };
        Ok(FaultOrLink::Fault(Fault { after, act }))
    }
}

/// Parses a fault of links; a mistake in it is reported with its place in the file.
fn read_link(link: &Spanned<String>) -> Result<String, Flaw> {
    proxy::checked(link.get_ref()).map_err(|mut flaw| {
        let (start, end) = (link.span().start + 1, link.span().end.saturating_sub(1));
        flaw.span = (start + flaw.span.start).min(end)..(start + flaw.span.end).min(end);
        flaw
    })
}

impl Expect {
    fn parse(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        match (word, rest) {
            ("pass", None) => Ok(Self::Pass),
            ("undecided", None) => Ok(Self::Undecided),
            ("died", process) => Ok(Self::Died(process.map(str::to_owned))),
            ("violated", None) => Ok(Self::Violated(None)),
            ("violated", Some(property)) => {
                let names: Vec<&str> = PROPERTIES.iter().map(|property| property.name).collect();
                one_of(property, &names).map(|name| Self::Violated(Some(name.to_owned())))
            }
            _ => Err(unknown(
                text,
                &["pass", "undecided", "violated", "violated:<property>", "died:<process>"],
            )),
        }
    }
}

fn read_commands(commands: &Spanned<Value>, folder: &Path) -> Result<Commands, Flaw> {
    let path = |value: &Value| value.as_str().map(|name| folder.join(name));
    let read = match commands.get_ref() {
        Value::Array(files) => files.iter().map(path).collect::<Option<_>>().map(Commands::Files),
        value => path(value).map(Commands::Folder),
    };
    read.ok_or_else(|| {
        Flaw::new(commands.span(), "this is no folder and no list of command files")
            .help("write commands = \".\" or commands = [\"c1.txt\", \"c2.txt\"]")
    })
}

/// Returns the result of `check` for a value, or its objection with the place of the value.
fn checked<T, R>(value: &Spanned<T>, check: impl Fn(&T) -> Result<R, String>) -> Result<R, Flaw> {
    check(value.get_ref()).map_err(|objection| Flaw::new(value.span(), objection))
}

fn count(number: i64, most: u64) -> Result<u64, String> {
    let fits = u64::try_from(number).ok().filter(|number| (1..=most).contains(number));
    fits.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

fn order_name(name: &str) -> Result<String, String> {
    one_of(name, &ORDERS.map(|order| order.name)).map(str::to_owned)
}

fn method_name(name: &str) -> Result<String, String> {
    let methods: Vec<&str> = ORDERS.iter().filter_map(|order| order.method).collect();
    one_of(name, &methods).map(str::to_owned)
}

fn signal(name: &str) -> Result<Signal, String> {
    let name = one_of(name.trim_start_matches("SIG"), &SIGNALS.map(|(name, _)| name))?;
    let signal = SIGNALS.into_iter().find(|(known, _)| *known == name);
    signal.map(|(_, signal)| signal).ok_or_else(|| "no signal".to_owned())
}

fn one_of<'a>(word: &str, known: &[&'a str]) -> Result<&'a str, String> {
    known.iter().copied().find(|known| *known == word).ok_or_else(|| unknown(word, known))
}

fn unknown(word: &str, known: &[&str]) -> String {
    let mut known = known.to_vec();
    known.dedup();
    let there_are = hint(word, known.iter().copied(), &format!("there are: {}", known.join(", ")));
    format!("unknown word {}; {there_are}", quoted(word.as_bytes()))
}

/// Converts an error of the TOML parser, with its place; for an unknown key, names the one that was probably meant.
fn flaw(error: &toml::de::Error, text: &str) -> Flaw {
    let span: Range<usize> = error.span().unwrap_or(0..0);
    if !error.message().starts_with("unknown field") {
        return Flaw::new(span, error.message().trim_end().replace('\n', "; "));
    }
    let key = text[span.clone()].trim_matches(['"', '\'']);
    let known = if error.message().contains(FAULT_KEYS[0]) { &FAULT_KEYS[..] } else { &KEYS[..] };
    let help = hint(key, known.iter().copied(), &format!("the keys are {}", known.join(", ")));
    Flaw::new(span, format!("unknown key {}", quoted(key.as_bytes()))).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> String {
        let source = Source { name: "s.toml".into(), text: Bytes::copy_from_slice(text.as_bytes()) };
        source.failure(parse(text, Path::new("dir")).unwrap_err()).to_string()
    }

    #[test]
    fn a_whole_scenario_is_read() {
        let text = r#"
            commands = ["a.txt", "sub/b.txt"]
            members = 2
            order = "total"
            method = "ub"
            speed = 50
            timeout = "20s"
            expect = "died:a"
            [[faults]]
            kill = "a"
            after = "250ms"
            signal = "SIGSTOP"
        "#;
        let scenario = parse(text, Path::new("dir")).unwrap();
        let Some(Commands::Files(files)) = &scenario.commands else { panic!("{scenario:?}") };
        assert_eq!(*files, [Path::new("dir/a.txt"), Path::new("dir/sub/b.txt")]);
        assert_eq!((scenario.members, scenario.speed), (Some(2), Some(50.0)));
        assert_eq!((scenario.order.as_deref(), scenario.method.as_deref()), (Some("total"), Some("ub")));
        assert_eq!(scenario.expect, Expect::Died(Some("a".into())));
        let shown: Vec<String> = scenario.faults.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["250ms STOP to a"]);
    }

    #[test]
    fn faults_of_processes_links_and_the_machine_are_read() {
        let fault = |keys: &str| parse(&format!("[[faults]]\n{keys}"), Path::new("")).unwrap();
        for (keys, shown) in [
            ("kill = 'a'\nafter = '1s'", "1s KILL to a"),
            ("kill = 'a'\nafter = '1s'\nsignal = 'STOP'\nfor = '2s'", "1s pause a for 2s"),
            ("kill = 'router'\nafter = '1s'\nrestart = '0s'", "1s restart router within 0s"),
            ("starve = 8\nafter = '1s'\nfor = '500ms'", "1s starve with 8 threads for 500ms"),
        ] {
            assert_eq!(fault(keys).faults[0].to_string(), shown);
        }
        let scenario = parse("seed = 7\n[[faults]]\nlink = '1s cut  for 2s'", Path::new("")).unwrap();
        assert_eq!((scenario.seed, &*scenario.links[0]), (Some(7), "1s cut for 2s"));
        for (keys, expected) in [
            ("after = '1s'", "s.toml:1:1: a fault has one of kill, link and starve"),
            ("kill = 'a'\nlink = '1s cut'", "s.toml:1:1: a fault has one of kill, link and starve"),
            ("kill = 'a'", "s.toml:2:8: a fault with kill needs after"),
            ("starve = 1\nafter = '1s'", "s.toml:2:10: a fault with starve needs for"),
            ("link = '1s cut'\nafter = '1s'", "s.toml:3:9: a fault with link has no after"),
            ("link = '1s cutt'", "s.toml:2:12: unknown fault `cutt`"),
            ("link = ''", "s.toml:2:9: expected one fault"),
            ("kill = 'a'\nafter = '1s'\nfor = '1s'", "s.toml:2:8: only signal = \"STOP\" has a for"),
            (
                "kill = 'a'\nafter = '1s'\nsignal = 'INT'\nrestart = '1s'",
                "s.toml:4:10: only who is killed can be started again",
            ),
        ] {
            let shown = failure(&format!("[[faults]]\n{keys}"));
            assert!(shown.starts_with(expected), "{keys}: {shown}");
        }
    }

    #[test]
    fn the_list_of_keys_is_complete() {
        for keys in [&KEYS[..], &FAULT_KEYS[..]] {
            let text = if keys.len() == KEYS.len() { "x = 1" } else { "[[faults]]\nx = 1" };
            let message = toml::from_str::<File>(text).err().unwrap().message().to_owned();
            let names: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            assert_eq!(names, keys, "{message}");
        }
    }

    #[test]
    fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
        let shown = failure("members = 4\nordr = \"total\"\n");
        assert!(shown.starts_with("s.toml:2:1: unknown key `ordr`\n"), "{shown}");
        assert!(shown.contains("2 | ordr = \"total\"\n  | ^^^^\n  help: did you mean `order`?"), "{shown}");
        assert!(failure("[[faults]]\nkil = \"c2\"\n").contains("did you mean `kill`?"));
    }

    #[test]
    fn every_value_is_checked_with_its_place() {
        for (text, expected) in [
            ("order = \"totl\"", "s.toml:1:9: unknown word `totl`; did you mean `total`?"),
            ("members = 0", "s.toml:1:11: expected a number from 1 to 1000"),
            ("members = 1001", "s.toml:1:11: expected a number from 1 to 1000"),
            ("messages = 10000001", "s.toml:1:12: expected a number from 1 to 10000000"),
            ("speed = -1.0", "s.toml:1:9: expected a number above 0"),
            ("timeout = \"soon\"", "s.toml:1:11: "),
            ("expect = \"violated:totl\"", "did you mean `total`?"),
            ("commands = 7", "s.toml:1:12: this is no folder"),
            ("members = \"4\"", "s.toml:1:11: invalid type: string"),
            ("members = ", "s.toml:1:11: "),
            (
                "[[faults]]\nkill = \"c1\"\nafter = \"1s\"\nsignal = \"KIL\"",
                "s.toml:4:10: unknown word `KIL`",
            ),
        ] {
            let shown = failure(text);
            assert!(shown.contains(expected), "{text}: {shown}");
        }
    }
}
