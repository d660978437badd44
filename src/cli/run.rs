//! `swallow-gguf run`: its options, and the ranges they are held to.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Parser};

mod engine;
mod rpc;
mod sampling;
mod session;
mod speculation;
mod store;

pub use engine::{EngineArgs, GpuLayersArg, KvTypes, LoraArg, RepackArg};
pub use rpc::RpcArgs;
pub use sampling::SamplingArgs;
pub use session::SessionArgs;
pub use speculation::{SpeculateArg, SpeculationArgs};
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

    /// Chat template: swallow, swallow-instruct, llama-2, chatml, mistral-v1, mistral-v3,
    /// mistral-v3-tekken, mistral-v7, mistral-v7-tekken or a Jinja file [default: the file's own]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "raw")]
    pub chat_template: Option<String>,

    /// Do not show what a reasoning model thinks before it answers
    #[arg(long)]
    pub hide_thoughts: bool,

    /// Print load time, tokens/s, seed and GPUs on stderr
    #[arg(long)]
    pub stats: bool,

    /// Show llama.cpp's log on stderr
    #[arg(short, long)]
    pub verbose: bool,

    /// What is kept. A heading is that of all that follows, so those without one come before.
    #[command(flatten)]
    pub session: SessionArgs,

    /// How answers are made.
    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Memory and devices.
    #[command(flatten)]
    pub engine: EngineArgs,

    /// Other machines.
    #[command(flatten)]
    pub rpc: RpcArgs,

    /// What is proposed.
    #[command(flatten)]
    pub speculation: SpeculationArgs,

    /// What is converted first.
    #[command(flatten)]
    pub store: StoreArgs,
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

    /// What `run -m MODEL` stands for, evaluated with what `engine` says: for measurements of it.
    ///
    /// # Errors
    /// Those of the parser.
    pub fn with_engine(model: &Path, engine: EngineArgs) -> Result<Self, clap::Error> {
        #[derive(Parser)]
        struct Run {
            #[command(flatten)]
            args: RunArgs,
        }
        let words = [OsStr::new("run"), OsStr::new("--model"), model.as_os_str()];
        let Run { args } = Run::try_parse_from(words)?;
        Ok(Self { engine, ..args })
    }
}

