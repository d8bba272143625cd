//! What the progress of subscriptions proves.
//!
//! | a subscription, since before the rows were sent | verdict |
//! |---|---|
//! | has shown `processed_steps >= step`, and had lost no chunk until then | delivered, whatever follows |
//! | has lost a chunk before that | undelivered: [`ChunksLost`](Undelivered::ChunksLost) |
//! | has ended before that, or another subscription was passed | undelivered: [`SubscriptionEnded`](Undelivered::SubscriptionEnded), [`Resubscribed`](Undelivered::Resubscribed) |
//! | none of these | wait |

use super::Undelivered;
use crate::feldera::stream::EgressProgress;

/// A subscription, and how far it was read.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Before the rows were sent.
    start: EgressProgress,
    last: EgressProgress,
    /// The largest number of steps that was shown before a chunk was lost.
    delivered: Option<u64>,
    end: Option<Undelivered>,
}

/// What is known about all subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All have delivered the changes.
    Delivered,
    /// One has not yet.
    Wait,
    /// One cannot any more.
    Undelivered(Undelivered),
}

impl Subscription {
    pub(super) fn new(start: EgressProgress) -> Self {
        Self { start, last: start, delivered: None, end: None }
    }

    pub(super) fn observe(&mut self, progress: EgressProgress) {
        if self.end.is_some() {
            return;
        }
        // The chunks of one subscription never get fewer.
        if progress.chunks < self.last.chunks || progress.lost < self.last.lost {
            self.end = Some(Undelivered::Resubscribed);
            return;
        }
        self.last = progress;
        if progress.lost > self.start.lost {
            self.end = Some(Undelivered::ChunksLost { chunks: progress.lost - self.start.lost });
            return;
        }
        self.delivered = progress.processed_steps;
    }

    pub(super) fn ended(&mut self) {
        self.end.get_or_insert(Undelivered::SubscriptionEnded);
    }

    /// The largest number of steps that the server has sent; `None` if it has not sent any.
    pub(super) fn steps(&self) -> Option<u64> {
        self.last.processed_steps
    }

    /// Whether the server has sent `processed_steps`.
    pub(super) fn has_steps(&self) -> bool {
        self.steps().is_some()
    }

    /// Whether it has delivered all changes of the steps below this number.
    fn has_delivered(&self, step: u64) -> bool {
        self.delivered.is_some_and(|steps| steps >= step)
    }
}

/// Decides whether the changes of all steps below `step` are delivered; `None` if the step is not known yet.
pub(super) fn decide(step: Option<u64>, subscriptions: &[Subscription]) -> Verdict {
    let mut pending = subscriptions.iter().filter(|one| step.is_none_or(|step| !one.has_delivered(step)));
    let Some(first) = pending.next() else { return Verdict::Delivered };
    // As long as the step is not known, what a subscription showed before its end may be enough.
    let end = std::iter::once(first).chain(pending).find_map(|one| one.end.clone()).filter(|_| step.is_some());
    end.map_or(Verdict::Wait, Verdict::Undelivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(chunks: u64, lost: u64, processed_steps: Option<u64>) -> EgressProgress {
        EgressProgress { chunks, lost, processed_steps }
    }

    fn read(start: EgressProgress, seen: &[EgressProgress]) -> Subscription {
        let mut subscription = Subscription::new(start);
        for progress in seen {
            subscription.observe(*progress);
        }
        subscription
    }

    #[test]
    fn changes_are_delivered_when_the_steps_before_are_counted() {
        let one = read(progress(0, 0, None), &[progress(1, 0, None), progress(2, 0, Some(7))]);
        assert_eq!(decide(Some(7), std::slice::from_ref(&one)), Verdict::Delivered);
        assert_eq!(decide(Some(8), std::slice::from_ref(&one)), Verdict::Wait);
        assert_eq!(decide(None, std::slice::from_ref(&one)), Verdict::Wait);
        // Each of several must have them.
        let other = read(progress(0, 0, None), &[progress(9, 0, Some(6))]);
        assert_eq!(decide(Some(6), &[one.clone(), other.clone()]), Verdict::Delivered);
        assert_eq!(decide(Some(7), &[one, other]), Verdict::Wait);
    }

    #[test]
    fn what_was_shown_before_the_rows_proves_nothing() {
        let one = read(progress(4, 0, Some(9)), &[]);
        assert_eq!(decide(Some(9), &[one]), Verdict::Wait);
    }

    #[test]
    fn chunks_that_are_lost_may_have_been_the_changes() {
        let lost = Verdict::Undelivered(Undelivered::ChunksLost { chunks: 2 });
        let one = read(progress(4, 1, Some(5)), &[progress(5, 1, Some(6)), progress(6, 3, Some(8))]);
        assert_eq!(decide(Some(6), std::slice::from_ref(&one)), Verdict::Delivered);
        assert_eq!(decide(Some(7), std::slice::from_ref(&one)), lost);
        // What was lost before the rows were sent does not matter.
        let one = read(progress(4, 1, None), &[progress(5, 1, Some(6))]);
        assert_eq!(decide(Some(6), &[one]), Verdict::Delivered);
    }

    #[test]
    fn a_subscription_that_has_ended_delivers_what_it_showed_before() {
        let mut one = read(progress(0, 0, None), &[progress(1, 0, Some(6))]);
        one.ended();
        assert_eq!(decide(None, std::slice::from_ref(&one)), Verdict::Wait);
        assert_eq!(decide(Some(6), std::slice::from_ref(&one)), Verdict::Delivered);
        let ended = Verdict::Undelivered(Undelivered::SubscriptionEnded);
        assert_eq!(decide(Some(7), std::slice::from_ref(&one)), ended);
        // What follows is of another subscription.
        one.observe(progress(9, 0, Some(9)));
        assert_eq!(decide(Some(7), &[one]), ended);
        let one = read(progress(3, 0, None), &[progress(1, 0, Some(9))]);
        assert_eq!(decide(Some(7), &[one]), Verdict::Undelivered(Undelivered::Resubscribed));
    }
}
