//! `groupcast check` where only result files are at hand, with and without the command files.

use super::files::{Folder, Verdicts};

/// Result files of these members, by their lines; a name that ends in `…` has a file that was cut off.
fn results(files: &[(&str, &[&str])]) -> Folder {
    let folder = Folder::new();
    for (id, lines) in files {
        let (id, part) = id.strip_suffix('…').map_or((*id, ""), |id| (id, ".part"));
        let text: String = lines.iter().map(|line| line.replacen(' ', "###", 1) + "\n").collect();
        folder.put(&format!("test_result_{id}_tom.txt{part}"), text);
    }
    folder
}

/// Command files of these clients: what they multicast.
fn commands(clients: &[(&str, &[&str])]) -> Folder {
    let folder = Folder::new();
    for (id, texts) in clients {
        let lines: String = texts.iter().map(|text| format!("Multicast,{id},{text}\n")).collect();
        folder.put(&format!("{id}.txt"), format!("sleep,1\n{lines}"));
    }
    folder
}

fn with(results: &Folder, commands: &Folder) -> Verdicts {
    results.verdicts(&format!("--property all --commands {}", commands.path().display()))
}

const A: [&str; 3] = ["c1 x", "c2 y", "c1 z"];

#[test]
fn check_equal_result_files_show_total_order_only() {
    let verdicts = results(&[("c1", &A), ("c2", &A)]).verdicts("--property all");
    assert_eq!(verdicts.with("valid"), ["no-duplicate", "agreement", "total"], "{verdicts:?}");
    assert_eq!((verdicts.code, verdicts.with("violated").len()), (2, 0), "{verdicts:?}");
    assert!(verdicts.why("fifo").contains("--commands"), "{verdicts:?}");
    let promised = results(&[("c1", &A), ("c2", &A)]).verdicts("");
    assert!(!promised.names().contains(&"fifo") && promised.names().contains(&"total"), "{promised:?}");
    assert_eq!(results(&[("c1", &A), ("c2", &A)]).verdicts("--property total,agreement").code, 0);
    assert!(results(&[("c1", &A), ("c2", &A)]).verdicts("--order fifo").names().contains(&"fifo"));
}

#[test]
fn check_different_orders_are_reported_with_file_and_line() {
    let verdicts = results(&[("c1", &A), ("c2", &["c2 y", "c1 x", "c1 z"])]).verdicts("--property all");
    assert_eq!(verdicts.with("violated"), ["total"], "{verdicts:?}");
    assert_eq!(
        verdicts.why("total"),
        "c1 delivered `c1###x` then `c2###y` (test_result_c1_tom.txt:1,2); c2 delivered `c2###y` then `c1###x` \
         (test_result_c2_tom.txt:1,2)"
    );
    // Two orders of one sender's lines: at least one of them differs from the sender's order.
    let verdicts = results(&[("c1", &A), ("c2", &["c1 z", "c2 y", "c1 x"])]).verdicts("--property all");
    assert_eq!(verdicts.with("violated"), ["fifo", "causal", "total"], "{verdicts:?}");
}

#[test]
fn check_repeated_lines_are_judged_as_far_as_possible() {
    let total = |one: &[&str], other: &[&str]| {
        let verdicts = results(&[("c1", one), ("c2", other)]).verdicts("--property all");
        [
            verdicts.word("agreement").to_owned(),
            verdicts.word("total").to_owned(),
            verdicts.word("no-duplicate").to_owned(),
        ]
    };
    let twice = ["c1 x", "c2 y", "c1 x"];
    // Equal files, and yet the first `x` of the one may be the second of the other.
    assert_eq!(total(&twice, &twice), ["undecided"; 3]);
    // The same lines in two orders: no choice of messages makes them one.
    assert_eq!(total(&twice, &["c1 x", "c1 x", "c2 y"]), ["undecided", "violated", "undecided"]);
    // Other lines: agreement is broken, and what order there was depends on which `x` is which.
    assert_eq!(total(&twice, &["c2 y", "c1 x"]), ["violated", "undecided", "undecided"]);
    assert_eq!(total(&["c1 x", "c1 x"], &["c1 x", "c1 x"]), ["undecided"; 3]);
    // A line that is lost does not hide the order of the others.
    assert_eq!(total(&A, &["c1 z", "c1 x"]), ["violated", "violated", "valid"]);
}

#[test]
fn check_command_files_give_the_expected_deliveries() {
    let asked = commands(&[("c1", &["x", "z"]), ("c2", &["y"])]);
    let good = with(&results(&[("c1", &A), ("c2", &A)]), &asked);
    let valid = ["no-creation", "no-duplicate", "validity", "agreement", "fifo", "total"];
    assert_eq!(good.with("valid"), valid, "{good:?}");
    assert_eq!(good.with("violated"), [""; 0]);

    let lines = |lines: &'static [&'static str]| with(&results(&[("c1", lines), ("c2", lines)]), &asked);
    assert_eq!(lines(&["c1 x", "c1 z"]).with("violated"), ["validity"]);
    assert_eq!(lines(&["c1 z", "c1 x", "c2 y"]).with("violated"), ["fifo", "causal"]);
    assert_eq!(lines(&["c1 x", "c2 y", "c1 z", "c2 w"]).with("violated"), ["no-creation"]);
    // A text of somebody who is no member, which all have: an author may have posted it.
    assert_eq!(lines(&["c1 x", "c2 y", "c1 z", "c9 w"]).with("violated"), [""; 0]);
    assert_eq!(lines(&["c1 x", "c2 y", "c1 z", "c2 y"]).with("violated"), ["no-duplicate"]);
    let fifo = lines(&["c1 z", "c1 x", "c2 y"]);
    assert!(fifo.why("fifo").ends_with("c1 was asked to multicast `c1###x` first (c1.txt:2,3)"), "{fifo:?}");

    // Repeated by one member only: agreement is not what is broken.
    let once = with(&results(&[("c1", &A), ("c2", &["c1 x", "c2 y", "c2 y", "c1 z"])]), &asked);
    assert_eq!(once.with("violated"), ["no-duplicate"], "{once:?}");
    assert!(once.why("no-duplicate").contains("2 times (test_result_c2_tom.txt:2,3)"), "{once:?}");
}

