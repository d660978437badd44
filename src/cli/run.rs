//! `swallow-gguf run`: its options, and the ranges they are held to.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, value_parser};

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
    /// GGUF file to run, or `hf:ORG/NAME[@REVISION]:FILE`, which is fetched into the Hugging Face
    /// cache; of a model in parts, the first
    #[arg(short, long, value_name = "FILE")]
    pub model: PathBuf,

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

    /// End the answer before this text; may be given more than once
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub stop: Vec<String>,

    /// Most tokens of an answer; -1 leaves its end to the model
    #[arg(short, long, value_name = "N", default_value_t = -1, value_parser = parse_n_predict, allow_negative_numbers = true)]
    pub n_predict: i32,

    /// Let an answer go on that only repeats itself; so does --raw with -n
    #[arg(long)]
    pub no_loop_stop: bool,

    /// Tokens of the context; 0 is what the model was trained for, at most 8192
    #[arg(short, long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u32).range(..=MAX_CONTEXT))]
    pub ctx_size: u32,

    /// Temperature; 0 always takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = parse_temperature, allow_negative_numbers = true)]
    pub temp: f32,

    /// Choose among the K most likely tokens; 0 is all
    #[arg(long, value_name = "K", default_value_t = 40)]
    pub top_k: u32,

    /// Choose among the most likely tokens that together have probability P
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = parse_probability, allow_negative_numbers = true)]
    pub top_p: f32,

    /// Choose among tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = parse_probability, allow_negative_numbers = true)]
    pub min_p: f32,

    /// Penalty on the last 64 tokens; 1 is none
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_penalty, allow_negative_numbers = true)]
    pub repeat_penalty: f32,

    /// Seed of the random choice; -1 takes another one each time
    #[arg(long, value_name = "N", default_value_t = -1, value_parser = value_parser!(i64).range(-1..=i64::from(u32::MAX)), allow_negative_numbers = true)]
    pub seed: i64,

    /// Threads to evaluate with [default: physical cores]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,

    /// Layers to put on the GPU, or `all`; also -ngl N [default: all, where the build has a GPU]
    #[arg(long, visible_alias = "n-gpu-layers", value_name = "N", value_parser = parse_gpu_layers)]
    pub gpu_layers: Option<u32>,

    /// Print load time, tokens/s, seed and GPUs on stderr
    #[arg(long)]
    pub stats: bool,

    /// Show llama.cpp's log on stderr
    #[arg(short, long)]
    pub verbose: bool,
}

/// Positions are `i32` in llama.cpp, and no model is trained for so many tokens.
const MAX_CONTEXT: i64 = 1 << 24;

/// What `--gpu-layers all` stands for: more layers than a model can have.
const ALL_LAYERS: u32 = 9999;

fn parse_n_predict(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(n) if n == -1 || n >= 1 => Ok(n),
        _ => Err("expected a number from 1, or -1".to_owned()),
    }
}

fn parse_f32(text: &str, range: RangeInclusive<f32>) -> Result<f32, String> {
    match text.parse() {
        Ok(x) if range.contains(&x) => Ok(x),
        _ => Err(format!(
            "expected a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

fn parse_temperature(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.0..=100.0)
}

fn parse_probability(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.0..=1.0)
}

fn parse_penalty(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.01..=100.0)
}

fn parse_gpu_layers(text: &str) -> Result<u32, String> {
    match text {
        "all" => Ok(ALL_LAYERS),
        number => number
            .parse()
            .map_err(|_| "expected a number from 0, or `all`".to_owned()),
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
        let layers = |args: &[&str]| parse(args).unwrap().gpu_layers;
        assert_eq!(layers(&[]), None);
        assert_eq!(layers(&["-ngl", "20"]), Some(20));
        assert_eq!(layers(&["-ngl=20"]), Some(20));
        assert_eq!(layers(&["--gpu-layers", "0"]), Some(0));
        assert_eq!(layers(&["--n-gpu-layers=all"]), Some(ALL_LAYERS));
        assert!(parse(&["-ngl", "-1"]).is_err());
        // Still one short option with its value.
        assert_eq!(parse(&["-n5"]).unwrap().n_predict, 5);
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
        assert_eq!(args.stop, ["a", "-b"]);
    }
}
