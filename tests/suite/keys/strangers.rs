//! Strangers at the ports of a run with keys: each comes while the run is under way, and it must not notice.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::guarded::{Guarded, keys};
use crate::harness::{Stage, all_end, pause};

/// The greeting of ZeroMQ's protocol with the mechanism CURVE: its signature, its version, and no more.
fn greeting() -> Vec<u8> {
    let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
    greeting.extend(b"CURVE");
    greeting.resize(64, 0);
    greeting
}

/// Sends `noise` to each port, and returns what came back.
fn scan(stage: &Stage, noise: &[u8]) -> Vec<Vec<u8>> {
    let port = |at| {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port(at))).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = stream.write_all(noise);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    };
    (0..4).map(port).collect()
}

/// The commands of c1 for a run in which so many times a twentieth of a second there is a packet.
fn load(count: u32) -> String {
    (0..count).map(|line| format!("Multicast,c1,{line}\nsleep,0.05\n")).collect()
}

/// The keys with which a stranger comes.
#[derive(Clone, Copy, Debug)]
enum With {
    Nothing,
    /// A key that nobody knows, and the key of the forwarder.
    Unknown,
    /// The key of a member, and another one than that of the forwarder.
    WrongServer,
    /// The key that a member had, and the key of the forwarder.
    Revoked,
}

/// The value in quotes of a line that begins so, in a key file.
fn value(stage: &Stage, file: &str, name: &str) -> Vec<u8> {
    let text = fs::read_to_string(stage.dir().join(file)).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
    zmq::z85_decode(line.split('"').nth(1).unwrap()).unwrap()
}

/// A socket of a stranger that comes with these keys, connected to a port.
fn stranger(
    context: &zmq::Context,
    stage: &Stage,
    kind: zmq::SocketType,
    port: u16,
    with: With,
) -> zmq::Socket {
    let socket = context.socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    let (unknown, mut other) =
        (zmq::CurveKeyPair::new().unwrap(), value(stage, "keys/forwarder.key", "public-key"));
    let pair = match with {
        With::Nothing => None,
        With::Unknown => Some((unknown.public_key.to_vec(), unknown.secret_key.to_vec())),
        With::WrongServer | With::Revoked => {
            let file = if matches!(with, With::Revoked) { "revoked.keys" } else { "keys/c1.key_secret" };
            Some((value(stage, file, "public-key"), value(stage, file, "secret-key")))
        }
    };
    if matches!(with, With::WrongServer) {
        other = unknown.public_key.to_vec();
    }
    if let Some((public, secret)) = pair {
        socket.set_curve_serverkey(&other).unwrap();
        socket.set_curve_publickey(&public).unwrap();
        socket.set_curve_secretkey(&secret).unwrap();
    }
    socket.connect(&format!("tcp://127.0.0.1:{}", stage.port(port))).unwrap();
    socket
}

