//! Keeps the chat while it goes on, and takes one up.

mod reminder;

use std::time::{Duration, Instant};

use indicatif::DecimalBytes;

use self::reminder::tell_where_it_stood;
use super::note;
use crate::runner::{Conversation, Session, State, StateError, StateIdentity};
use crate::sessions::{About, MOST_STATE_BYTES, SessionError, SessionFile, SessionName, Sessions};

/// A state is written in the middle of a chat when the context holds so many tokens: reading
/// fewer takes no time.
const WORTH_KEEPING: usize = 256;

/// The largest state that is written in the middle of a chat: a part of a second on any disk.
const QUICK: u64 = 256 << 20;

/// A state larger than this takes seconds, which is said.
const SLOW: u64 = 500 << 20;

/// How much of the free room of the disk a state may take.
const SHARE_OF_DISK: u64 = 4;

/// The chat's file and state, which follow the conversation.
#[derive(Debug, Default)]
pub struct Keeping {
    on: Option<On>,
}

#[derive(Debug)]
struct On {
    sessions: Sessions,
    about: About,
    /// The options that change what is computed.
    settings: String,
    /// Whether to tell what the state takes.
    stats: bool,
    /// None until something is said.
    file: Option<SessionFile>,
    /// The conversation's, as they were the last time.
    clearings: usize,
    forgotten: usize,
    /// Tokens of the state that is on the disk.
    saved: usize,
    /// Whether the context has changed since.
    changed: bool,
    /// Whether the user knows that it cannot be kept.
    told: bool,
}

impl Keeping {
    /// Keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Keeps a chat in `sessions`: in `file`, or else in a new one when something is said.
    pub fn new(
        sessions: Sessions,
        about: About,
        settings: String,
        stats: bool,
        file: Option<SessionFile>,
    ) -> Self {
        Self {
            on: Some(On {
                sessions,
                about,
                settings,
                stats,
                file,
                clearings: 0,
                forgotten: 0,
                saved: 0,
                changed: false,
                told: false,
            }),
        }
    }

    /// Takes up what the file says, where it says something, and the state beside it. `system` is in
    /// place of the file's system message.
    pub fn take_up(
        &mut self,
        conversation: &mut Conversation,
        session: &mut Session<'_>,
        system: Option<String>,
    ) {
        if let Some(on) = &mut self.on {
            on.take_up(conversation, session, system);
        }
    }

    /// Makes the file say what the conversation says. A chat that cannot be kept goes on all the same.
    pub(super) fn keep(&mut self, conversation: &Conversation, session: &Session<'_>) {
        let Some(on) = &mut self.on else { return };
        match on.keep(conversation, session) {
            Ok(()) => on.told = false,
            Err(error) if !on.told => {
                note(&format!("the chat is not kept: {}", told(error)));
                on.told = true;
            }
            Err(_) => {}
        }
    }

    /// Keeps what an answer has changed.
    pub(super) fn keep_answer(&mut self, conversation: &Conversation, session: &Session<'_>) {
        self.keep(conversation, session);
        if let Some(on) = &mut self.on {
            on.changed = true;
            let held = session.held();
            let grown = held >= WORTH_KEEPING && held >= on.saved + on.saved / 2;
            if grown && session.state_size() <= QUICK {
                on.keep_state(session);
            }
        }
    }

    /// Keeps all that there is, because the chat ends here.
    pub fn end(&mut self, conversation: &Conversation, session: &Session<'_>) {
        self.keep(conversation, session);
        if let Some(on) = &mut self.on {
            on.keep_state(session);
        }
    }

    /// Says where the chat is kept that ends here, where that was not said when it began.
    pub(super) fn say_where(&self) {
        let file = self.on.as_ref().and_then(|on| on.file.as_ref());
        if let Some(file) = file.filter(|file| file.is_kept() && file.is_new()) {
            note(&format!(
                "the chat is kept as `{0}`: `--continue` or `--session {0}` takes it up",
                file.name()
            ));
        }
    }

    /// `/save NAME`
    pub(super) fn save_as(
        &mut self,
        name: &str,
        conversation: &Conversation,
        session: &Session<'_>,
    ) {
        let saved = match &mut self.on {
            Some(on) => on.save_as(name, conversation, session),
            None => return note("this chat is not kept: it was begun with `--no-session`"),
        };
        match saved {
            Ok(()) => note(&format!("the chat is kept as `{name}`")),
            Err(error) => note(&told(error)),
        }
    }

    /// `/load NAME`
    pub(super) fn load(
        &mut self,
        name: &str,
        conversation: &mut Conversation,
        session: &mut Session<'_>,
    ) {
        if name.is_empty() {
            return note("`/load NAME` takes up another chat; /sessions lists them");
        }
        self.keep(conversation, session);
        let loaded = match &mut self.on {
            Some(on) => on.load(name, conversation, session),
            None => return note("chats are not kept with `--no-session`, and not taken up"),
        };
        if let Err(error) = loaded {
            note(&told(error));
        }
    }

    /// `/sessions`: the chats as a table, where there are some.
    pub(super) fn list(&self) -> Option<String> {
        let sessions = self.on.as_ref().map(|on| on.sessions.clone());
        let chats = sessions.or_else(|| Sessions::open().ok())?.list();
        (!chats.is_empty()).then(|| crate::sessions::table(&chats))
    }
}

impl On {
    fn identity(&self, session: &Session<'_>) -> StateIdentity {
        let About {
            fingerprint,
            template,
            ..
        } = &self.about;
        StateIdentity::new(fingerprint, template, session.context(), &self.settings)
    }

