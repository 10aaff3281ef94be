//! The pieces of the past that a member gives to newcomers, as far as the application has it.

use super::{Application, Participant, Piece, Request};
use crate::driver::endpoint::Endpoint;
use crate::engine::To;
use crate::exit::Failure;
use crate::member::App;
use crate::member::replay::Replay;

/// Most pieces sent to one newcomer before anything else gets its turn.
const PIECES_PER_TURN: usize = 8;

/// The state of a request after a turn.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Given {
    /// Everything, or a refusal.
    All,
    /// A part; more can be given at once.
    Part,
    /// The window or the application has no more for now.
    Waits,
}

impl<E: Endpoint> Participant<E> {
    /// Sends as many pieces as the windows allow. Returns whether more can be sent now.
    pub(super) fn give(&mut self, application: &mut dyn Application<E>) -> Result<bool, Failure> {
        let mut gives_more = false;
        for mut request in std::mem::take(&mut self.requests) {
            let given = self.give_one(application, &mut request)?;
            gives_more |= given == Given::Part;
            if given != Given::All {
                self.requests.push(request);
            }
        }
        Ok(gives_more)
    }

    fn give_one(
        &mut self,
        application: &mut dyn Application<E>,
        request: &mut Request,
    ) -> Result<Given, Failure> {
        let to = To::Member(request.by);
        for _ in 0..PIECES_PER_TURN {
            if self.endpoint.window(to) == 0 {
                return Ok(Given::Waits);
            }
            let replay = match application.piece(self, request)? {
                Piece::Ready(replay) => replay,
                Piece::Reading => return Ok(Given::Part),
                Piece::NotYet => return Ok(Given::Waits),
            };
            let goes_on =
                if let Replay::Past(_, batch) | Replay::State(batch) | Replay::Logged(_, batch) = &replay {
                    request.have += u64::from(batch.count());
                    true
                } else {
                    false
                };
            self.endpoint.submit(to, App::Replay(replay));
            if !goes_on {
                return Ok(Given::All);
            }
        }
        Ok(Given::Part)
    }
}
