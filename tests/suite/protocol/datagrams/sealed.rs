//! Sealed datagrams, held to the vectors in `testdata/sealed` and to `docs/PROTOCOL.md`. `GROUPCAST_REWRITE=1` rewrites them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use bytes::Bytes;
use groupcast::ids::{MemberId, To};
use groupcast::replica::message::Message;
use groupcast::wire::Malformed;
use groupcast::wire::datagram::{Head, Messages, of_content};
use groupcast::wire::sealed::{CODE_LEN, Greeting, HEAD_LEN, KEY_LEN, Key, Seal, close, open};

use super::vectors::{content, multicast, want, word};
use super::{HEAD, names, octets, root, shown};

/// The key of all vectors: the octets from 0 to 31.
fn key() -> Key {
    Key(std::array::from_fn(|at| at as u8))
}

const MARK: u64 = 0x0f1e_2d3c_4b5a_6978;
const QUESTION: u64 = 0x0102_0304_0506_0708;

/// Messages with so much padding, or a greeting.
type Content = Result<(Vec<Message>, usize), Greeting>;

/// A good datagram.
struct Good {
    file: &'static str,
    title: &'static str,
    seal: Seal,
    content: Content,
}

impl Good {
    fn datagram(&self) -> Vec<u8> {
        let content = match &self.content {
            Ok((messages, padding)) => content(messages, *padding),
            Err(greeting) => greeting.bytes().to_vec(),
        };
        sealed(self.seal, &content)
    }

    fn fields(&self) -> names::Fields {
        let mut fields = names::Fields::sealed(HEAD, self.seal, &self.content);
        let sealed: Vec<u8> = fields.0.iter().flat_map(|field| field.bytes.clone()).collect();
        fields.code(&blake3::keyed_hash(&key().0, &sealed).as_bytes()[..16]);
        fields
    }

    fn text(&self) -> String {
        format!("# {}\n#\n{}{}", self.title, self.fields().text(), shown(&self.datagram()))
    }
}

fn sealed(seal: Seal, content: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    close(&key(), HEAD, seal, content, &mut datagram);
    datagram
}

fn good() -> Vec<Good> {
    let two = To::Member(MemberId(1));
    let good = |file, title, to, number, content| Good {
        file,
        title,
        seal: Seal { to, mark: MARK, number },
        content,
    };
    let greeting = |question, answer| Err(Greeting { question, answer, sent: 300 });
    vec![
        good("word.hex", "The first datagram of a life: a word to all", To::Group, 1, Ok((vec![word()], 0))),
        good("want.hex", "A want for s2 alone", two, 300, Ok((vec![want()], 0))),
        good("padded.hex", "Two messages and padding", To::Group, 2, Ok((vec![word(), multicast()], 9))),
        good("question.hex", "A question for s2", two, 0, greeting(QUESTION, 0)),
        good("answer.hex", "An answer to a question of s2", two, 0, greeting(0, !QUESTION)),
        good(
            "both.hex",
            "An answer to a question of s2, with a question",
            two,
            0,
            greeting(QUESTION, !QUESTION),
        ),
    ]
}

/// The files of the datagrams to refuse, with the reason.
fn bad() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let word = good().remove(0).datagram();
    let seal = |number| Seal { to: To::Group, mark: MARK, number };
    let changed = |at: usize| {
        let mut datagram = word.clone();
        datagram[at] ^= 1;
        datagram
    };
    let coded = |head: &[u8]| [head, &blake3::keyed_hash(&key().0, head).as_bytes()[..CODE_LEN]].concat();
    let mut other_key = Vec::new();
    close(&Key([0; KEY_LEN]), HEAD, seal(1), &content(&[super::vectors::word()], 0), &mut other_key);
    let mut version_3 = word[..word.len() - CODE_LEN].to_vec();
    version_3[2] = 3;
    vec![
        ("bit_in_code.hex", "one bit of the code is another", changed(word.len() - 1)),
        ("bit_in_mark.hex", "one bit of the mark is another", changed(15)),
        ("bit_in_message.hex", "one bit of a message is another", changed(HEAD_LEN + 3)),
        ("bit_in_number.hex", "one bit of the number is another", changed(23)),
        ("bit_in_receiver.hex", "one bit of the receiver is another", changed(13)),
        ("bit_in_sender.hex", "one bit of the sender is another", changed(11)),
        ("cut.hex", "the last octet is missing", word[..word.len() - 1].to_vec()),
        ("greeting_of_nothing.hex", "a greeting without question and answer", sealed(seal(0), &[0; 24])),
        ("greeting_trailing.hex", "a greeting has an octet too much", sealed(seal(0), &[1; 25])),
        ("head_cut.hex", "its code is right, and its head too short", coded(&word[..HEAD_LEN - 1])),
        ("no_message.hex", "it has no message", sealed(seal(1), b"")),
        ("of_nothing.hex", "it is empty", Vec::new()),
        ("open.hex", "it is not sealed", of_content(HEAD, &content(&[super::vectors::word()], 0)).to_vec()),
        ("other_key.hex", "it is sealed with another key", other_key),
        ("version_3.hex", "it is of version 3, with a right code", coded(&version_3)),
    ]
}

