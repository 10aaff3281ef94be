//! `docs/PROTOCOL.md` says what the code does: its constants, its packets and its messages on the sync port.

use std::collections::BTreeMap;
use std::time::Duration;

use groupcast::driver::{data_path, door, endpoint, node};
use groupcast::engine::Time;
use groupcast::member::{DetectorConfig, arrivals, early, election, flush, membership, newcomer};
use groupcast::order::{total, total_bb};
use groupcast::replica::{entry, message};
use groupcast::session::actions::{Actions, Asker, Rules};
use groupcast::session::attendance::{self, Attendance, News};
use groupcast::session::registry::Registry;
use groupcast::transport::{options, udp};
use groupcast::wire::control::{
    self, Ask, Identity, Reply, Request, Role, Say, Seat, read_reply, read_request,
};
use groupcast::wire::{Batch, BatchBuilder, Malformed, batch, datagram, header, packet, sealed};
use groupcast::{cli, cluster, driver, forwarder, reliable, script, session};

use super::files::{self, Sample, folder};
use super::vectors::render;
use super::{Dialect, Value};

fn document() -> String {
    std::fs::read_to_string(folder("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md is there")
}

/// The blocks fenced with this word, without their fences.
fn blocks<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let fence = format!("```{word}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("closed")).collect()
}

#[test]
fn document_constants_are_those_of_the_code() {
    let text = document();
    let table = text.split("<!-- constants -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next());
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((name, cells.next()?.replace(',', "").parse::<u64>().expect(line)))
    };
    let found: BTreeMap<String, u64> = table.expect("marked").lines().filter_map(row).collect();
    assert_eq!(found, constants());
}

/// Returns how patient a client is that is told nothing else.
fn patience() -> DetectorConfig {
    #[derive(clap::Parser)]
    struct Told {
        #[command(flatten)]
        patient: cli::Patient,
    }
    <Told as clap::Parser>::parse_from(["client"]).patient.suspect_after
}

#[test]
fn document_suspicion_shares_are_those_of_the_code() {
    let patience = patience();
    assert_eq!(patience.heartbeat, patience.silence / 12);
    assert_eq!(patience.verify, patience.silence / 6);
    // The clock ticks every half of a heartbeat, which is no whole number of nanoseconds.
    let detection = patience.silence + patience.verify + patience.heartbeat;
    assert!(patience.detection().abs_diff(detection) < Duration::from_micros(1), "{detection:?}");
    let least = DetectorConfig::with_silence(Duration::from_millis(1));
    assert_eq!([least.heartbeat, least.verify], [Duration::from_millis(20); 2]);
    let as_millis =
        |of: DetectorConfig| [of.heartbeat, of.silence, of.verify].map(|length| length.as_millis());
    let named = [DetectorConfig::FAST, DetectorConfig::LAN, DetectorConfig::PEERS].map(as_millis);
    assert_eq!(named, [[100, 600, 200], [250, 3_000, 500], [3_000, 20_000, 1_000]]);
}

/// Returns the constants of the code that the document names; times in milliseconds.
fn constants() -> BTreeMap<String, u64> {
    let millis = |length: Duration| u64::try_from(length.as_millis()).expect("short");
    let times = times().into_iter().map(|(name, length)| (name, millis(length)));
    let options = options().into_iter().map(|(name, value)| (name, u64::try_from(value).expect("positive")));
    let all = numbers().into_iter().chain(times).chain(options);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn numbers() -> Vec<(&'static str, u64)> {
    vec![
        ("HOLD_MILLIS", control::HOLD_MILLIS),
        ("VERSION", u64::from(header::VERSION)),
        ("HEADER_LEN", header::HEADER_LEN as u64),
        ("DEFAULT_PORT_BASE", u64::from(cli::DEFAULT_PORT_BASE)),
        ("MAX_ID", script::MAX_ID as u64),
        ("MAX_TEXT", batch::MAX_TEXT as u64),
        ("FULL_BODY", batch::FULL_BODY as u64),
        ("MAX_BODY", batch::MAX_BODY as u64),
        ("OUTLINE_FROM", packet::OUTLINE_FROM as u64),
        ("OUTLINE_TO", packet::OUTLINE_TO as u64),
        ("MAX_COUNT", u64::from(batch::MAX_COUNT)),
        ("MAX_POSTED", batch::MAX_POSTED as u64),
        ("MAX_UNDER_WAY", session::MAX_UNDER_WAY as u64),
        ("MAX_HEADER", header::MAX_HEADER as u64),
        ("MAX_FRAME", u64::try_from(options::MAX_FRAME).expect("positive")),
        ("MAX_SUBSCRIPTION", u64::try_from(options::MAX_SUBSCRIPTION).expect("positive")),
        ("MAX_REQUEST", control::MAX_REQUEST as u64),
        ("MAX_REPLY", control::MAX_REPLY as u64),
        ("MAX_TOLD", control::MAX_TOLD as u64),
        ("MAX_RANGES", total_bb::MAX_RANGES as u64),
        ("MAX_NACK_RANGES", reliable::MAX_NACK_RANGES as u64),
        ("MAX_GROUPS", session::MAX_GROUPS as u64),
        ("WINDOW_PACKETS", reliable::WINDOW_PACKETS),
        ("WINDOW_BYTES", reliable::WINDOW_BYTES as u64),
        ("OWN_WINDOW", total::OWN_WINDOW as u64),
        ("CARRIED_AHEAD", reliable::basic::CARRIED_AHEAD),
        ("FAR_AHEAD", total::FAR_AHEAD),
        ("ACK_PACKETS", reliable::ACK_PACKETS),
        ("ACK_BYTES", reliable::ACK_BYTES as u64),
        ("FETCH", flush::FETCH as u64),
        ("MAX_EARLY", early::MAX_EARLY as u64),
        ("MAX_EARLY_BYTES", early::MAX_EARLY_BYTES as u64),
        ("MAX_ARRIVALS", arrivals::MAX_ARRIVALS as u64),
        ("MAX_SHOWN", session::MAX_SHOWN as u64),
        ("MAX_STANDBYS", session::MAX_STANDBYS as u64),
        ("MAX_ROUTERS", session::MAX_ROUTERS as u64),
        ("RUNS_KEPT", session::RUNS_KEPT as u64),
        ("DATAGRAM_VERSION", u64::from(datagram::VERSION)),
        ("DEFAULT_MTU", cluster::file::DEFAULT_MTU as u64),
        ("HEAD_LEN", datagram::HEAD_LEN as u64),
        ("SEALED_VERSION", u64::from(sealed::VERSION)),
        ("SEALED_HEAD_LEN", sealed::HEAD_LEN as u64),
        ("CODE_LEN", sealed::CODE_LEN as u64),
        ("NUMBERS_KEPT", udp::NUMBERS_KEPT),
        ("MOST_TOGETHER", datagram::MOST_TOGETHER as u64),
        ("MOST_MEMBERS", entry::MOST_MEMBERS as u64),
        ("MOST_RANGES", message::MOST_RANGES as u64),
        ("LONGEST_ENTRY", u64::from(message::LONGEST_ENTRY)),
    ]
}

fn times() -> Vec<(&'static str, Duration)> {
    vec![
        ("ACK_DELAY", reliable::ACK_DELAY),
        ("NACK_WAIT_MIN", reliable::NACK_WAIT_MIN),
        ("NACK_WAIT_MAX", reliable::NACK_WAIT_MAX),
        ("NACK_AGAIN_FIRST", reliable::NACK_AGAIN_FIRST),
        ("NACK_AGAIN_MAX", reliable::NACK_AGAIN_MAX),
        ("RESEND_GAP", reliable::RESEND_GAP),
        ("ANNOUNCE_FIRST", reliable::ANNOUNCE_FIRST),
        ("ANNOUNCE_MAX", reliable::ANNOUNCE_MAX),
        ("SUSPECT_AFTER", patience().silence),
        ("REPEAT", flush::REPEAT),
        ("STALL", flush::STALL),
        ("ANSWER_WITHIN", election::ANSWER_WITHIN),
        ("LEADS_WITHIN", election::LEADS_WITHIN),
        ("TELL_AGAIN", membership::TELL_AGAIN),
        ("ECHO_AFTER", data_path::ECHO_AFTER),
        ("ECHO_EVERY", data_path::ECHO_EVERY),
        ("HALF_OPEN", data_path::HALF_OPEN),
        ("DOOR_ABSENT_AFTER", door::DOOR_ABSENT_AFTER),
        ("DOOR_UNANSWERED", door::DOOR_UNANSWERED),
        ("DOOR_EVERY", door::DOOR_EVERY),
        ("ADMIT_EVERY", newcomer::ADMIT_EVERY),
        ("ARRIVAL_KEPT", arrivals::ARRIVAL_KEPT),
        ("REPLAY_SILENCE", endpoint::ASK_NEXT),
        ("PARTING", node::PARTING),
        ("PROBE_EVERY", driver::barrier::PROBE_EVERY),
        ("ASK_AGAIN", attendance::ASK_AGAIN),
        ("REPEAT_EVERY", attendance::REPEAT_EVERY),
        ("STANDBY_EVERY", attendance::STANDBY_EVERY),
        ("PREFER", driver::barrier::PREFER),
        ("CHALLENGE", session::CHALLENGE),
        ("GONE_FOR_GOOD", session::GONE_FOR_GOOD),
        ("STANDBY_LIMIT", session::STANDBY_LIMIT),
        ("EMPTY_KEPT", session::EMPTY_KEPT),
        ("LOST_AFTER", session::LOST_AFTER),
        ("QUIET_AFTER", session::QUIET_AFTER),
        ("SILENT_AFTER", session::SILENT_AFTER),
        ("CONNECT_LIMIT", session::CONNECT_LIMIT),
        ("END_KEPT", session::END_KEPT),
        ("RESUMABLE", session::RESUMABLE),
        ("FAREWELL", forwarder::FAREWELL),
        ("TAKE_OVER", newcomer::TAKE_OVER),
        ("HAND_AGAIN", session::HAND_AGAIN),
        ("SAY_EVERY", session::SAY_EVERY),
    ]
}

/// Returns the options of ZeroMQ's sockets.
fn options() -> Vec<(&'static str, i32)> {
    vec![
        ("LINGER_MILLIS", options::LINGER_MILLIS),
        ("QUEUE_PACKETS", options::QUEUE_PACKETS),
        ("PUBLISHED_PACKETS", options::PUBLISHED_PACKETS),
        ("TCP_TIMEOUT_MILLIS", options::TCP_TIMEOUT_MILLIS),
        ("CONNECT_TIMEOUT_MILLIS", options::CONNECT_TIMEOUT_MILLIS),
        ("HANDSHAKE_MILLIS", options::HANDSHAKE_MILLIS),
        ("HEARTBEAT_MILLIS", options::HEARTBEAT_MILLIS),
        ("HEARTBEAT_TIMEOUT_MILLIS", options::HEARTBEAT_TIMEOUT_MILLIS),
        ("SYNC_HEARTBEAT_TIMEOUT_MILLIS", options::SYNC_HEARTBEAT_TIMEOUT_MILLIS),
        ("RECONNECT_MILLIS", options::RECONNECT_MILLIS),
        ("RECONNECT_MAX_MILLIS", options::RECONNECT_MAX_MILLIS),
    ]
}

#[test]
fn document_vectors_are_the_files() {
    let text = document();
    let table = text.split("<!-- vectors -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next());
    let rows = table.expect("marked").lines().filter(|line| line.starts_with('|'));
    let names = |cell: &str, folder: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2).filter(|name| name.contains('.'));
        quoted.map(|name| format!("{folder}{name}")).collect()
    };
    let mut found: Vec<String> = rows
        .flat_map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            [names(cells[2], ""), names(cells[3], "bad/")].concat()
        })
        .collect();
    found.sort();
    assert_eq!(found, files::names());
}

