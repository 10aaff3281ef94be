//! The terminal client of the chat with real servers: pipes whose outputs are the same, servers that are killed, and
//! people at terminals.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use super::pipes::Person;
use crate::harness::{Launch, Program, Stage, pause, until};

/// Servers of a cluster; ended when the test lets go of them.
struct Servers {
    // Before their stage: they are ended in this order.
    programs: Vec<Program>,
    stage: Stage,
}

impl Servers {
    /// Starts the first `started` of `count` servers, at most 4.
    fn start(count: u16, started: u16) -> Self {
        let stage = Stage::new();
        let mut cluster = format!("name = \"chat-{}\"\n", stage.port(0));
        for number in 1..=count {
            let port = stage.port(number - 1);
            let _ = write!(
                cluster,
                "[[server]]\nid = \"s{number}\"\nudp = \"127.0.0.1:{port}\"\nweb = \"127.0.0.1:{port}\"\n"
            );
        }
        stage.file("cluster.toml", cluster);
        let mut servers = Self { programs: Vec::new(), stage };
        servers.programs = (1..=started).map(|number| servers.launch(number).start()).collect();
        servers.programs.iter().for_each(serves);
        servers
    }

    fn launch(&self, number: u16) -> Launch<'_> {
        let id = format!("s{number}");
        let server = self.stage.bare("chat-server").named(&id);
        server.args(["--id", &id, "--cluster", "cluster.toml", "--data", &format!("data-{id}")])
    }

    /// Starts a server again that was killed.
    fn start_again(&mut self, number: u16) {
        let again = self.launch(number).start();
        serves(&again);
        self.programs[usize::from(number) - 1] = again;
    }

    fn kill(&mut self, number: u16) {
        self.programs[usize::from(number) - 1].kill();
    }

    /// The address of a server, as `--connect` takes it.
    fn url(&self, number: u16) -> String {
        format!("http://127.0.0.1:{}", self.stage.port(number - 1))
    }

    /// A client in pipes at a server.
    fn lines(&self, server: u16, user: &str) -> Launch<'_> {
        let chat = self.stage.bare("chat").named(user).args(["--connect", &self.url(server)]);
        chat.args(["--user", user, "--group", "news", "--lines"])
    }

    /// A person in the group at a server.
    fn person(&self, server: u16, user: &str) -> Person {
        let flags = ["--connect", &self.url(server), "--user", user, "--group", "news"];
        let mut person = Person::at(env!("CARGO_BIN_EXE_chat"), &flags);
        person.sees(&format!("now at s{server} of chat-"));
        person
    }

    /// The posts of the group at a server, in the answer of its API.
    fn history(&self, server: u16) -> String {
        self.answer(server, "history?group=news")
    }

    /// The answer of a server to a question.
    fn answer(&self, server: u16, question: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.stage.port(server - 1))).unwrap();
        let request = format!("GET /api/{question} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// Waits until a server says where it serves.
fn serves(server: &Program) {
    until(&format!("{} serves", server.name), || server.stdout().contains("http://").then_some(()));
}

fn numbered(user: &str, numbers: std::ops::RangeInclusive<usize>) -> String {
    numbers.fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{user} says {number}");
        text
    })
}

/// The users and texts of an output, whose numbers must grow.
fn posts(output: &str) -> Vec<(String, String)> {
    let mut last = 0;
    let post = |line: &str| {
        let fields: Vec<&str> = line.splitn(3, '\t').collect();
        let number: u64 = fields[0].parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(number > last, "{number} after {last}");
        last = number;
        (fields[1].to_owned(), fields[2].to_owned())
    };
    output.lines().map(post).collect()
}

#[test]
fn chat_lines_at_all_servers_are_the_same() {
    let servers = Servers::start(2, 2);
    let input = |user: &str| servers.stage.file(&format!("{user}.txt"), numbered(user, 1..=40));
    let file = |user: &str| std::fs::File::open(input(user)).unwrap();
    let mut clients = [
        servers.lines(1, "ann").stdin(file("ann")).start(),
        servers.lines(2, "bob").stdin(file("bob")).start(),
    ];
    clients.iter_mut().for_each(|client| client.ends(0));
    let all = until("a reader has all posts", || {
        let (stdout, _) = servers.lines(2, "eve").ends(0);
        (stdout.lines().count() >= 80).then_some(stdout)
    });
    for client in &clients {
        assert!(all.starts_with(&client.stdout()), "{} has a beginning of:\n{all}", client.name);
        let own: Vec<String> = posts(&all)
            .into_iter()
            .filter(|(user, _)| *user == client.name)
            .map(|(_, text)| format!("{text}\n"))
            .collect();
        assert_eq!(own.concat(), numbered(&client.name, 1..=40));
    }
    let (tenth, eleventh) = (all.lines().nth(9).unwrap(), all.lines().nth(10).unwrap());
    let after = tenth.split('\t').next().unwrap();
    let (stdout, _) = servers.lines(1, "eve").args(["--after", after]).ends(0);
    assert!(stdout.starts_with(eleventh), "{stdout}");
}

