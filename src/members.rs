//! `groupcast members`: the current members of the groups at a forwarder. The tool joins no group: it asks the
//! forwarder, to which members report their progress with each request.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{self, Address};
use crate::driver::{Clock, ForwarderLinks, clock};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::keys::context;
use crate::order::Order;
use crate::session::SAY_EVERY;
use crate::session::attendance::News;
use crate::talk::{self, Color, Level, Talk, natural, printable};
use crate::transport::signals::Signals;
use crate::transport::zmq;
use crate::units;
use crate::wire::control::{Ask, GroupState, Identity, MemberState, Role};

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast members
  groupcast members --group main --json

One line a member, after one for its group: what it is, whether the forwarder has its connection, how long ago it \
was heard, its view, and how many multicasts it has delivered and holds back; * marks who numbers or leads. Members \
tell this about once a second. A last line tells when short packets go through the sequencer's own ports. At a forwarder without a group it prints `no group yet`; with --group it waits for that one.";

/// The interval at which a watched group is shown again.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The interval at which a group that is waited for is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Clears a terminal and moves the cursor to its top.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Arguments of `groupcast members`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    #[command(flatten)]
    address: Address,
    /// Only this group
    #[arg(long, value_name = "NAME", env = "GROUPCAST_GROUP", hide_env = true, value_parser = cli::id)]
    group: Option<String>,
    /// Answer in JSON: one object for each group, on a line of its own
    #[arg(long)]
    json: bool,
    /// Show it again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Give up if no forwarder has answered by then, or none with the group that --group names
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::parse_duration)]
    timeout: Duration,
}

/// Prints the members.
///
/// # Errors
/// [`Exit::Unavailable`] if no forwarder answers, or none has the named group, and [`Exit::Io`].
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let talk = Talk::new("groupcast", Level::Normal, Color::Auto);
    let signals = Signals::catch()?;
    let (context, mut clock) = (context::of_observer(&args.address.access)?, Clock::start());
    let group = args.group.as_deref().unwrap_or_default();
    let who = Identity::new(group, "members", Role::Client, clock::nonce());
    let sites = args.address.sites()?;
    let limit = Some(args.timeout);
    let mut forwarders =
        ForwarderLinks::new(&context, &sites, clock.now(), &who, &Ask::Members { skip: 0 }, limit)?;
    let (mut answer, mut waiting) = (Answer::default(), Waiting::default());
    loop {
        let now = clock.now();
        let limit = forwarders.next_deadline().since(now).min(clock::LONGEST_WAIT);
        zmq::wait(&forwarders.sockets().collect::<Vec<_>>(), signals.fds(), limit);
        if let Some(exit) = signals.received() {
            return Ok(exit);
        }
        let now = clock.now();
        for (from, news) in forwarders.turn(now, &talk)? {
            match news {
                News::Members { groups, more } => {
                    let is_ours = answer.is_of(from, now, &forwarders);
                    if is_ours && let Some(groups) = answer.add(from, groups, more, &mut forwarders) {
                        let is_shown = args.watch || !groups.is_empty() || args.group.is_none();
                        if !is_shown {
                            waiting.look(args, now, &talk)?;
                        } else if !show(args, &groups, &talk)? || !args.watch {
                            return Ok(Exit::Ok);
                        }
                        forwarders.pause(now.after(if is_shown { WATCH_EVERY } else { LOOK_AGAIN }));
                    }
                }
                News::Failed(failure) => forwarders.lose(from, failure, now, &talk)?,
                _ => {}
            }
        }
    }
}

/// The answer of a forwarder, which may come in several parts.
#[derive(Default)]
struct Answer {
    /// The chosen forwarder.
    from: Option<usize>,
    groups: Vec<GroupState>,
    rows: usize,
}

impl Answer {
    /// Returns true if this forwarder is the chosen one: the first that answered, as long as it is in touch.
    fn is_of(&mut self, from: usize, now: Time, forwarders: &ForwarderLinks) -> bool {
        if self.from.is_none_or(|chosen| chosen != from && !forwarders.is_in_touch(chosen, now)) {
            *self = Self { from: Some(from), ..Self::default() };
        }
        self.from == Some(from)
    }