#[test]
fn document_packets_are_valid() {
    let text = document();
    let packets = blocks(&text, "hex");
    assert!(packets.len() >= 5, "only {}", packets.len());
    for block in packets {
        let sample = Sample::parse(block);
        let dialect = Dialect::find(&sample.order);
        let value = Value::decode(dialect, &sample.frames()).expect(block);
        assert!(
            block.ends_with(&render(dialect, &value)),
            "{block}\nshould end with\n{}",
            render(dialect, &value)
        );
    }
}

#[test]
fn document_sync_messages_are_valid() {
    let text = document();
    let messages = blocks(&text, "json");
    assert!(messages.len() >= 16, "only {}", messages.len());
    for block in messages {
        let again = match (read_request(block.as_bytes()), read_reply(block.as_bytes())) {
            (Ok(request), Err(_)) => request.to_bytes(),
            (Err(_), Ok(reply)) => reply.to_bytes(),
            neither => panic!("{block}: {neither:?}"),
        };
        let (ours, theirs): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&again).expect("ours"), serde_json::from_str(block).expect("theirs"));
        assert_eq!(ours, theirs);
    }
}

#[test]
fn document_unknown_fields_are_ignored() {
    for ask in ["join", "alive"] {
        let request = format!(
            r#"{{"mood":"good","v":2,"seq":1,"group":"main","id":"c1","role":"client","nonce":1,"incarnation":0,"order":"fifo","method":"","ask":"{ask}","more":[{{}}]}}"#
        );
        assert!(read_request(request.as_bytes()).is_ok(), "{request}");
    }
    assert!(read_reply(br#"{"v":2,"seq":1,"say":"carry_on","more":{"x":1}}"#).is_ok());
    assert!(read_reply(br#"{"v":2,"seq":1,"say":"wait","missing":[],"x":1}"#).is_ok());
}

#[test]
fn document_batch_limits_are_kept_to_the_byte() {
    let text = vec![b'x'; batch::MAX_TEXT];
    let mut longest = BatchBuilder::new(1);
    longest.push(&text[..batch::FULL_BODY - 4]);
    assert!(!longest.is_full());
    longest.push(&text);
    assert!(longest.is_full());
    let longest = longest.finish().expect("not empty");
    assert!(longest.body().len() <= batch::MAX_BODY);
    assert_eq!(Batch::parse(1, longest.count(), longest.body().clone()), Ok(longest));

    let too_long = [&[0x81, 0x80, 0x40][..], &text, b"x"].concat();
    assert_eq!(Batch::parse(1, 1, too_long.into()), Err(Malformed));

    let empty_texts = vec![0; batch::MAX_COUNT as usize + 1];
    let most = Batch::parse(1, batch::MAX_COUNT, empty_texts[1..].to_vec().into());
    assert_eq!(most.map(|batch| batch.messages().count()), Ok(batch::MAX_COUNT as usize));
    assert_eq!(Batch::parse(1, batch::MAX_COUNT + 1, empty_texts.into()), Err(Malformed));

    let many = [[0x80, 0x80, 0x40].as_slice(), &text].concat().repeat(2);
    assert!(many.len() > batch::MAX_BODY);
    assert_eq!(Batch::parse(1, 2, many.into()), Err(Malformed), "a body beyond the limit");
}

#[test]
fn document_start_message_of_the_largest_group_fits() {
    let seat = |slot| Seat {
        slot,
        id: format!("{slot:x>width$}", width = script::MAX_ID),
        incarnation: u32::MAX,
        role: Role::Sequencer,
        can_sequence: true,
        late: true,
    };
    let start = Reply::new(
        u64::MAX,
        Say::Start { run: control::run_as_text(0), members: (55_000..65_001).map(seat).collect(), log: None },
    );
    let bytes = start.to_bytes();
    assert!(bytes.len() > control::MAX_REQUEST);
    assert_eq!(read_reply(&bytes), Ok(start));
}

fn registry(clients: usize) -> Registry {
    Registry::new(
        Rules {
            clients,
            start_timeout: Duration::from_secs(60),
            stay: false,
            sequencer_may_come: true,
            port_base: 0,
        },
        0,
    )
}

fn ask(registry: &mut Registry, group: &str, id: &str, order: &str, what: Ask) -> Vec<Say> {
    let who = Identity { order: order.to_owned(), ..Identity::new(group, id, Role::Client, 7) };
    let mut actions = Actions::default();
    let asker = Asker::Connection(id.as_bytes().to_vec());
    registry.asked(Time::ZERO, asker, Ok(Request::new(1, who, what)), &mut actions);
    registry.tick(Time::ZERO, &mut actions);
    actions.replies.into_iter().map(|(_, reply)| reply.say).collect()
}

fn is_refused(says: &[Say], with: u8, because: &str) -> bool {
    matches!(says, [Say::Refused { code, reason }] if *code == with && reason.contains(because))
}

#[test]
fn document_forwarder_refuses_invalid_names() {
    for (group, id) in
        [("a/b", "c1"), ("main", "c/1"), ("main", ""), ("ma\nin", "c1"), (&*"g".repeat(65), "c1")]
    {
        let mut registry = registry(1);
        let says = ask(&mut registry, group, id, "fifo", Ask::Join);
        assert!(is_refused(&says, 64, "id"), "{says:?}");
        assert!(!registry.serves(group));
    }
}

#[test]
fn document_forwarder_refuses_unknown_order() {
    let says = ask(&mut registry(1), "main", "c1", "alphabetical", Ask::Join);
    assert!(is_refused(&says, 78, "alphabetical"), "{says:?}");
}

#[test]
fn document_exhausted_slots_are_refused() {
    let mut registry = registry(2);
    assert!(matches!(
        ask(&mut registry, "main", "c1", "fifo", Ask::Join)[..],
        [Say::Welcome { slot: 0, .. }]
    ));
    for slot in 1..u16::MAX {
        let says = ask(&mut registry, "main", "c2", "fifo", Ask::Join);
        assert!(matches!(says[..], [Say::Welcome { slot: given, .. }] if given == slot), "{slot}: {says:?}");
        let leave = Ask::Leave { code: 0, reason: String::new() };
        assert_eq!(ask(&mut registry, "main", "c2", "fifo", leave), [Say::Bye]);
    }
    let says = ask(&mut registry, "main", "c2", "fifo", Ask::Join);
    assert!(is_refused(&says, 69, "too many"), "{says:?}");
}

#[test]
fn document_answer_to_older_request_is_ignored() {
    let who = Identity { order: "fifo".to_owned(), ..Identity::new("main", "c1", Role::Client, 7) };
    let mut attendance = Attendance::new(Time::ZERO, who, Ask::Done { view: 1, clients: Vec::new() }, None);
    assert_eq!(attendance.request(Time::ZERO).map(|request| request.seq), Some(1));
    let later = Time::ZERO.after(attendance::ASK_AGAIN);
    assert_eq!(attendance.request(later).map(|request| request.seq), Some(2));
    assert_eq!(attendance.answered(later, Reply::new(1, Say::End)), News::Nothing);
    assert_eq!(attendance.answered(later, Reply::new(2, Say::End)), News::End);
}