fn expected() -> BTreeMap<String, String> {
    let good = good().into_iter().map(|vector| (vector.file.to_owned(), vector.text()));
    let bad = bad().into_iter().map(|(file, why, datagram)| {
        (format!("bad/{file}"), format!("# Refused: {why}\n{}", shown(&datagram)))
    });
    good.chain(bad).collect()
}

fn folder() -> PathBuf {
    static REWRITTEN: Once = Once::new();
    crate::protocol::folder::folder("testdata/sealed", &REWRITTEN, expected)
}

/// Reads a datagram as a member with the key does.
fn read(datagram: &[u8]) -> Option<(Head, Seal, Content)> {
    let (head, seal, content) = open(&key(), datagram)?;
    let content = if seal.number == 0 {
        Err(Greeting::parse(content)?)
    } else {
        let messages = Messages::parse(Bytes::copy_from_slice(content)).ok()?;
        let messages: Result<Vec<_>, Malformed> = messages.map(Message::parse).collect();
        let messages = messages.ok()?;
        let length: usize = messages.iter().map(|message| 2 + message.bytes().len()).sum();
        Ok((messages, content.len() - length))
    };
    Some((head, seal, content))
}

#[test]
fn sealed_vector_files_are_those_of_the_table() {
    for (name, text) in expected() {
        let found = fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert_eq!(found, text, "{name}: GROUPCAST_REWRITE=1 rewrites it");
    }
    let count = |sub: &str| fs::read_dir(folder().join(sub)).expect("it is there").count();
    assert_eq!(count("") - 1 + count("bad"), expected().len());
}

#[test]
fn sealed_every_vector_is_read_and_every_bad_one_refused() {
    for vector in good() {
        let datagram = octets(&vector.text());
        assert_eq!(read(&datagram), Some((HEAD, vector.seal, vector.content.clone())), "{}", vector.file);
        assert_eq!(vector.datagram(), datagram, "{}", vector.file);
        let named: Vec<u8> = vector.fields().0.into_iter().flat_map(|field| field.bytes).collect();
        assert_eq!(named, datagram, "{}: named otherwise", vector.file);
    }
    for (file, _, datagram) in bad() {
        assert_eq!(read(&datagram), None, "{file}");
    }
}

#[test]
fn sealed_datagrams_of_the_document_are_valid() {
    let text = fs::read_to_string(root().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md is there");
    let block = text.split("```sealed\n").nth(1).and_then(|rest| rest.split("```").next()).expect("marked");
    let vector = good().remove(3);
    assert!(block.ends_with(&format!("{}{}", vector.fields().text(), shown(&vector.datagram()))), "{block}");
    for file in expected().keys() {
        let name = file.trim_start_matches("bad/");
        assert!(text.contains(&format!("`{name}`")), "docs/PROTOCOL.md does not name {name}");
    }
}

/// The first of the published test vectors of BLAKE3 with a key.
#[test]
fn sealed_code_is_that_of_blake3_with_a_key() {
    let code = blake3::keyed_hash(b"whats the Elvish word for friend", b"");
    assert!(code.to_hex().starts_with("92b2b75604ed3c761f9d6f62392c8a92"), "{}", code.to_hex());
}
