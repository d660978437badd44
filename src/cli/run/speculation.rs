//! The options of `run` for answers that are made faster than token by token.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::runner::Speculate;

/// What is proposed.
#[derive(Debug, Args)]
pub struct SpeculationArgs {
    /// Propose tokens that stood in the conversation before, and evaluate them together: auto does where
    /// it pays, a number so many at once wherever there are some, off never
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = HEADING)]
    pub speculate: SpeculateArg,

    /// Smaller model with the same vocabulary, in a GGUF, which proposes tokens, too
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub draft: Option<PathBuf>,
}

const HEADING: &str = "Speed";

/// `--speculate`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeculateArg(pub Speculate);

impl FromStr for SpeculateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(Speculate::Auto)),
            "off" => Ok(Self(Speculate::Off)),
            number => match number.parse() {
                Ok(0) => Ok(Self(Speculate::Off)),
                Ok(most) if most <= Speculate::MOST => Ok(Self(Speculate::UpTo(most))),
                _ => Err(format!(
                    "expected `auto`, `off` or a number up to {}",
                    Speculate::MOST
                )),
            },
        }
    }
}
