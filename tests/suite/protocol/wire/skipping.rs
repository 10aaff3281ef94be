//! The typed values of the good vectors of groups whose members are in several: requests for later numbers, and numbers
//! that name no message.

use groupcast::engine::To;
use groupcast::order::total::Skipped;
use groupcast::order::total_bb::{BbWire, Numbered, Range};
use groupcast::order::total_ub::UbWire;
use groupcast::order::total_uub::UubWire;

use super::vectors::{C1, SEQUENCER, Vector, data};
use super::{Dialect, Value};

/// Every good packet that is about skipped numbers.
pub(super) fn packets() -> impl Iterator<Item = Vector> {
    let to_sequencer = To::Member(SEQUENCER);
    let skipped = Skipped { number: 43, count: 57 };
    let ranges = vec![Range { sender: C1, first: 7, count: 1 }];
    let numbers = BbWire::Numbers(Numbered { first: 44, ranges, skipped: 55 });
    let rows = [
        (
            "data_total_numbers_skipped.hex",
            "Data of the sequencer: number 44 goes to c1's message 7, and the numbers 45 to 99 name no message",
            Dialect::Total,
            Value::Total(SEQUENCER, data(To::Group, 13, numbers)),
        ),
        (
            "data_total_advance.hex",
            "Data of a client in several groups: c1 asks the sequencer to give no number up to 99 any more",
            Dialect::Total,
            Value::Total(C1, data(To::Group, 4, BbWire::Advance(99))),
        ),
        (
            "data_ub_skipped.hex",
            "Data of the sequencer, method ub: the numbers 43 to 99 name no message",
            Dialect::Ub,
            Value::Ub(SEQUENCER, data(To::Group, 13, UbWire::Skipped(skipped))),
        ),
        (
            "data_ub_advance.hex",
            "Data of a client in several groups, method ub: c1 asks the sequencer to give no number up to 99 any more",
            Dialect::Ub,
            Value::Ub(C1, data(to_sequencer, 4, UbWire::Advance(99))),
        ),
        (
            "data_uub_skipped.hex",
            "Data of the sequencer, method uub: the numbers 43 to 99 name no message",
            Dialect::Uub,
            Value::Uub(SEQUENCER, data(To::Group, 13, UubWire::Skipped(skipped))),
        ),
        (
            "data_uub_advance.hex",
            "Data of a client in several groups, method uub: c1 asks the sequencer to grant no number up to 99 any more",
            Dialect::Uub,
            Value::Uub(C1, data(to_sequencer, 4, UubWire::Advance(99))),
        ),
    ];
    rows.into_iter().map(|(file, title, dialect, value)| Vector::new(file, title, dialect, value))
}
