//! The replay for a newcomer: it asks one member for the deliveries before its first view, or for the state that
//! results from them.
//!
//! The pieces are direct messages: they arrive reliably while the view lasts, but may overtake each other. After a view
//! change the newcomer asks again, from the piece that it has reached.

use crate::ids::MemberId;
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer, wire_enum, wire_struct};

/// The content of a replay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missed {
    /// All deliveries.
    Deliveries,
    /// The state of the application of a member.
    State,
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

/// A message between a newcomer and the member that replays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replay {
    /// A request for the deliveries before this view, except those that the newcomer has.
    Ask {
        /// The content of the replay.
        what: Missed,
        /// The number of the view in which the newcomer was taken in.
        view: u64,
        /// The number of deliveries, or pieces of the state, that it has.
        have: u64,
    },
    /// Deliveries; [`Batch::first`] is the place of the first among all, counted from 1.
    Past(Vec<Origin>, Batch),
    /// Pieces of the state, counted in the same way.
    State(Batch),
    /// The end of the replay, with the number of pieces.
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

wire_enum!(Missed { 0 => Deliveries, 1 => State });
wire_struct!(Origin { sender, own_number, number });

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
            _ => return Err(Malformed),
        })
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Past(_, batch) | Self::State(batch) => batch.weight(),
            Self::Ask { .. } | Self::End(_) | Self::Cannot => Weight::default(),
        }
    }
}
