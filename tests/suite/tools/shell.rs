//! Completions as a real shell takes them, manual pages, and words that were nearly right.

use std::fs;
use std::process::Command;

use crate::harness::Stage;
use crate::tools::examples;

#[test]
fn shell_bash_completes_all_programs() {
    let stage = Stage::new();
    let (script, _) = stage.bare("groupcast").args(["completions", "bash"]).ends(0);
    let path = stage.file("completions.bash", script);
    let words = |line: &str, word: &str| {
        let program = line.split(' ').next().unwrap();
        let (count, function) = (line.split(' ').count(), program.replace('-', "__"));
        let ask = format!(
            "source {}; complete -p {program} >/dev/null || exit 1; COMP_WORDS=({line} '{word}'); COMP_CWORD={count}; \
             _{function} {program} '{word}' {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path.display(),
            line.split(' ').next_back().unwrap()
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert!(output.status.success(), "{line} {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for program in examples::programs() {
        assert!(words(program, "--h").contains("--help"), "{program}");
    }
    assert_eq!(words("client", "--ord"), "--order\n");
    assert_eq!(words("client --order", "ca"), "causal\n");
    assert_eq!(words("groupcast", "che"), "check\n");
    #[cfg(feature = "web")]
    assert_eq!(words("chat", "--li"), "--lines\n");
    assert_eq!(words("groupcast examples", "or"), "orders\n");
}

/// A manual page without the escapes of roff.
fn plain(page: &str) -> String {
    let escapes = [
        ("\\-", "-"),
        ("\\e", "\\"),
        ("\\\\", "\\"),
        ("\\*(Aq", "'"),
        ("\\(aq", "'"),
        ("\\[u2026]", "\u{2026}"),
    ];
    escapes.iter().fold(page.to_owned(), |page, (escape, character)| page.replace(escape, character))
}

#[test]
fn shell_every_program_and_tool_has_a_manual_page() {
    let stage = Stage::new();
    let (said, _) = stage.bare("groupcast").args(["man", "new/pages"]).ends(0);
    let commands = examples::commands();
    let pages = stage.dir().join("new/pages");
    assert_eq!(fs::read_dir(&pages).unwrap().count(), commands.len(), "{said}");
    for command in commands {
        let name = command.replace(' ', "-");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.is_ascii(), "{name}.1 is read alike in every encoding");
        for title in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"EXIT CODES\"", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!(".SH {title}\n")), "{name}.1 has no {title}");
        }
        let text = plain(&page);
        for example in examples::in_help(&command) {
            let lines = example.script().trim_end().replace('\n', "\n  ");
            assert!(text.contains(&*format!("\n  {lines}\n")), "{name}.1 lacks {lines}\n{text}");
        }
    }
    stage.file("file", "");
    let (_, said) = stage.bare("groupcast").args(["man", "file"]).ends(73);
    assert!(said.contains("cannot write to file"), "{said}");
}

#[test]
fn shell_help_keeps_examples_and_tables_unwrapped() {
    let stage = Stage::new();
    stage.bare("groupcast").args(["man", "pages"]).ends(0);
    for command in examples::commands() {
        let path = stage.dir().join(format!("pages/{}.1", command.replace(' ', "-")));
        let page = plain(&fs::read_to_string(path).unwrap());
        let help = |columns: &str| {
            let mut words = command.split(' ');
            let launch = stage.bare(words.next().unwrap()).args(words).arg("--help");
            launch.env("COLUMNS", columns).ends(0).0
        };
        let wide = help("100");
        for columns in ["60", "80"] {
            assert_eq!(help(columns), wide, "{command} in {columns} columns");
        }
        let notes = wide.lines().skip_while(|line| !["Example:", "Examples:"].contains(line));
        for line in notes {
            assert!(line.chars().count() <= 80, "{command}: a terminal wraps {line:?}");
            // A page has the lines as they were written.
            let is_whole = page.lines().any(|written| written == line);
            assert!(
                is_whole || !line.starts_with("  "),
                "{command}: {line:?} is a part of a line in\n{page}"
            );
        }
    }
}

#[test]
fn shell_help_names_the_variables_of_flags() {
    let stage = Stage::new();
    let programs = examples::programs().into_iter().filter(|program| *program != "groupcast");
    for command in programs.chain(["groupcast run"]) {
        let mut words = command.split(' ');
        let (help, _) = stage.bare(words.next().unwrap()).args(words).arg("--help").ends(0);
        assert!(help.contains("\n  GROUPCAST_<FLAG>  "), "{command}: {help}");
    }
    let (help, _) = stage.bare("client").arg("--help").ends(0);
    for words in ["\n  leave  ", "\n  sleep,1.5  ", "quoted as in CSV"] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn shell_misspelt_word_gets_a_suggestion() {
    let stage = Stage::new();
    let client = "client --id c1 --commands f --out d";
    for (line, meant) in [
        ("forwarder --clinets 2", "--clients"),
        ("router --prot-base 2", "--port-base"),
        ("sequencer --conect x", "--connect"),
        (&format!("{client} --odrer fifo"), "--order"),
        (&format!("{client} --order cuasal"), "causal"),
        (&format!("{client} --method ubu"), "`ub`"),
        ("groupcast chekc d", "check"),
        ("groupcast exampels", "examples"),
        ("groupcast examples strat", "start"),
        ("groupcast completions bahs", "bash"),
        ("groupcast check d --property totl", "total"),
        ("groupcast check d --order agred", "agreed"),
        ("groupcast sim --method uubb", "`uub`"),
    ] {
        let mut words = line.split(' ');
        let (_, said) = stage.bare(words.next().unwrap()).args(words).ends(64);
        let (_, hint) = said.split_once("similar").or_else(|| said.split_once("did you mean")).expect(&said);
        assert!(hint.lines().next().unwrap().contains(meant), "{line}\n{said}");
    }
}
