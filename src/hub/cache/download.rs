//! One file into the cache.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Event, create_folder};
use crate::{
    hub::{
        Client, Digest, HubError, RemoteFile, Snapshot,
        read_ahead::{self, Part, ReadAhead},
        snapshot::Hasher,
    },
    lock::Lock,
};

/// A file that the cache is to have.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) snapshot: &'a Snapshot,
    pub(super) path: &'a str,
    /// The repository's folder.
    pub(super) folder: &'a Path,
    pub(super) locks: &'a Path,
    pub(super) options: &'a read_ahead::Options,
    pub(super) progress: &'a dyn Fn(Event<'_>),
}

impl Download<'_> {
    /// Fetches the file, unless the cache has it; whether it had not.
    pub(super) fn run(&self) -> Result<bool, HubError> {
        let info = self.snapshot.file(self.path)?;
        let link = self.link();
        if fs::metadata(&link).is_ok_and(|found| info.size.is_none_or(|size| size == found.len())) {
            return Ok(false);
        }
        let file = self.client.open(self.snapshot, self.path)?;
        let digest = info.digest.clone().or_else(|| {
            let digest = Digest::Sha256(file.etag().into());
            digest.is_digest().then_some(digest)
        });
        let blobs = self.folder.join("blobs");
        create_folder(&blobs)?;
        create_folder(self.locks)?;
        let lock = self.locks.join(format!("{}.lock", file.etag()));
        let waiting = || (self.progress)(Event::Waiting { path: self.path });
        let _lock = Lock::take(&lock, &|| self.client.is_wanted(), &waiting)
            .map_err(HubError::io(&lock))?
            .ok_or(HubError::Interrupted)?;

        let blob = blobs.join(file.etag());
        let there = fs::metadata(&blob).is_ok_and(|found| found.len() == file.size());
        let incomplete = blobs.join(format!("{}.incomplete", file.etag()));
        if there {
            // Of a run of ours that another program was faster than.
            let _ = fs::remove_file(&incomplete);
        } else {
            self.fill(file, digest, &incomplete)?;
            fs::rename(&incomplete, &blob).map_err(HubError::io(&blob))?;
            sync_folder(&blobs);
        }
        make_link(&link, self.path, &blob)?;
        Ok(true)
    }

    /// Where the file is found.
    pub(super) fn link(&self) -> PathBuf {
        let snapshot = self.folder.join("snapshots").join(&self.snapshot.commit);
        snapshot.join(self.path)
    }

    /// Fetches what `path` lacks of the file, and checks all of it.
    fn fill(
        &self,
        remote: RemoteFile,
        digest: Option<Digest>,
        path: &Path,
    ) -> Result<(), HubError> {
        let size = remote.size();
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(HubError::io(path))?;
        let mut there = file.metadata().map_err(HubError::io(path))?.len();
        if there > size {
            file.set_len(0).map_err(HubError::io(path))?;
            there = 0;
        }
        self.require_room(size - there)?;
        let mut hasher = digest.as_ref().map(|digest| digest.hasher(size));
        let mut part = vec![0; self.options.piece.max(1)];
        match &mut hasher {
            Some(hasher) => self.hash_what_is_there(&mut file, there, hasher, &mut part, path)?,
            None => {
                file.seek(SeekFrom::Start(there))
                    .map_err(HubError::io(path))?;
            }
        }

        let what = format!("`{}` of {}", self.path, self.snapshot.repo);
        let mut source = Source::open(remote, there, self.options)?;
        let mut done = there;
        self.tell(done, size);
        while done < size {
            let n = (size - done).min(part.len() as u64) as usize;
            source.read(&mut part[..n], done)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&part[..n]);
            }
            file.write_all(&part[..n]).map_err(HubError::io(path))?;
            done += n as u64;
            self.tell(done, size);
        }
        if let (Some(digest), Some(hasher)) = (digest, hasher)
            && let Err(error) = digest.check(hasher, &what)
        {
            // Nothing of it can be trusted, so the next run must not go on behind it.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        file.sync_all().map_err(HubError::io(path))
    }

    /// Hashes the beginning of `file`, `len` bytes, and is behind it then.
    fn hash_what_is_there(
        &self,
        file: &mut File,
        len: u64,
        hasher: &mut Hasher,
        part: &mut [u8],
        path: &Path,
    ) -> Result<(), HubError> {
        let mut left = len;
        while left > 0 {
            if !self.client.is_wanted() {
                return Err(HubError::Interrupted);
            }
            let n = left.min(part.len() as u64) as usize;
            file.read_exact(&mut part[..n])
                .map_err(HubError::io(path))?;
            hasher.update(&part[..n]);
            left -= n as u64;
        }
        Ok(())
    }

    fn require_room(&self, needed: u64) -> Result<(), HubError> {
        // Where the system does not tell, the write itself will.
        match fs4::available_space(self.folder) {
            Ok(available) if available < needed => Err(HubError::NoSpace {
                dir: self.folder.into(),
                needed,
                available,
            }),
            _ => Ok(()),
        }
    }

    fn tell(&self, done: u64, size: u64) {
        (self.progress)(Event::Fetching {
            path: self.path,
            done,
            size,
        });
    }
}

/// Where the bytes come from: several connections, or for one piece the client's own.
enum Source {
    One(RemoteFile),
    Ahead(ReadAhead),
}

impl Source {
    fn open(file: RemoteFile, from: u64, options: &read_ahead::Options) -> Result<Self, HubError> {
        let bytes = from..file.size();
        if bytes.end - bytes.start <= options.piece as u64 {
            return Ok(Self::One(file));
        }
        let file = Arc::new(file);
        Ok(Self::Ahead(ReadAhead::start(
            &[Part { file, bytes }],
            options,
        )?))
    }

    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), HubError> {
        match self {
            Self::One(file) => file.read_exact_at(buf, offset),
            Self::Ahead(ahead) => ahead.read_exact(buf),
        }
    }
}

/// Puts `link`, the file at `path` of a snapshot, in place, pointing at `blob`.
fn make_link(link: &Path, path: &str, blob: &Path) -> Result<(), HubError> {
    create_folder(link.parent().unwrap_or(Path::new(".")))?;
    // One may be there whose blob is gone.
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(HubError::io(link)(error));
        }
        _ => {}
    }
    let up = "../".repeat(1 + path.split('/').count());
    let name = blob.file_name().unwrap_or_default().to_string_lossy();
    let linked = symlink(&format!("{up}blobs/{name}"), link);
    // Windows lets not everyone make links; their library moves the file then, too.
    let placed = if cfg!(windows) {
        linked.or_else(|_| fs::rename(blob, link))
    } else {
        linked
    };
    placed.map_err(HubError::io(link))
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), link)
}

/// The move is on disk when the folder is; not every file system lets one sync a folder.
fn sync_folder(path: &Path) {
    #[cfg(unix)]
    if let Ok(dir) = File::open(path) {
        let _ = dir.sync_all();
    }
    #[cfg(not(unix))]
    let _ = path;
}
