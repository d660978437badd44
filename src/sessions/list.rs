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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// A folder with states of these sizes, the first of them the newest.
    fn states(sizes: &[u64]) -> (tempfile::TempDir, Sessions) {
        let dir = tempfile::tempdir().unwrap();
        for (nth, size) in sizes.iter().enumerate() {
            let file = File::create(dir.path().join(format!("{nth}.state"))).unwrap();
            file.set_len(*size).unwrap();
            let age = Duration::from_secs(60 * nth as u64);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let sessions = Sessions::at(dir.path().to_owned());
        (dir, sessions)
    }

    fn left(dir: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_states_of_the_chats_used_last_stay() {
        let (dir, sessions) = states(&[1; 13]);
        fs::write(dir.path().join("12.jsonl"), "text").unwrap();
        sessions.prune_states();
        let left = left(&dir);
        assert_eq!(left.len(), 11, "{left:?}");
        assert!(left.contains(&"12.jsonl".to_owned()), "text stays for ever");
        assert!(
            !["10.state", "11.state", "12.state"]
                .iter()
                .any(|name| left.contains(&(*name).to_owned()))
        );
    }

    #[test]
    fn states_have_a_size_together() {
        let half = MOST_STATE_BYTES / 2;
        let (dir, sessions) = states(&[half, half, 1]);
        sessions.prune_states();
        assert_eq!(left(&dir), ["0.state", "1.state"]);
    }

    #[test]
    fn what_was_left_of_a_state_goes_when_nobody_writes_it() {
        let (dir, sessions) = states(&[1]);
        let part = |name: &str, age| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        part("new.state.part", Duration::ZERO);
        part("old.state.part", 2 * WRITING);
        sessions.prune_states();
        assert_eq!(left(&dir), ["0.state", "new.state.part"]);
    }
}
