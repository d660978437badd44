//! When a failed request is made again.
//!
//! A request may fail for reasons that pass: a connection that cannot be made, breaks off or
//! stalls, an answer 408, 429 or 5xx, a body that is too short, a range that was not asked for. It
//! is then made again after a delay that doubles from failure to failure, less a random part of up
//! to its half, so that several connections do not come back all at once. `Retry-After` (seconds or
//! a date), or the hub's `RateLimit`, makes the delay longer. What gives up is the number of
//! failures in a row, or the time since the first of them; bytes that arrive begin both anew, so
//! that a long download survives any number of faults that each let some of it through.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::error::HubError;

/// How patient we are.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Failures in a row after which we give up; 12, which is two to three minutes of delays.
    pub attempts: u32,
    /// The same until the hub has answered for the first time; 3. A wrong address, or a network
    /// that is off, should be told soon.
    pub first_attempts: u32,
    /// Time since the first of these after which we give up, delays to come included; 10 minutes.
    pub total: Duration,
    /// The same where the cache has what is asked for; 10 seconds.
    pub total_if_cached: Duration,
    /// The first delay; half a second.
    pub first_delay: Duration,
    /// The longest delay that is not asked for by `Retry-After`; 30 seconds.
    pub max_delay: Duration,
    /// The longest wait for a connection; 10 seconds.
    pub connect_timeout: Duration,
    /// The longest wait for the next bytes of an answer; 30 seconds.
    pub read_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 12,
            first_attempts: 3,
            total: Duration::from_secs(600),
            total_if_cached: Duration::from_secs(10),
            first_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// How one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// For good.
    Fatal(HubError),
    /// In a way that may pass.
    Passing {
        /// What happened.
        reason: String,
        /// How long the server asks us to wait.
        after: Option<Duration>,
    },
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            after: None,
        }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Fatal(error)
    }
}

/// Counts the failures of one request.
pub(super) struct Attempts<'a> {
    policy: &'a RetryPolicy,
    most: u32,
    total: Duration,
    failures: u32,
    first: Option<Instant>,
}

impl<'a> Attempts<'a> {
    /// For a request to a hub that has, or has not, answered before.
    pub(super) fn new(policy: &'a RetryPolicy, answered: bool) -> Self {
        Self {
            policy,
            most: match answered {
                true => policy.attempts,
                false => policy.first_attempts,
            },
            total: policy.total,
            failures: 0,
            first: None,
        }
    }

    /// The same with less patience: the cache has what is asked for.
    pub(super) fn while_cached(self) -> Self {
        Self {
            total: self.policy.total_if_cached,
            ..self
        }
    }

    /// Something arrived: the count begins anew.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
        self.first = None;
    }

    /// Waits for as long as `failure` of a request for `what` asks for; fails when it was one too
    /// many, or is for good, or `wanted` says no.
    pub(super) fn wait(
        &mut self,
        failure: Failure,
        what: &str,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), HubError> {
        if !wanted() {
            return Err(HubError::Interrupted);
        }
        let (reason, after) = match failure {
            Failure::Fatal(error) => return Err(error),
            Failure::Passing { reason, after } => (reason, after),
        };
        let first = *self.first.get_or_insert_with(Instant::now);
        self.failures += 1;
        let delay = self.delay(rand::random_range(0.5..=1.0));
        let delay = delay.max(after.unwrap_or_default());
        let elapsed = first.elapsed();
        if self.failures >= self.most || elapsed + delay > self.total {
            let last = match after {
                Some(after) if elapsed + after > self.total => {
                    format!("{reason}, to be asked again in {} s", after.as_secs())
                }
                _ => reason,
            };
            return Err(HubError::GaveUp {
                what: what.into(),
                last,
                attempts: self.failures,
                seconds: elapsed.as_secs_f64(),
                missing: None,
            });
        }
        sleep(delay, wanted)
    }

    /// The delay after the failures so far, of which `part` is taken.
    fn delay(&self, part: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(20);
        let delay = self.policy.first_delay.saturating_mul(1 << doublings);
        delay.min(self.policy.max_delay).mul_f64(part)
    }
}

