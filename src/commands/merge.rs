//! `swallow-gguf merge`

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use indicatif::ProgressBar;

use super::write;
use crate::{
    cli::{LayoutArg, MergeArgs, WriteArgs},
    convert::{ConvertError, Progress},
    hub::{Client, Config, RetryPolicy},
    merge::{GateProgress, Layout, Merge, MergeError, MergeOptions, MergeWishes, MergedCheckpoint},
    model::chat_template,
};

pub(super) fn execute(args: &MergeArgs) -> anyhow::Result<()> {
    let chat_template = args
        .chat_template
        .as_deref()
        .map(chat_template::load)
        .transpose()?;
    require_place(args)?;
    let cancel = write::cancel_on_interrupt()?;
    let stop = Arc::clone(&cancel);
    let options = MergeOptions {
        recipe: args.recipe.clone(),
        name: args.name.clone(),
        seed: args.seed,
        architecture: args.architecture,
        experts_per_token: args.experts_per_token,
        gates: args.gates.clone(),
        skip_tensors: args.skip_tensors.clone(),
        pre: args.pre,
        client: Client::new(Config::from_env()?, RetryPolicy::default(), stop),
        plan_only: args.write.dry_run,
        threads: args.write.threads,
        scratch: scratch(args),
        cancel: Arc::clone(&cancel),
    };
    let merge = {
        let display = GateDisplay::new(args.write.quiet);
        Merge::open(&options, &|progress| display.show(progress))?
    };
    if let Some(path) = args.save_gates.as_ref().filter(|_| !args.write.dry_run) {
        merge.save_gates(path, args.write.force)?;
    }
    let Some(dir) = &args.write_safetensors else {
        let wanted = MergeWishes {
            wishes: write::wishes(&args.write)?,
            chat_template,
        };
        let conversion = merge.into_conversion(&wanted)?;
        return write::execute(&conversion, &args.write, &cancel);
    };
    let layout = match args.layout {
        LayoutArg::Separate => Layout::Separate,
        LayoutArg::Fused => Layout::Fused,
    };
    let checkpoint = MergedCheckpoint::new(merge, layout, args.shard_size)?;
    write::execute_checkpoint(&checkpoint, dir, &args.write, &cancel)
}

/// Opens the merge by the recipe at `path` as it is, and shows how far its gates are; `scratch` is a folder
/// for what is only there while they are made.
pub(super) fn open(
    path: &Path,
    client: Client,
    scratch: &Path,
    cancel: &Arc<AtomicBool>,
) -> Result<Merge, MergeError> {
    let options = MergeOptions {
        recipe: path.to_owned(),
        name: None,
        seed: None,
        architecture: None,
        experts_per_token: None,
        gates: None,
        skip_tensors: Vec::new(),
        pre: None,
        client,
        plan_only: false,
        threads: None,
        scratch: scratch.to_owned(),
        cancel: Arc::clone(cancel),
    };
    let display = GateDisplay::new(false);
    Merge::open(&options, &|progress| display.show(progress))
}

/// Fails where there is something in the output's place already, before gates are made, which may
/// take minutes. What else there is to check of the place is checked when it is written to.
fn require_place(args: &MergeArgs) -> Result<(), ConvertError> {
    let WriteArgs {
        output,
        force,
        dry_run,
        ..
    } = &args.write;
    match output {
        Some(path) if path.is_file() && !force && !dry_run && args.write_safetensors.is_none() => {
            Err(ConvertError::Exists { path: path.clone() })
        }
        _ => Ok(()),
    }
}

/// Where the base model is kept while gates are made of its hidden states: where the output goes.
fn scratch(args: &MergeArgs) -> PathBuf {
    let output = args
        .write_safetensors
        .as_ref()
        .or(args.write.output.as_ref());
    match output {
        Some(dir) if dir.is_dir() => dir.clone(),
        Some(path) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => ".".into(),
        },
        None => ".".into(),
    }
}

/// What is shown while gates are made of the base model's hidden states: one line, which on a terminal
/// tells how far that is and is gone at the end.
struct GateDisplay {
    quiet: bool,
    bar: OnceLock<ProgressBar>,
}

impl GateDisplay {
    fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bar: OnceLock::new(),
        }
    }

    fn show(&self, progress: GateProgress<'_>) {
        if self.quiet {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            if !std::io::stderr().is_terminal() {
                eprintln!("making gates of prompts, with hidden states of the base model");
                return ProgressBar::hidden();
            }
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        match progress {
            GateProgress::Converting(Progress::Written { tensor, .. }) => {
                bar.set_message(format!("gates: getting the base model ready, {tensor}"));
            }
            GateProgress::Converting(Progress::Resumed { .. }) => {}
            GateProgress::Prompts { done, total } => {
                bar.set_message(format!("gates: {done} of {total} prompts read"));
            }
        }
    }
}

impl Drop for GateDisplay {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
