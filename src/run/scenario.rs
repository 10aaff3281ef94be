//! The scenario of a run, from the command line or a `scenario.toml`; each mistake is reported with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error};
use toml::{Spanned, Value};

use crate::check::PROPERTIES;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::fault::Fault;
use crate::fault::table::Table;
use crate::nearest::{one_of, toml_flaw, unknown};
use crate::order::{ORDERS, Reliability, all_names};
use crate::place::{Flaw, Source, shown};
use crate::units::parse_duration;

/// The most clients of a run, and the most multicasts of a generated workload of each.
pub(super) const MOST_MEMBERS: u16 = 1000;
pub(super) const MOST_MESSAGES: u64 = 10_000_000;

/// All settings that a scenario may have; the plan has the defaults of the others.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Scenario {
    #[serde(rename = "commands")]
    pub(super) written_commands: Option<Spanned<Value>>,
    #[serde(skip)]
    pub(super) commands: Option<Commands>,
    #[serde(deserialize_with = "members")]
    pub(super) members: Option<usize>,
    #[serde(deserialize_with = "messages")]
    pub(super) messages: Option<u64>,
    #[serde(deserialize_with = "order")]
    pub(super) order: Option<String>,
    #[serde(deserialize_with = "method")]
    pub(super) method: Option<String>,
    #[serde(deserialize_with = "reliability")]
    pub(super) reliability: Option<Reliability>,
    /// The groups of clients, the first one first; all others are in `main`.
    #[serde(deserialize_with = "groups")]
    pub(super) groups: BTreeMap<String, Vec<String>>,
    /// Whether clients deliver only stable messages.
    pub(super) safe: bool,
    /// Whether clients can become the sequencer after it has failed.
    pub(super) can_sequence: bool,
    /// Whether the run has a standby.
    pub(super) standby: bool,
    /// The suspicion timeout.
    #[serde(deserialize_with = "time")]
    pub(super) suspect_after: Option<Duration>,
    #[serde(deserialize_with = "speed")]
    pub(super) speed: Option<f64>,
    #[serde(deserialize_with = "time")]
    pub(super) timeout: Option<Duration>,
    /// The seed of the random choices of the proxy.
    pub(super) seed: Option<u64>,
    #[serde(deserialize_with = "expect")]
    pub(super) expect: Expect,
    #[serde(rename = "faults")]
    pub(super) written_faults: Vec<Spanned<Table>>,
    #[serde(skip)]
    pub(super) faults: Vec<Fault>,
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
    let mut scenario: Scenario = toml::from_str(text).map_err(|error| toml_flaw(&error, text))?;
    for table in scenario.written_faults.drain(..) {
        let place = table.span();
        scenario.faults.push(table.into_inner().fault(place)?);
    }
    let commands = scenario.written_commands.take();
    scenario.commands = commands.map(|commands| read_commands(&commands, folder)).transpose()?;
    Ok(scenario)
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

/// Reads a value that `check` accepts. The parser adds the place of the value to an objection.
fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de>, R>(
    from: D,
    check: impl FnOnce(T) -> Result<R, String>,
) -> Result<R, D::Error> {
    check(T::deserialize(from)?).map_err(D::Error::custom)
}

fn members<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    checked(from, |number| Ok(Some(count(number, MOST_MEMBERS.into())? as usize)))
}

fn messages<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    checked(from, |number| count(number, MOST_MESSAGES).map(Some))
}

fn order<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let orders = all_names();
    checked(from, |name: String| one_of(&name, &orders).map(|name| Some(name.to_owned())))
}

fn method<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let methods: Vec<&str> = ORDERS.iter().filter_map(|order| order.method).collect();
    checked(from, |name: String| one_of(&name, &methods).map(|name| Some(name.to_owned())))
}

fn reliability<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Reliability>, D::Error> {
    let names = Reliability::ALL.map(Reliability::name);
    checked(from, |name: String| one_of(&name, &names).map(Reliability::find))
}

fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    checked(from, |groups: BTreeMap<String, Vec<String>>| {
        for (client, groups) in &groups {
            if groups.is_empty() {
                return Err(format!("{client} has no group: write {client} = [\"a\", \"b\"]"));
            }
            groups.iter().try_for_each(|group| cli::id(group).map(drop))?;
        }
        Ok(groups)
    })
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    checked(from, |time: String| parse_duration(&time).map(Some))
}

