//! docs/ORDERS.md says what the orders and the ways to the group cost, and what the orders promise: held to what the
//! simulator measures and to the table of orders.

use std::fs;
use std::process::Command;

use groupcast::order::{ORDERS, Promise, Reliability};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ORDERS.md");
/// The arguments of `scripts/costs`, one for each table.
const TABLES: [&str; 2] = ["", " reliability"];
const END: &str = "<!-- end -->\n";

fn document() -> String {
    fs::read_to_string(DOCUMENT).expect("the document")
}

/// The beginning of the table that the script writes with these arguments.
fn begin(arguments: &str) -> String {
    format!("<!-- scripts/costs{arguments} -->\n")
}

/// The document before, in and after a table of costs.
fn parts<'a>(document: &'a str, arguments: &str) -> [&'a str; 3] {
    let (before, rest) = document.split_once(&begin(arguments)).expect("the table's beginning");
    let (table, after) = rest.split_once(END).expect("the table's end");
    [before, table, after]
}

#[test]
fn order_costs_in_document_match_the_script() {
    for arguments in TABLES {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/costs"));
        script.args(arguments.split_whitespace()).env("GROUPCAST", env!("CARGO_BIN_EXE_groupcast"));
        let output = script.output().expect("the script starts");
        assert!(output.status.success(), "{output:?}");
        let measured = String::from_utf8_lossy(&output.stdout);
        let document = document();
        let [before, table, after] = parts(&document, arguments);
        if std::env::var_os("GROUPCAST_REWRITE").is_some() {
            fs::write(DOCUMENT, [before, &begin(arguments), &measured, END, after].concat())
                .expect("the document is written");
        } else {
            assert_eq!(table, measured, "GROUPCAST_REWRITE=1 writes the new table");
        }
    }
}

#[test]
fn order_costs_document_covers_every_order() {
    let document = document();
    let [_, over, _] = parts(&document, TABLES[1]);
    for reliability in Reliability::ALL {
        assert_eq!(over.matches(&format!("| `{}` |", reliability.name())).count(), 1, "{over}");
    }
    let [before, table, after] = parts(&document, TABLES[0]);
    for order in &ORDERS {
        let name = order.name;
        let row = order.method.map_or(format!("| `{name}` |"), |method| format!("| `{name}`, {method} |"));
        assert_eq!(table.matches(&row).count(), 1, "the cost of {}", order.title());
        assert!(after.contains(&format!("\n## {name}\n")), "a section for {name}");
        let promises =
            before.lines().rfind(|line| line.starts_with(&format!("| `{name}` |"))).expect("its promises");
        let cells: Vec<bool> = promises.split('|').skip(2).take(3).map(|cell| cell.trim() == "yes").collect();
        let promised =
            [Promise::Fifo, Promise::Causal, Promise::Total].map(|promise| order.promises.contains(&promise));
        assert_eq!(cells, promised, "{}", order.title());
    }
}
