//! `swallow-gguf run`

use std::io;
use std::time::Instant;

use anyhow::{Context as _, bail};
use indicatif::DecimalBytes;

use self::{
    conversation::new_conversation,
    keeping::keeping,
    load::{context_options, list_devices, load, say_resident, say_what_differs, session_options},
    prompt::one_prompt,
};
use crate::chat::{self, Interrupts, Screen, Talk, Totals, TypeAhead, note};
use crate::cli::RunArgs;
use crate::runner::{
    Answer, Ended, GpuLayers, LoadOptions, Model, ModelFile, Session, Speculate, rpc,
};

mod conversation;
mod keeping;
pub(super) mod load;
mod model;
mod prompt;
mod room;
mod sampling;
mod source;
mod stored;

pub(super) use load::default_threads;

/// What the model is to answer.
enum Asked {
    /// One prompt.
    Once(String),
    /// What is typed in a terminal.
    Chat(TypeAhead),
}

pub(super) fn execute(args: RunArgs) -> anyhow::Result<()> {
    let prompt = one_prompt(&args)?;
    let interrupts = Interrupts::install().context("cannot listen to Ctrl-C")?;
    let asked = match prompt {
        Some(prompt) => Asked::Once(prompt),
        // Before anything takes time, so that what is typed meanwhile is there at the first prompt.
        None => Asked::Chat(TypeAhead::hold()),
    };
    // Before a model is chosen by the memory that there is.
    rpc::connect(&args.rpc.workers, chat::fail)?;
    let file = ModelFile::open(&model::gguf(&args, &interrupts)?)?;
    let mut conversation = match args.raw {
        true => None,
        false => Some(new_conversation(&args, &file)?),
    };

    // Before the model is loaded: a name that is none should not take so long to be told.
    let keeping = keeping(
        &args,
        &file,
        conversation.as_ref(),
        matches!(asked, Asked::Chat(_)),
    )?;
    let began = Instant::now();
    let model = load(&args, &file)?;
    let options = session_options(&args);
    let seed = options.sampling.seed;
    let draft = draft(&args)?;
    let session = Session::with_draft(&model, draft.as_ref(), options)?;
    let load_time = began.elapsed();

    say_what_differs(&args, &model);
    if args.stats {
        note(&format!("load: {:.2} s", load_time.as_secs_f64()));
        note(&format!("seed: {seed}"));
        say_resident();
    }
    if args.stats || args.verbose {
        list_devices(&model);
    }
    let mut talk = Talk {
        session,
        screen: Screen::new(args.hide_thoughts),
        interrupts,
        stats: args.stats,
        keeping,
        totals: Totals::default(),
    };
    if let Some(conversation) = &mut conversation {
        talk.keeping
            .take_up(conversation, &mut talk.session, args.system.clone());
    }
    match (asked, conversation) {
        (Asked::Once(prompt), Some(mut conversation)) => {
            conversation.ask(prompt);
            let answer = talk.answer(&mut conversation);
            if answer.is_err() {
                conversation.take_back();
            }
            talk.keeping.end(&conversation, &talk.session);
            finish(&mut talk, &answer?)
        }
        (Asked::Once(prompt), None) => {
            let answer = talk.complete(&prompt)?;
            finish(&mut talk, &answer)
        }
        (Asked::Chat(type_ahead), Some(mut conversation)) => {
            note(&format!(
                "{} · {} · context of {} tokens · /help for help",
                file.name,
                DecimalBytes(file.size),
                talk.session.context()
            ));
            talk.keeping.tell_where_it_stood(&conversation);
            chat::chat(&mut talk, &mut conversation, type_ahead)
        }
        (Asked::Chat(_), None) => bail!("`--raw` needs a prompt: give `-p`"),
    }
}

/// The smaller model that proposes tokens.
pub(super) fn draft(args: &RunArgs) -> anyhow::Result<Option<Model>> {
    let Some(path) = &args.speculation.draft else {
        return Ok(None);
    };
    if args.speculation.speculate.0 == Speculate::Off {
        return Ok(None);
    }
    let file = ModelFile::open(&super::fetch::gguf(path)?)?;
    let options = LoadOptions {
        gpu_layers: args.engine.gpu_layers.map_or(GpuLayers::Auto, |arg| arg.0),
        devices: args.engine.devices(),
        context: context_options(args),
        verbose: args.verbose,
        ..LoadOptions::default()
    };
    let model = Model::load(&file, &options, |_| {})?;
    Ok(Some(model))
}

/// Ends the program after one answer.
fn finish(talk: &mut Talk<'_>, answer: &Answer) -> anyhow::Result<()> {
    if talk.stats {
        say_resident();
    }
    match talk.screen.take_error() {
        // The reader of the pipe has what it wanted.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(error).context("cannot write the answer to stdout"),
        None if answer.ended == Ended::Interrupted => talk.interrupts.leave(),
        None => Ok(()),
    }
}
