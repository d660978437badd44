//! One open shard: positioned reads that leave no trace in the page cache.
//!
//! Reads, not a mapping: that was measured and is a fifth slower, for page faults and unmapping fall
//! on the threads that quantize. And a file that shrinks under us is an error rather than a signal,
//! resident memory is our own buffers and nothing else, and the same calls suit a source that is
//! not a local file.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

/// A shard of a checkpoint, open for reading.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
}

impl Shard {
    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        let shard = Self { path, file };
        // We ask for what comes next ourselves. The system's own reading ahead would go on beyond
        // the end of a tensor, by up to 32 MiB on some disks, into what is read much later or has
        // been read already.
        shard.advise(0..0, Advice::Random);
        shard
    }

    /// Where the shard is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this file from another, or from itself after a change: its name, length and time
    /// of change.
    pub fn fingerprint(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().display();
        match self.file.metadata() {
            Ok(metadata) => format!("{name} {} {:?}", metadata.len(), metadata.modified().ok()),
            Err(error) => format!("{name} {error}"),
        }
    }

    /// Fills `buf` from byte `offset` of the file on.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when the file ends before.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
        }
        #[cfg(windows)]
        {
            let mut done = 0;
            while done < buf.len() {
                let n = std::os::windows::fs::FileExt::seek_read(
                    &self.file,
                    &mut buf[done..],
                    offset + done as u64,
                )?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                done += n;
            }
            Ok(())
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
        let len = std::num::NonZeroU64::new(bytes.end - bytes.start);
        let advice = match advice {
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        let _ = rustix::fs::fadvise(&self.file, bytes.start, len, advice);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn advise(&self, _bytes: Range<u64>, _advice: Advice) {}
}

enum Advice {
    Random,
    WillNeed,
    DontNeed,
}
