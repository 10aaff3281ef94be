//! Convergence, from texts: all members of a cluster have the same list, and all of it is confirmed.
//!
//! Members whose confirmed lists part can never converge. That lists are equal is known only from the files with the
//! whole lists, `test_result_<id>_now.txt`: a result file does not show what is not confirmed.

use super::{MemberTexts, Texts, prefix};
use crate::check::verdict::Verdict;

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    if let Some(witness) = prefix::parted(texts) {
        return Verdict::Violated(witness);
    }
    let open = texts.members.iter().zip(&texts.run.members).find(|(member, _)| !is_all_confirmed(member));
    let open = open.map(|(_, member)| format!("only a history tells whether {} settled", member.id));
    let reason = open.or_else(|| shorter(texts)).or_else(|| texts.nothing()).or_else(|| texts.alone());
    reason.map_or(Verdict::Valid, Verdict::Undecided)
}

/// Returns true if the whole list of a member is what it confirmed.
fn is_all_confirmed(member: &MemberTexts) -> bool {
    let lists = member.now.as_ref().zip(member.delivered.as_ref());
    lists.is_some_and(|(now, delivered)| now.text_ids == delivered.text_ids)
}

/// Names a member that has confirmed less than another one.
fn shorter(texts: &Texts<'_>) -> Option<String> {
    let most = texts.delivered().max_by_key(|list| list.text_ids.len())?;
    let less = texts.delivered().find(|list| list.text_ids.len() < most.text_ids.len())?;
    Some(format!("{} has confirmed less than {}", less.member, most.member))
}
