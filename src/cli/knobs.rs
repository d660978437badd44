//! The options of `convert` that change types of tensors and metadata: llama-quantize's, and two
//! plain words.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use swallow_quant::GgmlType;

use crate::{
    mix::{TensorRule, tensor_type},
    model::KeyOverride,
};

const HEADING: &str = "Types of tensors, as with llama-quantize";

/// What a file type alone does not say.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct KnobArgs {
    /// Type of the experts' weights, with any file type: `-t q8_0 --experts-type q4_k`
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub experts_type: Option<GgmlType>,

    /// Type of the attention's matrices, with any file type
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub attn_type: Option<GgmlType>,

    /// `--tensor-type` and `--tensor-type-file`
    #[command(flatten)]
    pub tensor_types: TensorTypeArgs,

    /// Type of the output matrix
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub output_tensor_type: Option<GgmlType>,

    /// Type of the token embedding
    #[arg(long, value_name = "TYPE", value_parser = tensor_type)]
    pub token_embedding_type: Option<GgmlType>,

    /// Keep the output matrix in the checkpoint's number format
    #[arg(long)]
    pub leave_output_tensor: bool,

    /// One type for all that is quantized, no mix
    #[arg(long)]
    pub pure: bool,

    /// Replace or add a metadata key; TYPE is int, float, bool or str. May be repeated
    #[arg(long = "override-kv", value_name = "KEY=TYPE:VALUE")]
    pub overrides: Vec<KeyOverride>,
}

/// Rules for tensors by name, in the order of the command line: the first that is found decides.
#[derive(Debug, Default)]
pub struct TensorTypeArgs(pub Vec<TensorTypeArg>);

/// One rule, or a file of rules.
#[derive(Clone, Debug)]
pub enum TensorTypeArg {
    /// `--tensor-type`
    Rule(TensorRule),
    /// `--tensor-type-file`
    File(PathBuf),
}

const RULE: &str = "tensor_type";
const FILE: &str = "tensor_type_file";

// By hand, because the derived struct forgets the order between two options.
impl Args for TensorTypeArgs {
    fn augment_args(command: Command) -> Command {
        let option = |id: &'static str, long: &'static str| {
            Arg::new(id)
                .long(long)
                .action(ArgAction::Append)
                .help_heading(HEADING)
        };
        command
            .arg(
                option(RULE, "tensor-type")
                    .value_name("REGEX=TYPE")
                    .value_parser(value_parser!(TensorRule))
                    .help("Type of the tensors in whose names REGEX is found; the first found decides. May be repeated"),
            )
            .arg(
                option(FILE, "tensor-type-file")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("File of REGEX=TYPE, with spaces or line ends between them"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TensorTypeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let rules = matches.get_many(RULE).into_iter().flatten().cloned();
        let files = matches.get_many(FILE).into_iter().flatten().cloned();
        let places = |id| matches.indices_of(id).into_iter().flatten();
        let mut given: Vec<(usize, TensorTypeArg)> = places(RULE)
            .zip(rules.map(TensorTypeArg::Rule))
            .chain(places(FILE).zip(files.map(TensorTypeArg::File)))
            .collect();
        given.sort_by_key(|(place, _)| *place);
        Ok(Self(given.into_iter().map(|(_, arg)| arg).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
