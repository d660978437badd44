//! Errors of `src/source`.

use swallow_gguf::source::{Checkpoint, SourceError};

use super::{Section, variants};

variants!(SourceError {
    NotACheckpoint,
    File,
    Weights,
    ShardOutsideFolder,
    ShardMissing,
    Malformed,
    Truncated,
    Tensor,
} hands_on { Hub });

pub(super) fn errors(list: &mut Section) {
    let missing = list.dir().join("nowhere");
    list.add("no such folder", Checkpoint::open(&missing).unwrap_err());
}
