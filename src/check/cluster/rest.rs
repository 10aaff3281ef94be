//! Clusters at rest: servers that were asked to end while there was nothing to do.
//!
//! A server that runs until a signal comes never knows that nothing more will be said. But if all were asked to end, and by
//! then each had confirmed all that it had shown, and all had as much, then the end was as good as settled: it is judged so.

use std::collections::BTreeSet;

use super::history::{ClusterHistory, Happening, MemberStory, SETTLED};
use super::list::List;
use super::stories::{Stories, unknown};

/// The end of a member that a signal has asked for.
const INTERRUPTED: &str = "interrupted";

impl ClusterHistory {
    /// Takes the end of all members for settled, if the cluster was at rest.
    #[must_use]
    pub fn with_rest(mut self) -> Self {
        if self.is_at_rest() {
            let lives = self.members.iter_mut().filter_map(|story| story.lives.last_mut());
            for life in lives.filter(|life| life.end.as_deref() == Some(INTERRUPTED)) {
                life.end = Some(SETTLED.to_owned());
            }
        }
        self
    }

    fn is_at_rest(&self) -> bool {
        let stories = Stories::new(self);
        let counts = stories.staying_lists().map(|(story, list)| at_rest(story, list));
        let Some(counts) = counts.collect::<Option<Vec<usize>>>() else { return false };
        counts.first().is_some_and(|first| *first > 0 && counts.iter().all(|count| count == first))
    }
}

/// Returns the number of messages of a member that has ended and confirmed all that it knew of.
fn at_rest(story: &MemberStory, list: &List<'_>) -> Option<usize> {
    let end = story.lives.last()?.end.as_deref()?;
    let is_complete = unknown(story).is_none() && matches!(end, INTERRUPTED | SETTLED);
    let stored = story.happenings().filter_map(|(_, happening)| match happening {
        Happening::Stored { number } => Some(*number),
        _ => None,
    });
    let stored: BTreeSet<u64> = stored.collect();
    let is_stored = |happening: &Happening| match happening {
        Happening::Multicast { number, .. } => stored.contains(number),
        _ => true,
    };
    let is_complete = is_complete && story.lives.last()?.events.iter().all(is_stored);
    (is_complete && list.tentative.is_empty()).then_some(list.confirmed.len())
}
