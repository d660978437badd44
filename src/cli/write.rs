//! The options of the commands that write a GGUF.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::KnobArgs;
use crate::{
    file_type::{FileType, offered_names},
    plan::Search,
};

/// What to write, where, and how.
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// File to write [default: named after the model, in the current folder]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The file type.
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        default_value = "Q4_K_M",
        help = format!("File type: {}", offered_names())
    )]
    pub file_type: FileType,

    /// Importance matrix, as llama-imatrix writes it (.gguf or .dat): what the model looks at most
    /// is kept most exactly
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,

    /// Use the importance matrix for tensors with this in their names only. May be repeated
    #[arg(long, value_name = "NAME", requires = "imatrix")]
    pub include_weights: Vec<String>,

    /// Use the importance matrix for no tensor with this in its name. May be repeated
    #[arg(
        long,
        value_name = "NAME",
        requires = "imatrix",
        conflicts_with = "include_weights"
    )]
    pub exclude_weights: Vec<String>,

    /// How scales are searched for: `best` finds a lower error than ggml in Q4_K, Q5_K and Q6_K, and so
    /// other bytes
    #[arg(long, value_name = "SEARCH", default_value = "reference")]
    pub search: Search,

    /// Print the plan (every tensor's source, type, size and reason) and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Replace an existing output file, once the new one is whole
    #[arg(short, long)]
    pub force: bool,

    /// Begin anew, whatever an earlier conversion to this file has left behind
    #[arg(long)]
    pub restart: bool,

    /// Write FILE.sha256 beside the file, for `sha256sum --check`
    #[arg(long)]
    pub checksum: bool,

    /// Split the model into files of at most so many bytes of tensors, for example 4G or 500M
    #[arg(long, value_name = "N[M|G]", value_parser = split_bytes)]
    pub split_max_size: Option<u64>,

    /// Threads to quantize with [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// No progress and no summary
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a summary (with --dry-run: the plan) as JSON on stdout
    #[arg(long)]
    pub json: bool,

    /// What changes the types of tensors, and metadata.
    #[command(flatten)]
    pub knobs: KnobArgs,
}

/// A number of bytes as `gguf-split` reads it: in millions with M, in billions with G.
pub(super) fn split_bytes(text: &str) -> Result<u64, String> {
    let unit = |suffix: [char; 2]| text.strip_suffix(suffix);
    let (number, factor) = match (unit(['G', 'g']), unit(['M', 'm'])) {
        (Some(number), _) => (number, 1_000_000_000),
        (_, Some(number)) => (number, 1_000_000),
        _ => (text, 1),
    };
    let bytes = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    match bytes {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("expected a size like 4G, 500M or 4000000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::split_bytes;

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(split_bytes("4G"), Ok(4_000_000_000));
        assert_eq!(split_bytes("500m"), Ok(500_000_000));
        assert_eq!(split_bytes("7"), Ok(7));
        for wrong in [
            "",
            "G",
            "4GB",
            "-1",
            "0",
            "1.5G",
            "99999999999999999999G",
            "18446744073709551615G",
        ] {
            assert!(split_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
