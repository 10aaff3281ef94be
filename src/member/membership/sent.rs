//! Records which member has which packets: from its own packets, and from the Status packets of others.

use super::Membership;
use crate::engine::{MemberId, Time, To};
use crate::member::stack::DIRECT;
use crate::member::word::data_of;
use crate::reliable::{Body, Received};
use crate::wire::{Batch, Frames, Header, Kind, Reader};

impl Membership {
    /// Records a packet that is sent.
    pub(super) fn note_sent(&mut self, now: Time, to: To, message: &Frames) {
        let kind = message.header.get(3).copied();
        match to {
            To::Group => {
                self.said(now);
                if kind == Some(Kind::Data as u8)
                    && let Some((number, _)) = data_of(message)
                {
                    self.log.add(self.me, number, message);
                } else if kind == Some(Kind::Status as u8) {
                    self.note_status(self.me, message);
                }
            }
            To::Member(receiver) if kind == Some(Kind::Data as u8) => {
                if let Some((number, DIRECT)) = data_of(message) {
                    self.direct.sent(receiver, number);
                }
            }
            To::Member(_) => {}
        }
    }

    /// Records the acknowledgements in a Status of `from`.
    pub(super) fn note_status(&mut self, from: MemberId, message: &Frames) {
        let mut reader = Reader::new(message.header.clone(), message.body.clone());
        let Ok(header) = Header::read(&mut reader) else { return };
        let Ok(Body::Status { received, .. }) = Body::<Batch>::read_status(&mut reader) else { return };
        for Received { sender, complete, .. } in received {
            match header.to {
                To::Group => self.log.acknowledged(from, sender, complete),
                To::Member(_) if sender == self.me => self.direct.acknowledged(from, complete),
                To::Member(_) => {}
            }
        }
    }
}
