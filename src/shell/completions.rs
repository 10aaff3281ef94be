//! `groupcast completions`: one script that lets a shell complete the command lines of all programs.

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;

use crate::cli;
use crate::exit::Exit;

/// The example and the notes of `--help`.
const HELP: &str = "\
Example:
  source <(groupcast completions bash)

In the file that your shell reads when it starts:
  bash         source <(groupcast completions bash)
  zsh          source <(groupcast completions zsh), after compinit
  fish         groupcast completions fish | source
  elvish       eval (groupcast completions elvish | slurp)
  powershell   groupcast completions powershell | Out-String | Invoke-Expression";

/// Arguments of `groupcast completions`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// Your shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// [`Exit::Io`] if standard output cannot be written.
pub(crate) fn run(args: &Args, programs: Vec<Command>) -> Result<Exit> {
    cli::print(script(args.shell, programs).trim_end())?;
    Ok(Exit::Ok)
}

/// Returns the scripts of all programs, one after the other.
fn script(shell: Shell, programs: Vec<Command>) -> String {
    let mut script = String::new();
    for mut command in programs {
        let mut bytes = Vec::new();
        let name = command.get_name().to_owned();
        clap_complete::generate(shell, &mut command, name, &mut bytes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            // PowerShell requires these lines first, and only once.
            if !(line.starts_with("using namespace ") && script.contains(line)) {
                script += line;
                script.push('\n');
            }
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::programs::commands;

    #[test]
    fn every_shell_is_told_of_every_program() {
        for &shell in Shell::value_variants() {
            let script = script(shell, commands());
            let chat = if cfg!(feature = "web") { &["chat-server", "chat"][..] } else { &[] };
            for program in ["forwarder", "router", "sequencer", "client", "groupcast"].iter().chain(chat) {
                assert!(script.contains(program), "{shell}: {program}");
            }
            assert!(script.contains("port-base"), "{shell}");
            let lines = script.lines().filter(|line| !line.is_empty());
            let first: Vec<bool> = lines.map(|line| line.starts_with("using namespace ")).collect();
            assert!(first.is_sorted_by(|one, next| one >= next), "{shell}: `using` comes first");
        }
    }
}
