//! Where examples are found: in every `--help`, in the README, and in what `groupcast examples` shows.

use std::fs;
use std::path::Path;

use crate::harness::Stage;

/// Commands that a reader copies and runs.
#[derive(Clone, Debug)]
pub(crate) struct Example {
    /// Where it stands.
    pub(super) source: String,
    pub(super) steps: Vec<Step>,
}

/// One command of it, or one script.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) script: String,
    /// The output as it is shown; empty if none is shown.
    pub(super) output: Vec<String>,
}

impl Example {
    fn new(source: &str, script: impl Into<String>) -> Self {
        let step = Step { script: script.into(), output: Vec::new() };
        Self { source: source.to_owned(), steps: vec![step] }
    }

    /// The commands of all steps.
    pub(crate) fn script(&self) -> String {
        self.steps.iter().map(|step| format!("{}\n", step.script)).collect()
    }
}

/// Output of a program.
pub(super) fn printed(command: &str) -> String {
    let stage = Stage::new();
    let mut words = command.split(' ');
    stage.bare(words.next().unwrap()).args(words).ends(0).0
}

/// Every program of this build.
pub(crate) fn programs() -> Vec<&'static str> {
    let chat = if cfg!(feature = "web") { &["chat-server", "chat"][..] } else { &[] };
    ["forwarder", "router", "sequencer", "client", "groupcast"]
        .into_iter()
        .chain(chat.iter().copied())
        .collect()
}

/// Every program, and every tool of `groupcast`, as they are called.
pub(crate) fn commands() -> Vec<String> {
    let mut commands: Vec<String> = programs().into_iter().map(str::to_owned).collect();
    let help = printed("groupcast --help");
    let (_, tools) = help.split_once("Commands:\n").unwrap();
    let tools = tools.lines().take_while(|line| !line.is_empty());
    let names =
        tools.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    commands.extend(names.filter(|&name| name != "help").map(|name| format!("groupcast {name}")));
    commands
}

/// The examples in the help of a command: each indented line below `Example:` or `Examples:` is one, with the lines that
/// continue it after a backslash.
pub(crate) fn in_help(command: &str) -> Vec<Example> {
    let source = format!("{command} --help");
    let help = printed(&source);
    let below = help.lines().skip_while(|line| !["Example:", "Examples:"].contains(line)).skip(1);
    let mut scripts: Vec<String> = Vec::new();
    for line in below.map_while(|line| line.strip_prefix("  ")) {
        match scripts.last_mut().filter(|script| script.ends_with('\\')) {
            Some(script) => *script += &format!("\n{line}"),
            None => scripts.push(line.to_owned()),
        }
    }
    scripts.into_iter().map(|script| Example::new(&source, script)).collect()
}

/// The topics of `groupcast examples`: what is indented by four spaces is one script.
pub(super) fn in_topics() -> Vec<Example> {
    printed("groupcast examples")
        .lines()
        .map(|line| {
            let command = line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
            let text = printed(&command);
            let script: String =
                text.lines().filter_map(|line| Some(format!("{}\n", line.strip_prefix("    ")?))).collect();
            Example::new(&command, script)
        })
        .collect()
}

/// The blocks of the README: `sh` is a script; in `console`, what follows `$ ` is a command, and the lines up to the
/// next one are what it prints.
pub(super) fn in_readme() -> Vec<Example> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut examples = Vec::new();
    let mut heading = "";
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|&line| line != "```").collect();
        let source = format!("README, {heading}");
        match kind {
            "sh" => examples.push(Example::new(&source, block.join("\n"))),
            "console" => examples.push(Example { source, steps: steps(&block) }),
            // Blocks of Rust are tests of the library's documentation.
            "text" | "rust" | "rust,no_run" => {}
            other => panic!("{source}: a block of {other:?} is not known: write sh, console, text or rust"),
        }
    }
    examples
}

fn steps(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { script: command.to_owned(), output: Vec::new() }),
            (None, Some(step)) => step.output.push((*line).to_owned()),
            (None, None) => panic!("a console block begins with `$ `, not with {line:?}"),
        }
    }
    steps
}
