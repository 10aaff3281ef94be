//! Valid and invalid command files, case by case.

use std::io::Write;

use super::*;
use crate::wire::batch::MAX_TEXT;

fn parse_as_c1(file: impl Into<Bytes>) -> Result<Script, Failure> {
    Script::parse("c1.txt", file.into(), "c1")
}

fn ops(file: &'static [u8]) -> Vec<Op> {
    let script = parse_as_c1(file).unwrap_or_else(|failure| panic!("{}: {failure}", shown(file)));
    script.lines().iter().map(|line| line.op.clone()).collect()
}

const fn text(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

#[test]
fn a_file_without_operations_is_a_script() {
    for file in ["", "\n", "\u{feff}", "# nothing\n\n#", " \r\n\t"] {
        assert!(parse_as_c1(file).unwrap().lines().is_empty(), "{file:?}");
    }
}

#[test]
fn each_operation_is_read() {
    let script = parse_as_c1("Multicast,c1,a\n\nsleep,3\nc1,c2,b\nc1,c3,c\nc1,c2,d").unwrap();
    let numbers: Vec<u32> = script.lines().iter().map(|line| line.line).collect();
    assert_eq!(numbers, [1, 3, 4, 5, 6]);
    let send = |to, text| Op::Send { to: ReceiverId(to), text };
    let expected = [
        Op::Multicast(text(b"a")),
        Op::Sleep(Duration::from_secs(3)),
        send(0, text(b"b")),
        send(1, text(b"c")),
        send(0, text(b"d")),
    ];
    assert!(script.lines().iter().map(|line| &line.op).eq(&expected));
    assert!(script.receivers().eq(["c2", "c3"]));
    assert_eq!(script.receiver(ReceiverId(1)), "c3");
}

#[test]
fn texts_are_taken_as_they_are() {
    for (file, expected) in [
        (&b"Multicast,c1,"[..], &b""[..]),
        (b"\xef\xbb\xbfMulticast,c1,x\r\n", b"x"),
        (b"Multicast,c1,a\xff\0b", b"a\xff\0b"),
        (b"Multicast,c1, x ", b" x "),
        (b"Multicast,c1,say \"hi\"", b"say \"hi\""),
        (b"Multicast,c1,\"a,\"\"b\"\"\nc\"", b"a,\"b\"\nc"),
        (b"Multicast,c1,a###b\\n", b"a###b\\n"),
        (b"\"Multicast\",\"c1\",x", b"x"),
        (b"Multicast,c1,a\rb", b"a\rb"),
        ("Multicast,c1,\u{202e}\u{1f600}".as_bytes(), "\u{202e}\u{1f600}".as_bytes()),
    ] {
        assert_eq!(ops(file), [Op::Multicast(text(expected))], "{}", shown(file));
    }
}

#[test]
fn the_longest_text_is_accepted_and_one_byte_more_is_not() {
    let file = |length| ["Multicast,c1,", &"x".repeat(length)].concat();
    assert!(parse_as_c1(file(MAX_TEXT)).is_ok());
    let failure = parse_as_c1(file(MAX_TEXT + 1)).unwrap_err();
    assert!(failure.message.starts_with("c1.txt:1:14: this text has 1048577 bytes"), "{failure}");
    assert!(failure.to_string().len() < 1000, "{failure}");
}

#[test]
fn sleeps_are_digits_with_or_without_decimals() {
    for (file, micros) in [
        (&b"sleep,0"[..], 0),
        (b"sleep,3", 3_000_000),
        (b"sleep,003.50", 3_500_000),
        (b"sleep,0.000001", 1),
        (b"sleep,0.00000000099999999999999999999999", 0),
        (b"sleep,86400", 86_400_000_000),
        (b"sleep,86400.0", 86_400_000_000),
    ] {
        assert_eq!(ops(file), [Op::Sleep(Duration::from_micros(micros))], "{}", shown(file));
    }
}

/// File, line and column, and words of the message and the help.
const BAD: &[(&[u8], &str, &str)] = &[
    // The operation.
    (b"multicast,c1,x", "1:1: unknown operation `multicast`", "did you mean `Multicast`?"),
    (b"Mutlicast,c1,x", "1:1: unknown operation `Mutlicast`", "did you mean `Multicast`?"),
    (b"Sleep,3", "1:1: unknown operation `Sleep`", "did you mean `sleep`?"),
    (b"C1,c2,x", "1:1: unknown operation `C1`", "did you mean `c1`?"),
    (b"say hello", "1:1: unknown operation `say hello`", "a line is `Multicast,c1,<text>`"),
    (b",c1,x", "1:1: unknown operation ``", "a line is"),
    (b"#\n Multicast,c1,x", "2:1: unknown operation ` Multicast`", "spaces are part of a field"),
    (b"sleep\t,3", "1:1: unknown operation `sleep\\t`", "write `sleep` without"),
    (b"\0c1,c2,x", "1:1: unknown operation `\\0c1`", "a line is"),
    (b"\xff,c2,x", "1:1: unknown operation `\\xff`", "a line is"),
    (b"\xff\xfeM\0u\0", "1:1: this is UTF-16", "save the file as UTF-8"),
    (b"Multicast;c1;a", "1:1: semicolons separate the fields", "separate the fields with commas"),
    (b"Multicast;c1;a, b", "1:1: semicolons separate the fields", "separate the fields with commas"),
    (b"sleep;3", "1:1: semicolons separate the fields", "separate the fields with commas"),
    (b"c1\tc2\tx", "1:1: tabs separate the fields", "separate the fields with commas"),
    (b"Multicast c1 x", "1:1: spaces separate the fields", "separate the fields with commas"),
    (b"multicast c1,x", "1:1: spaces separate the fields", "separate the fields with commas"),
    (b"Multicast|c1|x", "1:1: vertical bars separate the fields", "separate the fields with commas"),
    ("Multicast\u{ff0c}c1\u{ff0c}x".as_bytes(), "1:1: wide commas separate", "with commas"),
    (b"\"Multicast,c1,x\"", "1:1: the whole line is one quoted field", "remove the quotes"),
    (b"Multicastc1,x", "1:1: a comma is missing", "write `Multicast,c1,<text>`"),
    (b"sleep3", "1:1: a comma is missing", "write `sleep,3`"),
    (b"broadcast,c1,x", "1:1: unknown operation `broadcast`", "did you mean `Multicast`?"),
    (b"wait,3", "1:1: unknown operation `wait`", "did you mean `sleep`?"),
    (b"send,c2,x", "1:1: unknown operation `send`", "write `c1,<receiver>,<text>`"),
    ("\u{201c}Multicast\u{201d},c1,x".as_bytes(), "1:1: unknown operation", "typographic"),
    ("\n\u{feff}sleep,1".as_bytes(), "2:1: unknown operation", "write `sleep` without"),
    ("\u{a0}sleep,1".as_bytes(), "1:1: unknown operation", "write `sleep` without"),
    (b"M\0u\0l\0", "1:1: this is UTF-16", "save the file as UTF-8"),
    (b"PK\x03\x04...", "1:1: this is a ZIP archive", "CSV"),
    // The client of the line.
    (b"c9,c1,x", "1:1: this is a line of another client, `c9`", "the commands of `c1`"),
    (b"sleep,1\nMulticast,c9,x", "2:11: this is a line of another client, `c9`", "the commands of `c1`"),
    (b"Multicast, c1,x", "1:11: ` c1` is not an id", "write `c1` without"),
    (b"Multicast,,x", "1:11: `` is not an id", "must not be empty"),
    (b"Multicast,c\xff,x", "1:11: `c\\xff` is not an id", "ASCII"),
    (b"Multicast,C1,x", "1:11: this is a line of another client, `C1`", "did you mean `c1`?"),
    // The receiver.
    (b"c1,c1,x", "1:4: a client does not send to itself", "reaches every member"),
    (b"c1,,x", "1:4: `` is not an id", "must not be empty"),
    (b"c1,c2 ,x", "1:4: `c2 ` is not an id", "write `c2` without"),
    (b"c1,\"c,2\",x", "1:4: `c,2` is not an id", "an id consists of"),
    (b"c1,../c2,x", "1:4: `../c2` is not an id", "an id consists of"),
    (b"c1,c\0,x", "1:4: `c\\0` is not an id", "an id consists of"),
    (b"c1,start,x", "1:4: `start` is not an id", "reserved and cannot be an id"),
    // The number of fields.
    (b"Multicast", "1:1: this operation has 3 fields, this line has 1", "write `Multicast,c1,<text>`"),
    (b"Multicast,c1", "1:1: this operation has 3 fields, this line has 2", "write `Multicast,c1,<text>`"),
    (b"Multicast,c1,a,b", "1:16: this operation has 3 fields, this line has 4", "must be quoted"),
    (b"Multicast,c1,a,b,c,d,", "1:16: this operation has 3 fields, this line has 7", "must be quoted"),
    ("Multicast,c1,\u{201c}a, b\u{201d}".as_bytes(), "1:17: this operation has 3 fields", "typographic"),
    (b"Multicast,c1,a\rsleep,1\r", "1:22: this operation has 3 fields", "save the file with line ends"),
    (b"c1,c2", "1:1: this operation has 3 fields, this line has 2", "write `c1,<receiver>,<text>`"),
    (b"c1,c2,a,b", "1:9: this operation has 3 fields, this line has 4", "`c1,<receiver>,\"one, two\"`"),
    (b"sleep", "1:1: this operation has 2 fields, this line has 1", "write `sleep,<seconds>`"),
    (b"sleep,3,4", "1:9: this operation has 2 fields, this line has 3", "decimals follow a point"),
    // The length of a sleep.
    (b"sleep,", "1:7: `` is not a number", "write digits"),
    (b"sleep,-1", "1:7: `-1` is not a number", "write digits"),
    (b"sleep,+1", "1:7: `+1` is not a number", "write digits"),
    (b"sleep,1e3", "1:7: `1e3` is not a number", "write digits"),
    (b"sleep,NaN", "1:7: `NaN` is not a number", "write digits"),
    (b"sleep,inf", "1:7: `inf` is not a number", "write digits"),
    (b"sleep,3s", "1:7: `3s` is not a number", "write digits"),
    (b"sleep,.5", "1:7: `.5` is not a number", "write digits"),
    (b"sleep,5.", "1:7: `5.` is not a number", "write digits"),
    (b"sleep,1.2.3", "1:7: `1.2.3` is not a number", "write digits"),
    (b"sleep,0x10", "1:7: `0x10` is not a number", "write digits"),
    (b"sleep,\"3,4\"", "1:7: `3,4` is not a number", "write digits"),
    (b"sleep,\xd9\xa3", "1:7: `\u{663}` is not a number", "write digits"),
    (b"sleep, 3", "1:7: ` 3` is not a number", "write `3` without"),
    (b"sleep,86400.000001", "1:7: a sleep is longer than a day", "at most 86400 seconds"),
    (b"sleep,1000000000", "1:7: a sleep is longer than a day", "at most 86400 seconds"),
    (b"sleep,99999999999999999999.999999999999", "1:7: a sleep is longer", "at most 86400 seconds"),
    // The quotes.
    (b"Multicast,c1,\"x\nsleep,3\n", "1:14: this quote is never closed", "written twice"),
    (b"sleep,1\nMulticast,c1,\"x\"3", "2:17: something follows the closing quote", "written twice"),
    (b"Multicast,c1,\"x\"\r", "1:17: something follows the closing quote", "written twice"),
    ("# ä\nMulticast,c1,\"ä\"ö".as_bytes(), "2:17: something follows", "written twice"),
];

#[test]
fn mistakes_are_refused_with_place_reason_and_remedy() {
    for (file, message, help) in BAD {
        let failure = parse_as_c1(*file).expect_err(&shown(file));
        assert_eq!(failure.exit, Exit::BadData, "{failure}");
        assert!(failure.message.starts_with(&format!("c1.txt:{message}")), "{failure}\nexpected {message}");
        assert!(
            failure.help.as_ref().is_some_and(|given| given.contains(help)),
            "{failure}\nexpected {help}"
        );
        let line = message.split(':').next().unwrap();
        let place = failure.place.as_ref().unwrap();
        assert!(place.contains(&format!("\n{line} | ")) && place.ends_with('^'), "{failure}");
    }
}

#[test]
fn command_file_of_another_program_has_ids_of_its_own() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"Multicast,Node 1,a\nNode 1,Node 2,b\n").unwrap();
    let script = Script::read_foreign(file.path(), "Node 1").unwrap();
    assert_eq!((script.lines().len(), script.receiver(ReceiverId(0))), (2, "Node 2"));
    let refused = Script::read(file.path(), "Node 1").unwrap_err();
    assert!(refused.message.contains("`Node 2` is not an id"), "{refused}");
}

