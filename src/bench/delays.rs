//! The distribution of delays, in microseconds: a histogram that one process fills and another one reads.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest delay that is told apart from longer ones, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// A histogram whose quantiles are right to three digits.
#[derive(Clone, Debug)]
pub(super) struct Delays(Histogram<u64>);

/// A histogram in transit between processes: its values and their counts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Counted(Vec<(u64, u64)>);

impl Default for Delays {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order"))
    }
}

impl Delays {
    pub(super) fn add(&mut self, micros: u64) {
        self.0.saturating_record(micros);
    }

    pub(super) fn add_all(&mut self, counted: &Counted) {
        for &(micros, count) in &counted.0 {
            self.0.saturating_record_n(micros, count);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the delay that this share of all delays does not exceed.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    pub(super) fn max(&self) -> u64 {
        self.0.max()
    }

    pub(super) fn counted(&self) -> Counted {
        let values = self.0.iter_recorded();
        Counted(values.map(|value| (value.value_iterated_to(), value.count_at_value())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_the_way_to_another_process() {
        let mut delays = Delays::default();
        (1..=1000).for_each(|micros| delays.add(micros));
        let mut sum = Delays::default();
        sum.add_all(&delays.counted());
        sum.add_all(&delays.counted());
        assert_eq!((sum.quantile(0.5), sum.quantile(0.99), sum.max()), (500, 990, 1000));
        assert!(Delays::default().is_empty() && !sum.is_empty());
    }
}
