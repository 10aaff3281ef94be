//! The meaning of a line that a person types.

/// The list of commands.
pub(super) const HELP: &str = "\
TEXT               a post in the group
/join GROUP        goes to a group
/leave [GROUP]     leaves it
/groups            lists all groups
/members           lists who is in the group
/history [N]       prints the last N posts anew, with their numbers
/like [#N or ID]   likes a post; without a name, the last one
/unlike [#N or ID] takes that back
/view              shows the servers
/server ID         changes to another server
/help              lists the commands
/quit or Ctrl-D    ends when all is stored
//                 begins a text with /";

/// Posts that are shown at first, and by `/history`.
pub(super) const USUAL_POSTS: usize = 20;
/// The most that `/history` shows.
const MOST_POSTS: usize = 1000;

/// A line.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line<'a> {
    Nothing,
    Post(&'a str),
    Join(&'a str),
    /// Leaves a group, or the one of the moment.
    Leave(&'a str),
    Groups,
    Members,
    History(usize),
    Like(&'a str, bool),
    View,
    Server(&'a str),
    Help,
    Quit,
    /// A command that lacks something: its form.
    Incomplete(&'static str),
    Unknown(&'a str),
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a str) -> Self {
        if line.trim().is_empty() {
            return Self::Nothing;
        }
        if line.starts_with("//") {
            return Self::Post(&line[1..]);
        }
        if !line.starts_with('/') {
            return Self::Post(line);
        }
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match command.trim_end() {
            "/join" if rest.is_empty() => Self::Incomplete("/join GROUP"),
            "/join" => Self::Join(rest),
            "/leave" => Self::Leave(rest),
            "/groups" => Self::Groups,
            "/members" => Self::Members,
            "/history" if rest.is_empty() => Self::History(USUAL_POSTS),
            "/history" => match rest.parse() {
                Ok(count) if count > 0 => Self::History(usize::min(count, MOST_POSTS)),
                _ => Self::Incomplete("/history N, with a number"),
            },
            "/like" => Self::Like(rest, true),
            "/unlike" => Self::Like(rest, false),
            "/view" => Self::View,
            "/server" if rest.is_empty() => Self::Incomplete("/server ID"),
            "/server" => Self::Server(rest),
            "/help" => Self::Help,
            "/quit" => Self::Quit,
            unknown => Self::Unknown(unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_the_help_says() {
        for (line, meaning) in [
            (" ", Line::Nothing),
            ("hello", Line::Post("hello")),
            (" /view", Line::Post(" /view")),
            ("//etc", Line::Post("/etc")),
            ("/join the news ", Line::Join("the news")),
            ("/join", Line::Incomplete("/join GROUP")),
            ("/leave", Line::Leave("")),
            ("/history", Line::History(20)),
            ("/history 5", Line::History(5)),
            ("/history 99999", Line::History(1000)),
            ("/history x", Line::Incomplete("/history N, with a number")),
            ("/like #12", Line::Like("#12", true)),
            ("/unlike s1-7", Line::Like("s1-7", false)),
            ("/server s3", Line::Server("s3")),
            ("/quit ", Line::Quit),
            ("/msg x", Line::Unknown("/msg")),
        ] {
            assert_eq!(Line::parse(line), meaning, "{line}");
        }
    }

    #[test]
    fn the_help_lists_every_command() {
        for line in HELP.lines().filter(|line| line.starts_with('/') && !line.starts_with("//")) {
            let command = line.split(' ').next().unwrap();
            assert!(!matches!(Line::parse(command), Line::Unknown(_)), "{command}");
        }
    }
}
