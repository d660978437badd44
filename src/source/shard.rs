//! One open shard: positioned reads that leave no trace in the page cache, of a local file or of
//! one on the hub.
//!
//! Reads, not a mapping: that was measured and is a fifth slower, for page faults and unmapping fall
//! on the threads that quantize. And a file that shrinks under us is an error rather than a signal,
//! and resident memory is our own buffers and nothing else.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::hub::{HubError, RemoteFile};

/// A shard of a checkpoint, open for reading.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    bytes: Bytes,
}

/// Where a shard's bytes are.
#[derive(Debug)]
enum Bytes {
    Local(File),
    Remote(Arc<RemoteFile>),
}

/// Why a shard could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// What the operating system said; `UnexpectedEof` when the file ends before.
    #[error(transparent)]
    Local(#[from] io::Error),
    /// What stopped the work with the hub.
    #[error(transparent)]
    Remote(Box<HubError>),
}

impl From<HubError> for ShardError {
    fn from(error: HubError) -> Self {
        Self::Remote(Box::new(error))
    }
}

impl Shard {
    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        let bytes = Bytes::Local(file);
        let shard = Self { path, bytes };
        // We ask for what comes next ourselves. The system's own reading ahead would go on beyond
        // the end of a tensor, by up to 32 MiB on some disks, into what is read much later or has
        // been read already.
        shard.advise(0..0, Advice::Random);
        shard
    }

    /// A file of the hub; `repo` names its repository in messages.
    pub(crate) fn remote(repo: &str, file: RemoteFile) -> Self {
        Self {
            path: format!("{repo}:{}", file.path()).into(),
            bytes: Bytes::Remote(Arc::new(file)),
        }
    }

    /// Where the shard is; of one on the hub `hf:ORG/NAME:FILE`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its bytes come over the network.
    pub fn is_remote(&self) -> bool {
        self.remote_file().is_some()
    }

    /// The file on the hub, if that is where the shard is.
    pub(crate) fn remote_file(&self) -> Option<&Arc<RemoteFile>> {
        match &self.bytes {
            Bytes::Local(_) => None,
            Bytes::Remote(file) => Some(file),
        }
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn file_len(&self) -> io::Result<u64> {
        match &self.bytes {
            Bytes::Local(file) => Ok(file.metadata()?.len()),
            Bytes::Remote(file) => Ok(file.size()),
        }
    }

    /// What tells this file from another, or from itself after a change: its name, length and time
    /// of change, or on the hub its address, with the commit, and its `ETag`.
    pub fn fingerprint(&self) -> String {
        let file = match &self.bytes {
            Bytes::Local(file) => file,
            Bytes::Remote(file) => return format!("{} {}", file.url(), file.etag()),
        };
        let name = self.path.file_name().unwrap_or_default().display();
        match file.metadata() {
            Ok(metadata) => format!("{name} {} {:?}", metadata.len(), metadata.modified().ok()),
            Err(error) => format!("{name} {error}"),
        }
    }

    /// Fills `buf` from byte `offset` of the file on.
    ///
    /// # Errors
    /// [`ShardError`], with `UnexpectedEof` when a local file ends before.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ShardError> {
        match &self.bytes {
            Bytes::Local(file) => Ok(read_exact_at(file, buf, offset)?),
            Bytes::Remote(file) => Ok(file.read_exact_at(buf, offset)?),
        }
    }

    /// Asks for `bytes` ahead of their use.
    pub fn prefetch(&self, bytes: Range<u64>) {
        self.advise(bytes, Advice::WillNeed);
    }

    /// Lets go of the cached pages of `bytes`: a 43 GB checkpoint that is read once must not push
    /// everything else out of memory.
    ///
    /// The system keeps pages in units of up to some megabytes, and passes over units that are in
    /// use at this instant or partly outside of the range. So each call begins somewhat before its
    /// bytes, where such units of earlier calls may have stayed.
    pub fn drop_from_cache(&self, bytes: Range<u64>) {
        const BEFORE: u64 = 64 << 20;
        let start = bytes.start.saturating_sub(BEFORE) / BEFORE * BEFORE;
        self.advise(start..bytes.end, Advice::DontNeed);
    }

    /// Advice is only that: failures and systems without the call are no concern.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn advise(&self, bytes: Range<u64>, advice: Advice) {
        let Bytes::Local(file) = &self.bytes else {
            return;
        };
        let len = std::num::NonZeroU64::new(bytes.end - bytes.start);
        let advice = match advice {
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        let _ = rustix::fs::fadvise(file, bytes.start, len, advice);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn advise(&self, _bytes: Range<u64>, _advice: Advice) {}
}

#[cfg(unix)]
fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    let mut done = 0;
    while done < buf.len() {
        match file.seek_read(&mut buf[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => done += n,
        }
    }
    Ok(())
}

enum Advice {
    Random,
    WillNeed,
    DontNeed,
}
