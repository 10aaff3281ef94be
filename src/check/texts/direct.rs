//! Point-to-point, from texts: a member received exactly the lines that each sender was asked to send it, in order.

use super::{MemberTexts, TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let receivers = || 0..texts.members.len();
    let pairs = || receivers().flat_map(|receiver| receivers().map(move |sender| (sender, receiver)));
    let violation = pairs().find_map(|(sender, receiver)| difference(texts, sender, receiver));
    if let Some(witness) = violation {
        return Verdict::Violated(witness);
    }
    let reason = nothing(texts).or_else(|| receivers().find_map(|member| unknown(texts, member)));
    reason.map_or(Verdict::Valid, Verdict::Undecided)
}

fn nothing(texts: &Texts<'_>) -> Option<String> {
    let silent = |member_texts: &MemberTexts| {
        member_texts.sends.is_empty()
            && member_texts.received.as_ref().is_none_or(|list| list.text_ids.is_empty())
    };
    texts.members.iter().all(silent).then(|| "nothing was sent to one member alone".to_owned())
}

/// Returns the reason why the direct messages to or from this member are unknown.
fn unknown(texts: &Texts<'_>, member: usize) -> Option<String> {
    let (member_texts, name) = (&texts.members[member], texts.name(member));
    match &member_texts.received {
        _ if !texts.run.has_commands => {
            Some("result files do not tell what was sent; --commands DIR does".to_owned())
        }
        None => Some(format!("what {name} received is not here")),
        Some(TextList { ended: false, file, .. }) => Some(format!("{file} has no end")),
        Some(received) => match received.text_ids.iter().find(|&&text_id| texts.sender(text_id).is_none()) {
            Some(&text_id) => Some(format!("{} is from someone who has no files here", texts.quote(text_id))),
            None if member_texts.asked.is_none() => {
                Some(format!("what {name} was asked to send is not known"))
            }
            None => texts.repeated(received),
        },
    }
}

/// Finds the first difference between the received lines and the commands.
fn difference(texts: &Texts<'_>, sender: usize, receiver: usize) -> Option<Witness> {
    let (from, to) = (&texts.members[sender], texts.members[receiver].received.as_ref()?);
    from.asked.as_ref()?;
    let nothing = TextList::new(texts.name(sender), "", true);
    let asked = from.sends.get(texts.name(receiver)).unwrap_or(&nothing);
    let received = to.filtered(|text_id| texts.sender(text_id) == Some(sender));
    let agreed = asked
        .text_ids
        .iter()
        .zip(&received.text_ids)
        .take_while(|(asked, received)| asked == received)
        .count();
    let ended = received.ended && from.delivered.as_ref().is_some_and(|list| list.ended);
    let (name, line) = (&to.member, |list: &TextList| texts.quote(list.text_ids[agreed]));
    let at = |list: &TextList| list.place(&[agreed]);
    Some(match (asked.text_ids.get(agreed), received.text_ids.get(agreed)) {
        (Some(_), Some(_)) => {
            let (place, origin) = (at(&received), at(asked));
            let (given, next) = (line(&received), line(asked));
            Witness::new(
                format!("{name} received {given} {place} where {next} {origin} was next"),
                [place, origin],
            )
        }
        (Some(_), None) if ended => {
            let (origin, place) = (at(asked), to.place(&[]));
            let (asked, line) = (&asked.member, line(asked));
            Witness::new(
                format!("{asked} was asked to send {line} {origin}; {name} never received it {place}"),
                [origin, place],
            )
        }
        (None, Some(_)) => {
            let place = at(&received);
            let (sender, line) = (&asked.member, line(&received));
            Witness::new(
                format!(
                    "{name} received {line} {place}, which {sender} was not asked to send, or not as often"
                ),
                [place],
            )
        }
        _ => return None,
    })
}