    fn keep(
        &mut self,
        conversation: &Conversation,
        session: &Session<'_>,
    ) -> Result<(), SessionError> {
        if conversation.clearings() != self.clearings {
            self.clearings = conversation.clearings();
            // What is said from here on is another chat.
            self.leave(session);
        }
        self.forgotten = conversation.forgotten();
        if self.file.is_none() && !conversation.is_empty() {
            self.file = Some(self.sessions.begin()?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.keep(conversation, &self.about, &session.options().sampling)?;
        if let Some(aside) = file.take_aside() {
            note(&format!(
                "what the file was before is in `{}`",
                aside.display()
            ));
        }
        Ok(())
    }

    /// Leaves the chat as it is.
    fn leave(&mut self, session: &Session<'_>) {
        self.keep_state(session);
        let left = self.file.take().filter(SessionFile::is_kept);
        if let Some(file) = left {
            note(&format!("the chat so far is kept as `{}`", file.name()));
        }
        (self.saved, self.changed) = (0, false);
    }

    fn keep_state(&mut self, session: &Session<'_>) {
        let file = self.file.as_ref().filter(|file| file.is_kept());
        let Some(file) = file.filter(|_| self.changed && session.held() > 0) else {
            return;
        };
        let size = session.state_size();
        let free = fs4::available_space(self.sessions.folder()).unwrap_or(u64::MAX);
        if size > MOST_STATE_BYTES.min(free / SHARE_OF_DISK) {
            return note(&format!(
                "what the model holds of the chat takes {}, which is not kept ({} are free): its text \
                 is read again when it is taken up",
                DecimalBytes(size),
                DecimalBytes(free)
            ));
        }
        if size > SLOW {
            note(&format!(
                "keeping what the model holds of the chat, {}",
                DecimalBytes(size)
            ));
        }
        let began = Instant::now();
        let saved = session.save_state(&file.state_path(), &self.identity(session), self.forgotten);
        match saved {
            Ok(state) => {
                (self.saved, self.changed) = (state.tokens, false);
                self.tell("kept", &state, began.elapsed());
                self.sessions.prune_states();
            }
            Err(error) => note(&format!("{}; the text is kept", told(error))),
        }
    }

    fn tell(&self, done: &str, state: &State, time: Duration) {
        if self.stats {
            note(&format!(
                "state: {} tokens, {}, {done} in {:.2} s",
                state.tokens,
                DecimalBytes(state.bytes),
                time.as_secs_f64()
            ));
        }
    }

    fn take_up(
        &mut self,
        conversation: &mut Conversation,
        session: &mut Session<'_>,
        given: Option<String>,
    ) {
        self.clearings = conversation.clearings();
        let Some(file) = self.file.as_ref().filter(|file| file.is_kept()) else {
            return;
        };
        let (kept, turns) = file.said();
        let mut system = given.or(kept);
        if system.is_some() && !conversation.template().takes_system() {
            let template = conversation.template().name();
            note(&format!(
                "the chat template `{template}` has no place for the chat's system message, which is left out"
            ));
            system = None;
        }
        for damage in file.damage() {
            note(&format!(
                "line {} of `{}` is left out: {}",
                damage.line,
                file.path().display(),
                damage.reason
            ));
        }
        let (model, is_same) = file.model(&self.about);
        if !is_same && !model.is_empty() {
            note(&format!(
                "`{}` was a chat with `{model}`; it goes on with `{}`",
                file.name(),
                self.about.model
            ));
        }
        conversation.restore(system, turns);
        self.load_state(conversation, session);
        self.forgotten = conversation.forgotten();
    }

    fn load_state(&mut self, conversation: &mut Conversation, session: &mut Session<'_>) {
        let Some(file) = &self.file else { return };
        let path = file.state_path();
        let began = Instant::now();
        (self.saved, self.changed) = (0, false);
        match session.load_state(&path, &self.identity(session)) {
            Ok(state) => {
                conversation.forget(state.forgotten);
                self.saved = state.tokens;
                self.tell("loaded", &state, began.elapsed());
            }
            Err(error) if error.is_absence() => {}
            Err(error) => {
                if !matches!(error, StateError::Io { .. }) {
                    // It is of no use any more. Where it stays, the next one replaces it.
                    let _ = std::fs::remove_file(&path);
                }
                if self.stats {
                    note(&format!("{}; the text is read again", told(error)));
                }
            }
        }
    }

    fn save_as(
        &mut self,
        name: &str,
        conversation: &Conversation,
        session: &Session<'_>,
    ) -> Result<(), SessionError> {
        let name = SessionName::new(name)?;
        self.keep(conversation, session)?;
        match &mut self.file {
            Some(file) if *file.name() == name => {}
            Some(file) => file.save_as(name)?,
            None => {
                let file = self.sessions.take(&name)?;
                if file.is_kept() {
                    return Err(SessionError::Taken {
                        name: name.to_string(),
                    });
                }
                self.file = Some(file);
            }
        }
        Ok(())
    }

    fn load(
        &mut self,
        name: &str,
        conversation: &mut Conversation,
        session: &mut Session<'_>,
    ) -> Result<(), SessionError> {
        let name = self.sessions.named(name)?;
        if self.file.as_ref().is_some_and(|file| *file.name() == name) {
            note(&format!("`{name}` is this chat"));
            return Ok(());
        }
        let file = self.sessions.take(&name)?;
        self.leave(session);
        self.file = Some(file);
        self.take_up(conversation, session, None);
        tell_where_it_stood(self.file.as_ref(), conversation);
        Ok(())
    }
}

impl Keeping {
    /// Says what was taken up.
    pub fn tell_where_it_stood(&self, conversation: &Conversation) {
        let file = self.on.as_ref().and_then(|on| on.file.as_ref());
        tell_where_it_stood(file, conversation);
    }
}

/// An error with its causes, in a line.
fn told(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
