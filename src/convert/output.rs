//! The output: written beside its place, synced, and moved there when it is whole.
//!
//! While `model.gguf` is being written, `.model.gguf.partial` holds what is there of it, and
//! `.model.gguf.journal` tells how much that is. Both are gone at the end, whatever the end is,
//! unless the process was killed or was asked to keep them; the same command then goes on. The
//! journal is locked, so two processes never write one output.

mod checksum;
mod journal;
mod place;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tempfile::TempPath;

use self::checksum::Checksum;
pub(super) use self::journal::OutputIdentity;
use self::journal::{Digest, Journal, Span};
use self::place::folder_of;
pub(super) use self::place::{check, require_space};
use super::error::ConvertError;

/// Written bytes after which the system is asked to start putting them on disk, so that the sync
/// at the end finds little left to do; and after which they are noted in the journal.
const SPAN_BYTES: u64 = 32 << 20;

/// How an output is to be opened.
pub(super) struct OutputOptions<'a> {
    /// What is written, for the journal.
    pub(super) identity: &'a OutputIdentity,
    /// Whether files that are there may be replaced.
    pub(super) replace: bool,
    /// Whether what an earlier, ended conversion left behind is thrown away.
    pub(super) restart: bool,
    /// Whether what is written is kept where writing ends before its end for a reason that may pass.
    pub(super) keep: bool,
    /// Whether to write a checksum beside each file.
    pub(super) checksum: bool,
    /// Files that the output must not be.
    pub(super) inputs: &'a [PathBuf],
}

/// Files on their way, written one after the other. Dropped before [`Output::finish`], they are
/// gone without a trace, unless [`Output::abandon`] says otherwise.
pub(super) struct Output {
    replace: bool,
    keep: bool,
    files: Vec<Partial>,
    // Removed before it is closed, and with that unlocked.
    journal_path: TempPath,
    journal: Journal,
    /// The file that is being written, and where it goes on.
    at: Position,
    /// Where the span that is not yet in the journal begins.
    span_start: u64,
    digest: Digest,
}

/// A place in the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Index of the file.
    pub(crate) file: usize,
    /// Bytes from its beginning.
    pub(crate) offset: u64,
}

/// A file that has not got its name yet.
struct Partial {
    /// Its place.
    path: PathBuf,
    file: File,
    temporary: TempPath,
    checksum: Option<Checksum>,
}

impl Output {
    /// Opens the files for `paths`, and goes on with what is there of them: see
    /// [`Output::position`]. `path` is the one that the paths are made of.
    pub(super) fn open(
        path: &Path,
        paths: &[PathBuf],
        options: &OutputOptions<'_>,
    ) -> Result<Self, ConvertError> {
        for path in paths {
            check(path, options.replace, options.inputs)?;
            if options.checksum {
                check(&checksum::path_of(path), options.replace, options.inputs)?;
            }
        }
        let journal_path = hidden(path, "journal")?;
        let mut journal = open_locked(path, &journal_path)?;
        let mut journal_path =
            TempPath::try_from_path(journal_path).map_err(|error| write_error(path, error))?;
        let known = Journal::read(&mut journal).map_err(|error| write_error(path, error))?;
        let spans = match known {
            Some((found, spans)) if found == *options.identity && !options.restart => spans,
            Some((found, spans)) if !spans.is_empty() && !options.restart => {
                journal_path.disable_cleanup(true);
                return Err(other_conversion(path, &found, options.identity));
            }
            _ => Vec::new(),
        };

        let temporary = paths
            .iter()
            .map(|path| hidden(path, "partial"))
            .collect::<Result<Vec<_>, _>>()?;
        let there: Vec<&Path> = temporary.iter().map(PathBuf::as_path).collect();
        let spans = &spans[..journal::confirmed(&spans, &there)];
        let at = spans.last().map_or(Position::default(), |span| Position {
            file: span.file,
            offset: span.end,
        });
        let files = paths
            .iter()
            .zip(temporary)
            .enumerate()
            .map(|(i, (path, temporary))| {
                let keep = match i.cmp(&at.file) {
                    std::cmp::Ordering::Less => None,
                    std::cmp::Ordering::Equal => Some(at.offset),
                    std::cmp::Ordering::Greater => Some(0),
                };
                let there = keep.unwrap_or(u64::MAX);
                Partial::open(path, temporary, keep)?.with_checksum(options.checksum, there)
            })
            .collect::<Result<_, _>>()?;
        let journal = Journal::begin(journal, options.identity, spans)
            .map_err(|error| write_error(path, error))?;
        Ok(Self {
            replace: options.replace,
            keep: options.keep,
            files,
            journal_path,
            journal,
            at,
            span_start: at.offset,
            digest: Digest::default(),
        })
    }

