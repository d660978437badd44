//! `swallow-gguf run`: its options, and the ranges they are held to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

mod engine;
mod sampling;
mod store;

pub use engine::EngineArgs;
pub use sampling::SamplingArgs;
pub use store::{StoreArgs, TypeArg};

const AFTER_HELP: &str = "\
Without -p, a terminal becomes a chat; /help lists its commands. What is piped into stdin is read
to its end as one prompt and answered once. With one prompt, stdout has the answer and nothing
else; everything else goes to stderr.

With as many threads as there are busy cores, llama.cpp's threads wait for each other: give fewer
where other programs compute.";

/// `swallow-gguf run`
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArgs {
    /// Model to run: a GGUF file (of one in parts, the first), the folder of a checkpoint, a recipe for
    /// a merge (.yml), `hf:ORG/NAME[@REVISION]` of the Hugging Face hub, one file of that as
    /// `hf:ORG/NAME:FILE` or `hf:ORG/NAME:Q4_K_M`, or a name that `models` lists
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,

    /// The same as an option
    #[arg(short, long = "model", value_name = "MODEL", id = "model_option")]
    pub model_option: Option<PathBuf>,

    /// Answer this one prompt and leave; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,

    /// Give the prompt to the model as it is, without a chat template
    #[arg(long)]
    pub raw: bool,

    /// System message of the conversation
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "raw",
        allow_hyphen_values = true
    )]
    pub system: Option<String>,

    /// Chat template: swallow, swallow-instruct, llama-2, chatml or a Jinja file [default: the
    /// file's own]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "raw")]
    pub chat_template: Option<String>,

    /// How answers are made.
    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Memory and devices.
    #[command(flatten)]
    pub engine: EngineArgs,

    /// What is converted first.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Print load time, tokens/s, seed and GPUs on stderr
    #[arg(long)]
    pub stats: bool,

    /// Show llama.cpp's log on stderr
    #[arg(short, long)]
    pub verbose: bool,
}

impl RunArgs {
    /// The model that is to be run, which is given once: as an argument or as an option.
    ///
    /// # Errors
    /// What is to be done, where none is given, or two are.
    pub fn model(&self) -> Result<&Path, String> {
        match (&self.model, &self.model_option) {
            (Some(model), None) | (None, Some(model)) => Ok(model),
            (None, None) => Err(
                "no model is given, expected a GGUF file, a checkpoint's folder, a recipe, `hf:ORG/NAME` or a name that `swallow-gguf models` lists".into(),
            ),
            (Some(one), Some(other)) => Err(format!(
                "two models are given, `{}` and `-m {}`: expected one",
                one.display(),
                other.display()
            )),
        }
    }
}

/// Writes llama.cpp's `-ngl` as `--gpu-layers`, which clap could only read as `-n gl`.
pub fn with_long_gpu_layers(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options = true;
    let long = |arg: OsString| {
        options &= arg != "--";
        match arg.to_str().and_then(|arg| arg.strip_prefix("-ngl")) {
            Some("") if options => "--gpu-layers".into(),
            Some(value) if options && value.starts_with('=') => {
                format!("--gpu-layers{value}").into()
            }
            _ => arg,
        }
    };
    args.into_iter().map(long).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(args: &[&str]) -> Result<RunArgs, String> {
        let args = ["swallow-gguf", "run", "-m", "x.gguf"]
            .iter()
            .chain(args)
            .map(OsString::from);
        let cli = Cli::try_parse_from(with_long_gpu_layers(args));
        match cli.map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn gpu_layers_as_llama_cpp_writes_them() {
        let layers = |args: &[&str]| parse(args).unwrap().engine.gpu_layers;
        assert_eq!(layers(&[]), None);
        assert_eq!(layers(&["-ngl", "20"]), Some(20));
        assert_eq!(layers(&["-ngl=20"]), Some(20));
        assert_eq!(layers(&["--gpu-layers", "0"]), Some(0));
        assert_eq!(layers(&["--n-gpu-layers=all"]), Some(engine::ALL_LAYERS));
        assert!(parse(&["-ngl", "-1"]).is_err());
        // Still one short option with its value.
        assert_eq!(parse(&["-n5"]).unwrap().sampling.n_predict, 5);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let refused: &[&[&str]] = &[
            &["-n", "0"],
            &["-n", "-2"],
            &["--temp", "-0.1"],
            &["--temp", "nan"],
            &["--top-p", "1.5"],
            &["--top-p", "-1"],
            &["--min-p", "2"],
            &["--repeat-penalty", "0"],
            &["--seed", "4294967296"],
            &["--seed", "-2"],
            &["-t", "0"],
            &["-c", "99999999"],
            &["--stop", ""],
            &["--raw", "--system", "x"],
            &["--raw", "--chat-template", "chatml"],
        ];
        for args in refused {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn values_at_the_edges_are_taken() {
        let args = parse(&[
            "-n", "-1", "--temp", "0", "--top-p", "1", "--min-p", "0", "--seed", "-1", "-p", "- a",
            "--stop", "a", "--stop", "-b",
        ]);
        let args = args.unwrap();
        assert_eq!(args.prompt.as_deref(), Some("- a"));
        assert_eq!(args.sampling.stop, ["a", "-b"]);
    }
}