#[test]
fn an_unknown_receiver_is_shown_once_the_members_are_known() {
    let script =
        Script::parse("tests/c1.txt", "Multicast,c1,x\n\nc1,c2,y\nc1,c9,command2\nc1,c8,z\n".into(), "c1")
            .unwrap();
    assert_eq!(script.unknown_receiver(&["c1", "c2", "c8", "c9"]), None);
    let failure = script.unknown_receiver(&["c1", "c2"]).unwrap();
    assert_eq!(failure.exit, Exit::BadData);
    assert_eq!(
        failure.to_string(),
        "tests/c1.txt:4:4: `c9` is not a member of this run\n --> tests/c1.txt:4:4\n  |\n4 | c1,c9,command2\n  |    ^^\n  \
         help: the members are c1, c2"
    );
}

#[test]
fn an_unknown_receiver_may_be_a_slip() {
    let script = parse_as_c1("c1,alicf,x").unwrap();
    let help = script.unknown_receiver(&["bob", "alice"]).unwrap().help.unwrap();
    assert_eq!(help, "did you mean `alice`? the members are bob, alice");
    let many: Vec<String> = (0..50).map(|number| format!("m{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(script.unknown_receiver(&many).unwrap().help.unwrap().ends_with("m18, m19 and 30 more"));
}

#[test]
fn a_dry_run_lists_every_operation() {
    let script = parse_as_c1("Multicast,c1,a\x1b[1m\n#\nsleep,0.25\nc1,c2,\"b\nb\"\nc1,c2,").unwrap();
    let expected = "     1  multicast  a\\u{1b}[1m\n     3  sleep      250ms\n     4  send to c2  b\\nb\n     6  send to c2  \n";
    assert_eq!(script.to_string(), expected);
}

#[test]
fn what_cannot_be_read_is_no_input() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Script::read(&dir.path().join("c1\n.txt"), "c1").unwrap_err();
    assert_eq!(missing.exit, Exit::NoInput);
    assert!(missing.message.contains("c1\\n.txt: No such file"), "{missing}");
    let directory = Script::read(dir.path(), "c1").unwrap_err();
    assert_eq!(directory.exit, Exit::NoInput);
    assert!(directory.message.contains("Is a directory"), "{directory}");
}

#[test]
fn a_file_is_read_and_named_in_errors() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"Multicast,c1,x\n").unwrap();
    assert_eq!(Script::read(file.path(), "c1").unwrap().lines().len(), 1);
    let failure = Script::read(file.path(), "c2").unwrap_err();
    assert!(failure.message.starts_with(&format!("{}:1:11: ", file.path().display())), "{failure}");
}

