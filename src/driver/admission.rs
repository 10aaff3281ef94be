//! Admission to a running group: a newcomer asks the members, and listens until a view contains it.

use super::config::Joining;
use super::sockets::Sockets;
use super::words;
use crate::engine::{MemberId, Time};
use crate::exit::{Exit, Failure};
use crate::member::newcomer::Told;
use crate::member::view_message::Admission;
use crate::member::{Fence, Newcomer};
use crate::session::attendance::News;
use crate::units;
use crate::wire::Packet;
use crate::wire::control::Seat;

/// The view in which a newcomer begins, and the seats known to be assigned by the forwarders.
pub(super) type Admitted = (Admission, Vec<Seat>);

/// Returns the view in which this member begins, and the seats known to be assigned by the forwarders.
///
/// # Errors
/// Fails if the run has ended, the group has excluded this member already, or no member answers within the limit.
pub(super) fn pass(
    joining: &Joining,
    sockets: &mut Sockets,
    run: u64,
    me: MemberId,
    seats: &[Seat],
) -> Result<Admitted, Failure> {
    let seat = seats.iter().find(|seat| seat.slot == me.0).cloned();
    let seat = seat.ok_or_else(|| {
        Failure::new(Exit::Bug, "the forwarder started this member with a list of members that lacks it")
    })?;
    let mut newcomer = Newcomer::new(seat, run, sockets.clock.now());
    newcomer.seated(seats);
    loop {
        sockets.wait(Some(newcomer.next_deadline()))?;
        let now = sockets.clock.now();
        handle_news(sockets, &mut newcomer, now)?;
        if let Some(told) = receive_answer(sockets, &newcomer) {
            return match told {
                Told::Welcome(admission) => Ok((*admission, newcomer.given())),
                Told::Behind(view) => {
                    Err(words::fence(Fence::WentOn(view), joining.role, &|member| member.to_string()))
                }
            };
        }
        if let Some(packet) = newcomer.ask(now) {
            sockets.publish(&packet.frames, None);
        }
        let (group, id) = (&joining.group, &joining.id);
        sockets.say_waiting(now, &format!("waiting for the members of {group} to take {id} in"));
        if let Some(limit) = joining.timeout.filter(|&limit| now.since(Time::ZERO) >= limit) {
            let limit = units::duration(limit);
            let why = format!("cannot join group {group}: its members did not take {id} in within {limit}");
            return Err(Failure::new(Exit::TimedOut, why).help("`groupcast members` shows who is there"));
        }
    }
}

/// Handles the replies of the forwarders.
///
/// # Errors
/// [`Exit::Unavailable`] if the run has ended.
fn handle_news(sockets: &mut Sockets, newcomer: &mut Newcomer, now: Time) -> Result<(), Failure> {
    for (from, news) in sockets.forwarders.turn(now, &sockets.talk)? {
        match news {
            News::End => {
                return Err(Failure::new(Exit::Unavailable, "the run ended before this member was in it"));
            }
            News::Seated(seats) => newcomer.seated(&seats),
            News::Failed(failure) => sockets.forwarders.lose(from, failure, now, &sockets.talk)?,
            _ => {}
        }
    }
    Ok(())
}

fn receive_answer(sockets: &Sockets, newcomer: &Newcomer) -> Option<Told> {
    while let Some(heard) = sockets.subscriber.hear() {
        if let Some(told) = heard.ok().and_then(|frames| newcomer.hear(Packet::parse(frames).ok()?)) {
            return Some(told);
        }
    }
    None
}
