//! The orders of the table as models, by their titles.

use groupcast::defect::Defects;
use groupcast::engine::{MemberId, View};
use groupcast::order::{ORDERS, Order, Promise};
use groupcast::order::{agreed, causal, fifo, lamport, total_bb, total_log, total_ub, total_uub, unordered};

use super::check;
use super::group::{Group, Member, Plan, Script};
use super::seat::Seat;

/// A group of any order that is to be checked.
pub(super) trait Checked {
    /// How many states it has. Panics with the story if one breaks a promise.
    fn states(&self, title: &str) -> usize;
    /// How few steps break this property. Panics if it always holds.
    fn steps_to_break(&self, title: &str, property: &'static str) -> usize;
}

impl<E: Member> Checked for Group<E> {
    fn states(&self, title: &str) -> usize {
        check::states(title, self)
    }

    fn steps_to_break(&self, title: &str, property: &'static str) -> usize {
        check::shortest(title, self, property).into_actions().len()
    }
}

/// The order with this title, as in `total (ub)`.
pub(super) fn order(title: &str) -> &'static Order {
    ORDERS.iter().find(|order| order.title() == title).expect("a title of the table")
}

/// A group that runs `script` in this order, and what is expected of it.
pub(super) fn model(
    order: &Order,
    script: Script,
    promises: &'static [Promise],
    defects: Defects,
) -> Box<dyn Checked> {
    let plan = Plan { script, has_sequencer: order.sequencer, is_narrow: false, promises, defects };
    planned(order, &plan)
}

/// The same with send windows that hold one packet with messages, and no more expected of it than the order promises.
pub(super) fn narrow(order: &Order, script: Script) -> Box<dyn Checked> {
    let (promises, defects) = (order.promises, Defects::NONE);
    let plan = Plan { script, has_sequencer: order.sequencer, is_narrow: true, promises, defects };
    planned(order, &plan)
}

fn planned(order: &Order, plan: &Plan) -> Box<dyn Checked> {
    match order.title().as_str() {
        "unordered" => boxed(plan, |me, _, _| unordered::Unordered::new(me)),
        "fifo" => boxed(plan, fifo::Fifo::new),
        "causal" => boxed(plan, causal::Causal::new),
        "total (bb)" => boxed(plan, |me, view, defects| {
            let client = |sequencer| total_bb::TotalBb::new(me, view, sequencer, defects);
            seat(me, view, client, || total_bb::SequencerBb::new(view, defects))
        }),
        "total (ub)" => boxed(plan, |me, view, defects| {
            let client = |sequencer| total_ub::TotalUb::new(me, view, sequencer);
            seat(me, view, client, || total_ub::SequencerUb::new(view, defects))
        }),
        "total (uub)" => boxed(plan, |me, view, _| {
            let client = |sequencer| total_uub::TotalUub::new(me, view, sequencer);
            seat(me, view, client, || total_uub::SequencerUub::new(view))
        }),
        "total (log)" => boxed(plan, |me, view, defects| {
            let client = |sequencer| total_ub::TotalUb::new(me, view, sequencer);
            seat(me, view, client, || total_log::SequencerLog::new(view, true, defects))
        }),
        "lamport" => boxed(plan, lamport::Lamport::new),
        "agreed" => boxed(plan, agreed::Agreed::new),
        title => panic!("no model of {title}"),
    }
}

fn boxed<E: Member>(plan: &Plan, engine: fn(MemberId, &View, Defects) -> E) -> Box<dyn Checked> {
    Box::new(Group::new(plan, engine))
}

fn seat<C, S>(
    me: MemberId,
    view: &View,
    client: impl FnOnce(MemberId) -> C,
    sequencer: impl FnOnce() -> S,
) -> Seat<C, S> {
    let numbering = view.sequencer.expect("this order has one");
    if me == numbering { Seat::Sequencer(sequencer()) } else { Seat::Client(client(numbering)) }
}
