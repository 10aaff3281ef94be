//! The replay for a newcomer: it asks one member for the deliveries before its first view, or for the state that
//! results from them.
//!
//! The pieces are direct messages: they arrive reliably while the view lasts, but may overtake each other. After a view
//! change the newcomer asks again, from the piece that it has reached.

use crate::ids::MemberId;
use crate::script::check_id;
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer, wire_enum, wire_struct};

/// The content of a replay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missed {
    /// All deliveries.
    Deliveries,
    /// The state of the application of a member.
    State,
    /// All messages of the log of the sequencer.
    Log,
}

/// The identity of a replayed message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The member that multicast it.
    pub sender: MemberId,
    /// Its message number.
    pub own_number: u64,
    /// Its global number; 0 if the order has none.
    pub number: u64,
}

/// Consecutive messages of a log that are of one life of a client, which perhaps no member of the group ever was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Logged {
    /// The id of the client.
    pub id: String,
    /// Its incarnation.
    pub incarnation: u32,
    /// The number of the first message among those of its sender.
    pub first: u64,
    /// The number of messages, at least 1.
    pub count: u32,
}

/// A message between a newcomer and the member that replays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replay {
    /// A request for the deliveries before this view, except those that the newcomer has.
    Ask {
        /// The content of the replay.
        what: Missed,
        /// The number of the view in which the newcomer was taken in.
        view: u64,
        /// The number of deliveries, or pieces of the state, that it has; of a log, the last place that it has.
        have: u64,
    },
    /// Deliveries; [`Batch::first`] is the place of the first among all, counted from 1.
    Past(Vec<Origin>, Batch),
    /// Pieces of the state, counted in the same way.
    State(Batch),
    /// Messages of the log, with their senders; [`Batch::first`] is the place of the first.
    Logged(Vec<Logged>, Batch),
    /// The end of the replay, with the number of pieces; of a log, the last place before the view.
    End(u64),
    /// This member cannot replay.
    Cannot,
}

impl Replay {
    /// Returns deliveries with their origins.
    ///
    /// # Panics
    /// Unless there are as many origins as messages.
    #[must_use]
    pub fn past(origins: Vec<Origin>, batch: Batch) -> Self {
        assert_eq!(origins.len(), batch.count() as usize, "each message has one origin");
        Self::Past(origins, batch)
    }
}

wire_enum!(Missed { 0 => Deliveries, 1 => State, 2 => Log });
wire_struct!(Origin { sender, own_number, number });

impl Wire for Logged {
    fn write(&self, out: &mut Writer) {
        out.u8(self.id.len() as u8);
        out.raw(self.id.as_bytes());
        out.u32(self.incarnation);
        out.u64(self.first);
        out.u32(self.count);
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let length = from.u8()?;
        let id = from.raw(length.into())?;
        let id = std::str::from_utf8(&id).ok().filter(|id| check_id(id).is_ok()).ok_or(Malformed)?.to_owned();
        let (incarnation, first, count) = (from.u32()?, from.u64()?, from.u32()?);
        let fits = first > 0 && count > 0 && first.checked_add(u64::from(count)).is_some();
        if fits { Ok(Self { id, incarnation, first, count }) } else { Err(Malformed) }
    }
}

impl Wire for Replay {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Ask { what, view, have } => {
                out.u8(1);
                what.write(out);
                out.u64(*view);
                out.u64(*have);
            }
            Self::Past(origins, batch) => {
                out.u8(2);
                batch.write(out);
                origins.iter().for_each(|origin| origin.write(out));
            }
            Self::State(batch) => {
                out.u8(3);
                batch.write(out);
            }
            Self::End(count) => {
                out.u8(4);
                out.u64(*count);
            }
            Self::Cannot => out.u8(5),
            Self::Logged(senders, batch) => {
                out.u8(6);
                batch.write(out);
                senders.iter().for_each(|sender| sender.write(out));
            }
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            1 => Self::Ask { what: Missed::read(from)?, view: from.u64()?, have: from.u64()? },
            2 => {
                let batch = Batch::read(from)?;
                // As many as the body really has messages: a count alone is not trusted.
                let origins = (0..batch.count()).map(|_| Origin::read(from)).collect::<Result<_, _>>()?;
                Self::Past(origins, batch)
            }
            3 => Self::State(Batch::read(from)?),
            4 => Self::End(from.u64()?),
            5 => Self::Cannot,
            6 => {
                let batch = Batch::read(from)?;
                let (mut senders, mut named) = (Vec::new(), 0);
                while named < batch.count() {
                    let sender = Logged::read(from)?;
                    named = named
                        .checked_add(sender.count)
                        .filter(|named| *named <= batch.count())
                        .ok_or(Malformed)?;
                    senders.push(sender);
                }
                Self::Logged(senders, batch)
            }
            _ => return Err(Malformed),
        })
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Past(_, batch) | Self::State(batch) | Self::Logged(_, batch) => batch.weight(),
            Self::Ask { .. } | Self::End(_) | Self::Cannot => Weight::default(),
        }
    }
}
