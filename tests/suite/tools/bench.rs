//! `groupcast bench`: every order and both baselines come to an end and tell what they measured; a wrong order and an
//! interruption are told apart from that. How fast anything is, no test asks.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use groupcast::order::ORDERS;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Launch, Stage, side_by_side};

fn bench<'a>(stage: &'a Stage, line: &str) -> Launch<'a> {
    stage.bare("groupcast").arg("bench").args(line.split(' '))
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn bench_every_order_is_measured() {
    side_by_side(ORDERS.len(), 4, |number| {
        let order = &ORDERS[number];
        let stage = Stage::new();
        let method = order.method.map_or_else(String::new, |method| format!(" --method {method}"));
        let line = format!("--order {}{method} --messages 200 --window 40 --warmup 10 --json", order.name);
        let (told, _) = bench(&stage, &line).ends(0);
        let [round] = &lines(&told)[..] else { panic!("{told}") };
        assert_eq!((&round["order"], &round["method"]), (&order.name.into(), &order.method.into()));
        for (field, value) in [("members", 4), ("each", 200), ("size", 64), ("window", 40), ("warmup", 10)] {
            assert_eq!(round[field], value, "{field}: {told}");
        }
        assert!(round["multicasts_per_s"].as_f64() > Some(0.0) && round["complete"] == true, "{told}");
        assert_eq!(round["seconds"].is_f64(), round["deliveries_per_s"].is_f64(), "{told}");
    });
}

#[test]
fn bench_profile_adds_up_in_every_order() {
    side_by_side(ORDERS.len(), 2, |number| {
        let order = &ORDERS[number];
        let stage = Stage::new();
        let method = order.method.map_or_else(String::new, |method| format!(" --method {method}"));
        let line = format!("--order {}{method} --messages 200 --window 40 --profile --json", order.name);
        let (told, _) = bench(&stage, &line).ends(0);
        let [round] = &lines(&told)[..] else { panic!("{told}") };
        let profile = &round["profile"];
        assert_eq!(profile["multicasts"], 800, "{told}");
        let packets = profile["packets"].as_array().unwrap();
        let sum = |field: &str| packets.iter().map(|kind| kind[field].as_u64().unwrap()).sum::<u64>();
        for (field, all) in [("sent", "packets_per_multicast"), ("sent_bytes", "bytes_per_multicast")] {
            let apart = round[all].as_f64().unwrap() - sum(field) as f64 / 800.0;
            assert!(apart.abs() < 0.001, "{field}: {told}");
        }
        assert!(sum("received") > 0 && sum("received_bytes") > 16 * sum("received"), "{told}");
        let data = packets.iter().find(|kind| kind["kind"] == "Data").unwrap();
        assert!(data["sent"].as_u64() >= Some(4) && data["sent_bytes"].as_u64() >= Some(800 * 64), "{told}");
        let threads = profile["threads"].as_array().unwrap();
        let roles: Vec<&str> = threads.iter().map(|row| row["role"].as_str().unwrap()).collect();
        for role in ["forwarder", "members"] {
            assert!(roles.contains(&role), "{role}: {told}");
        }
        assert_eq!(roles.contains(&"sequencer"), order.sequencer, "{told}");
        let wakeups: u64 = threads.iter().map(|row| row["wakeups"].as_u64().unwrap()).sum();
        assert!(wakeups > 0 && round["wakeups_per_multicast"].as_f64() > Some(0.0), "{told}");
    });
}

