//! `swallow-gguf bench run` and `bench speculate`

use std::io::{self, Write};

use anyhow::bail;

use crate::bench::{
    run::{self, Line, Setting, Test},
    speculate::{self, PROMPTS},
};
use crate::cli::{BenchRunArgs, BenchSpeculateArgs, RunArgs};
use crate::commands::run::load::{context_options, load, session_options};
use crate::commands::{fetch, run as run_command};
use crate::runner::{Conversation, ModelFile, Session, SpeedTest, Template};

pub(super) fn run(args: BenchRunArgs) -> anyhow::Result<()> {
    let tests = Test::all(&args.n_prompt, &args.n_gen, &args.n_depth);
    let Some(most) = tests.iter().map(|test| test.context()).max() else {
        bail!("there is nothing to measure: give `-p` or `-n` a number above 0");
    };
    let mut run_args = RunArgs::with_engine(&args.model, args.engine)?;
    if run_args.engine.ctx_size == 0 {
        run_args.engine.ctx_size = most;
    }
    if run_args.engine.ctx_size < most {
        bail!(
            "the context of {} tokens has no room for {most}: leave out `-c`, or make it larger",
            run_args.engine.ctx_size
        );
    }
    let file = ModelFile::open(&fetch::gguf(&args.model)?)?;
    let model = load(&run_args, &file)?;
    let options = context_options(&run_args);
    let mut speed = SpeedTest::new(&model, &options)?;
    let on_device = model.offloaded_layers().0 > 0;
    let devices: Vec<&str> = model.devices().iter().map(|device| &*device.name).collect();
    let setting = Setting {
        model: file.name.clone(),
        model_size: speed.bytes(),
        model_n_params: speed.parameters(),
        backend: match on_device {
            true => devices.join(","),
            false => "CPU".to_owned(),
        },
        n_threads: options.threads,
        n_ubatch: options.batches(on_device).1,
    };
    let mut out = io::stdout().lock();
    if !args.json {
        writeln!(out, "{}", Line::HEADER)?;
    }
    let mut lines = Vec::new();
    for test in tests {
        let line = run::measure(&mut speed, &setting, test, args.repetitions)?;
        if !args.json {
            writeln!(out, "{line}")?;
        }
        lines.push(line);
    }
    if args.json {
        writeln!(out, "{:#}", serde_json::to_value(&lines)?)?;
    }
    Ok(())
}

pub(super) fn speculate(args: BenchSpeculateArgs) -> anyhow::Result<()> {
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    if let Some(only) = &args.only
        && !PROMPTS.iter().any(|prompt| wanted(prompt.name))
    {
        let names: Vec<&str> = PROMPTS.iter().map(|prompt| prompt.name).collect();
        bail!(
            "no prompt has `{only}` in its name: there are {}",
            names.join(", ")
        );
    }
    let mut run_args = RunArgs::with_engine(&args.model, args.engine)?;
    run_args.sampling.temp = 0.0;
    run_args.speculation.speculate = args.speculate;
    run_args.speculation.draft = args.draft;
    let file = ModelFile::open(&fetch::gguf(&args.model)?)?;
    let begin = || {
        let Some(source) = &file.chat.template else {
            return Ok(None);
        };
        let template = Template::new("tokenizer.chat_template", source, file.special.clone())?;
        Ok(Some(Conversation::new(template, None)))
    };
    let model = load(&run_args, &file)?;
    let draft = run_command::draft(&run_args)?;
    let mut options = session_options(&run_args);
    options.limit = usize::try_from(args.n_predict).ok();
    let speculate = options.speculate;
    let mut session = Session::with_draft(&model, draft.as_ref(), options)?;

    let mut out = io::stdout().lock();
    if !args.json {
        writeln!(out, "{}", speculate::Line::HEADER)?;
    }
    let (mut work, mut chat) = (Vec::new(), Vec::new());
    for &prompt in PROMPTS.iter().filter(|prompt| wanted(prompt.name)) {
        let line = speculate::measure(&mut session, begin, prompt, speculate, args.repetitions)?;
        if !args.json {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        match prompt.is_free_chat() {
            true => chat.push(line),
            false => work.push(line),
        }
    }
    let means = (
        speculate::geometric_mean(work.iter()),
        speculate::geometric_mean(chat.iter()),
    );
    if args.json {
        let prompts: Vec<_> = work.iter().chain(&chat).collect();
        let report = serde_json::json!({
            "prompts": prompts,
            "work_ratio": means.0,
            "chat_ratio": means.1,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    writeln!(out)?;
    let means = [
        ("summarise, edit, code, list", means.0),
        ("free chat", means.1),
    ];
    for (what, mean) in means {
        if let Some(mean) = mean {
            writeln!(out, "{what}: {mean:.2}x in the geometric mean")?;
        }
    }
    Ok(())
}
