//! Confirmed, from texts: of the confirmed lines of any two members of a cluster, one list begins like the other.

use super::{TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    if let Some(witness) = parted(texts) {
        return Verdict::Violated(witness);
    }
    let missing = texts.members.iter().zip(&texts.run.members).find(|(member, _)| member.delivered.is_none());
    let missing = missing.map(|(_, member)| format!("what {} confirmed is not here", member.id));
    let reason = missing
        .or_else(|| texts.stranger())
        .or_else(|| texts.nothing())
        .or_else(|| texts.ambiguous())
        .or_else(|| texts.alone());
    reason.map_or(Verdict::Valid, Verdict::Undecided)
}

/// Finds the first line that differs between two members.
pub(super) fn parted(texts: &Texts<'_>) -> Option<Witness> {
    let longest = texts.delivered().max_by_key(|list| list.text_ids.len())?;
    texts.delivered().find_map(|list| {
        let mut both = longest.text_ids.iter().zip(&list.text_ids);
        let at = both.position(|(one, other)| one != other)?;
        let tell = |list: &TextList| {
            let place = list.place(&[at]);
            (format!("{} at {} {place}", texts.quote(list.text_ids[at]), list.member), place)
        };
        let [(one, here), (other, there)] = [tell(longest), tell(list)];
        Some(Witness::new(format!("number {} is {one} and {other}", at + 1), [here, there]))
    })
}
