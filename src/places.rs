//! Where the program keeps what it makes for itself: the folders that the platform has for that.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy, base_strategy::choose_native_strategy};

/// Our folder in those of the platform.
const NAME: &str = "swallow-gguf";

/// The folder for what is expensive to make: `$XDG_DATA_HOME/swallow-gguf` on Linux. `None` where the
/// platform names no home.
pub fn data() -> Option<PathBuf> {
    let platform = choose_native_strategy().ok()?;
    // Windows carries its data folder from machine to machine, which models are too large for.
    let folder = match cfg!(windows) {
        true => platform.cache_dir(),
        false => platform.data_dir(),
    };
    Some(folder.join(NAME))
}

/// The folder for what the program remembers: `$XDG_STATE_HOME/swallow-gguf` on Linux. `None` where the
/// platform names no home.
pub fn state() -> Option<PathBuf> {
    let platform = choose_native_strategy().ok()?;
    let folder = match cfg!(windows) {
        true => platform.cache_dir(),
        false => platform.state_dir().unwrap_or_else(|| platform.data_dir()),
    };
    Some(folder.join(NAME))
}

/// `path` with one more ending, as in `chat.jsonl.part`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Makes an empty file that only its user can read, in place of what is there.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let file = private(File::options().write(true).create(true).truncate(true)).open(path)?;
    #[cfg(unix)]
    {
        // The mode asked for holds for a new file alone.
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE))?;
    }
    Ok(file)
}

/// `options`, with which a new file is one that only its user can read.
pub(crate) fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, PRIVATE_FILE);
    options
}

/// Makes a folder that only its user can look into, with what is missing above it.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The mode of a file that only its user can read.
#[cfg(unix)]
const PRIVATE_FILE: u32 = 0o600;
