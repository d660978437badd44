//! The client: a revision's commit, a file's metadata, small files whole, large ones opened.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ureq::Agent;

use super::{
    config::Config,
    error::HubError,
    http::{self, Answer, Caller, Counters, Method},
    refusal,
    remote_file::RemoteFile,
    repo::{Repo, RepoId},
    retry::{Attempts, Failure, RetryPolicy},
    snapshot::{Digest, Snapshot, info_url, resolve_url},
};

/// The most that model information may take: the largest repositories have some 100,000 files.
const MAX_INFO: u64 = 64 << 20;

/// A client of one hub. Clones share connections and counts.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    policy: RetryPolicy,
    agent: Agent,
    stop: Arc<AtomicBool>,
    counters: Counters,
}

/// What went over the network so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Requests made, redirects and repetitions counted.
    pub requests: u64,
    /// Bytes received: bodies exactly, the heads of the answers about.
    pub bytes: u64,
}

/// What the hub says of a file without sending it.
#[derive(Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its size in bytes.
    pub size: u64,
    /// What names its bytes: the SHA-256 of a file in large-file storage, git's id of another.
    pub etag: String,
    /// Where a CDN has it, for some time; `None` where the hub itself serves it.
    pub(super) link: Option<String>,
}

impl fmt::Debug for Metadata {
    /// Without the link, which is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("size", &self.size)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// What is asked for, for messages and for the page to visit.
pub(super) struct Wanted<'a> {
    pub(super) id: &'a RepoId,
    pub(super) revision: &'a str,
    pub(super) path: Option<&'a str>,
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            Some(path) => write!(f, "`{path}` of hf:{}", self.id),
            None => write!(f, "hf:{}", self.id),
        }
    }
}

impl Client {
    /// A client of the hub in `config`. When `stop` is set, requests end within a fifth of a second
    /// with [`HubError::Interrupted`] (a connection that is being made may take until its
    /// time-out).
    pub fn new(config: Config, policy: RetryPolicy, stop: Arc<AtomicBool>) -> Self {
        let inner = Arc::new(Inner {
            agent: http::agent(&policy),
            config,
            policy,
            stop,
            counters: Counters::default(),
        });
        watch(Arc::downgrade(&inner));
        Self { inner }
    }

