//! Runs with keys, and strangers at them: without a key, with one for another forwarder, with one that nobody knows.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use groupcast::order::ORDERS;

use super::guarded::{Guarded, keys, pack};
use crate::harness::{Stage, all_end, side_by_side};

#[test]
fn keys_run_is_complete_and_strangers_hear_nothing() {
    let guarded = Guarded::new(&["c1", "c2"]);
    let stage = &guarded.0;
    pack(stage, "keys", "c2", "c2.keys");
    let mut programs = Vec::from(guarded.middle(2));
    // The port of packets, as a subscriber of everything without a key sees it, and one with a key that nobody knows.
    let context = zmq::Context::new();
    let subscriber = |has_key: bool| {
        let socket = context.socket(zmq::SUB).unwrap();
        let (own, known) = (zmq::CurveKeyPair::new().unwrap(), stage.dir().join("keys/forwarder.key"));
        if has_key {
            let text = fs::read_to_string(known).unwrap();
            let key = text.split('"').nth_back(1).unwrap();
            socket.set_curve_serverkey(&zmq::z85_decode(key).unwrap()).unwrap();
            socket.set_curve_publickey(&own.public_key).unwrap();
            socket.set_curve_secretkey(&own.secret_key).unwrap();
        }
        socket.set_linger(0).unwrap();
        socket.set_subscribe(b"").unwrap();
        socket.connect(&format!("tcp://127.0.0.1:{}", stage.port(1))).unwrap();
        socket
    };
    programs[..2].iter_mut().for_each(|program| program.says("listening"));
    let strangers = [subscriber(false), subscriber(true)];
    for (at, noise) in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], b"\x16\x03\x01\x02\x00\x01"].iter().enumerate()
    {
        TcpStream::connect(("127.0.0.1", stage.port(at as u16))).unwrap().write_all(noise).unwrap();
    }
    programs.push(guarded.client("c1", "keys").start());
    programs.push(guarded.client("c2", "c2.keys").start());
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 4);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    assert_eq!(stage.lines("c1", "uno"), ["c2###z"]);
    for stranger in strangers {
        assert_eq!(stranger.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN));
    }
    let said = programs[0].stderr();
    assert!(said.contains("127.0.0.1 was refused: its key "), "{said}");
}

#[test]
fn keys_client_that_is_not_accepted_ends_with_77_and_says_why() {
    let guarded = Guarded::new(&["c1"]);
    let stage = &guarded.0;
    keys(stage, &["init", "others"]);
    keys(stage, &["add", "others", "c1"]);
    // A key that the forwarder does not know, in a file with the right key of the forwarder.
    keys(stage, &["add", "keys", "c9"]);
    pack(stage, "keys", "c9", "c9.keys");
    keys(stage, &["revoke", "keys", "c9"]);
    pack(stage, "others", "c1", "others.keys");
    let mut middle = Vec::from(guarded.middle(1));
    middle[0].says("with keys");
    let (_, said) = guarded.client("c9", "c9.keys").ends(77);
    assert!(
        said.contains("does not accept the key") && said.contains("groupcast keys add KEYS c9"),
        "{said}"
    );
    middle[0].says("was refused: its key ");
    let (_, said) = guarded.client("c1", "others.keys").args(["--force", "--timeout", "5s"]).ends(77);
    assert!(said.contains("uses no keys, or has another one than expected here"), "{said}");
    let (_, said) = stage.client("c1", "Multicast,c1,x\n").args(["--force", "--timeout", "5s"]).ends(77);
    assert!(said.contains("seems to use keys, and this process has none"), "{said}");
    middle[0].says("it has no keys, or those of another forwarder");
    let mut client = guarded.client("c1", "keys").arg("--force").start();
    client.ends(0);
    all_end(&mut middle);
}

#[test]
fn keys_client_with_keys_does_not_talk_to_a_forwarder_without() {
    let guarded = Guarded::new(&["c1"]);
    let mut forwarder = guarded.0.forwarder(1).start();
    let (_, said) = guarded.client("c1", "keys").args(["--timeout", "5s"]).ends(77);
    assert!(said.contains("uses no keys, or has another one than expected here"), "{said}");
    forwarder.says("a process tries to connect, and cannot: it has keys");
}

#[test]
fn keys_that_cannot_be_used_are_refused_before_anything_connects() {
    let guarded = Guarded::new(&["c1"]);
    let stage = &guarded.0;
    pack(stage, "keys", "c1", "c1.keys");
    let (_, said) = stage.forwarder(1).args(["--keys", "c1.keys"]).ends(78);
    assert!(said.contains("the file of one member, and no folder of keys"), "{said}");
    let (_, said) = stage.forwarder(1).args(["--keys", "nowhere"]).ends(66);
    assert!(said.contains("groupcast keys init nowhere"), "{said}");
    let (_, said) = guarded.client("c2", "keys").ends(66);
    assert!(said.contains("groupcast keys add keys c2"), "{said}");
    stage.file("keys/members/c3.key", "nonsense");
    let (_, said) = stage.router().args(["--keys", "keys"]).ends(65);
    assert!(said.contains("keys/members/c3.key:1:"), "{said}");
    assert!(stage.files().is_empty());
}

#[test]
fn keys_are_made_for_a_run_of_every_order() {
    side_by_side(ORDERS.len(), 3, |number| {
        let (stage, order) = (Stage::new(), &ORDERS[number]);
        let run = stage.bare("groupcast").args(["run", "--keys", "--members", "3", "--messages", "20"]);
        let standby = (order.sequencer && !order.is_logged()).then_some("--standby");
        let method = order.method.iter().flat_map(|method| ["--method", method]);
        let run = run.args(["--order", order.name]).args(method).args(standby);
        let (printed, _) = run.ends(0);
        assert!(printed.contains("PASS  60 multicasts"), "{printed}");
    });
}

#[test]
fn keys_are_made_for_scenarios_whose_faults_can_act() {
    let scenarios = ["detected", "elected", "ordered", "standby"];
    side_by_side(scenarios.len(), 2, |number| {
        let stage = Stage::new();
        let (_, said) = scenario(&stage, scenarios[number], 0);
        assert!(!said.contains("never acted"), "{said}");
    });
    let stage = Stage::new();
    let (_, said) = scenario(&stage, "delayed", 64);
    assert!(said.contains("reorder 50% on in` cannot act: packets are encrypted"), "{said}");
    let run = stage.bare("groupcast").args(["run", "--keys", "--order", "tentative", "--messages", "20"]);
    let (printed, _) = run.args(["--members", "3"]).ends(0);
    assert!(printed.contains("PASS"), "{printed}");
}

/// Runs a scenario with keys.
fn scenario(stage: &Stage, name: &str, code: i32) -> (String, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios").join(name);
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), stage.dir().join(entry.file_name())).unwrap();
    }
    stage.bare("groupcast").args(["run", "--keys", "scenario.toml"]).ends(code)
}

#[test]
fn keys_do_not_keep_a_run_from_surviving_chaos() {
    let stage = Stage::new();
    let chaos = stage.bare("groupcast").args(["chaos", "--keys", "--runs", "3", "--seed", "1"]);
    let (printed, _) = chaos.ends(0);
    assert!(printed.contains("PASS  3 runs"), "{printed}");
}
