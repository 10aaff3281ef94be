//! Where the machine allows it: a run in a network of its own, in which the kernel loses packets of TCP and a cable is
//! pulled. Elsewhere the test says why it is skipped.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::set_variables;
use crate::tools::run::text;

/// Ends with this where there is no such network.
const SKIPPED: i32 = 77;

/// Runs a command in a network of its own, in which the kernel loses a twentieth of all packets, and all of them from the
/// second second to the fifth, and prints how many were lost.
///
/// TCP sends the first packet of a connection again after a second. If the kernel lost a fifth, five attempts of a second
/// each would fail in one of 170 connections, and a member is excluded after ten seconds of silence.
const SCRIPT: &str = r#"
PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up || exit 77
nft -f - <<'END' || exit 77
table inet bad {
    chain cable { type filter hook input priority -10; }
    chain loss { type filter hook input priority 0; numgen random mod 100 < 5 counter drop; }
}
END
(sleep 2; nft add rule inet bad cable counter drop; sleep 3; nft list chain inet bad cable; nft flush chain inet bad cable) &
"$@"
code=$?
wait
nft list chain inet bad loss
exit $code
"#;

#[test]
fn namespaces_tcp_loss_and_pulled_cable_resend_everything() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["c1", "c2", "c3"] {
        let commands: String =
            (0..60).map(|number| format!("Multicast,{id},m{number}\nsleep,0.05\n")).collect();
        fs::write(folder.path().join(format!("{id}.txt")), commands).unwrap();
    }
    let mut command = Command::new("unshare");
    set_variables(&mut command);
    command.args([
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        env!("CARGO_BIN_EXE_groupcast"),
        "run",
        ".",
    ]);
    let Ok(output) = command.current_dir(folder.path()).stdin(Stdio::null()).output() else {
        return skip("there is no unshare");
    };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(SKIPPED) || !began(folder.path()) {
        return skip(&stderr);
    }
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("PASS  180 multicasts, each delivered by all 3 clients"), "{stdout}");
    assert_eq!(dropped(&stdout).len(), 2, "{stdout}");
    assert!(dropped(&stdout).iter().all(|&count| count > 0), "{stdout}");
}

fn began(folder: &Path) -> bool {
    folder.join("runs").is_dir()
}

fn skip(why: &str) {
    eprintln!("skipped, because no network namespace with nftables is to be had: {}", why.trim());
}

/// The count of packets that the rules dropped.
fn dropped(ruleset: &str) -> Vec<u64> {
    let counters = ruleset.split("counter packets ").skip(1);
    counters.filter_map(|rest| rest.split(' ').next()?.parse().ok()).collect()
}