#[test]
fn chat_lines_go_on_at_another_server_and_nothing_is_lost_or_doubled() {
    let mut servers = Servers::start(3, 3);
    let (reader, mut stdin) = std::io::pipe().unwrap();
    let mut client = servers.lines(1, "ann").stdin(reader).start();
    stdin.write_all(numbered("ann", 1..=150).as_bytes()).unwrap();
    until("s2 has some posts", || servers.history(2).contains("ann says 20\"").then_some(()));
    servers.kill(1);
    stdin.write_all(numbered("ann", 151..=200).as_bytes()).unwrap();
    until("s2 has the last post", || servers.history(2).contains("ann says 200\"").then_some(()));
    servers.start_again(1);
    drop(stdin);
    client.ends_saying(0, &["lost s1: ", "now at s2 of"]);
    let texts: Vec<String> =
        posts(&client.stdout()).into_iter().map(|(_, text)| format!("{text}\n")).collect();
    assert_eq!(texts.concat(), numbered("ann", 1..=200));
}

#[test]
fn chat_lines_post_what_they_have_read_when_their_reader_has_gone() {
    let servers = Servers::start(1, 1);
    let (input, mut stdin) = std::io::pipe().unwrap();
    let (mut stdout, output) = std::io::pipe().unwrap();
    // In one chunk, and more than may wait at once.
    stdin.write_all(numbered("ann", 1..=700).as_bytes()).unwrap();
    let mut client = servers.lines(1, "ann").stdin(input).stdout(output).start();
    stdout.read_exact(&mut [0; 1]).unwrap();
    drop(stdout);
    // A line that nobody reads.
    let one = servers.stage.file("bob.txt", "one\n");
    servers.lines(1, "bob").stdin(std::fs::File::open(one).unwrap()).ends(0);
    client.ends_saying(0, &["news is a new group", "nobody reads the output any more"]);
    let history = servers.history(1);
    assert!((1..=700).all(|number| history.contains(&format!("ann says {number}\""))), "{history}");
    let groups = servers.answer(1, "groups");
    assert!(groups.contains("\"news\"") && !groups.contains("\"ann\""), "the session has ended: {groups}");
}

#[test]
fn chat_lines_that_are_interrupted_say_what_was_not_stored_and_log_out() {
    let mut servers = Servers::start(1, 1);
    let (input, _stdin) = std::io::pipe().unwrap();
    let mut client = servers.lines(1, "ann").stdin(input).start();
    until("ann is there", || servers.answer(1, "groups").contains("\"ann\"").then_some(()));
    client.signal(Signal::TERM);
    client.ends(143);
    until("ann has gone", || (!servers.answer(1, "groups").contains("\"ann\"")).then_some(()));

    let (input, mut stdin) = std::io::pipe().unwrap();
    let mut client = servers.lines(1, "bob").stdin(input).start();
    until("bob is there", || servers.answer(1, "groups").contains("\"bob\"").then_some(()));
    servers.kill(1);
    client.says("lost s1");
    stdin.write_all(b"one\ntwo\n").unwrap();
    // It is read at once, and nothing tells when.
    pause(Duration::from_secs(1));
    client.signal(Signal::INT);
    client.ends_saying(130, &["; 2 posts were not stored"]);
}

#[test]
fn chat_lines_say_what_they_wait_for() {
    let servers = Servers::start(2, 1);
    let text = servers.stage.file("one.txt", "back\\slash\n\n");
    let input = std::fs::File::open(&text).unwrap();
    let mut client = servers.lines(1, "ann").args(["--timeout", "2s"]).stdin(input).start();
    client.ends_saying(75, &["waiting for 1 post to be confirmed at s1, which waits for s2"]);
    assert_eq!(client.stdout(), "");
    assert!(servers.history(1).contains("back\\\\slash"));
}

#[test]
fn chat_refuses_what_cannot_be() {
    let stage = Stage::new();
    let nobody = format!("http://127.0.0.1:{}", stage.port(0));
    for (flags, code, said) in [
        (&["--user", "ann", "--lines"][..], 64, "--lines needs --group"),
        (&["--user", " ann", "--group", "news", "--lines"], 64, "blank"),
        (&["--user", "ann", "--group", "news"], 64, "needs a terminal"),
        (&["--user", "ann", "--after", "3"], 64, "--after needs --lines"),
        (&["--user", "ann", "--group", "news", "--lines"], 69, "no server answers at 127.0.0.1"),
    ] {
        let mut chat = stage.bare("chat").args(["--connect", &nobody]).args(flags).start();
        chat.ends_saying(code, &[said]);
    }
    let mut chat = stage.bare("chat").args(["--connect", "https://x:1", "--user", "ann"]).start();
    chat.ends_saying(64, &["without TLS"]);
}

