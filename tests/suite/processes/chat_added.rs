//! Chat servers that are added to a running cluster: they have everything from before, and take part.

use std::fmt::Write as _;
use std::fs;

use rustix::process::Signal;

use super::chat::Chat;
use crate::harness::{Launch, Program, until};

/// The number of a server that is added, from 4 on.
type Number = u16;

fn address(chat: &Chat, number: Number) -> String {
    format!("127.0.0.1:{}", chat.stage.port(number - 4))
}

/// The cluster file of `groupcast cluster up`, with the lines of these servers behind it.
fn file(chat: &Chat, added: &[Number]) -> String {
    let mut text = fs::read_to_string(chat.stage.dir().join("c/cluster.toml")).unwrap();
    for number in added {
        let address = address(chat, *number);
        let _ = write!(
            text,
            "\n[[server]]\nid = \"s{number}\"\nudp = \"{address}\"\nweb = \"{address}\"\nadded = true\n"
        );
    }
    text
}

/// The text of a file in which no server but this one has the address of a page.
fn without_pages(text: &str, kept: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("web") || line.contains(kept));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn launch(chat: &Chat, number: Number) -> Launch<'_> {
    let id = format!("s{number}");
    let server = chat.stage.bare("chat-server").named(&id).args(["--id", &id, "--out", "c/results"]);
    server.args(["--cluster", &format!("{id}.toml"), "--data", &format!("data-{id}")])
}

/// Adds a server with this cluster file, and waits until it serves.
fn add(chat: &mut Chat, number: Number, file: &str) -> Program {
    let data = chat.stage.dir().join("c/data/s1");
    let add = chat.stage.bare("groupcast").args(["cluster", "add"]).arg(data);
    add.args([format!("s{number}"), address(chat, number)]).ends(0);
    chat.stage.file(&format!("s{number}.toml"), file);
    let server = launch(chat, number).start();
    let url = format!("http://{}", address(chat, number));
    chat.urls.push(url);
    chat.is_well(chat.urls.len() - 1);
    server
}

#[test]
fn chat_server_that_was_added_has_everything_from_before() {
    let mut chat = Chat::up(3);
    let (ann, bob) = (chat.user(0, "ann", "tea"), chat.user(1, "bob", "tea"));
    let first = chat.say(0, &ann, 1, "first");
    until("s2 has it", || (chat.history(1, "tea").len() == 1).then_some(()));
    chat.like(1, &bob, &first, true);
    let long = "x".repeat(4000);
    for n in 2..=330 {
        chat.say(0, &ann, n, &long);
    }
    chat.agreed("tea", 330);
    until("s1 has forgotten the first posts", || (chat.journal_bytes(0) < 1 << 20).then_some(()));

    let four = file(&chat, &[4]);
    let mut s4 = add(&mut chat, 4, &four);
    assert!(chat.stage.dir().join("data-s4/earlier.txt").is_file(), "{}", s4.stderr());
    let history = chat.agreed("tea", 330);
    assert_eq!(history[0]["likes"], serde_json::json!(["bob"]));
    // A post from before is known by its number, and new ones are taken in.
    let ann = chat.user(3, "ann", "tea");
    assert_eq!(chat.say(3, &ann, 1, "first"), first);
    chat.say(3, &ann, 331, "from the new one");
    chat.agreed("tea", 331);
    s4.signal(Signal::KILL);
    s4.wait();
    s4 = launch(&chat, 4).start();
    chat.is_well(3);
    chat.agreed("tea", 331);

    // The next one takes all from the one that was added before.
    let five = without_pages(&file(&chat, &[4, 5]), &address(&chat, 4));
    let five = format!("{five}web = \"{}\"\n", address(&chat, 5));
    let mut s5 = add(&mut chat, 5, &five);
    let (there, here) = (chat.agreed("tea", 331), chat.history(4, "tea"));
    assert_eq!(there, here);
    for server in [&mut s4, &mut s5] {
        server.signal(Signal::INT);
        server.ends(130);
    }
    chat.urls.truncate(3);
    chat.ends_well();
}

#[test]
fn chat_server_that_was_added_needs_the_page_of_another_one() {
    let chat = Chat::up(1);
    let alone = file(&chat, &[4]);
    chat.stage.file("s4.toml", without_pages(&alone, &address(&chat, 4)));
    launch(&chat, 4)
        .start()
        .ends_saying(78, &["no other server in s4.toml has a `web` address", "write the"]);
}
