//! Causal order, in texts: what breaks FIFO order breaks causal order, too; more the texts do not tell.

use super::{Texts, fifo};
use crate::check::verdict::Verdict;

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    match fifo::judge(texts) {
        Verdict::Violated(witness) => Verdict::Violated(witness),
        _ => {
            Verdict::Undecided("only histories tell what a member had delivered when it multicast".to_owned())
        }
    }
}