#[test]
fn an_endless_file_ends() {
    let failure = Script::read(Path::new("/dev/zero"), "c1").unwrap_err();
    assert_eq!(failure.exit, Exit::BadData);
    assert_eq!(failure.message, "the commands /dev/zero are longer than 256 MiB");
}

#[test]
fn a_million_lines_stay_small() {
    let file: Bytes = "Multicast,c1,command\nc1,c2,command\n".repeat(500_000).into();
    let length = file.len();
    let script = parse_as_c1(file).unwrap();
    assert_eq!((script.lines().len(), script.receivers.len()), (1_000_000, 1));
    assert!(length + script.lines.capacity() * size_of::<Line>() < 100 << 20);
}

#[test]
fn the_four_banks_are_those_of_the_assignment() {
    let banks = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/banks");
    let ids = ["c1", "c2", "c3", "c4"];
    let (mut multicasts, mut receipts) = (0, [0; 4]);
    for me in ids {
        let script = Script::read(&banks.join(format!("{me}.txt")), me).unwrap();
        assert_eq!(script.unknown_receiver(&ids), None);
        for Line { op, .. } in script.lines() {
            match op {
                Op::Multicast(_) | Op::MulticastTo { .. } => multicasts += 1,
                Op::Sleep(_) | Op::Leave => {}
                Op::Send { to, .. } => {
                    receipts[ids.iter().position(|&id| id == script.receiver(*to)).unwrap()] += 1;
                }
            }
        }
    }
    assert_eq!((multicasts, receipts), (26, [3, 2, 3, 6]));
}

