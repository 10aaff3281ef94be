//! Causal order, from texts: a violation of FIFO order violates causal order; texts show no more.

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
