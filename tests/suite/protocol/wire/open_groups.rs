//! The parts of the vectors of open groups: an author, its text, and a receipt.

use groupcast::wire::control::{Identity, Post, Receipt, Role};
use groupcast::wire::{Author, Batch, BatchBuilder};

const KEY: u64 = 4_711_000_004;
const NAME: &str = "Walker";
const TEXT: &str = "Re: Mach";

/// A text of the author, and one of the member itself.
pub(super) fn authored() -> Batch {
    let mut batch = BatchBuilder::new(1);
    batch.push_authored(Author { name: NAME, key: 0x0123_4567_89ab_cdef, number: 1 }, TEXT.as_bytes());
    batch.push(b"own");
    batch.finish().expect("not empty")
}

pub(super) fn author() -> Identity {
    Identity::new("main", NAME, Role::Client, KEY)
}

pub(super) fn post() -> Post {
    let (author, text) = (NAME.to_owned(), TEXT.to_owned());
    Post { author, key: KEY, number: 1, text, lost: vec![1], again: true }
}

pub(super) fn receipt() -> Receipt {
    Receipt { key: KEY, number: 1, id: Some("c1/1/7".to_owned()) }
}
