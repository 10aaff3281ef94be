//! The requests of an operator, at the member that is asked: each is met, refused, or proposed to the others.

use std::path::Path;

use super::file::objection_beside;
use super::node::Node;
use super::request::{self, Answer, Asked};
use crate::exit::Failure;
use crate::ids::MemberId;
use crate::replica::epoch::Request;
use crate::talk::{Talk, list};

/// Takes a request of the operator, or answers one that is met or refused.
///
/// # Errors
/// As [`Node::turn`].
pub fn attend(node: &mut Node, data: &Path, talk: &Talk) -> Result<(), Failure> {
    let asked = match request::asked(data) {
        Ok(Some(asked)) => asked,
        Ok(None) => return take_back(node),
        Err(error) => {
            talk.detail(format!("cannot read the request in {}: {error}", data.display()));
            return Ok(());
        }
    };
    let answer = match judge(node, &asked) {
        Judged::Met => Answer { asked, epoch: Some(node.replica().epoch()), refused: None },
        Judged::Refused(why) => Answer { asked, epoch: None, refused: Some(why) },
        Judged::Open(request) => {
            if node.replica().wanted() != Some(&request) {
                node.propose(Some(request))?;
            }
            return Ok(());
        }
    };
    take_back(node)?;
    if let Err(error) = request::answer(data, &answer) {
        talk.warn(format!("cannot answer the request in {}: {error}", data.display()));
    }
    Ok(())
}

/// Takes an earlier request back: the operator does not wait for it any more.
fn take_back(node: &mut Node) -> Result<(), Failure> {
    if node.replica().wanted().is_some() { node.propose(None) } else { Ok(()) }
}

/// Judges a request by the members that there are.
fn judge(node: &Node, asked: &Asked) -> Judged {
    let replica = node.replica();
    let slot_of = |id: &str| {
        let at = node.names().iter().position(|name| name == id);
        at.map(|at| MemberId(at as u16))
    };
    match asked {
        Asked::Add { id, udp } => match slot_of(id) {
            Some(slot) if replica.is_member(slot) && usize::from(slot.0) < replica.first_members() => {
                Judged::Refused(format!("{id} has been a member from the beginning"))
            }
            Some(slot) if replica.is_member(slot) && node.address(slot) == Some(*udp) => Judged::Met,
            Some(_) => Judged::Refused(format!("{id} is, or was, the id of a member")),
            None if node.slot_at(*udp).is_some() => {
                Judged::Refused(format!("{udp} is, or was, the address of a member"))
            }
            None => match node.address(node.me()).and_then(|own| objection_beside(*udp, own)) {
                Some(why) => Judged::Refused(why),
                None => Judged::Open(Request::Add { name: id.clone(), udp: *udp }),
            },
        },
        Asked::Remove { id } => match slot_of(id) {
            None => {
                let names: Vec<&str> = node.names().iter().map(String::as_str).collect();
                Judged::Refused(format!("{id} is none of the members {}", list(&names)))
            }
            Some(slot) if !replica.is_member(slot) => Judged::Met,
            Some(slot) if slot == node.me() => {
                Judged::Refused(format!("{id} cannot remove itself: ask another member"))
            }
            Some(_) if replica.members() < 3 => Judged::Refused(
                "a majority of the members must agree, and one of two is none: add one while both run"
                    .to_owned(),
            ),
            Some(slot) => Judged::Open(Request::Remove(slot)),
        },
    }
}

/// The state of a request.
enum Judged {
    Met,
    Refused(String),
    Open(Request),
}
