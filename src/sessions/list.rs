//! All chats, and the room that their states take.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{About, SessionName, Sessions, read_file};

/// States that are kept, of the chats used last.
const MOST_STATES: usize = 10;

/// Bytes that the states may have together. One alone may have as many, too.
pub const MOST_STATE_BYTES: u64 = 8_000_000_000;

/// A file that is being written is not older than this.
const WRITING: Duration = Duration::from_secs(3600);

/// A chat, for a list of them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: SessionName,
    /// Questions that were asked.
    pub turns: usize,
    /// The name of the model it was last with.
    pub model: String,
    /// That model's file.
    pub path: String,
    /// Digest of that file.
    fingerprint: String,
    /// When it began.
    pub created: String,
    /// When it was last written.
    pub last_used: SystemTime,
    /// Bytes of its text.
    pub text_bytes: u64,
    /// Bytes of its state.
    pub state_bytes: u64,
    /// What is wrong with its file.
    pub problem: Option<String>,
}

impl Sessions {
    /// The names of all chats.
    pub fn names(&self) -> Vec<SessionName> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let mut names: Vec<SessionName> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                SessionName::new(name.strip_suffix(".jsonl")?).ok()
            })
            .collect();
        names.sort();
        names
    }

    /// All chats, the one used last first.
    pub fn list(&self) -> Vec<Listed> {
        let names = self.names();
        let mut listed: Vec<Listed> = names.iter().filter_map(|name| self.listed(name)).collect();
        listed.sort_by(|a, b| {
            b.last_used
                .cmp(&a.last_used)
                .then_with(|| b.name.cmp(&a.name))
        });
        listed
    }

    /// The chat that was last used with the model of `about`: the same file, or another at its place.
    pub fn last_with(&self, about: &About) -> Option<SessionName> {
        let is_with =
            |chat: &Listed| chat.fingerprint == about.fingerprint || chat.path == about.path;
        self.list().into_iter().find(is_with).map(|chat| chat.name)
    }

    /// `None` where it went away in the meantime.
    fn listed(&self, name: &SessionName) -> Option<Listed> {
        let path = self.text_path(name);
        let metadata = fs::metadata(&path).ok()?;
        let state = fs::metadata(self.state_path(name));
        let (found, problem) = match read_file(&path) {
            Ok(found) => {
                let problem = match found.damage.len() {
                    0 => None,
                    1 => Some("1 line is damaged".to_owned()),
                    n => Some(format!("{n} lines are damaged")),
                };
                (found, problem)
            }
            Err(error) => (super::lines::Read::default(), Some(error.to_string())),
        };
        Some(Listed {
            name: name.clone(),
            turns: found.turns().len(),
            model: found.head.model,
            path: found.head.path,
            fingerprint: found.head.fingerprint,
            created: found.head.created,
            last_used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            text_bytes: metadata.len(),
            state_bytes: state.map_or(0, |metadata| metadata.len()),
            problem,
        })
    }

    /// Removes the oldest states where there are too many or they are too large, and what was left of
    /// some that were being written.
    pub fn prune_states(&self) {
        let mut states = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let age = modified.elapsed().unwrap_or_default();
            match ending(&path) {
                "state" => states.push((modified, metadata.len(), path)),
                "part" if age > WRITING => drop(fs::remove_file(path)),
                _ => {}
            }
        }
        states.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
        let mut bytes = 0_u64;
        for (nth, (_, length, path)) in states.into_iter().enumerate() {
            bytes = bytes.saturating_add(length);
            if nth >= MOST_STATES || bytes > MOST_STATE_BYTES {
                // Where it cannot be removed it is there the next time.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn ending(path: &Path) -> &str {
    path.extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
}
