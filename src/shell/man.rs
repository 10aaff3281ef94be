//! `groupcast man`: a manual page for every program and every tool, from the same source as `--help`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli;
use crate::exit::{Exit, Failure};

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast man pages
  groupcast man ~/.local/share/man/man1

`man -l pages/client.1` shows a page wherever it is; in a folder that `manpath` lists, `man client` finds it.";

/// Arguments of `groupcast man`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// The folder for the pages; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// A page: its file name, and its text for `man`.
struct Page {
    name: String,
    text: String,
}

/// Writes the pages.
///
/// # Errors
/// [`Exit::CannotCreate`] if the folder or a page cannot be written.
pub(crate) fn run(args: &Args, programs: Vec<Command>) -> Result<Exit> {
    let dir = args.dir.display();
    let write = || {
        let pages = pages(programs)?;
        fs::create_dir_all(&args.dir)?;
        for page in &pages {
            fs::write(args.dir.join(&page.name), &page.text)?;
        }
        io::Result::Ok(pages)
    };
    let pages =
        write().with_context(|| Failure::new(Exit::CannotCreate, format!("cannot write to {dir}")))?;
    cli::print(&format!("{} pages in {dir}; to read one: man -l {dir}/client.1", pages.len()))?;
    Ok(Exit::Ok)
}

/// Returns all pages: of the programs, and of the tools of `groupcast`.
fn pages(programs: Vec<Command>) -> io::Result<Vec<Page>> {
    let mut commands = Vec::new();
    for mut command in programs {
        command = command.disable_help_subcommand(true);
        command.build();
        let tools: Vec<Command> = command.get_subcommands().cloned().collect();
        commands.push(command);
        commands.extend(tools);
    }
    let names: Vec<String> = commands.iter().map(name).collect();
    commands.into_iter().map(|command| page(command, &names)).collect()
}

fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, all: &[String]) -> io::Result<Page> {
    // `--help` omits the variables to be short; a page has room for them.
    let command = command.mut_args(|arg| arg.hide_env(false));
    let (name, notes) = (name(&command), command.get_after_help().map(ToString::to_string));
    let has_tools = command.has_subcommands();
    let man = Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("groupcast ", env!("CARGO_PKG_VERSION")))
        .manual("groupcast");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_tools {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    sections(&mut roff, &notes.unwrap_or_default());
    let others: Vec<String> =
        all.iter().filter(|&other| *other != name).map(|other| format!("{other}(1)")).collect();
    roff.control("SH", ["SEE ALSO"]).text([roman(others.join(", "))]);
    roff.to_writer(&mut text)?;
    Ok(Page { name: format!("{name}.1"), text: ascii(&String::from_utf8_lossy(&text)) })
}

/// Replaces characters beyond ASCII by their roff names, which roff reads whatever the encoding.
fn ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let _ = write!(ascii, "\\[u{:04X}]", u32::from(character));
        }
    }
    ascii
}

/// Writes the part of `--help` after the options as sections. A paragraph is either a line with indented lines below
/// it, or running text. Indented lines below a line of one or two words are a section with that title.
fn sections(roff: &mut Roff, notes: &str) {
    let mut is_in_notes = false;
    for paragraph in notes.split("\n\n") {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let is_list = !rest.is_empty() && rest.lines().all(|line| line.starts_with("  "));
        let title = first.strip_suffix(':').filter(|title| is_list && title.split(' ').count() <= 2);
        if let Some(title) = title {
            let title = title.to_uppercase();
            roff.control("SH", [if title == "EXAMPLE" { "EXAMPLES" } else { &title }]);
            as_it_is(roff, rest);
            is_in_notes = false;
            continue;
        }
        roff.control(if is_in_notes { "PP" } else { "SH" }, if is_in_notes { None } else { Some("NOTES") });
        is_in_notes = true;
        if is_list {
            roff.text([roman(first)]);
            as_it_is(roff, rest);
        } else {
            roff.text([roman(paragraph)]);
        }
    }
}

/// Writes lines without filling them.
fn as_it_is(roff: &mut Roff, lines: &str) {
    roff.control("PP", []).control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
