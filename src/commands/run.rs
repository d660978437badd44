//! `swallow-gguf run`

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IsTerminal, Read};
use std::time::Instant;

use anyhow::{Context as _, bail};
use indicatif::DecimalBytes;

use crate::chat::{self, Interrupts, Screen, StatusLine, Talk, TypeAhead, note};
use crate::cli::RunArgs;
use crate::model::chat_template;
use crate::runner::{
    Answer, Conversation, Ended, LoadOptions, Model, ModelFile, Sampling, Session, SessionOptions,
    Template,
};

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
    let file = ModelFile::open(&super::fetch::gguf(&args.model)?)?;
    let conversation = match args.raw {
        true => None,
        false => Some(new_conversation(&args, &file)?),
    };

    let began = Instant::now();
    let model = load(&args, &file)?;
    let options = session_options(&args);
    let seed = options.sampling.seed;
    let session = Session::new(&model, options)?;
    let load_time = began.elapsed();

    say_what_differs(&args, &model);
    if args.stats {
        note(&format!("load: {:.2} s", load_time.as_secs_f64()));
        note(&format!("seed: {seed}"));
    }
    if args.stats || args.verbose {
        list_devices(&model);
    }
    let mut talk = Talk {
        session,
        screen: Screen::new(),
        interrupts,
        stats: args.stats,
    };
    match (asked, conversation) {
        (Asked::Once(prompt), Some(mut conversation)) => {
            conversation.ask(prompt);
            let answer = talk.answer(&mut conversation)?;
            finish(&mut talk, &answer)
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
            chat::chat(&mut talk, &mut conversation, type_ahead)
        }
        (Asked::Chat(_), None) => bail!("`--raw` needs a prompt: give `-p`"),
    }
}

/// The one prompt to answer; `None` for a chat.
fn one_prompt(args: &RunArgs) -> anyhow::Result<Option<String>> {
    let prompt = match args.prompt.as_deref() {
        Some("-") => read_prompt()?,
        Some(prompt) => prompt.to_owned(),
        None if !io::stdin().is_terminal() => read_prompt()?,
        None if args.raw => bail!("`--raw` needs a prompt: give `-p`"),
        None if !io::stdout().is_terminal() => {
            bail!("stdout is not a terminal, which a chat needs: give a prompt with `-p`")
        }
        None => return Ok(None),
    };
    // A raw prompt may be empty: the token that begins a sequence is a beginning.
    if prompt.trim().is_empty() && !args.raw {
        bail!("the prompt is empty");
    }
    Ok(Some(prompt))
}

/// The largest prompt read from stdin, in bytes.
const MAX_PROMPT: u64 = 16 << 20;

/// All of stdin, but for the line end that `echo` and editors put last.
fn read_prompt() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_PROMPT + 1)
        .read_to_end(&mut bytes)
        .context("cannot read the prompt from stdin")?;
    if bytes.len() as u64 > MAX_PROMPT {
        bail!("the prompt on stdin is longer than {MAX_PROMPT} bytes");
    }
    let mut prompt = String::from_utf8(bytes)
        .map_err(|error| error.utf8_error().valid_up_to())
        .map_err(|offset| anyhow::anyhow!("the prompt on stdin is not UTF-8 at byte {offset}"))?;
    if prompt.ends_with('\n') {
        prompt.pop();
        if prompt.ends_with('\r') {
            prompt.pop();
        }
    }
    Ok(prompt)
}

fn new_conversation(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Conversation> {
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

fn load(args: &RunArgs, file: &ModelFile) -> anyhow::Result<Model> {
    let options = LoadOptions {
        gpu_layers: args.gpu_layers,
        verbose: args.verbose,
    };
    let mut status = StatusLine::new();
    let name = file.name.clone();
    let size = DecimalBytes(file.size);
    let model = Model::load(file, &options, move |done| {
        if done < 1.0 {
            status.show(&format!("loading {name}, {size}: {:.0} %", done * 100.0));
        } else {
            status.clear();
        }
    })?;
    Ok(model)
}

fn session_options(args: &RunArgs) -> SessionOptions {
    SessionOptions {
        context: (args.ctx_size > 0).then_some(args.ctx_size),
        threads: args.threads.unwrap_or_else(default_threads),
        sampling: Sampling {
            temperature: args.temp,
            top_k: args.top_k,
            top_p: args.top_p,
            min_p: args.min_p,
            repeat_penalty: args.repeat_penalty,
            seed: u32::try_from(args.seed).unwrap_or_else(|_| random_seed()),
        },
        limit: usize::try_from(args.n_predict).ok(),
        stops: args.stop.clone(),
        // With both, a certain number of tokens is asked for, whatever they are.
        loop_stop: !(args.no_loop_stop || args.raw && args.n_predict > 0),
    }
}

/// Physical cores, but no more than this process may use: two threads of one core share its
/// arithmetic units, and gain nothing.
fn default_threads() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = num_cpus::get_physical().clamp(1, allowed);
    u32::try_from(threads).unwrap_or(1)
}

/// The standard library seeds its hash maps from the system's random source.
fn random_seed() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// Says where the model runs otherwise than asked or expected.
fn say_what_differs(args: &RunArgs, model: &Model) {
    let trained = model.trained_context();
    let most = SessionOptions::DEFAULT_CONTEXT;
    if args.ctx_size == 0 && trained > most {
        note(&format!(
            "the context is {most} tokens, of the {trained} the model was trained for; `-c` makes it larger"
        ));
    } else if args.ctx_size > trained {
        note(&format!(
            "the context is {} tokens, but the model was trained for {trained}",
            args.ctx_size
        ));
    }
    if model.devices().is_empty() && args.gpu_layers.is_some_and(|layers| layers > 0) {
        let reason = match cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")) {
            true => "llama.cpp finds no GPU on this machine",
            false => {
                "this build has no GPU support (the features `cuda`, `vulkan` and `metal` give it)"
            }
        };
        note(&format!(
            "no layers go to a GPU: {reason}; all run on the CPU"
        ));
    }
}

fn list_devices(model: &Model) {
    let (offloaded, layers) = model.offloaded_layers();
    for device in model.devices() {
        note(&format!("GPU: {} ({})", device.name, device.description));
    }
    note(&format!("layers on a GPU: {offloaded} of {layers}"));
}

/// Ends the program after one answer.
fn finish(talk: &mut Talk<'_>, answer: &Answer) -> anyhow::Result<()> {
    match talk.screen.take_error() {
        // The reader of the pipe has what it wanted.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(error).context("cannot write the answer to stdout"),
        None if answer.ended == Ended::Interrupted => talk.interrupts.leave(),
        None => Ok(()),
    }
}
