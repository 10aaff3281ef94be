//! The subscriptions at a forwarder with keys, which decides about each of them.

use super::zmq::{Socket, USER};

/// Most subscriptions that are decided at a time: other input has to get its turn.
const AT_A_TIME: usize = 256;
/// The first byte of a subscription.
const SUBSCRIBE: u8 = 1;

impl Socket {
    /// Lets those waiting subscriptions take effect that `may_hear` permits this user with this prefix of topics; calls
    /// off those that are taken back.
    pub fn decide_subscriptions(&self, may_hear: impl Fn(&str, &[u8]) -> bool) {
        for _ in 0..AT_A_TIME {
            let Some(message) = self.receive() else { return };
            let Ok([mut message]): Result<[zmq::Message; 1], _> = message else { continue };
            let Some((&kind, topic)) = message.split_first() else { continue };
            let topic = topic.to_vec();
            // The socket knows whose subscription it has handed out last. ZeroMQ refuses none of these calls.
            let _ = if kind != SUBSCRIBE {
                self.raw.set_unsubscribe(&topic)
            } else if message.gets(USER).is_some_and(|user| may_hear(user, &topic)) {
                self.raw.set_subscribe(&topic)
            } else {
                Ok(())
            };
        }
    }
}