    /// Where writing goes on: the beginning, or the end of what an earlier conversion has written.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// Appends bytes to file `file`: the same one as before, or the next.
    pub(super) fn write(&mut self, file: usize, bytes: &[u8]) -> Result<(), ConvertError> {
        if file != self.at.file {
            self.end_span()?;
            self.at = Position { file, offset: 0 };
            self.span_start = 0;
        }
        let partial = &mut self.files[file];
        let written = partial.file.write_all(bytes);
        written.map_err(|error| write_error(&partial.path, error))?;
        if let Some(checksum) = &mut partial.checksum {
            checksum.update(bytes);
        }
        self.digest.update(bytes);
        self.at.offset += bytes.len() as u64;
        Ok(())
    }

    /// Tells that a chunk has been written whole: the output may be gone on with from here.
    pub(super) fn end_chunk(&mut self) -> Result<(), ConvertError> {
        match self.at.offset - self.span_start >= SPAN_BYTES {
            true => self.end_span(),
            false => Ok(()),
        }
    }

    /// Notes what has been written since the last time.
    fn end_span(&mut self) -> Result<(), ConvertError> {
        let Position { file, offset: end } = self.at;
        if end == self.span_start {
            return Ok(());
        }
        let partial = &self.files[file];
        start_write_back(&partial.file, self.span_start, end);
        let digest = std::mem::take(&mut self.digest).hex();
        let span = Span { file, end, digest };
        let noted = self.journal.append(&span);
        noted.map_err(|error| write_error(&partial.path, error))?;
        self.span_start = end;
        Ok(())
    }

    /// Ends the writing before its end: what is written is gone, or kept for the same command to go on
    /// with. `bytes` are those of the whole output, of it `before` in the files before the last.
    pub(super) fn abandon(mut self, error: ConvertError, before: u64, total: u64) -> ConvertError {
        if !(self.keep && error.may_pass()) {
            return error;
        }
        self.journal_path.disable_cleanup(true);
        for partial in &mut self.files {
            partial.temporary.disable_cleanup(true);
        }
        match error {
            ConvertError::Interrupted => ConvertError::InterruptedKept {
                written: before + self.span_start,
                total,
            },
            error => error,
        }
    }

    /// Puts all files on disk.
    pub(super) fn sync(&self) -> Result<(), ConvertError> {
        self.files.iter().try_for_each(|partial| {
            let synced = partial.file.sync_all();
            synced.map_err(|error| write_error(&partial.path, error))
        })
    }

    /// Moves all files, which are on disk, to their places. The first one, by which a model in several
    /// files is opened, comes last.
    pub(super) fn finish(self) -> Result<(), ConvertError> {
        let mut files = self.files.into_iter().rev();
        files.try_for_each(|partial| partial.persist(self.replace))
    }
}

impl Partial {
    /// Opens the file that will be moved to `path`, and cuts it to `keep` bytes; `None` leaves it as
    /// it is. With what the user's umask allows, as any file.
    fn open(path: &Path, temporary: PathBuf, keep: Option<u64>) -> Result<Self, ConvertError> {
        let open = || -> io::Result<File> {
            let mut file = open_ordinary(&temporary)?;
            if let Some(len) = keep {
                file.set_len(len)?;
                file.seek(SeekFrom::Start(len))?;
            }
            Ok(file)
        };
        let failed = |error| write_error(path, error);
        Ok(Self {
            file: open().map_err(failed)?,
            path: path.to_owned(),
            temporary: TempPath::try_from_path(temporary).map_err(failed)?,
            checksum: None,
        })
    }