    /// How the hub is reached.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// What went over the network so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.counters().requests.load(Ordering::Relaxed),
            bytes: self.counters().bytes.load(Ordering::Relaxed),
        }
    }

    /// Finds the commit that a revision stands for, and the files it has. All else is asked of
    /// that commit, so that nothing changes while it is read.
    ///
    /// # Errors
    /// [`HubError`]: offline, refused, given up, or no hub's answer.
    pub fn snapshot(&self, repo: &Repo) -> Result<Snapshot, HubError> {
        self.snapshot_by(repo, self.attempts())
    }

    /// As [`Client::snapshot`], by so many attempts.
    pub(super) fn snapshot_by(
        &self,
        repo: &Repo,
        attempts: Attempts<'_>,
    ) -> Result<Snapshot, HubError> {
        let wanted = Wanted {
            id: &repo.id,
            revision: &repo.revision,
            path: None,
        };
        let url = info_url(&self.config().endpoint, repo);
        let json = self.whole(&wanted, &url, MAX_INFO, attempts)?;
        Snapshot::parse(repo, &json)
    }

    /// Asks for a file's size, `ETag` and place.
    ///
    /// # Errors
    /// [`HubError`]: offline, refused, given up, or no hub's answer.
    pub fn metadata(&self, snapshot: &Snapshot, path: &str) -> Result<Metadata, HubError> {
        let info = snapshot.file(path)?;
        let wanted = wanted(snapshot, path);
        let url = self.resolve_url(snapshot, path);
        self.retried(&wanted, self.attempts(), |caller| {
            let answer = self.request(caller, Method::Head, &url, None, true)?;
            if answer.location.is_none() {
                self.check_status(&wanted, &answer)?;
            }
            check_commit(&wanted, &answer, &snapshot.commit)?;
            let etag = answer.linked_etag.clone().or_else(|| answer.etag());
            let etag = etag
                .filter(|etag| fits_file_name(etag))
                .ok_or_else(|| HubError::malformed(wanted.to_string(), "it has no ETag"))?;
            let length = match answer.location {
                Some(_) => None,
                None => answer.content_length(),
            };
            let size = answer.linked_size.or(length).or(info.size);
            let size =
                size.ok_or_else(|| HubError::malformed(wanted.to_string(), "it has no length"))?;
            if let Some(expected) = info.size.filter(|expected| *expected != size) {
                return Err(changed(&wanted, "size", expected, size).into());
            }
            if let Some(Digest::Sha256(digest)) = &info.digest
                && !digest.eq_ignore_ascii_case(&etag)
            {
                return Err(changed(&wanted, "SHA-256", digest, etag).into());
            }
            let served_by_cdn = (!answer.from_hub).then(|| answer.url.clone());
            Ok(Metadata {
                size,
                etag,
                link: answer.location.or(served_by_cdn),
            })
        })
    }

    /// Fetches a small file whole, of at most `limit` bytes, and checks its digest.
    ///
    /// # Errors
    /// [`HubError`]: not in the repository, too large, offline, refused, given up, damaged.
    pub fn fetch(&self, snapshot: &Snapshot, path: &str, limit: u64) -> Result<Vec<u8>, HubError> {
        let info = snapshot.file(path)?;
        let wanted = wanted(snapshot, path);
        if let Some(size) = info.size.filter(|size| *size > limit) {
            return Err(HubError::TooLarge {
                what: wanted.to_string(),
                size,
                limit,
            });
        }
        let url = self.resolve_url(snapshot, path);
        let bytes = self.whole(&wanted, &url, limit, self.attempts())?;
        if let Some(size) = info.size.filter(|size| *size != bytes.len() as u64) {
            return Err(changed(&wanted, "size", size, bytes.len()));
        }
        if let Some(digest) = &info.digest {
            digest.check_whole(&bytes, &wanted.to_string())?;
        }
        Ok(bytes)
    }

    /// Opens a large file for reading parts of it.
    ///
    /// # Errors
    /// As [`Client::metadata`].
    pub fn open(&self, snapshot: &Snapshot, path: &str) -> Result<RemoteFile, HubError> {
        let metadata = self.metadata(snapshot, path)?;
        Ok(RemoteFile::new(self.clone(), snapshot, path, metadata))
    }

    /// One answer, read whole.
    fn whole(
        &self,
        wanted: &Wanted<'_>,
        url: &str,
        limit: u64,
        attempts: Attempts<'_>,
    ) -> Result<Vec<u8>, HubError> {
        let body = self.retried(wanted, attempts, |caller| {
            let answer = self.request(caller, Method::Get, url, None, false)?;
            self.check_status(wanted, &answer)?;
            answer.check_encoding()?;
            let length = answer.content_length();
            let body = answer.read_whole(caller, self.counters(), limit)?;
            Ok(body.ok_or(length))
        })?;
        body.map_err(|length| HubError::TooLarge {
            what: wanted.to_string(),
            size: length.unwrap_or(limit + 1),
            limit,
        })
    }

    /// Makes a request until it succeeds, or fails for good.
    fn retried<T>(
        &self,
        wanted: &Wanted<'_>,
        mut attempts: Attempts<'_>,
        attempt: impl Fn(&Caller<'_>) -> Result<T, Failure>,
    ) -> Result<T, HubError> {
        if let Some(variable) = self.config().offline {
            return Err(HubError::Offline {
                variable,
                missing: format!("{wanted} is asked of the hub"),
            });
        }
        let going = || self.is_wanted();
        let caller = Caller {
            agent: &self.inner.agent,
            wanted: &going,
            arrived: &|_| {},
        };
        loop {
            match attempt(&caller) {
                Ok(done) => return Ok(done),
                Err(failure) => attempts.wait(failure, &wanted.to_string(), &going)?,
            }
        }
    }

    /// One request, with the redirects it leads to.
    pub(super) fn request(
        &self,
        caller: &Caller<'_>,
        method: Method,
        url: &str,
        range: Option<&Range<u64>>,
        stop_at_link: bool,
    ) -> Result<Answer, Failure> {
        http::request(
            caller,
            self.config(),
            self.counters(),
            method,
            url,
            range,
            stop_at_link,
        )
    }

    /// Fails where the answer is none of success.
    pub(super) fn check_status(&self, wanted: &Wanted<'_>, answer: &Answer) -> Result<(), Failure> {
        let status = answer.status();
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(match answer.passing() {
            Some(failure) => failure,
            // The way goes over the hub each time, which gives a new link.
            None if !answer.from_hub => {
                Failure::passing(format!("{} answers HTTP {status}", http::host(&answer.url)))
            }
            None => refusal::of(answer, wanted, self.config()).into(),
        })
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.inner.stop.load(Ordering::Relaxed)
    }

    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts::new(self.policy(), self.traffic().bytes > 0)
    }

    pub(super) fn policy(&self) -> &RetryPolicy {
        &self.inner.policy
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.inner.agent
    }

    fn resolve_url(&self, snapshot: &Snapshot, path: &str) -> String {
        let endpoint = &self.config().endpoint;
        resolve_url(endpoint, &snapshot.repo.id, &snapshot.commit, path)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Ends the requests of a client when its flag is set, and itself when the client is gone.
fn watch(inner: Weak<Inner>) {
    const PAUSE: Duration = Duration::from_millis(100);
    let watching = move || {
        while let Some(inner) = inner.upgrade() {
            if inner.stop.load(Ordering::Relaxed) {
                inner.agent.clone().shutdown();
                return;
            }
            drop(inner);
            thread::sleep(PAUSE);
        }
    };
    // Without the thread, a request in progress ends by its time-outs.
    let _ = thread::Builder::new()
        .name("hub-stop".into())
        .spawn(watching);
}

fn wanted<'a>(snapshot: &'a Snapshot, path: &'a str) -> Wanted<'a> {
    Wanted {
        id: &snapshot.repo.id,
        revision: &snapshot.repo.revision,
        path: Some(path),
    }
}

/// Fails where the answer is about another commit.
pub(super) fn check_commit(
    wanted: &Wanted<'_>,
    answer: &Answer,
    commit: &str,
) -> Result<(), HubError> {
    match &answer.commit {
        Some(found) if found.eq_ignore_ascii_case(commit) => Ok(()),
        Some(found) => Err(changed(wanted, "commit", commit, found)),
        None => Err(HubError::malformed(
            wanted.to_string(),
            "it has no X-Repo-Commit",
        )),
    }
}

pub(super) fn changed(
    wanted: &Wanted<'_>,
    property: &'static str,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> HubError {
    HubError::Changed {
        what: wanted.to_string(),
        property,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// An `ETag` names a file in the cache.
fn fits_file_name(etag: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=128).contains(&etag.len()) && !etag.starts_with('.') && etag.bytes().all(plain)
}
