//! `groupcast check` on files of other programs: other escapes, other line ends, other ids, other names.

use super::files::Folder;

/// Result files of these members with this content each.
fn results(members: &[&str], content: &str) -> Folder {
    let folder = Folder::new();
    for id in members {
        folder.put(&format!("test_result_{id}_tom.txt"), content);
    }
    folder
}

/// Command files with this content each.
fn commands(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, content) in files {
        folder.put(name, content);
    }
    folder
}

/// The judgement of `check` on result files and command files: its exit code and its whole output.
fn said(results: &Folder, arguments: &str) -> (i32, String) {
    let output = results.check(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn check_backslashes_are_read_with_or_without_escapes() {
    for (text, escaped) in [
        (r"C:\temp\data", r"C:\\temp\\data"),
        (r"C:\new\readme", r"C:\\new\\readme"),
        (r"\", r"\\"),
        (r"a\\b", r"a\\\\b"),
        (r"tail\", r"tail\\"),
    ] {
        let asked = commands(&[("c1.txt", &*format!("Multicast,c1,{text}\n")), ("c2.txt", "")]);
        for written in [text, escaped] {
            let folder = results(&["c1", "c2"], &format!("c1###{written}\n"));
            let arguments = format!("--commands {}", asked.path().display());
            let (code, said) = said(&folder, &arguments);
            assert!(!said.contains("violated") && code != 1, "{text} written as {written}: {said}");
            let found = folder.verdicts(&arguments);
            for property in ["no-creation", "validity", "agreement"] {
                assert_eq!(found.word(property), "valid", "{text} written as {written}: {found:?}");
            }
        }
        // Another text is another text all the same.
        let folder = results(&["c1", "c2"], &format!("c1###{text}x\n"));
        let found = folder.verdicts(&format!("--commands {}", asked.path().display()));
        assert_eq!(found.word("no-creation"), "violated", "{found:?}");
    }
}

#[test]
fn check_escaped_and_plain_files_agree() {
    let folder = Folder::new();
    folder
        .put("test_result_c1_tom.txt", "c1###C:\\temp\n")
        .put("test_result_c2_tom.txt", "c1###C:\\\\temp\n");
    let asked = commands(&[("c1.txt", "Multicast,c1,C:\\temp\n"), ("c2.txt", "")]);
    let found = folder.verdicts(&format!("--commands {}", asked.path().display()));
    assert!(found.with("violated").is_empty(), "{found:?}");
}

#[test]
fn check_line_ends_marks_and_blank_lines_are_no_deliveries() {
    let plain = results(&["c1", "c2"], "c1###a\nc2###b\n").verdicts("");
    for content in [
        "c1###a\r\nc2###b\r\n",
        "\u{feff}c1###a\nc2###b\n",
        "c1###a\nc2###b",
        "c1###a\nc2###b\n\n",
        "c1###a\r\nc2###b\r\n\r\n\r\n",
        "c1###a\nc2###b\n \t\n",
    ] {
        let folder = results(&["c1"], "c1###a\nc2###b\n");
        folder.put("test_result_c2_tom.txt", content);
        let found = folder.verdicts("");
        assert_eq!(format!("{found:?}"), format!("{plain:?}"), "{content:?}");
    }
    let (code, said) = said(&results(&["c1"], "c1###a\n\nc1###b\n"), "");
    assert!(code == 65 && said.contains("test_result_c1_tom.txt:2:1: this is no delivery"), "{said}");
    let wide: String = "c1###a\n".chars().flat_map(|letter| [letter, '\0']).collect();
    let (code, said) = self::said(&results(&["c1"], &wide), "");
    assert!(code == 65 && said.contains("this is UTF-16"), "{said}");
}

#[test]
fn check_foreign_ids_may_have_spaces() {
    let folder = Folder::new();
    let ids = ["Node 1", "M\u{fc}ller", "a,b", "start"];
    for id in ids {
        folder.put(&format!("test_result_{id}_tom.txt"), "Node 1###x\n");
    }
    let asked = commands(&[
        ("Node 1.txt", "Multicast,Node 1,x\n"),
        ("M\u{fc}ller.txt", ""),
        ("a,b.txt", "sleep,1\n"),
        ("start.txt", ""),
    ]);
    let found = folder.verdicts(&format!("--commands {}", asked.path().display()));
    assert!(found.with("violated").is_empty(), "{found:?}");
    for property in ["no-creation", "no-duplicate", "validity", "agreement", "total"] {
        assert_eq!(found.word(property), "valid", "{property}: {found:?}");
    }
    folder.put("test_result_Node 1_uno.txt", "start###psst\n");
    let asked = asked.put("start.txt", "start,Node 1,psst\n");
    let found = folder.verdicts(&format!("--property point-to-point --commands {}", asked.path().display()));
    assert_ne!(found.word("point-to-point"), "violated", "{found:?}");
}

#[test]
fn check_files_not_judged_are_named() {
    let folder = results(&["c1", "c2"], "c1###a\n");
    folder.put("test_result_c3_totl.txt", "c1###a\n").put("Test_Result_c4_tom.TXT", "c1###a\n");
    folder.put("c5.log", "c1###a\n").put("history_c6.json", "{}").put("notes.md", "nothing");
    let (_, said) = said(&folder, "");
    for name in ["test_result_c3_totl.txt", "Test_Result_c4_tom.TXT", "c5.log", "history_c6.json"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(said.contains("a suffix is one of") && !said.contains("notes.md"), "{said}");
    let none = Folder::new();
    none.put("results_c1.txt", "c1###a\n");
    let (code, said) = self::said(&none, "");
    assert!(code == 66 && said.contains("only results_c1.txt"), "{said}");
    let (code, said) =
        self::said(&folder, &format!("--commands {}", none.path().join("results_c1.txt").display()));
    assert!(code == 66 && said.contains("it is a file, not a folder"), "{said}");
}

#[test]
fn check_command_files_not_read_are_named() {
    let folder = results(&["c1"], "c1###a\n");
    let asked = commands(&[("c1.txt", "Multicast,c1,a\n"), ("C2.TXT", ""), ("c3.txt", "Mulitcast,c3,x\n")]);
    let (_, said) = said(&folder, &format!("--commands {}", asked.path().display()));
    for words in ["C2.TXT", "c3.txt:1:1: unknown operation `Mulitcast`"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn check_receipt_without_sender_history_is_undecided() {
    let folder = Folder::new();
    folder.put(
        "history_c2.jsonl",
        r#"{"v":1,"event":"start","member":"c2","incarnation":1,"group":"main","order":"fifo","members":["c1","c2"],"time_us":0}
{"v":1,"event":"view","number":1,"members":["c1","c2"],"time_us":0}
{"v":1,"event":"receive","id":"c1/1/1","from":"c1","text":"x","time_us":5}
{"v":1,"event":"view","number":2,"members":["c2"],"time_us":7}
{"v":1,"event":"end","reason":"done","multicasts":0,"delivered":0,"sent":0,"received":1,"time_us":9}
"#,
    );
    let found = folder.verdicts("--property point-to-point");
    assert_eq!(found.word("point-to-point"), "undecided", "{found:?}");
    let why = found.why("point-to-point");
    assert!(why.contains("c2 received c1/1/1") && !why.contains("nothing was sent"), "{why}");
}