#[test]
fn keys_strangers_at_every_port_of_a_run_are_not_heard_and_hear_nothing() {
    let guarded = Guarded::new(&["c1", "c2", "c3"]);
    let stage = &guarded.0;
    fs::copy(stage.dir().join("keys/c3.key_secret"), stage.dir().join("revoked.keys")).unwrap();
    keys(stage, &["revoke", "keys", "c3"]);
    let middle = [stage.forwarder(2).arg("-v"), stage.router(), stage.sequencer()];
    let mut programs: Vec<_> = middle.map(|launch| launch.args(["--keys", "keys"]).start()).into();
    programs[..2].iter_mut().for_each(|program| program.says("listening"));
    let load = load(240);
    let c1 = stage.client("c1", load).args(["--keys", "keys"]);
    programs.extend([c1.start(), guarded.client("c2", "keys").start()]);
    programs[3].says("start of main");

    let context = zmq::Context::new();
    let all = [With::Nothing, With::Unknown, With::WrongServer, With::Revoked];
    let strangers = all.map(|with| {
        let [input, output, sync, router] =
            [(zmq::PUB, 0), (zmq::SUB, 1), (zmq::DEALER, 2), (zmq::DEALER, 3)]
                .map(|(kind, port)| stranger(&context, stage, kind, port, with));
        output.set_subscribe(b"").unwrap();
        (with, input, [output, sync, router])
    });
    for noise in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 64],
        greeting(),
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
    ] {
        for answer in scan(stage, &noise) {
            // Greetings tell that ZeroMQ is there, and nothing of the run.
            assert!(answer.len() <= 64, "{answer:?}");
        }
    }
    for (_, input, [_, sync, router]) in &strangers {
        for _ in 0..20 {
            let _ = input.send_multipart([&b"main/"[..], b"header", b"body"], zmq::DONTWAIT);
            let _ = sync.send_multipart([&b""[..], b"{}"], zmq::DONTWAIT);
            let _ = router.send_multipart([&b"main/c1"[..], b"main/", b"header", b"body"], zmq::DONTWAIT);
        }
    }
    pause(Duration::from_secs(1));
    for (with, _, hears) in &strangers {
        for (at, socket) in hears.iter().enumerate() {
            assert_eq!(socket.recv_bytes(zmq::DONTWAIT), Err(zmq::Error::EAGAIN), "{with:?} {at}");
        }
    }
    assert!(
        programs.iter_mut().all(crate::harness::Program::is_running),
        "the run was under way all the time"
    );
    all_end(&mut programs);
    assert_eq!(stage.lines("c2", "tom").len(), 242);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    let said = programs[0].stderr();
    assert!(!said.contains("in the place of"), "{said}");
    assert!(said.contains("127.0.0.1 was refused: its key "), "{said}");
    assert!(said.contains("it has no keys, or those of another forwarder"), "{said}");
}

/// The findings of a program with pyzmq at the port of packets, with the keys of each case.
fn pyzmq(stage: &Stage) -> Option<Vec<Value>> {
    let is_there = Command::new("python3").args(["-c", "import zmq; assert zmq.has('curve')"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped, because there is no python3 with zmq");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/keys/strangers.py");
    let mut python = Command::new("python3");
    let endpoint = format!("tcp://127.0.0.1:{}", stage.port(1));
    let output = python.arg(script).arg(endpoint).current_dir(stage.dir()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    Some(printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn keys_let_pyzmq_in_only_with_the_right_ones() {
    let guarded = Guarded::new(&["c1", "c2", "c3"]);
    let stage = &guarded.0;
    fs::copy(stage.dir().join("keys/c3.key_secret"), stage.dir().join("revoked.key_secret")).unwrap();
    keys(stage, &["revoke", "keys", "c3"]);
    let mut programs = Vec::from(guarded.middle(1));
    programs.push(stage.client("c1", load(1200)).args(["--keys", "keys"]).start());
    programs[3].says("start of main");
    let Some(found) = pyzmq(stage) else { return };
    let names: Vec<&str> = found.iter().map(|case| case["case"].as_str().unwrap()).collect();
    assert_eq!(names, ["right", "none", "wrong server", "unknown", "revoked"]);
    for case in &found {
        let has = |event: &str| case["events"].as_array().unwrap().iter().any(|found| found == event);
        let is_right = case["case"] == "right";
        assert_eq!(case["heard"].as_u64().unwrap() > 0, is_right, "{case}");
        assert_eq!(has("HANDSHAKE_SUCCEEDED"), is_right, "{case}");
        let is_denied = ["unknown", "revoked"].contains(&case["case"].as_str().unwrap());
        assert_eq!(has("HANDSHAKE_FAILED_AUTH"), is_denied, "{case}");
    }
    assert!(programs[3].is_running(), "there were packets all the time");
}

#[test]
#[cfg_attr(not(feature = "known-bad"), ignore = "needs the feature known-bad")]
fn keys_without_the_thread_that_checks_them_end_the_process() {
    let guarded = Guarded::new(&["c1"]);
    let stage = &guarded.0;
    let forwarder = stage.forwarder(1).args(["--keys", "keys"]).env("GROUPCAST_TEST_KEYS", "the thread ends");
    let mut forwarder = forwarder.start();
    forwarder.says("with keys");
    let client = guarded.client("c1", "keys").args(["--timeout", "3s"]);
    client.ends(69);
    forwarder.ends_saying(70, &["the thread that checks keys has ended; nobody can be let in"]);
}
