//! A file of the hub, read in parts and never kept.
//!
//! A part is one `GET` with `Range: bytes=FIRST-LAST`. The hub answers with a redirect to a CDN's
//! signed address, which is good for about an hour; we keep it and go there directly until it is
//! refused (403, 404 or 410), then ask the hub again. What an answer must be to be believed:
//!
//! - status 206, or 200 where the part is the whole file;
//! - `Content-Range` exactly the bytes that were asked for, of a file of the size that was pinned;
//! - an `ETag` that stays what it was. The hub's redirect names the file's own (`X-Linked-Etag`),
//!   which was pinned when the file was opened; a CDN has one of its own, pinned at its first
//!   answer;
//! - a body of exactly that length.
//!
//! A body that breaks off is gone on with at the byte where it did. A size, commit or `ETag` that
//! changes is an error for good: what was read before is of another file.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    client::{Client, Metadata, Wanted, changed, check_commit},
    error::HubError,
    http::{Answer, Caller, Method, host},
    repo::RepoId,
    retry::Failure,
    snapshot::{Snapshot, resolve_url},
};

/// Bytes of an attempt from which on it counts as progress, so that a server that gives a byte at
/// a time does not keep us forever.
const PROGRESS: usize = 64 << 10;

/// A file of the hub at a commit, open for reading by several threads at once.
pub struct RemoteFile {
    client: Client,
    id: RepoId,
    revision: String,
    commit: String,
    path: String,
    size: u64,
    etag: String,
    url: String,
    /// The CDN's address, while it is good.
    link: Mutex<Option<String>>,
    /// Of each CDN host, the `ETag` of its first answer.
    cdn_etags: Mutex<BTreeMap<String, String>>,
}

impl RemoteFile {
    pub(super) fn new(client: Client, snapshot: &Snapshot, path: &str, metadata: Metadata) -> Self {
        let id = &snapshot.repo.id;
        let url = resolve_url(&client.config().endpoint, id, &snapshot.commit, path);
        Self {
            id: id.clone(),
            revision: snapshot.repo.revision.clone(),
            commit: snapshot.commit.clone(),
            path: path.into(),
            size: metadata.size,
            etag: metadata.etag,
            link: Mutex::new(metadata.link),
            cdn_etags: Mutex::default(),
            url,
            client,
        }
    }