    /// Adds a part of the answer; returns all of it after the last part.
    fn add(
        &mut self,
        from: usize,
        part: Vec<GroupState>,
        more: bool,
        forwarders: &mut ForwarderLinks,
    ) -> Option<Vec<GroupState>> {
        for group in part {
            self.rows += group.members.len();
            match self.groups.last_mut() {
                Some(last) if (&last.group, &last.run) == (&group.group, &group.run) => {
                    last.members.extend(group.members);
                }
                _ => {
                    self.rows += 1;
                    self.groups.push(group);
                }
            }
        }
        let skip = if more { self.rows as u32 } else { 0 };
        forwarders.turn_one_to(from, Ask::Members { skip });
        (!more).then(|| {
            self.rows = 0;
            let mut groups = std::mem::take(&mut self.groups);
            groups
                .iter_mut()
                .for_each(|group| group.members.sort_by_cached_key(|member| natural(&member.id)));
            groups
        })
    }
}

/// The wait for a group.
#[derive(Default)]
struct Waiting {
    said: Time,
}

impl Waiting {
    /// Reports at intervals that there is no such group yet; fails when the time is up.
    fn look(&mut self, args: &Args, now: Time, talk: &Talk) -> Result<(), Failure> {
        let what = format!("group {}", args.group.as_deref().unwrap_or_default());
        let left = args.timeout.saturating_sub(now.since(Time::ZERO));
        if left.is_zero() {
            return Err(Failure::new(Exit::Unavailable, format!("the forwarder has no {what}"))
                .help("a group is there from when its first client joins until all know how it ended"));
        }
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            let left = units::duration(left);
            talk.say(format!("the forwarder has no {what}; waiting for one (gives up in {left})"));
        }
        Ok(())
    }
}

/// Prints the groups; returns false if the pipe is closed.
fn show(args: &Args, groups: &[GroupState], talk: &Talk) -> anyhow::Result<bool> {
    if args.json {
        if groups.is_empty() && !args.watch {
            talk.say("no group yet");
        }
        return groups
            .iter()
            .try_fold(true, |is_read, group| Ok(is_read && cli::is_read(&as_json(group).to_string())?));
    }
    let mut text = String::new();
    if args.watch && std::io::stdout().is_terminal() {
        text.push_str(CLEAR);
    }
    if groups.is_empty() {
        text.push_str("no group yet\n");
    }
    for group in groups {
        text.push_str(&as_text(group));
    }
    cli::is_read(if args.watch { &text } else { text.trim_end() })
}

/// Returns true if this member numbers the multicasts of its group or, without a sequencer, leads it.
fn leads(group: &GroupState, member: &MemberState) -> bool {
    group.leader.as_ref() == Some(&member.id)
}

fn as_json(group: &GroupState) -> Value {
    let member = |member: &MemberState| {
        let status = member.status;
        json!({
            "id": member.id,
            "role": member.role,
            "incarnation": member.incarnation,
            "stage": member.stage,
            "heard_ms": member.heard_ms,
            "view": status.map(|status| status.view),
            "delivered": status.map(|status| status.delivered),
            "held": status.map(|status| status.held),
            "way": status.map(|status| if status.at_door { "door" } else { "forwarder" }),
            "leads": leads(group, member),
        })
    };
    json!({
        "v": 1,
        "group": group.group,
        "run": group.run,
        "order": group.order,
        "method": group.method,
        "reliability": group.reliability,
        "stage": group.stage,
        "view": group.view,
        "leader": group.leader,
        "missing": group.missing,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
}

fn as_text(group: &GroupState) -> String {
    let view = group.view.map_or_else(String::new, |view| format!(", view {view}"));
    let missing = match &group.missing[..] {
        [] => String::new(),
        missing => format!("; waiting for {}", printable(&talk::list(missing))),
    };
    let words = [&*group.order, &*group.method, &*group.reliability];
    let title = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut text = format!("{}: order {title}, {}{view}{missing}\n", printable(&group.group), group.stage);
    let cell = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let head = ["", "id", "role", "incarnation", "state", "heard", "view", "delivered", "held"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(group.members.iter().map(|member| {
        let status = member.status;
        let is_client = member.role == Role::Client;
        [
            if leads(group, member) { "*" } else { "" }.to_owned(),
            printable(&member.id),
            member.role.to_string(),
            member.incarnation.to_string(),
            member.stage.to_string(),
            units::duration(Duration::from_millis(member.heard_ms)),
            cell(status.map(|status| status.view)),
            cell(status.filter(|_| is_client).map(|status| status.delivered)),
            cell(status.map(|status| status.held)),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if group.members.iter().any(|member| leads(group, member)) {
        let numbers = Order::find(&group.order, &group.method).is_some_and(|order| order.sequencer);
        let does = if numbers { "numbers the multicasts" } else { "leads the next change of the view" };
        let _ = writeln!(text, "* {does}");
    }
    if group.members.iter().any(|member| member.status.is_some_and(|status| status.at_door)) {
        let _ = writeln!(text, "short packets pass the door of the sequencer, not the forwarder");
    }
    text
}