/// Writes llama.cpp's short options of more than one letter, such as `-ngl`, as ours, for `run` and what
/// is measured of it; and joins a value that may be left out with its option.
pub fn with_long_options(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut out: Vec<OsString> = args.by_ref().take(1).collect();
    let rest: Vec<OsString> = args.collect();
    if !rest.iter().any(|arg| arg == "run") {
        out.extend(rest);
        return out;
    }
    let mut options = true;
    for arg in rest {
        options &= arg != "--";
        let Some(text) = arg.to_str().filter(|_| options) else {
            out.push(arg);
            continue;
        };
        let last = out.last().and_then(|last| last.to_str()).unwrap_or("");
        if engine::is_value_of(last, text) {
            let joined = format!("{last}={text}");
            out.pop();
            out.push(joined.into());
            continue;
        }
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(n, v)| (n, Some(v)));
        let spelling = engine::SPELLINGS.iter().find(|(short, _)| *short == name);
        out.push(match (spelling, value) {
            (Some((_, long)), Some(value)) => format!("{long}={value}").into(),
            (Some((_, long)), None) => (*long).into(),
            (None, _) => arg,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::runner::{FlashAttention, GpuLayers, SplitMode};
    use swallow_quant::GgmlType;

    fn parse(args: &[&str]) -> Result<RunArgs, String> {
        let args = ["swallow-gguf", "run", "-m", "x.gguf"]
            .iter()
            .chain(args)
            .map(OsString::from);
        let cli = Cli::try_parse_from(with_long_options(args));
        match cli.map_err(|error| error.to_string())?.command {
            Command::Run(args) => Ok(args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn gpu_layers_as_llama_cpp_writes_them() {
        let layers = |args: &[&str]| parse(args).unwrap().engine.gpu_layers.map(|arg| arg.0);
        assert_eq!(layers(&[]), None);
        assert_eq!(layers(&["-ngl", "20"]), Some(GpuLayers::Count(20)));
        assert_eq!(layers(&["-ngl=20"]), Some(GpuLayers::Count(20)));
        assert_eq!(layers(&["--gpu-layers", "0"]), Some(GpuLayers::Count(0)));
        assert_eq!(layers(&["--n-gpu-layers=all"]), Some(GpuLayers::All));
        assert_eq!(layers(&["-ngl", "auto"]), Some(GpuLayers::Auto));
        assert!(parse(&["-ngl", "-1"]).is_err());
        // Still one short option with its value.
        assert_eq!(parse(&["-n5"]).unwrap().sampling.n_predict.0, Some(5));
    }

    #[test]
    fn other_options_as_llama_cpp_writes_them() {
        let engine = |args: &[&str]| parse(args).unwrap().engine;
        let types = engine(&["-ctk", "q8_0", "-ctv", "F16"]).cache_types();
        assert_eq!(types, (GgmlType::Q8_0, GgmlType::F16));
        let both = engine(&["--kv-type", "q4_0"]).cache_types();
        assert_eq!(both, (GgmlType::Q4_0, GgmlType::Q4_0));
        assert_eq!(engine(&["--kv-type=q8_0,f16"]).cache_types(), types);
        assert_eq!(engine(&["-fa"]).flash_attn, FlashAttention::On);
        assert_eq!(engine(&["-fa", "off"]).flash_attn, FlashAttention::Off);
        assert_eq!(engine(&["-fa", "-n", "3"]).flash_attn, FlashAttention::On);
        assert_eq!(engine(&["-cmoe"]).cpu_moe, Some(u32::MAX));
        assert_eq!(engine(&["-ncmoe", "3"]).cpu_moe, Some(3));
        assert_eq!(engine(&["--cpu-moe", "--stats"]).cpu_moe, Some(u32::MAX));
        let placed = engine(&["-ot", "exps=CPU", "-ot=a=b=c"]).override_tensor;
        assert_eq!(
            (placed[0].pattern.as_str(), placed[0].device.as_str()),
            ("exps", "CPU")
        );
        assert_eq!(
            (placed[1].pattern.as_str(), placed[1].device.as_str()),
            ("a=b", "c")
        );
        let args = engine(&[
            "-ub", "64", "-b", "256", "-tb", "2", "-ts", "3,1", "-sm", "row", "-mg", "1",
        ]);
        assert_eq!(
            (args.ubatch, args.batch, args.threads_batch),
            (Some(64), Some(256), Some(2))
        );
        assert_eq!((args.tensor_split, args.main_gpu), (vec![3.0, 1.0], 1));
        assert_eq!(args.split_mode, SplitMode::Row);
        assert_eq!(engine(&["-dev", "none"]).devices(), Some(vec![]));
        let lora = engine(&["--lora", "a=b.gguf=0.5"]).lora.unwrap();
        assert_eq!((lora.path.to_str(), lora.scale), (Some("a=b.gguf"), 0.5));
        let lora = engine(&["--lora", "a=b.gguf"]).lora.unwrap();
        assert_eq!((lora.path.to_str(), lora.scale), (Some("a=b.gguf"), 1.0));
        // A later `--mmap` takes an earlier `--no-mmap` back.
        assert!(engine(&["--no-mmap"]).no_mmap);
        assert!(!engine(&["--no-mmap", "--mmap"]).no_mmap);
        // What follows `--` is no option, and other subcommands keep their own.
        let convert = ["swallow-gguf", "convert", "x", "-ot"].map(OsString::from);
        assert_eq!(with_long_options(convert.clone()), convert);
        let error = parse(&["--kv-type", "q8_1"]).unwrap_err();
        assert!(
            error.contains("`q5_1` was probably meant") || error.contains("`q8_0`"),
            "{error}"
        );
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
            &["-ub", "0"],
            &["-b", "0"],
            &["-tb", "0"],
            &["--kv-type", "q6_k"],
            &["--kv-type", "q8_0,"],
            &["-ot", "exps"],
            &["-ot", "(=CPU"],
            &["-ot", "=CPU"],
            &["-cmoe=x"],
            &["-ts", "-1"],
            &["-mg", "16"],
            &["--rope-freq-base", "0"],
            &["--rope-freq-scale", "nan"],
            &["--lora", "=2"],
            &["--repack", "maybe"],
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
