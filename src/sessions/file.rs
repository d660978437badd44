//! One chat's file, which mirrors the conversation.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use serde::Serialize;

use super::lines::{self, Head, Message, VERSION};
use super::lock::Lock;
use super::{Damage, SessionError, SessionName, Sessions, read_file};
use crate::places;
use crate::runner::{Conversation, Role, Sampling, Turn};

/// What a chat is with.
#[derive(Clone, Debug)]
pub struct About {
    /// The model's own name.
    pub model: String,
    /// Its file.
    pub path: String,
    /// Digest of the file.
    pub fingerprint: String,
    /// Digest of the chat template.
    pub template: String,
}

/// A chat that this program has, and no other.
#[derive(Debug)]
pub struct SessionFile {
    sessions: Sessions,
    name: SessionName,
    /// What the file has, as far as it can be read.
    head: Head,
    messages: Vec<Message>,
    damage: Vec<Damage>,
    disk: Disk,
    /// Whether it was not there before.
    is_new: bool,
    /// Where the file was copied to before it was written anew.
    aside: Option<PathBuf>,
    _lock: Lock,
}

/// What is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// Nothing.
    None,
    /// The messages in so many bytes, to which a line can be appended.
    Whole(u64),
    /// The messages, to be written anew before a line is added.
    Uneven,
    /// More than could be read, which is not to be lost.
    Damaged,
}

impl SessionFile {
    pub(super) fn new(
        sessions: Sessions,
        name: SessionName,
        lock: Lock,
    ) -> Result<Self, SessionError> {
        let path = sessions.text_path(&name);
        let mut file = Self {
            sessions,
            name,
            head: Head::default(),
            messages: Vec::new(),
            damage: Vec::new(),
            disk: Disk::None,
            is_new: true,
            aside: None,
            _lock: lock,
        };
        let found = match read_file(&path) {
            Err(SessionError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(file);
            }
            found => found?,
        };
        let length = fs::metadata(&path)
            .map_err(SessionError::io("read", &path))?
            .len();
        file.is_new = false;
        file.disk = match (found.appendable, found.loses_nothing()) {
            (true, _) => Disk::Whole(length),
            (false, true) => Disk::Uneven,
            (false, false) => Disk::Damaged,
        };
        (file.head, file.messages, file.damage) = (found.head, found.messages, found.damage);
        Ok(file)
    }

    /// What the chat is called.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// Whether anything of it is on the disk.
    pub fn is_kept(&self) -> bool {
        self.disk != Disk::None
    }

    /// Whether it was not there before this program took it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where its state is.
    pub fn state_path(&self) -> PathBuf {
        self.sessions.state_path(&self.name)
    }

