//! Threads that keep the processors busy, so that the processes of a run get less of them.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::Time;

/// Threads that spin until this is dropped.
#[derive(Debug)]
pub(super) struct Starvation {
    pub(super) until: Time,
    is_over: Arc<AtomicBool>,
}

impl Starvation {
    /// Starts this many threads, or as many as the system allows.
    pub(super) fn start(threads: u16, until: Time) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let is_over = Arc::clone(&is_over);
            let spin = move || {
                while !is_over.load(Ordering::Relaxed) {
                    spin_loop();
                }
            };
            if std::thread::Builder::new().spawn(spin).is_err() {
                break;
            }
        }
        Self { until, is_over }
    }
}

impl Drop for Starvation {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
