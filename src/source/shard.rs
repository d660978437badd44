//! One open shard: windows onto its bytes that leave no trace in memory or page cache.
//!
//! Only what is being converted is mapped, so resident memory does not grow with the model, and
//! a window's pages are dropped from the page cache when it is closed: a 43 GB checkpoint that is
//! read once must not push everything else out.

use std::{
    fs::File,
    io,
    ops::{Deref, Range},
    path::{Path, PathBuf},
};

use memmap2::{Mmap, MmapOptions};

/// A shard of a checkpoint, open for reading.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: File,
}

impl Shard {
    pub(super) fn new(path: PathBuf, file: File) -> Self {
        let shard = Self { path, file };
        // Tensors are read front to back, most of them in one piece.
        shard.advise(0..0, Advice::Sequential);
        shard
    }

    /// Where the shard is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a window onto `bytes` of the file. With `read_now` they are read before this
    /// returns, where the system can; otherwise as they are touched.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when the file has become too short.
    pub fn window(&self, bytes: Range<u64>, read_now: bool) -> io::Result<Window<'_>> {
        if self.file.metadata()?.len() < bytes.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(bytes.end - bytes.start)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut options = MmapOptions::new();
        options.offset(bytes.start).len(len);
        if read_now {
            options.populate();
        } else {
            self.advise(bytes.clone(), Advice::WillNeed);
        }
        // SAFETY: the mapping is read-only and its bytes are used as plain numbers, of which every
        // pattern is one, so another program that writes to the file meanwhile gives other weights
        // and nothing worse. One that shortens it in the instant after the check above ends this
        // process with a signal, as it would any program that maps a file.
        let map = unsafe { options.map(&self.file) }?;
        Ok(Window {
            map: Some(map),
            shard: self,
            bytes,
        })
    }

    /// Advice is only that: failures and systems without the call are no concern.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn advise(&self, bytes: Range<u64>, advice: Advice) {
        let len = std::num::NonZeroU64::new(bytes.end - bytes.start);
        let advice = match advice {
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        let _ = rustix::fs::fadvise(&self.file, bytes.start, len, advice);
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn advise(&self, _bytes: Range<u64>, _advice: Advice) {}
}

/// Some bytes of a shard; see [`Shard::window`].
#[derive(Debug)]
pub struct Window<'a> {
    /// Taken when the window is closed: pages are dropped from the cache only once unmapped.
    map: Option<Mmap>,
    shard: &'a Shard,
    bytes: Range<u64>,
}

/// The unit in which the system drops cached pages; on systems with larger ones a little stays.
const PAGE: u64 = 4096;

impl Deref for Window<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        drop(self.map.take());
        // The page that two windows share goes with the second.
        let start = self.bytes.start / PAGE * PAGE;
        self.shard.advise(start..self.bytes.end, Advice::DontNeed);
    }
}

enum Advice {
    Sequential,
    WillNeed,
    DontNeed,
}
