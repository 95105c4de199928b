//! How workers measure how long things take. What rows see as time comes with every turn instead.

use std::time::{Duration, Instant};

use anabranch_model::plan::InputId;

/// A clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub(crate) started: Instant,
    read: fn() -> Instant,
}

impl Clock {
    /// A clock that `read` reads, and that starts now.
    pub fn new(read: fn() -> Instant) -> Self {
        Clock { started: read(), read }
    }

    /// Time since it was started.
    pub fn now(&self) -> Duration {
        (self.read)().duration_since(self.started)
    }
}

/// Measures the steps of inputs. It reads the clock where the input changes, and not for every request.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    clock: Option<Clock>,
    running: Option<(InputId, Duration)>,
}

impl Stopwatch {
    pub(crate) fn new(clock: Option<Clock>) -> Self {
        Stopwatch { clock, running: None }
    }

    /// From now on steps of this input run, or none. The input whose steps ran until now, and for how long.
    #[inline]
    pub(crate) fn change(&mut self, to: Option<InputId>) -> Option<(InputId, Duration)> {
        if self.running.map(|(input, _)| input) == to {
            return None;
        }
        let now = self.clock?.now();
        let ran = self.running.take().map(|(input, since)| (input, now.saturating_sub(since)));
        self.running = to.map(|input| (input, now));
        ran
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static READ: Cell<u32> = const { Cell::new(0) };
    }

    /// A millisecond passes between two looks.
    #[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
    fn read() -> Instant {
        thread_local! {
            static BEGIN: Instant = Instant::now();
        }
        let count = READ.get();
        READ.set(count + 1);
        BEGIN.with(|begin| *begin + Duration::from_millis(count.into()))
    }

    #[test]
    fn the_clock_is_read_where_the_input_changes() {
        let mut watch = Stopwatch::new(Some(Clock::new(read)));
        let (one, other) = (InputId(1), InputId(2));
        assert_eq!(watch.change(Some(one)), None);
        assert_eq!(watch.change(Some(one)), None);
        assert_eq!(watch.change(Some(other)), Some((one, Duration::from_millis(1))));
        assert_eq!(watch.change(None), Some((other, Duration::from_millis(1))));
        assert_eq!(watch.change(None), None);
        assert_eq!(READ.get(), 4, "once to start the clock, and at every change");
    }

    #[test]
    fn without_a_clock_nothing_is_measured() {
        let mut watch = Stopwatch::new(None);
        assert_eq!((watch.change(Some(InputId(1))), watch.change(None)), (None, None));
    }
}