#[test]
fn check_text_commanded_twice_may_come_twice() {
    let asked = commands(&[("c1", &["x", "x", "z"]), ("c2", &["x"])]);
    let of = |lines: &'static [&'static str]| with(&results(&[("c1", lines), ("c2", lines)]), &asked);
    let good = of(&["c1 x", "c2 x", "c1 x", "c1 z"]);
    assert_eq!(good.with("violated"), [""; 0], "{good:?}");
    assert_eq!(good.with("valid"), ["no-creation"], "which `x` is which, nobody can tell");
    // The second `x` after `z`: it can only be a repetition of the first, so that the second was passed over.
    assert_eq!(of(&["c1 x", "c1 z", "c1 x", "c2 x"]).with("violated"), ["fifo", "causal"]);
    assert_eq!(of(&["c1 x", "c1 x", "c1 x", "c1 z", "c2 x"]).with("violated"), ["no-duplicate"]);
}

#[test]
fn check_member_with_unknown_end_may_lack_messages() {
    let asked = commands(&[("c1", &["x", "z"]), ("c2", &["y"])]);
    let cut = with(&results(&[("c1", &A), ("c2…", &["c1 x"])]), &asked);
    assert_eq!((cut.with("violated").len(), cut.with("valid").len()), (0, 0), "{cut:?}");
    assert!(cut.why("total").contains("test_result_c2_tom.txt.part"), "{cut:?}");
    let wrong = with(&results(&[("c1", &A), ("c2…", &["c2 y", "c1 x"])]), &asked);
    assert_eq!(wrong.with("violated"), ["total"], "{wrong:?}");
    // A client with commands and without files took part, too.
    let absent = with(&results(&[("c1", &["c1 x", "c1 z"])]), &asked);
    assert_eq!((absent.code, absent.why("agreement")), (2, "what c2 delivered is not here"), "{absent:?}");
}

#[test]
fn check_direct_messages_are_compared_with_the_commands() {
    let asked = commands(&[("c1", &["x"]), ("c2", &[])]);
    asked.put("c1.txt", "c1,c2,one\nMulticast,c1,x\nc1,c2,\"two\nlines\"\n");
    let run = |received: &str| {
        let folder = results(&[("c1", &["c1 x"]), ("c2", &["c1 x"])]);
        folder.put("test_result_c1_uno.txt", "").put("test_result_c2_uno.txt", received);
        with(&folder, &asked)
    };
    assert_eq!(run("c1###one\nc1###two\\nlines\n").word("point-to-point"), "valid");
    for (received, story) in [
        ("c1###one\n", "c1 was asked to send `c1###two\\nlines` (c1.txt:3); c2 never received it"),
        (
            "c1###two\\nlines\nc1###one\n",
            "c2 received `c1###two\\nlines` (test_result_c2_uno.txt:1) where `c1###one` (c1.txt:1) was next",
        ),
        (
            "c1###one\nc1###two\\nlines\nc1###one\n",
            "c2 received `c1###one` (test_result_c2_uno.txt:3), which c1 was not asked to send",
        ),
    ] {
        let verdicts = run(received);
        assert_eq!((verdicts.code, verdicts.with("violated")), (1, vec!["point-to-point"]), "{verdicts:?}");
        assert!(verdicts.why("point-to-point").contains(story), "{verdicts:?}");
    }
}

#[test]
fn check_total_order_binds_all_members() {
    let circle = [("c1…", &["c1 x", "c2 y"][..]), ("c2…", &["c2 y", "c3 z"]), ("c3…", &["c3 z", "c1 x"])];
    let verdicts = results(&circle).verdicts("--property total");
    assert_eq!(
        verdicts.why("total"),
        "c1 delivered `c1###x` then `c2###y` (test_result_c1_tom.txt.part:1,2); c2 delivered `c2###y` then `c3###z` \
         (test_result_c2_tom.txt.part:1,2); c3 delivered `c3###z` then `c1###x` (test_result_c3_tom.txt.part:1,2)"
    );
    // A message that a third member has twice is compared between the two others.
    let third = [("c1…", &["c1 x", "c2 y"][..]), ("c2…", &["c2 y", "c1 x"]), ("c3…", &["c1 x", "c1 x"])];
    assert_eq!(results(&third).verdicts("--property total").code, 1);
}

#[test]
fn check_skipped_message_violates_fifo() {
    let verdicts =
        results(&[("c1", &["c1 x", "c1 y", "c1 z"]), ("c2…", &["c1 x", "c1 z"])]).verdicts("--property fifo");
    assert_eq!(
        verdicts.why("fifo"),
        "of c1, c1 delivered `c1###y` (test_result_c1_tom.txt:2) next, after the same, and c2 `c1###z` \
         (test_result_c2_tom.txt.part:2): one of them passed over what c1 multicast first"
    );
}

#[test]
fn check_files_of_one_member_name_no_others() {
    let verdicts = results(&[("c1", &["c1 x"])]).verdicts("--property agreement,total");
    assert_eq!((verdicts.code, verdicts.with("valid")), (2, vec![]), "{verdicts:?}");
    let asked = commands(&[("c1", &["x"])]);
    assert!(with(&results(&[("c1", &["c1 x"])]), &asked).with("valid").contains(&"total"));
}