/// Waits, and looks up now and then whether there is still something to wait for.
fn sleep(delay: Duration, wanted: &dyn Fn() -> bool) -> Result<(), HubError> {
    const LOOK_UP: Duration = Duration::from_millis(50);
    let end = Instant::now() + delay;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(LOOK_UP));
        if !wanted() {
            return Err(HubError::Interrupted);
        }
    }
}

/// What `Retry-After` says: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What `RateLimit` says, which the hub sends with 429: in `"api";r=0;t=55` no request is left, and
/// the count begins anew in 55 seconds.
pub(super) fn rate_limit(value: &str) -> Option<Duration> {
    let number = |key: &str| {
        let parts = value.split(';').map(str::trim);
        parts
            .filter_map(|part| part.strip_prefix(key)?.trim().strip_prefix('='))
            .next()
    };
    let left: u64 = number("r")?.trim().parse().ok()?;
    let reset = number("t")?.trim().parse().ok()?;
    (left == 0).then(|| Duration::from_secs(reset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 3,
            first_attempts: 1,
            total: Duration::from_secs(60),
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(6),
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = policy();
        let mut attempts = Attempts::new(&policy, true);
        let mut delays = Vec::new();
        for failures in [1, 2, 3, 4, 50] {
            attempts.failures = failures;
            delays.push(attempts.delay(1.0).as_millis());
        }
        assert_eq!(delays, [1, 2, 4, 6, 6]);
    }

    #[test]
    fn gives_up_after_so_many_in_a_row() {
        let policy = policy();
        let mut attempts = Attempts::new(&policy, true);
        let fail =
            |attempts: &mut Attempts<'_>| attempts.wait(Failure::passing("reset"), "x", &|| true);
        fail(&mut attempts).unwrap();
        fail(&mut attempts).unwrap();
        attempts.progressed();
        fail(&mut attempts).unwrap();
        fail(&mut attempts).unwrap();
        let error = fail(&mut attempts).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot fetch x: reset; gave up after 3 attempts in 0 s without progress: run the same \
             command again when the connection is better"
        );
    }

    #[test]
    fn gives_up_sooner_on_a_hub_that_never_answered() {
        let policy = policy();
        let error = Attempts::new(&policy, false).wait(Failure::passing("reset"), "x", &|| true);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("gave up after 1 attempt"), "{error}");
    }

    #[test]
    fn does_not_wait_longer_than_it_may_altogether() {
        let policy = policy();
        let failure = Failure::Passing {
            reason: "HTTP 429".into(),
            after: Some(Duration::from_secs(61)),
        };
        let error = Attempts::new(&policy, true).wait(failure, "x", &|| true);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("HTTP 429, to be asked again in 61 s; gave up after 1 attempt"),
            "{error}"
        );
    }

    #[test]
    fn does_not_wait_long_for_what_the_cache_has() {
        let policy = RetryPolicy {
            total_if_cached: Duration::from_secs(5),
            ..policy()
        };
        let failure = || Failure::Passing {
            reason: "HTTP 429".into(),
            after: Some(Duration::from_secs(6)),
        };
        let attempts = Attempts::new(&policy, true);
        let error = attempts
            .while_cached()
            .wait(failure(), "x", &|| true)
            .unwrap_err();
        assert!(
            matches!(error, HubError::GaveUp { attempts: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn waiting_ends_when_nothing_is_wanted() {
        let policy = RetryPolicy {
            first_delay: Duration::from_secs(50),
            max_delay: Duration::from_secs(50),
            ..policy()
        };
        let began = Instant::now();
        let wanted = || began.elapsed() < Duration::from_millis(20);
        let error = Attempts::new(&policy, true).wait(Failure::passing("reset"), "x", &wanted);
        assert!(matches!(error, Err(HubError::Interrupted)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn retry_after_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let after = |value| retry_after(value, now).map(|d| d.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(after("-1"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn rate_limits_as_the_hub_sends_them() {
        let limit = |value| rate_limit(value).map(|d| d.as_secs());
        assert_eq!(limit("\"api\";r=0;t=55"), Some(55));
        assert_eq!(limit("\"resolvers\" ; r = 0 ; t = 300"), Some(300));
        assert_eq!(limit("\"api\";r=12;t=55"), None);
        assert_eq!(limit("\"api\";t=55"), None);
        assert_eq!(limit(""), None);
    }
}
