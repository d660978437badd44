//! Where the program keeps what it makes for itself: the folders that the platform has for that.

use std::path::PathBuf;

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

/// The folder for what can be had again: `$XDG_CACHE_HOME/swallow-gguf` on Linux. `None` where the platform
/// names no home.
pub fn cache() -> Option<PathBuf> {
    let platform = choose_native_strategy().ok()?;
    Some(platform.cache_dir().join(NAME))
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
