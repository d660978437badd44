//! The conversation and the template that makes its prompts.

use anyhow::bail;

use crate::chat::note;
use crate::cli::RunArgs;
use crate::gguf::escape;
use crate::model::chat_template;
use crate::runner::{Conversation, ModelFile, Template};

/// The most that is shown of a text that is no template.
const MAX_SHOWN: usize = 60;

pub(super) fn new_conversation(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Conversation> {
    let template = choose_template(args, file)?;
    if args.system.is_some() && !template.takes_system() {
        bail!(
            "the chat template `{}` has no place for a system message",
            template.name()
        );
    }
    Ok(Conversation::new(template, args.system.clone()))
}

/// The template asked for, else the file's own, else the Swallow prompt for a Swallow model. Never
/// another one unasked: a wrong prompt makes a good model look bad.
fn choose_template(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Template> {
    let path = file.path.display();
    let (name, source) = if let Some(name) = &args.chat_template {
        (name.clone(), chat_template::load(name)?)
    } else if let Some(own) = &file.chat_template {
        if !chat_template::has_tags(own) {
            let shown: String = own.chars().take(MAX_SHOWN).collect();
            bail!(
                "`{path}` has the text `{}` for a chat template, and nothing in it takes the messages: {}",
                escape(shown.as_bytes()),
                ways_out()
            );
        }
        (format!("tokenizer.chat_template of {path}"), own.clone())
    } else if let Some((name, source)) = swallow_template(file) {
        note(&format!(
            "`{path}` has no chat template; its metadata says Swallow, so the prompt is `{name}`"
        ));
        (name.to_owned(), source.to_owned())
    } else {
        bail!("`{path}` has no chat template: {}", ways_out());
    };
    Ok(Template::new(&name, &source, file.special.clone())?)
}

fn ways_out() -> String {
    format!(
        "choose one with `--chat-template` ({}, or a Jinja file), or give the prompt as it is with `--raw`",
        chat_template::NAMES.join(", ")
    )
}

/// The prompt that a Swallow model was made with: the merge's, or that of its dense parents.
fn swallow_template(file: &ModelFile) -> Option<(&'static str, &'static str)> {
    let name = match file.n_expert {
        0 => "swallow-instruct",
        _ => "swallow",
    };
    let source = chat_template::by_name(name).filter(|_| file.is_swallow)?;
    Some((name, source))
}