#[test]
fn bench_profile_tells_of_baselines_and_clusters_and_only_if_it_is_asked_for() {
    let stage = Stage::new();
    let (told, _) = bench(&stage, "--messages 200 --clients 2 --baseline --profile").ends(0);
    for word in
        ["packed sequencer", "zmq_proxy  ", "forwarder", "members", "wake-ups", "multicasts in a Data"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    let cluster = "--order tentative --messages 50 --profile --json --clients 2 --data";
    let (told, _) = bench(&stage, cluster).arg(stage.dir().join("data")).ends(0);
    let [round] = &lines(&told)[..] else { panic!("{told}") };
    let profile = &round["profile"];
    assert!(profile["threads"][0]["role"] == "members" && profile["packets"].is_null(), "{told}");
    let (told, _) = bench(&stage, "--messages 50 --clients 2 --json").ends(0);
    let [round] = &lines(&told)[..] else { panic!("{told}") };
    assert!(round["profile"].is_null() && round["packets_per_multicast"].as_f64() > Some(0.0), "{told}");
}

#[test]
fn bench_clusters_are_measured() {
    side_by_side(3, 3, |number| {
        let stage = Stage::new();
        let data = stage.dir().join("data");
        let (senders, way) = [(1, ""), (4, ""), (2, " --unicast")][number];
        let line =
            format!("--order tentative --senders {senders} --messages 300 --warmup 10 --json{way} --data");
        let (told, _) = bench(&stage, &line).arg(&data).ends(0);
        let [round] = &lines(&told)[..] else { panic!("{told}") };
        let sockets = if way.is_empty() { "udp multicast" } else { "udp" };
        assert_eq!((&round["order"], &round["sockets"]), (&"tentative".into(), &sockets.into()), "{told}");
        for (field, value) in [("members", 4), ("senders", senders), ("each", 300), ("size", 64)] {
            assert_eq!(round[field], value, "{field}: {told}");
        }
        assert!(round["multicasts_per_s"].as_f64() > Some(0.0) && round["complete"] == true, "{told}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "journals are removed");
    });
}

#[test]
fn bench_senders_multicast_and_others_deliver() {
    let stage = Stage::new();
    let (told, _) = bench(&stage, "--order causal --senders 2 --messages 50 --json --baseline").ends(0);
    for round in lines(&told).iter().filter(|line| line["event"] == "round") {
        assert_eq!((&round["senders"], &round["each"]), (&2.into(), &50.into()), "{told}");
    }
}

#[test]
fn bench_baselines_alternate_with_groupcast() {
    let stage = Stage::new();
    let (told, _) =
        bench(&stage, "--messages 100 --window 1 --rounds 2 --clients 3 --json --baseline").ends(0);
    let told = lines(&told);
    let peers: Vec<&str> = told.iter().filter_map(|line| line["peer"].as_str()).collect();
    let (ours, proxy, bound) = ("groupcast total (bb)", "zmq_proxy", "packed bound");
    assert_eq!(peers, [ours, proxy, bound, bound, proxy, ours]);
    for line in &told[..6] {
        assert!(line["rtt_p50_us"].as_u64() <= line["rtt_p99_us"].as_u64(), "{line}");
        assert!(line["rtt_p50_us"].is_u64() && line["each"] == 100, "{line}");
    }
    for (line, peer) in told[6..].iter().zip([proxy, bound]) {
        assert_eq!((line["event"].as_str(), line["to"].as_str()), (Some("ratio"), Some(peer)));
        let pairs = line["multicasts_per_s_pairs"].as_array().unwrap();
        assert_eq!((pairs.len(), line["rtt_p50_pairs"].as_array().unwrap().len()), (2, 2));
        assert!(line["multicasts_per_s"].is_f64() && line["rtt_p50"].is_f64(), "{line}");
    }
    assert_eq!(told.len(), 8);
}

#[test]
fn bench_messages_sent_at_a_rate_have_a_latency() {
    let stage = Stage::new();
    let line = "--rate 400 --duration 500ms --json --clients 2 --baseline=proxy,bound";
    let (told, _) = bench(&stage, line).ends(0);
    for round in lines(&told).iter().filter(|line| line["event"] == "round") {
        let delays =
            ["p50", "p90", "p99", "p99_9", "max"].map(|name| round[format!("latency_{name}_us")].as_u64());
        assert!(delays[0] > Some(0) && delays.is_sorted(), "{round}");
        assert!(round["each"].as_u64() <= Some(110) && round["each"].as_u64() > Some(20), "{round}");
    }
}

#[test]
fn bench_groups_files_and_formats() {
    let stage = Stage::new();
    let (told, _) = bench(&stage, "--groups 3 --clients 2 --messages 50 --csv --out results").ends(0);
    let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|&name| name == "each").unwrap();
    assert_eq!((rows.len(), rows[0].len(), rows[1][column]), (2, rows[1].len(), "50"));
    let results = stage.dir().join("results");
    let result = |name: &str| std::fs::read(results.join(format!("test_result_{name}_tom.txt"))).unwrap();
    assert_eq!(result("g2-c1").iter().filter(|&&byte| byte == b'\n').count(), 100);
    assert!(result("g2-c1") == result("g2-c2"), "both members of the second group delivered the same");
    assert!(results.join("history_g3-c2.jsonl").exists());
    let (text, _) = bench(&stage, "--clients 2 --messages 10 --order fifo --baseline=bound").ends(0);
    for word in [
        "fifo: 2 members, 64 bytes",
        "10 multicasts each",
        "× multicasts/s (median of",
        "of the packed bound",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn bench_wrong_delivery_order_is_detected() {
    for (order, defect) in [("total", "no-hold-back"), ("lamport", "not-all-acknowledged")] {
        let stage = Stage::new();
        let line = format!("--order {order} --messages 3000 --window 100 --known-bad {defect}");
        let (_, said) = bench(&stage, &line).ends(1);
        assert!(said.contains("wrong order: "), "{said}");
    }
}

#[test]
fn bench_interrupted_by_signal_keeps_measurements() {
    let stage = Stage::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_groupcast"));
    command.args(["bench", "--duration", "90s", "--json", "--out"]).arg(stage.out());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Something was delivered as soon as it is in a file.
    let file = stage.out().join("test_result_c1_tom.txt.part");
    crate::harness::until("a delivery", || std::fs::metadata(&file).ok().filter(|file| file.len() > 0));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let told: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let [round] = &lines(&told.join("\n"))[..] else { panic!("{told:?}") };
    assert!(round["complete"] == false && round["multicasts_per_s"].as_f64() > Some(0.0), "{round}");
}

#[test]
fn bench_invalid_arguments_are_refused() {
    let stage = Stage::new();
    for line in [
        "--size 8",
        "--window 0",
        "--messages 5 --duration 5s",
        "--groups 2 --baseline",
        "--clients 100 --groups 100",
        "--order fifo --method bb --rounds 0",
        "--order total --method xx",
        "--json --csv",
        "--baseline=rabbit",
        "--order tentative --safe",
        "--order tentative --groups 2",
        "--order tentative --clients 65",
        "--order tentative --method bb",
        "--order fifo --unicast",
        "--clients 3 --senders 4",
    ] {
        bench(&stage, line).ends(64);
    }
}