fn speed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    checked(from, |speed: f64| cli::factor(&speed.to_string()).map(Some))
}

fn expect<'de, D: Deserializer<'de>>(from: D) -> Result<Expect, D::Error> {
    checked(from, |text: String| Expect::parse(&text))
}

fn count(number: i64, most: u64) -> Result<u64, String> {
    let fits = u64::try_from(number).ok().filter(|number| (1..=most).contains(number));
    fits.ok_or_else(|| format!("expected a number from 1 to {most}"))
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

    /// Formats the expectation as a scenario has it.
    pub(super) fn words(&self) -> String {
        let which = |word: &str, name: &Option<String>| match name {
            Some(name) => format!("{word}:{name}"),
            None => word.to_owned(),
        };
        match self {
            Self::Pass => "pass".to_owned(),
            Self::Undecided => "undecided".to_owned(),
            Self::Violated(name) => which("violated", name),
            Self::Died(name) => which("died", name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::table;

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
            reliability = "nack"
            speed = 50
            timeout = "20s"
            expect = "died:a"
            groups = { a = ["red", "blue"] }
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
        assert_eq!(scenario.reliability, Some(Reliability::Nack));
        assert_eq!(scenario.groups["a"], ["red", "blue"]);
        assert_eq!(scenario.expect, Expect::Died(Some("a".into())));
        let shown: Vec<String> = scenario.faults.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["250ms STOP to a"]);
    }

    #[test]
    fn faults_of_processes_links_and_the_machine_are_read() {
        let read = |keys: &str| parse(&format!("[[faults]]\n{keys}"), Path::new("")).unwrap().faults;
        for (keys, shown) in [
            ("kill = 'a'\nafter = '1s'", "1s KILL to a"),
            ("kill = 'a'\nafter = '1s'\nsignal = 'INT'\ndies = true", "1s INT to a, which dies"),
            ("link = '1.5s delay 20ms jitter 1ms up on in'", "1.5s delay 20ms jitter 1ms up on in"),
            ("kill = 'a'\nafter = '1s'\nsignal = 'STOP'\nfor = '2s'", "1s pause a for 2s"),
            ("kill = 'router'\nafter = '1s'\nrestart = '0s'", "1s restart router within 0s"),
            ("starve = 8\nafter = '1s'\nfor = '500ms'", "1s starve with 8 threads for 500ms"),
        ] {
            let fault = &read(keys)[0];
            assert_eq!(fault.to_string(), shown);
            let written = parse(&table::text(fault), Path::new("")).unwrap();
            assert_eq!(written.faults[0].to_string(), shown, "{}", table::text(fault));
        }
        let scenario = parse("seed = 7\n[[faults]]\nlink = '1s cut  for 2s'", Path::new("")).unwrap();
        assert_eq!((scenario.seed, &*scenario.faults[0].to_string()), (Some(7), "1s cut for 2s"));
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
    fn unknown_key_is_reported_with_all_known_ones() {
        let keys = "commands, members, messages, order, method, reliability, groups, safe, can_sequence, standby, suspect_after, speed, \
                    timeout, seed, expect, faults";
        let of_faults = "kill, starve, link, of, after, signal, restart, for, dies";
        for (text, keys) in [("x = 1", keys), ("[[faults]]\nx = 1", of_faults)] {
            assert!(failure(text).ends_with(&format!("help: the keys are {keys}")), "{}", failure(text));
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
            ("reliability = \"flod\"", "s.toml:1:15: unknown word `flod`; did you mean `flood`?"),
            ("members = 0", "s.toml:1:11: expected a number from 1 to 1000"),
            ("members = 1001", "s.toml:1:11: expected a number from 1 to 1000"),
            ("messages = 10000001", "s.toml:1:12: expected a number from 1 to 10000000"),
            ("speed = -1.0", "s.toml:1:9: expected a number above 0"),
            ("timeout = \"soon\"", "s.toml:1:11: "),
            ("expect = \"violated:totl\"", "did you mean `total`?"),
            ("commands = 7", "s.toml:1:12: this is no folder"),
            ("members = \"4\"", "s.toml:1:11: invalid type: string"),
            ("members = ", "s.toml:1:11: "),
            ("groups = { c1 = [] }", "s.toml:1:10: c1 has no group"),
            ("groups = { c1 = [\"a/b\"] }", "s.toml:1:10: an id consists of"),
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
