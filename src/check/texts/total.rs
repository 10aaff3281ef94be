//! Total order, in texts: any two members delivered the lines that they share in the same order.

use super::order::{self, Order};
use super::{Sheet, Texts};
use crate::check::verdict::Verdict;

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let sheets: Vec<&Sheet> = texts.delivered().collect();
    let mut unclear = None;
    let violation = order::pairs(&sheets).find_map(|(one, other)| match order::compare(texts, one, other) {
        Order::Differs(witness) => Some(witness),
        Order::Unclear(reason) => {
            unclear.get_or_insert(reason);
            None
        }
        Order::Same => None,
    });
    texts.conclude(violation, unclear)
}