#[test]
fn multicast_to_a_group_names_it() {
    let file =
        Bytes::from_static(b"Multicast@b,c1,x\nMulticast,c1,y\nMulticast@a,c1,z\nMulticast@b,c1,\"v,w\"\n");
    let script = Script::parse("c1.txt", file, "c1").unwrap();
    let to = |group, text: &'static [u8]| Op::MulticastTo { group: GroupId(group), text: text.into() };
    let ops: Vec<Op> = script.lines().iter().map(|line| line.op.clone()).collect();
    assert_eq!(ops, [to(0, b"x"), Op::Multicast(b"y"[..].into()), to(1, b"z"), to(0, b"v,w")]);
    assert_eq!(script.groups().collect::<Vec<_>>(), ["b", "a"]);
    let groups = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(script.unknown_group(&groups(&["a", "b", "c"])), None);
    let unknown = script.unknown_group(&groups(&["aa", "b"])).unwrap().to_string();
    assert!(unknown.contains("c1.txt:3:1: `a` is not a group of this client"), "{unknown}");
    assert!(unknown.contains("it is in aa, b"), "{unknown}");
}

#[test]
fn multicast_to_no_group_is_refused() {
    for (line, expected) in [
        ("Multicast@,c1,x", "`` is no name of a group: an id must not be empty"),
        ("Multicast@a/b,c1,x", "`a/b` is no name of a group"),
        ("Multicast@a,c2,x", "c2"),
        ("Multicast@a,c1", "this operation has 3 fields"),
        ("multicast@a,c1,x", "unknown operation `multicast@a`"),
    ] {
        let file = Bytes::copy_from_slice(line.as_bytes());
        let refused = Script::parse("c1.txt", file, "c1").unwrap_err().to_string();
        assert!(refused.contains(expected), "{line}: {refused}");
    }
}
