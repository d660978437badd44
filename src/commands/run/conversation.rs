//! The conversation and the template that makes its prompts.

use anyhow::bail;

use crate::chat::note;
use crate::cli::RunArgs;
use crate::gguf::escape;
use crate::model::chat_template;
use crate::runner::{ChatFormat, Conversation, ModelFile, SpecialTokens, Template};

/// The most that is shown of a text that is no template.
const MAX_SHOWN: usize = 60;

pub(super) fn new_conversation(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Conversation> {
    let path = file.path.display().to_string();
    if args.chat_template.is_none()
        && let (None, Some(name)) = (&file.chat.template, file.chat.swallow)
    {
        note(&format!(
            "`{path}` has no chat template; its metadata says Swallow, so the prompt is `{name}`"
        ));
    }
    let template = choose_template(args, &path, &file.chat, &file.special)?;
    Ok(Conversation::new(template, args.system.clone()))
}

/// Fails where a model that is not made yet would have no prompt for what is asked.
pub(super) fn check_before(args: &RunArgs, name: &str, chat: &ChatFormat) -> anyhow::Result<()> {
    if !args.raw {
        choose_template(args, name, chat, &SpecialTokens::default())?;
    }
    Ok(())
}

/// The template asked for, else the own one of `model`, else the Swallow prompt for a Swallow model. Never
/// another one unasked: a wrong prompt makes a good model look bad.
fn choose_template(
    args: &RunArgs,
    model: &str,
    chat: &ChatFormat,
    special: &SpecialTokens,
) -> anyhow::Result<Template> {
    let built_in = chat
        .swallow
        .and_then(|name| Some((name, chat_template::by_name(name)?)));
    let (name, source) = if let Some(name) = &args.chat_template {
        (name.clone(), chat_template::load(name)?)
    } else if let Some(own) = &chat.template {
        if !chat_template::has_tags(own) {
            let shown: String = own.chars().take(MAX_SHOWN).collect();
            bail!(
                "`{model}` has the text `{}` for a chat template, and nothing in it takes the messages: {}",
                escape(shown.as_bytes()),
                ways_out()
            );
        }
        (format!("tokenizer.chat_template of {model}"), own.clone())
    } else if let Some((name, source)) = built_in {
        (name.to_owned(), source.to_owned())
    } else {
        bail!("`{model}` has no chat template: {}", ways_out());
    };
    let template = Template::new(&name, &source, special.clone())?;
    if args.system.is_some() && !template.takes_system() {
        bail!("the chat template `{name}` has no place for a system message");
    }
    Ok(template)
}

fn ways_out() -> String {
    format!(
        "choose one with `--chat-template` ({}, or a Jinja file), or give the prompt as it is with `--raw`",
        chat_template::NAMES.join(", ")
    )
}
