//! The conversation and the template that makes its prompts.

use anyhow::bail;

use crate::chat::note;
use crate::cli::RunArgs;
use crate::model::chat_template;
use crate::runner::{Conversation, ModelFile, Template};

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
        (format!("tokenizer.chat_template of {path}"), own.clone())
    } else if let Some((name, source)) = swallow_template(file) {
        note(&format!(
            "`{path}` has no chat template; its metadata says Swallow, so the prompt is `{name}`"
        ));
        (name.to_owned(), source.to_owned())
    } else {
        bail!(
            "`{path}` has no chat template: choose one with `--chat-template` ({}, or a Jinja \
             file), or give the prompt as it is with `--raw`",
            chat_template::NAMES.join(", ")
        );
    };
    Ok(Template::new(&name, &source, file.special.clone())?)
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
