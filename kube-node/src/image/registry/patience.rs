//! How long registries are waited for, and how often.

use std::time::Duration;

use super::Fault;

/// Times and counts.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// For a connection, TLS included; default 30 s.
    pub(crate) connect: Duration,
    /// For the head of an answer and for each further piece of it; default 120 s.
    pub(crate) idle: Duration,
    /// How often something is tried in all that fails for a passing reason; default 5.
    pub(crate) attempts: u32,
    /// Between the first two attempts; doubles; default 500 ms.
    pub(crate) first_delay: Duration,
    /// The longest time that a server may make this client wait; one that wants more gets no further attempt. Default 60 s.
    pub(crate) longest_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            attempts: 5,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(60),
        }
    }
}

/// What is left of the attempts at one thing.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    limits: &'a Limits,
    left: u32,
    delay: Duration,
}

impl<'a> Patience<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, left: limits.attempts.saturating_sub(1), delay: limits.first_delay }
    }

    /// Waits before another attempt.
    ///
    /// # Errors
    /// The fault itself, when it does not pass, or has lasted too long.
    pub(super) async fn wait(&mut self, fault: Fault) -> Result<(), Fault> {
        let asked = match &fault {
            Fault::Busy { after: Some(after), .. } => *after,
            _ => self.delay,
        };
        if !fault.is_passing() || self.left == 0 || asked > self.limits.longest_delay {
            return Err(fault);
        }
        self.left -= 1;
        self.delay = self.delay.saturating_mul(2).min(self.limits.longest_delay);
        tracing::debug!(?fault, wait = ?asked, "asking a registry again");
        tokio::time::sleep(asked).await;
        Ok(())
    }
}

/// Repeats `attempt` while it fails for a passing reason.
pub(super) async fn persist<T, F: Future<Output = Result<T, Fault>>>(
    limits: &Limits,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Fault> {
    let mut patience = Patience::new(limits);
    loop {
        match attempt().await {
            Err(fault) => patience.wait(fault).await?,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn attempts(fault: impl Fn() -> Fault) -> (u32, Duration) {
        let (limits, mut count, began) = (Limits::default(), 0, tokio::time::Instant::now());
        let attempt = || {
            count += 1;
            std::future::ready(Err::<(), _>(fault()))
        };
        assert!(persist(&limits, attempt).await.is_err());
        (count, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again_as_often_and_as_late_as_agreed() {
        let busy = |after| move || Fault::Busy { answer: String::new(), after };
        assert_eq!(attempts(|| Fault::NotFound).await, (1, Duration::ZERO));
        assert_eq!(attempts(|| Fault::Unreachable(String::new())).await, (1, Duration::ZERO));
        let (count, took) = attempts(|| Fault::Broken(String::new())).await;
        assert_eq!((count, took.as_millis()), (5, 500 + 1000 + 2000 + 4000));
        let (count, took) = attempts(busy(Some(Duration::from_secs(7)))).await;
        assert_eq!((count, took.as_secs()), (5, 28), "the server's time counts");
        assert_eq!(attempts(busy(Some(Duration::from_secs(3600)))).await.0, 1, "nobody waits for an hour");
        assert_eq!(attempts(busy(None)).await.0, 5);
    }
}