    /// Lines that could not be read.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.sessions.text_path(&self.name)
    }

    /// Where the damaged file was copied to, the first time that this is asked after it was.
    pub fn take_aside(&mut self) -> Option<PathBuf> {
        self.aside.take()
    }

    /// The name of the model it was last with, and whether that is the one of `about`.
    pub fn model(&self, about: &About) -> (&str, bool) {
        (&self.head.model, self.head.fingerprint == about.fingerprint)
    }

    /// When something was said last.
    pub fn last_time(&self) -> Option<&str> {
        let times = self
            .messages
            .iter()
            .rev()
            .map(|message| message.time.as_str());
        times.into_iter().find(|time| !time.is_empty())
    }

    /// The system message and the turns.
    pub fn said(&self) -> (Option<String>, Vec<Turn>) {
        let found = lines::Read {
            messages: self.messages.clone(),
            ..lines::Read::default()
        };
        (found.system().map(str::to_owned), found.turns())
    }

    /// Makes the file say what `conversation` says. Nothing is written where it does; what was added
    /// is appended; where something else was changed the file is written anew.
    ///
    /// # Errors
    /// Where it cannot be written. The next call tries again.
    pub fn keep(
        &mut self,
        conversation: &Conversation,
        about: &About,
        sampling: &Sampling,
    ) -> Result<(), SessionError> {
        if conversation.is_empty() && self.is_new {
            return self.take_back();
        }
        let said = lines::said(conversation);
        let is_said = |(message, said): &(&Message, &(Role, &str, &str))| {
            (
                message.role,
                message.content.as_str(),
                message.thoughts.as_str(),
            ) == **said
        };
        let same = self.messages.iter().zip(&said).take_while(is_said).count();
        if same == said.len() && same == self.messages.len() && self.disk != Disk::None {
            return Ok(());
        }
        let time = now();
        let new = said[same..]
            .iter()
            .map(|&(role, content, thoughts)| Message {
                role,
                content: content.to_owned(),
                thoughts: thoughts.to_owned(),
                time: time.clone(),
                model: (role == Role::Assistant).then(|| about.model.clone()),
                sampling: (role == Role::Assistant).then(|| sampling.clone()),
            });
        let new: Vec<Message> = new.collect();
        let head = self.new_head(about, &time);
        match self.disk {
            Disk::Whole(length) if same == self.messages.len() && head == self.head => {
                self.append(length, &new)?;
                self.messages.extend(new);
            }
            _ => {
                let mut messages = self.messages[..same].to_vec();
                messages.extend(new);
                self.write_anew(&head, &messages)?;
                (self.head, self.messages) = (head, messages);
            }
        }
        Ok(())
    }

    fn new_head(&self, about: &About, time: &str) -> Head {
        let created = match self.head.created.as_str() {
            "" => time,
            created => created,
        };
        Head {
            session: VERSION,
            program: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            created: created.to_owned(),
            model: about.model.clone(),
            path: about.path.clone(),
            fingerprint: about.fingerprint.clone(),
            template: about.template.clone(),
        }
    }

    /// A chat in which nothing is said, and that was not there before, is none.
    fn take_back(&mut self) -> Result<(), SessionError> {
        if self.is_kept() {
            let path = self.path();
            fs::remove_file(&path).map_err(SessionError::io("remove", &path))?;
            // There may be none.
            let _ = fs::remove_file(self.state_path());
            self.disk = Disk::None;
            self.messages.clear();
        }
        Ok(())
    }

    fn append(&mut self, length: u64, messages: &[Message]) -> Result<(), SessionError> {
        let path = self.path();
        let append = || -> io::Result<Option<u64>> {
            let mut file = File::options().append(true).open(&path)?;
            if file.metadata()?.len() != length {
                return Ok(None);
            }
            let lines = lines_of(messages)?;
            file.write_all(&lines)?;
            file.sync_data()?;
            Ok(Some(length + lines.len() as u64))
        };
        match append() {
            Ok(Some(length)) => {
                self.disk = Disk::Whole(length);
                Ok(())
            }
            // Somebody else wrote there. That is not to be lost.
            Ok(None) => {
                self.disk = Disk::Damaged;
                let messages = [&self.messages, messages].concat();
                let head = self.head.clone();
                self.write_anew(&head, &messages)
            }
            Err(error) => {
                // A part of the lines may be there.
                self.disk = Disk::Uneven;
                Err(SessionError::io("write", &path)(error))
            }
        }
    }

    /// Replaces the file by one that appears whole.
    fn write_anew(&mut self, head: &Head, messages: &[Message]) -> Result<(), SessionError> {
        let path = self.path();
        if self.disk == Disk::Damaged {
            let aside = copy_aside(&path).map_err(SessionError::io("copy", &path))?;
            self.aside = Some(aside);
            self.disk = Disk::Uneven;
        }
        let part = places::beside(&path, "part");
        let write = || -> io::Result<u64> {
            let mut lines = lines_of(&[head])?;
            lines.extend(lines_of(messages)?);
            let mut file = places::create_private(&part)?;
            file.write_all(&lines)?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            Ok(lines.len() as u64)
        };
        match write() {
            Ok(length) => {
                self.disk = Disk::Whole(length);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&part);
                Err(SessionError::io("write", &path)(error))
            }
        }
    }

    /// Goes on under another name, to which nothing belongs yet: one that was given by time gives way,
    /// of a name that somebody chose a copy stays.
    ///
    /// # Errors
    /// Where there is a chat of that name, or the files cannot be written.
    pub fn save_as(&mut self, name: SessionName) -> Result<(), SessionError> {
        let mut other = self.sessions.take(&name)?;
        if other.is_kept() {
            return Err(SessionError::Taken {
                name: name.to_string(),
            });
        }
        let gives_way = self.name.is_by_time();
        let move_or_copy = |from: &Path, to: &Path| match gives_way {
            true => fs::rename(from, to),
            false => fs::copy(from, to).map(|_| ()),
        };
        if self.is_kept() {
            let (from, to) = (self.path(), other.path());
            move_or_copy(&from, &to).map_err(SessionError::io("write", &to))?;
            // A state that does not come along costs time and nothing else.
            let _ = move_or_copy(&self.state_path(), &other.state_path());
        }
        (other.head, other.messages) = (self.head.clone(), self.messages.clone());
        (other.disk, other.is_new) = (self.disk, self.is_new);
        *self = other;
        Ok(())
    }
}

/// The time as the lines have it: the user's own, to the second.
fn now() -> String {
    ZonedDateTime::now()
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

fn lines_of(values: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for value in values {
        serde_json::to_writer(&mut lines, value)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Copies a file to a name beside it that nothing has.
fn copy_aside(path: &Path) -> io::Result<PathBuf> {
    let mut aside = places::beside(path, "damaged");
    let mut nth = 1;
    while aside.exists() {
        nth += 1;
        aside = places::beside(path, &format!("damaged-{nth}"));
    }
    fs::copy(path, &aside)?;
    Ok(aside)
}
