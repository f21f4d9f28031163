//! What a person sees on the terminal while a cluster starts.
#![expect(clippy::print_stdout, reason = "the terminal is where progress goes")]

use tokio::time::Instant;

/// Prints one line per component as it becomes ready, with the milliseconds since the step before and since the start.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    last: Instant,
}

impl Progress {
    /// Starts counting.
    #[expect(clippy::new_without_default, reason = "it reads the clock, which a default should not")]
    pub fn new() -> Self {
        let now = Instant::now();
        Self { start: now, last: now }
    }

    /// Says that `component` is ready; `detail` is for a person.
    pub fn ready(&mut self, component: &str, detail: &str) {
        let now = Instant::now();
        let (step, total) = ((now - self.last).as_millis(), (now - self.start).as_millis());
        self.last = now;
        println!("  {component:<22} ready in {step:>5} ms  (at {total:>5} ms)  {detail}");
    }

    /// Says something that is not a component.
    pub fn say(&self, line: &str) {
        println!("{line}");
    }
}
