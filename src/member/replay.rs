//! What a newcomer missed: it asks one member, which tells it what was delivered before the view in which the newcomer
//! was taken in, or gives it the state that follows from that.
//!
//! Pieces are messages to one member, so they arrive and in order while the view lasts. When it changes, the newcomer
//! asks again, from where it has come to.

use crate::engine::MemberId;
use crate::wire::{Batch, Malformed, Reader, Weight, Wire, Writer};

/// What a newcomer wants of the time before it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missed {
    /// All that was delivered.
    Deliveries,
    /// What a member made of that.
    State,
}

/// Which message a text of the past is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Who multicast it.
    pub sender: MemberId,
    /// Which of the sender's messages it is.
    pub own_number: u64,
    /// Its place in the total order, where the order has one; 0 for none.
    pub number: u64,
}

/// What a newcomer and a member say to each other about the past.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replay {
    /// Please tell me what was before this view, but for so many pieces that I have.
    Ask {
        /// What is wanted.
        what: Missed,
        /// The number of the view in which the newcomer was taken in.
        view: u64,
        /// How many deliveries, or pieces of state, it has.
        have: u64,
    },
    /// Deliveries, the first of them number [`Batch::first`] of all, counted from 1.
    Past(Vec<Origin>, Batch),
    /// Pieces of the state, counted in the same way.
    State(Batch),
    /// That was all: so many.
    End(u64),
    /// This member cannot tell.
    Cannot,
}

impl Replay {
    /// Deliveries with whose they are.
    ///
    /// # Panics
    /// Unless there are as many origins as messages.
    #[must_use]
    pub fn past(origins: Vec<Origin>, batch: Batch) -> Self {
        assert_eq!(origins.len(), batch.count() as usize, "each message has one origin");
        Self::Past(origins, batch)
    }
}

impl Wire for Replay {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Ask { what, view, have } => {
                out.u8(1);
                out.u8(u8::from(*what == Missed::State));
                out.u64(*view);
                out.u64(*have);
            }
            Self::Past(origins, batch) => {
                out.u8(2);
                batch.write(out);
                for origin in origins {
                    out.member(origin.sender);
                    out.u64(origin.own_number);
                    out.u64(origin.number);
                }
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
            1 => {
                let what = match from.u8()? {
                    0 => Missed::Deliveries,
                    1 => Missed::State,
                    _ => return Err(Malformed),
                };
                Self::Ask { what, view: from.u64()?, have: from.u64()? }
            }
            2 => {
                let batch = Batch::read(from)?;
                let origin = |from: &mut Reader| {
                    let (sender, own_number, number) = (from.member()?, from.u64()?, from.u64()?);
                    Ok(Origin { sender, own_number, number })
                };
                // As many as there are messages in a body that is there: no claim is taken on trust.
                let mut origins = Vec::new();
                for _ in 0..batch.count() {
                    origins.push(origin(from)?);
                }
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
