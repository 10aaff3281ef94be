//! `groupcast board`: the results of a run as bulletin boards, one for each member, as CDK (section 15.4.3) draws one:
//! item number, author, subject.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args as Arguments;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::check::{Board, Boards, Item};
use crate::cli::{self, Voice};
use crate::exit::{Exit, Failure};
use crate::order;
use crate::talk::{on_one_line, printable};
use crate::transport::terminal;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast board results
  groupcast board results --order causal
  groupcast board results --json

One board a member, in its order of delivery: the item number, who it is from, and the text. ! marks a number under \
which members have different texts, and a `Re: X` above X. The exit code is 1 if the order had promised otherwise: \
the same numbers everywhere (total, lamport, agreed, tentative), no reply above what its sender had read (causal, \
total, lamport, tentative). What is tentative has no number yet: ~.";

/// The mark of what a reader does not expect, and the colours around it.
const MARK: &str = "!";
const RED: (&str, &str) = ("\x1b[31m", "\x1b[0m");
/// Stands for the number of a tentative item.
const TENTATIVE: &str = "~";
/// Fewest columns of a subject that is cut off.
const LEAST_SUBJECT: usize = 10;

/// Arguments of `groupcast board`.
#[derive(Arguments, Clone, Debug)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// The folder with the results
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only this group
    #[arg(long, value_name = "NAME", value_parser = cli::id)]
    group: Option<String>,
    /// The order whose promises count; if not given, the one that the files name
    #[arg(long, value_parser = PossibleValuesParser::new(order::all_names()))]
    order: Option<String>,
    /// Answer in JSON: one object for each group, on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voice: Voice,
}

/// Prints the boards.
///
/// # Errors
/// Exit 66 if there is nothing to show, 65 if a file is malformed, 74 if standard output cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    let talk = args.voice.talk("groupcast");
    let (mut groups, warnings) = Boards::read(&args.dir, args.order.as_deref())?;
    warnings.iter().for_each(|warning| talk.warn(warning));
    if let Some(wanted) = &args.group {
        groups.retain(|group| group.group.as_ref() == Some(wanted));
    }
    if groups.iter().all(|group| group.items().next().is_none()) {
        let (dir, of) = (args.dir.display(), args.group.as_ref().map(|group| format!(" of group {group}")));
        let of = of.unwrap_or_default();
        let failure = Failure::new(Exit::NoInput, format!("no item{of} is in {dir}"));
        return Err(failure.help("name the folder that clients wrote with --out").into());
    }
    let out = std::io::stdout();
    let look = Look {
        columns: if out.is_terminal() { terminal::size(&out).0 } else { usize::MAX },
        color: args.voice.color.on(out.is_terminal()),
    };
    for (place, group) in groups.iter().enumerate() {
        let gap = if place == 0 || args.json { "" } else { "\n" };
        let text = if args.json { as_json(group).to_string() } else { as_text(group, look) };
        if !cli::is_read(&format!("{gap}{}", text.trim_end()))? {
            break;
        }
    }
    Ok(if groups.iter().any(Boards::is_broken) { Exit::Violated } else { Exit::Ok })
}

/// The room for a board and its colours.
#[derive(Clone, Copy)]
struct Look {
    columns: usize,
    color: bool,
}

impl Look {
    /// Returns a mark, or a gap of its width.
    fn mark(self, is_marked: bool) -> String {
        match (is_marked, self.color) {
            (true, true) => format!("{}{MARK}{}", RED.0, RED.1),
            (true, false) => MARK.to_owned(),
            (false, _) => " ".repeat(MARK.len()),
        }
    }
}

fn as_text(group: &Boards, look: Look) -> String {
    let mut text = String::new();
    let name = group.group.as_deref().map_or_else(|| "results".to_owned(), printable);
    for board in &group.boards {
        let _ = writeln!(text, "{name} at {}, {}", printable(&board.member), group.order);
        board_as_text(board, look, &mut text);
        text.push('\n');
    }
    let differ = group.items().any(|item| item.differs);
    let are_above = group.items().any(|item| item.is_above);
    let mark = look.mark(true);
    let promised =
        |is_promised: bool| if is_promised { "the order had promised otherwise" } else { "not promised" };
    if differ {
        let why = promised(group.promises_numbers);
        let _ = writeln!(text, "{mark} before a number: members have different items under it ({why})");
    }
    if are_above {
        let why = match group.is_a_cause_broken() {
            true => promised(true),
            false if group.promises_causes => "its sender had not read that",
            false => promised(false),
        };
        let _ = writeln!(text, "{mark} before a subject: a reply above what it replies to ({why})");
    }
    if group.items().any(|item| item.number.is_none()) {
        let _ = writeln!(text, "{TENTATIVE} in place of a number: tentative, the place may change");
    }
    text
}

fn board_as_text(board: &Board, look: Look, text: &mut String) {
    let number = |item: &Item| item.number.map_or_else(|| TENTATIVE.to_owned(), |number| number.to_string());
    let widest =
        |cells: &mut dyn Iterator<Item = usize>, head: &str| cells.max().unwrap_or(0).max(head.len());
    let numbers = widest(&mut board.items.iter().map(|item| number(item).len()), "Item");
    let froms = widest(&mut board.items.iter().map(|item| printable(&item.from).width()), "From");
    let _ = writeln!(text, "  {:>numbers$}  {:<froms$}    Subject", "Item", "From");
    let room = look.columns.saturating_sub(2 + numbers + 2 + froms + 4).max(LEAST_SUBJECT);
    for item in &board.items {
        let from = printable(&item.from);
        let pad = " ".repeat(froms - from.width());
        let (differs, above) = (look.mark(item.differs), look.mark(item.is_above));
        let subject = fitted(&on_one_line(&item.subject), room);
        let line = format!("{differs} {:>numbers$}  {from}{pad}  {above} {subject}", number(item));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Cuts a text off that has more columns than there is room for.
fn fitted(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |character: &char| {
        used += character.width().unwrap_or(0);
        used <= room
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

fn as_json(group: &Boards) -> Value {
    let item = |item: &Item| {
        json!({
            "item": item.number,
            "from": item.from,
            "subject": on_one_line(&item.subject),
            "differs": item.differs,
            "above_subject": item.is_above,
        })
    };
    let board = |board: &Board| {
        let items: Vec<Value> = board.items.iter().map(item).collect();
        json!({"member": board.member, "items": items})
    };
    json!({
        "v": 1,
        "group": group.group,
        "order": group.order,
        "same_numbers": !group.items().any(|item| item.differs),
        "replies_below": !group.items().any(|item| item.is_above),
        "promised": {"same_numbers": group.promises_numbers, "replies_below": group.promises_causes},
        "broken": group.is_broken(),
        "boards": group.boards.iter().map(board).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_subject_is_cut_off_by_columns() {
        assert_eq!(fitted("Mach", 4), "Mach");
        assert_eq!(fitted("Microkernels", 6), "Micro…");
        assert_eq!(fitted("好好好好", 6), "好好…");
    }
}