#[test]
fn chat_people_talk_like_and_see_the_servers() {
    let servers = Servers::start(2, 2);
    let mut ann = servers.person(1, "ann");
    ann.sees("news is a new group\r\n");
    let mut bob = servers.person(2, "bob");
    ann.sees("bob is here");
    ann.types("hello\r");
    bob.sees(" ann: hello\r\n");
    ann.sees(" ann: hello\r\n");
    bob.types("/like\r");
    ann.sees("bob likes ");
    let number = until("the post has a number", || {
        bob.types("/history 1\r");
        bob.sees(" ann: hello  ");
        let line = std::mem::take(&mut bob.screen);
        let line = line.lines().find(|line| line.contains(" ann: hello  "))?.split('#').nth(1)?.to_owned();
        line.split(' ').next().map(str::to_owned)
    });
    bob.types(&format!("/unlike {number}\r"));
    ann.sees(&format!("bob no longer likes #{number} ann: hello"));
    ann.types("/view\r/members\r/groups\r/nonsense\r/like #99999\r");
    ann.sees("this one");
    ann.sees("ann and bob\r\n");
    ann.sees("news: 1 post, joined; ann and bob");
    ann.sees("there is no command /nonsense");
    ann.sees("there is no post #99999");
    let shown = ann.screen.lines().filter(|line| line.ends_with(" ann: hello") && !line.contains(" like"));
    assert_eq!(shown.count(), 1, "{}", ann.screen);
    assert!(!bob.screen.contains("is a new group"), "{}", bob.screen);
    bob.types("\u{3}");
    ann.sees("bob has left");
    ann.types("/leave nowhere\r/join sports\r/leave sports\r/leave sports\r");
    ann.sees("cannot leave nowhere: there is no group nowhere\r\n");
    ann.sees("sports is a new group\r\n");
    ann.sees("you have left sports\r\n");
    ann.sees("cannot leave sports: you are not in it\r\n");
    ann.types("/leave\r");
    ann.sees("you are in no group\r\n");
    ann.types("\u{4}");
    assert_eq!((ann.gets_up().code(), bob.gets_up().code()), (Some(0), Some(130)));
}

#[test]
fn chat_people_change_servers_and_are_changed() {
    let mut servers = Servers::start(2, 2);
    let mut ann = servers.person(1, "ann");
    let mut bob = servers.person(2, "bob");
    ann.sees("bob is here");
    ann.types("/server s9\r/server s2\r");
    ann.sees("there is no server s9; known are s1 and s2");
    ann.sees("now at s2 of");
    ann.types("one\r");
    bob.sees(" ann: one\r\n");
    servers.kill(2);
    ann.sees("lost s2: ");
    ann.sees("; trying s1");
    ann.sees("now at s1 of");
    bob.sees("now at s1 of");
    bob.types("two\u{7f}\u{7f}\u{7f}two\r");
    ann.sees(" bob: two\r\n");
    servers.start_again(2);
    ann.screen.clear();
    // It may still start, and then ann goes back to s1.
    until("ann is at s2 again", || {
        ann.types("/server s2\r");
        ann.sees("now at s");
        std::mem::take(&mut ann.screen).contains("now at s2").then_some(())
    });
    ann.types("three\r");
    bob.sees(" ann: three\r\n");
    assert_eq!(bob.screen.matches(" ann: one\r\n").count(), 1, "{}", bob.screen);
    for mut person in [ann, bob] {
        person.types("/quit\r");
        assert_eq!(person.gets_up().code(), Some(0));
    }
}

#[test]
fn chat_people_see_what_comes_late_above_what_they_have_seen() {
    let mut servers = Servers::start(2, 1);
    let input = std::fs::File::open(servers.stage.file("one.txt", "late\n")).unwrap();
    servers.lines(1, "ann").args(["--timeout", "1s"]).stdin(input).ends(75);
    servers.kill(1);
    let second = servers.launch(2).start();
    serves(&second);
    servers.programs.push(second);
    let mut bob = servers.person(2, "bob");
    bob.types("early\r");
    bob.sees(" bob: early\r\n");
    servers.start_again(1);
    bob.sees(" ann: late (before ");
    assert!(bob.screen.contains("\u{2191} "), "{}", bob.screen);
    bob.types("/history\r");
    bob.sees(" ann: late\r\n");
    bob.types("\u{4}");
    assert_eq!(bob.gets_up().code(), Some(0));
}
