//! `groupcast board`: the boards of a run, and CDK's figure replayed by real processes in every order.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Stage, side_by_side};
use crate::tools::run::{output, text};

const READER: &str = "A.LHeureux";

/// The board of one group, as JSON, and the exit code.
fn board(stage: &Stage, dir: &Path, arguments: &[&str]) -> (Value, i32) {
    let mut program = stage.bare("groupcast").arg("board").arg(dir).arg("--json").args(arguments).start();
    let code = program.wait();
    (serde_json::from_str(&program.stdout()).expect("one object"), code)
}

/// The subjects of a member's board, in its order.
fn subjects<'b>(board: &'b Value, member: &str) -> Vec<&'b str> {
    let boards = board["boards"].as_array().unwrap();
    let of_member = boards.iter().find(|board| board["member"] == member).expect("a board");
    let items = of_member["items"].as_array().unwrap();
    assert!(items.iter().zip(1..).all(|(item, number)| item["item"] == number), "{items:?}");
    items.iter().map(|item| item["subject"].as_str().unwrap()).collect()
}

/// The items of every reader without faults on the way.
const USUAL: [&str; 5] = ["Mach", "Microkernels", "Re: Microkernels", "RPC performance", "Re: Mach"];

#[test]
fn board_of_the_figure_has_the_numbers_and_replies_that_each_order_promises() {
    let ways = [
        ("unordered", "", false),
        ("fifo", "", false),
        ("causal", "", true),
        ("lamport", "", true),
        ("total", "bb", true),
        ("total", "ub", true),
        ("total", "uub", true),
    ];
    side_by_side(ways.len(), 4, |number| {
        let (order, method, is_promised) = ways[number];
        let stage = Stage::new();
        let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/board");
        let mut arguments = vec![commands.to_str().unwrap(), "--order", order];
        if !method.is_empty() {
            arguments.extend(["--method", method]);
        }
        let ran = output(stage.dir(), &arguments);
        assert_eq!(ran.status.code(), Some(0), "{order}: {}{}", text(&ran.stdout), text(&ran.stderr));

        let (shown, code) = board(&stage, &stage.dir().join("runs/latest"), &[]);
        assert_eq!(code, 0, "{order} keeps what it promises: {shown}");
        let is_same = shown["same_numbers"] == true;
        assert_eq!((is_same, shown["replies_below"] == true), (is_promised, is_promised), "{order}: {shown}");
        assert_eq!(subjects(&shown, "M.Walker"), USUAL, "{order}");
        let mut read = subjects(&shown, READER);
        if !is_promised {
            assert_eq!(read[..3], ["Mach", "Re: Microkernels", "Microkernels"], "{order}");
            read.swap(1, 2);
        }
        assert_eq!(read, USUAL, "{order}");
    });
}

#[test]
fn board_of_the_figure_is_refused_in_a_cluster_which_has_no_link_to_hold_packets() {
    let stage = Stage::new();
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/board");
    let ran = output(stage.dir(), &[commands.to_str().unwrap(), "--order", "tentative"]);
    assert_eq!(ran.status.code(), Some(64), "{}", text(&ran.stdout));
    assert!(text(&ran.stderr).contains("`link` is not for order tentative"), "{}", text(&ran.stderr));
    assert!(!stage.dir().join("runs").exists());
}

/// Result files of two members.
fn results(stage: &Stage, suffix: &str, one: &str, other: &str) -> std::path::PathBuf {
    let dir = stage.dir().join(suffix);
    std::fs::create_dir_all(&dir).unwrap();
    for (id, lines) in [("c1", one), ("c2", other)] {
        std::fs::write(dir.join(format!("test_result_{id}_{suffix}.txt")), lines).unwrap();
    }
    dir
}

#[test]
fn board_of_result_files_alone_is_judged_by_the_order_that_they_name() {
    let stage = Stage::new();
    let (straight, crossed) = ("c1###Mach\nc2###Re: Mach\n", "c2###Re: Mach\nc1###Mach\n");
    for (suffix, one, other, arguments, code) in [
        ("tom", straight, straight, &[][..], 0),
        ("tom", straight, crossed, &[], 1),
        ("tom", straight, crossed, &["--order", "fifo"], 0),
        ("tom", crossed, crossed, &[], 0),
        ("tom", crossed, crossed, &["--order", "lamport"], 1),
        ("fifo", straight, crossed, &[], 0),
        ("causal", straight, crossed, &[], 1),
        ("unordered", crossed, straight, &[], 0),
        ("unordered", crossed, straight, &["--order", "causal"], 1),
    ] {
        let dir = results(&stage, suffix, one, other);
        let (shown, found) = board(&stage, &dir, arguments);
        // The suffix `tom` is also that of order agreed, which promises nothing about causes.
        assert_eq!(found, code, "{suffix} {arguments:?}: {shown}");
        assert_eq!(shown["broken"], code == 1, "{shown}");
    }
}

#[test]
fn board_for_people_marks_what_is_not_expected() {
    let stage = Stage::new();
    let dir = results(&stage, "fifo", "c1###Mach\nc2###Re: Mach\n", "c2###Re: Mach\nc1###Mach\n");
    let (shown, _) = stage.bare("groupcast").arg("board").arg(dir).ends(0);
    let expected = "\
results at c1, fifo
  Item  From    Subject
!    1  c1      Mach
!    2  c2      Re: Mach

results at c2, fifo
  Item  From    Subject
!    1  c2    ! Re: Mach
!    2  c1      Mach

! before a number: members have different items under it (not promised)
! before a subject: a reply above what it replies to (not promised)
";
    assert_eq!(shown, expected);
}

#[test]
fn board_of_a_cluster_has_no_number_for_what_is_tentative() {
    let stage = Stage::new();
    let dir = results(&stage, "tom", "s1###a\n", "s1###a\n");
    std::fs::write(dir.join("test_result_c1_now.txt"), "s1###a\ns2###b\n").unwrap();
    let (shown, _) = stage.bare("groupcast").arg("board").arg(dir).ends(0);
    assert!(shown.contains("    1  s1      a\n     ~  s2      b\n"), "{shown}");
    assert!(shown.ends_with("~ in place of a number: tentative, the place may change\n"), "{shown}");
}

#[test]
fn board_without_items_ends_with_66() {
    let stage = Stage::new();
    let empty = stage.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    stage.bare("groupcast").arg("board").arg(&empty).ends(66);
    stage.bare("groupcast").arg("board").arg(empty.join("missing")).ends(66);
    let dir = results(&stage, "tom", "", "");
    let (_, said) = stage.bare("groupcast").arg("board").arg(&dir).ends(66);
    assert!(said.contains("no item is in"), "{said}");
}
