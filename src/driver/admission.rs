//! How a member comes into a group that is running: it asks the members, and listens until it is in a view.

use crate::driver::node::Joining;
use crate::driver::wires::Wires;
use crate::driver::words;
use crate::engine::{MemberId, Time};
use crate::exit::{Exit, Failure};
use crate::member::newcomer::Told;
use crate::member::word::Admission;
use crate::member::{Fence, Newcomer};
use crate::session::attendance::News;
use crate::talk;
use crate::wire::control::Seat;

/// Where a newcomer begins, and the seats that the forwarders are known to have given.
pub(super) type TakenIn = (Admission, Vec<Seat>);

/// Returns the view in which this member begins, and the seats that the forwarders are known to have given.
///
/// # Errors
/// The run has ended, the group has gone on without this member already, or nobody answers within the limit.
pub(super) fn pass(
    joining: &Joining,
    wires: &mut Wires,
    run: u64,
    me: MemberId,
    seats: &[Seat],
) -> Result<TakenIn, Failure> {
    let seat = seats.iter().find(|seat| seat.slot == me.0).cloned();
    let seat = seat.ok_or_else(|| {
        Failure::new(Exit::Bug, "the forwarder started this member with a list of members that lacks it")
    })?;
    let mut newcomer = Newcomer::new(seat, run, wires.clock.now());
    newcomer.seated(seats);
    loop {
        wires.wait(Some(newcomer.next_deadline()))?;
        let now = wires.clock.now();
        attend(wires, &mut newcomer, now)?;
        if let Some(told) = listen(wires, &newcomer) {
            return match told {
                Told::Welcome(admission) => Ok((*admission, newcomer.given())),
                Told::Behind(view) => {
                    Err(words::fence(Fence::WentOn(view), joining.role, &|member| member.to_string()))
                }
            };
        }
        if let Some(packet) = newcomer.ask(now) {
            wires.publish(&packet, None);
        }
        let (group, id) = (&joining.group, &joining.id);
        wires.say_waiting(now, &format!("waiting for the members of {group} to take {id} in"));
        if let Some(limit) = joining.timeout.filter(|&limit| now.since(Time::ZERO) >= limit) {
            let limit = talk::duration(limit);
            let why = format!("cannot join group {group}: its members did not take {id} in within {limit}");
            return Err(Failure::new(Exit::TimedOut, why).help("`groupcast members` shows who is there"));
        }
    }
}

/// What the forwarders say: the run may end meanwhile.
fn attend(wires: &mut Wires, newcomer: &mut Newcomer, now: Time) -> Result<(), Failure> {
    for (from, news) in wires.callers.turn(now, &wires.talk)? {
        match news {
            News::End => {
                return Err(Failure::new(Exit::Unavailable, "the run ended before this member was in it"));
            }
            News::Seated(seats) => newcomer.seated(&seats),
            News::Failed(failure) => wires.callers.lose(from, failure, now, &wires.talk)?,
            _ => {}
        }
    }
    Ok(())
}

fn listen(wires: &Wires, newcomer: &Newcomer) -> Option<Told> {
    while let Some(heard) = wires.subscriber.hear() {
        if let Some(told) = heard.and_then(|frames| newcomer.hear(&frames)) {
            return Some(told);
        }
    }
    None
}