    /// Begins a checksum, if there is to be one, with the first `len` bytes or all that are there.
    fn with_checksum(mut self, wanted: bool, len: u64) -> Result<Self, ConvertError> {
        if wanted {
            let failed = |error| write_error(&self.path, error);
            let len = self.file.metadata().map_err(failed)?.len().min(len);
            let there = Checksum::of_beginning(&self.temporary, len);
            self.checksum = Some(there.map_err(failed)?);
        }
        Ok(self)
    }

    /// Moves the file, which is on disk, to its place.
    fn persist(self, replace: bool) -> Result<(), ConvertError> {
        let Self {
            path,
            temporary,
            checksum,
            ..
        } = self;
        let moved = if replace {
            temporary.persist(&path)
        } else {
            temporary.persist_noclobber(&path)
        };
        moved.map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => ConvertError::Exists { path: path.clone() },
            _ => write_error(&path, e.error),
        })?;
        if let Some(checksum) = checksum {
            let written = checksum.write(&path);
            written.map_err(|error| write_error(&checksum::path_of(&path), error))?;
        }
        // The move itself is on disk when the folder is. Not every file system lets one sync a
        // folder, and the file is whole either way.
        #[cfg(unix)]
        if let Ok(dir) = File::open(folder_of(&path)) {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

/// `.model.gguf.partial` beside `model.gguf`.
fn hidden(path: &Path, ending: &str) -> Result<PathBuf, ConvertError> {
    match path.file_name() {
        Some(_) => Ok(hidden_name(path, ending)),
        None => Err(ConvertError::NotAFile {
            path: path.into(),
            found: "a folder",
        }),
    }
}

/// Where the output at `path` is while it is written.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    hidden_name(path, "partial")
}

/// Where it stands how much is there of the output at `path`.
pub(crate) fn journal_path(path: &Path) -> PathBuf {
    hidden_name(path, "journal")
}

fn hidden_name(path: &Path, ending: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(".");
    hidden.push(ending);
    path.with_file_name(hidden)
}

/// Opens a file of ours for reading and writing, and makes it where it is missing. Nothing but a
/// file is opened, and nothing that a link leads to.
fn open_ordinary(path: &Path) -> io::Result<File> {
    if let Ok(there) = fs::symlink_metadata(path)
        && !there.is_file()
    {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
}

/// Opens the journal of the output at `path` and locks it for as long as it is open.
fn open_locked(path: &Path, journal: &Path) -> Result<File, ConvertError> {
    loop {
        let file = open_ordinary(journal).map_err(|error| write_error(path, error))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(ConvertError::Busy { path: path.into() });
            }
            // Where files cannot be locked, one does without.
            Err(TryLockError::Error(_)) => return Ok(file),
            Ok(()) => {}
        }
        // Whoever held the lock before may have removed the file in the meantime.
        let ours =
            same_file::Handle::from_file(file.try_clone().map_err(|e| write_error(path, e))?);
        if ours.ok() == same_file::Handle::from_path(journal).ok() {
            return Ok(file);
        }
    }
}

fn other_conversion(
    path: &Path,
    found: &OutputIdentity,
    expected: &OutputIdentity,
) -> ConvertError {
    let differs = |a: &str, b: &str| (a != b).then(|| format!("{a}, now {b}"));
    let what = differs(&found.file_type, &expected.file_type)
        .or_else(|| differs(&found.source, &expected.source))
        .or_else(|| differs(&found.version, &expected.version).map(|v| format!("version {v}")))
        .unwrap_or_else(|| "other weights or options".to_owned());
    ConvertError::OtherConversion {
        path: path.into(),
        what,
    }
}

fn write_error(path: &Path, error: io::Error) -> ConvertError {
    ConvertError::Write {
        path: path.into(),
        error,
    }
}

/// Asks the system to begin writing these bytes to disk, without waiting for it.
#[cfg(target_os = "linux")]
fn start_write_back(file: &File, from: u64, to: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(len)) = (i64::try_from(from), i64::try_from(to - from)) else {
        return;
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no
    // memory of ours. A failure leaves the work to the final sync.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
fn start_write_back(_file: &File, _from: u64, _to: u64) {}
