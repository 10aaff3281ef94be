//! Station 2, beside the path: the results of a client's earlier life, behind which `--resume` goes on.
//!
//! The history has each delivery with its place in the log. Its deliveries are copied into the files of this life, and the
//! sequencer is asked for the rest. So the files of one life are those of all, also if a part had not been written when the
//! earlier one was killed.

use std::path::Path;
use std::sync::Arc;

use super::Options;
use crate::driver::Node;
use crate::driver::endpoint::Endpoint;
use crate::engine::MemberId;
use crate::exit::{Exit, Failure};
use crate::member::replay::Origin;
use crate::participant::Replayed;
use crate::results;
use crate::results::past::{Delivered, Past};

/// Most deliveries copied at once.
const AT_ONCE: usize = 1000;

/// The results of an earlier life.
pub(super) struct EarlierLife {
    past: Past,
    /// The last place that they have.
    pub(super) place: u64,
    /// The number of the log that they are of.
    log: Option<String>,
}

impl EarlierLife {
    /// Returns the results of an earlier life in the folder of a client, if there are any with a history.
    ///
    /// # Errors
    /// [`Exit::BadData`] if the history is not one that this program writes, or is of a group without a log;
    /// [`Exit::NoInput`] if it cannot be read.
    pub(super) fn find(options: &Options, out: &Path) -> Result<Option<Self>, Failure> {
        let Some(path) = results::earlier_history(out, &options.id) else { return Ok(None) };
        let cannot = |exit, why: &dyn std::fmt::Display| {
            Failure::new(exit, format!("cannot resume from {}: {why}", path.display()))
        };
        let open = || Past::whole(&path).map_err(|error| cannot(Exit::NoInput, &error));
        let (mut scanned, past) = (open()?, open()?);
        let mut place = 0;
        while let Some(delivered) = scanned.next_delivery().map_err(|error| cannot(Exit::BadData, &error))? {
            place = delivered.number.unwrap_or_default().max(place);
        }
        let log = scanned.log().map(str::to_owned);
        if log.is_none() && place > 0 {
            let why = "it is of a group without a log";
            return Err(cannot(Exit::BadData, &why).help("only a run with --method log can be resumed"));
        }
        Ok(Some(Self { past, place, log }))
    }

    /// Checks that they are of the log of this group, and that the log has all of them.
    ///
    /// # Errors
    /// [`Exit::Config`] if they are not.
    pub(super) fn check(&self, node: &Node) -> Result<(), Failure> {
        let (ours, theirs, end) = (self.log.as_deref(), node.log(), node.numbers_before());
        let why = if ours.is_some() && ours != theirs {
            format!("the earlier results are of log {}", ours.unwrap_or_default())
        } else if self.place > end {
            format!("the earlier results end at place {}, and the log already at {end}", self.place)
        } else {
            return Ok(());
        };
        let theirs = theirs.unwrap_or("-");
        Err(Failure::new(Exit::Config, format!("cannot resume with log {theirs}: {why}"))
            .help("the sequencer has another folder, or an old copy of it, as --log"))
    }

    /// Returns the next of them; none at the end.
    ///
    /// # Errors
    /// [`Exit::Io`] if the history cannot be read any more.
    pub(super) fn next(&mut self) -> Result<Vec<Replayed>, Failure> {
        let cannot =
            |error| Failure::new(Exit::Io, format!("cannot read the history of an earlier life: {error}"));
        let mut deliveries = Vec::new();
        while deliveries.len() < AT_ONCE
            && let Some(delivered) = self.past.next_delivery().map_err(cannot)?
        {
            deliveries.push(replayed(delivered));
        }
        Ok(deliveries)
    }
}

fn replayed(delivered: Delivered) -> Replayed {
    let Delivered { sender: (id, incarnation), own_number, number, text, author } = delivered;
    // No member: perhaps it never was in this run of the group.
    let origin = Origin { sender: MemberId(u16::MAX), own_number, number: number.unwrap_or_default() };
    let life = Some((Arc::from(id), incarnation));
    Replayed { origin, life, author, text: text.into(), doubled: false }
}