    /// Its path in the repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its address on the hub, with the commit.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What names its bytes: the SHA-256 of a file in large-file storage, git's id of another.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The commit it is read at.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Its client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Fills `buf` from byte `offset` of the file on.
    ///
    /// # Errors
    /// [`HubError`]: refused, given up, changed, interrupted. Bytes beyond the file's end are
    /// [`HubError::Malformed`].
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), HubError> {
        let wanted = || self.client.is_wanted();
        let caller = Caller {
            agent: self.client.agent(),
            wanted: &wanted,
            arrived: &|_| {},
        };
        self.read_by(&caller, buf, offset)
    }

    /// As [`RemoteFile::read_exact_at`], on the caller's connections.
    pub(super) fn read_by(
        &self,
        caller: &Caller<'_>,
        buf: &mut [u8],
        offset: u64,
    ) -> Result<(), HubError> {
        let what = self.wanted().to_string();
        if offset
            .checked_add(buf.len() as u64)
            .is_none_or(|end| end > self.size)
        {
            let reason = format!(
                "{} bytes at {offset} are asked of a file of {}",
                buf.len(),
                self.size
            );
            return Err(HubError::malformed(what, reason));
        }
        let mut attempts = self.client.attempts();
        let mut done = 0;
        while done < buf.len() {
            if !(caller.wanted)() {
                return Err(HubError::Interrupted);
            }
            let mut gained = 0;
            let attempt = self.attempt(caller, &mut buf[done..], offset + done as u64, &mut gained);
            done += gained;
            let Err(failure) = attempt else { break };
            if gained >= PROGRESS {
                attempts.progressed();
            }
            attempts.wait(failure, &what, caller.wanted)?;
        }
        Ok(())
    }

    /// One request for `buf.len()` bytes at `offset`; `gained` of them are good afterwards.
    fn attempt(
        &self,
        caller: &Caller<'_>,
        buf: &mut [u8],
        offset: u64,
        gained: &mut usize,
    ) -> Result<(), Failure> {
        let range = offset..offset + buf.len() as u64;
        let link = lock(&self.link).clone();
        let url = link.as_deref().unwrap_or(&self.url);
        let asked = self
            .client
            .request(caller, Method::Get, url, Some(&range), false);
        let answer = asked.inspect_err(|_| {
            // A link that leads nowhere is as good as one that has expired; not so where it was we
            // who ended the request.
            if (caller.wanted)() {
                self.forget(link.as_deref());
            }
        })?;
        if link.is_none() {
            self.check_redirect(&answer)?;
        }
        if !answer.from_hub && matches!(answer.status(), 401 | 403 | 404 | 410) {
            self.forget(link.as_deref());
            let reason = format!("{} answers HTTP {}", host(&answer.url), answer.status());
            return match link {
                // Expired: the hub gives another, at once.
                Some(_) => self.attempt(caller, buf, offset, gained),
                None => Err(Failure::passing(reason)),
            };
        }
        if answer.status() == 416 {
            let found = answer.header("content-range").unwrap_or_default();
            return Err(self.changed("size", self.size, found.trim_start_matches("bytes */")));
        }
        self.client.check_status(&self.wanted(), &answer)?;
        answer.check_encoding()?;
        self.check_range(&answer, &range)?;
        self.check_etag(&answer)?;
        if !answer.from_hub {
            *lock(&self.link) = Some(answer.url.clone());
        }
        answer.read_into(caller, self.client.counters(), buf, gained)
    }

    /// Checks what the hub said of the file on the way to its bytes.
    fn check_redirect(&self, answer: &Answer) -> Result<(), Failure> {
        if answer.commit.is_some() {
            check_commit(&self.wanted(), answer, &self.commit)?;
        }
        match &answer.linked_etag {
            Some(etag) if *etag != self.etag => {
                return Err(self.changed("ETag", &self.etag, etag));
            }
            _ => {}
        }
        match answer.linked_size {
            Some(size) if size != self.size => Err(self.changed("size", self.size, size)),
            _ => Ok(()),
        }
    }

    /// Checks that the answer is the part that was asked for.
    fn check_range(&self, answer: &Answer, range: &Range<u64>) -> Result<(), Failure> {
        let server = host(&answer.url);
        let len = range.end - range.start;
        if answer.status() == 200 && len == self.size {
            // The whole file was asked for.
        } else if answer.status() != 206 {
            let status = answer.status();
            return Err(Failure::passing(format!(
                "{server} answers HTTP {status} to a range"
            )));
        } else {
            let found = answer.header("content-range").unwrap_or_default();
            let parsed = content_range(&found);
            if let Some((_, total)) = &parsed
                && *total != self.size
            {
                return Err(self.changed("size", self.size, total));
            }
            if parsed.is_none_or(|(part, _)| part != *range) {
                return Err(Failure::passing(format!(
                    "{server} answers with Content-Range `{found:.100}` for bytes {}-{}",
                    range.start,
                    range.end - 1
                )));
            }
        }
        match answer.content_length() {
            Some(found) if found != len => Err(Failure::passing(format!(
                "{server} announces {found} bytes of {len}"
            ))),
            _ => Ok(()),
        }
    }

    fn check_etag(&self, answer: &Answer) -> Result<(), Failure> {
        let Some(found) = answer.etag() else {
            return Ok(());
        };
        if answer.from_hub {
            return match found == self.etag {
                true => Ok(()),
                false => Err(self.changed("ETag", &self.etag, found)),
            };
        }
        let mut pinned = lock(&self.cdn_etags);
        let pinned = pinned
            .entry(host(&answer.url))
            .or_insert_with(|| found.clone());
        match *pinned == found {
            true => Ok(()),
            false => Err(self.changed("ETag", &*pinned, found)),
        }
    }

    /// Lets go of a link, if it is still the one in use.
    fn forget(&self, link: Option<&str>) {
        let mut current = lock(&self.link);
        if current.as_deref() == link {
            *current = None;
        }
    }

    fn changed(
        &self,
        property: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Failure {
        changed(&self.wanted(), property, expected, found).into()
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            id: &self.id,
            revision: &self.revision,
            path: Some(&self.path),
        }
    }
}

impl fmt::Debug for RemoteFile {
    /// Without the link, which is signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteFile")
            .field("url", &self.url)
            .field("size", &self.size)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// What is behind the lock is whole at any time, also where a thread died that held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The part and the whole size in `bytes FIRST-LAST/SIZE`.
fn content_range(value: &str) -> Option<(Range<u64>, u64)> {
    let (part, size) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let end = last.trim().parse::<u64>().ok()?.checked_add(1)?;
    Some((first.trim().parse().ok()?..end, size.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-0/1"), Some((0..1, 1)));
        assert_eq!(content_range("bytes 5-9/100"), Some((5..10, 100)));
        for wrong in [
            "",
            "bytes 5-9/*",
            "bytes */100",
            "5-9/100",
            "bytes 5-/9",
            "bytes 0-18446744073709551615/1",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
