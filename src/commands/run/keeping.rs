//! Which chat is kept, and which is taken up.

use anyhow::Context as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::chat::{Keeping, note};
use crate::cli::{EngineArgs, RunArgs};
use crate::runner::{Conversation, ModelFile, fingerprint};
use crate::sessions::{About, SessionError, SessionName, Sessions};

/// What keeps the conversation. One answer alone is kept where that is asked for.
pub(super) fn keeping(
    args: &RunArgs,
    file: &ModelFile,
    conversation: Option<&Conversation>,
    is_chat: bool,
) -> anyhow::Result<Keeping> {
    let asked = args.session.session.is_some() || args.session.take_up_last;
    let Some(conversation) = conversation.filter(|_| asked || is_chat && !args.session.no_session)
    else {
        return Ok(Keeping::off());
    };
    let sessions = match Sessions::open() {
        Err(error) if !asked => {
            note(&format!("the chat is not kept: {error}"));
            return Ok(Keeping::off());
        }
        sessions => sessions?,
    };
    let about = about(file, conversation)?;
    let taken = match &args.session.session {
        Some(name) => Some(sessions.take(&SessionName::new(name)?)?),
        None if args.session.take_up_last => {
            let last = sessions.last_with(&about);
            let last = last.ok_or_else(|| SessionError::NoneOf {
                model: about.model.clone(),
            })?;
            Some(sessions.take(&last)?)
        }
        None => None,
    };
    Ok(Keeping::new(
        sessions,
        about,
        settings(&args.engine),
        args.stats,
        taken,
    ))
}

fn about(file: &ModelFile, conversation: &Conversation) -> anyhow::Result<About> {
    let path = &file.path;
    let fingerprint = file.fingerprint();
    let fingerprint = fingerprint.with_context(|| format!("cannot read `{}`", path.display()))?;
    let template = xxh3_128(conversation.template().source().as_bytes());
    Ok(About {
        model: file.name.clone(),
        path: path
            .canonicalize()
            .unwrap_or_else(|_| path.clone())
            .display()
            .to_string(),
        fingerprint,
        template: format!("{template:032x}"),
    })
}

/// The options that change what is computed for the same tokens. Threads and devices change only how.
fn settings(engine: &EngineArgs) -> String {
    let (keys, values) = engine.cache_types();
    // An adapter that cannot be read is told when it is loaded.
    let lora = engine.lora.as_ref().map(|lora| {
        let file = fingerprint([lora.path.as_path()]).unwrap_or_default();
        format!("{file} times {}", lora.scale)
    });
    format!(
        "keys {keys:?}, values {values:?}, flash attention {:?}, rotary base {:?} and factor {:?}, adapter {lora:?}",
        engine.flash_attn, engine.rope_freq_base, engine.rope_freq_scale,
    )
}
