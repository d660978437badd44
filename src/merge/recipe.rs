//! The recipe: mergekit-moe's YAML, read strictly.
//!
//! ```yaml
//! base_model: ./base            # a folder, relative to the recipe, or hf:ORG/NAME
//! gate_mode: random             # hidden, hidden_avg, hidden_last, cheap_embed, random, uniform_random
//! dtype: bfloat16               # float16, float32; the base's own where it is missing
//! experts_per_token: 2
//! tokenizer_source: base        # or union
//! experts:
//!   - source_model: ./one
//!     positive_prompts: ["…"]   # for gate modes that look at prompts
//!     negative_prompts: ["…"]
//!     noise_scale: 0.1
//!     residual_scale: 0.5
//! ```
//!
//! mergekit ignores what it does not know, so that a slip of the pen goes unnoticed; here it is an
//! error.

mod table;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_yaml_ng::Value;

use self::table::{Reader, Table};
use super::gates::{GateMode, Prompts};
use crate::source::Dtype;

/// Recipes are small.
const MAX_BYTES: u64 = 1 << 20;

/// The most experts; llama.cpp's own limit is twice that.
pub const MAX_EXPERTS: usize = 256;

/// A recipe for a Mixture of Experts.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file's text.
    pub text: String,
    /// Where attention, norms and embeddings come from.
    pub base_model: String,
    /// The experts; at least one.
    pub experts: Vec<Expert>,
    /// How the gates are made.
    pub gate_mode: GateMode,
    /// The number format of the merged checkpoint; `None` for the base's.
    pub dtype: Option<Dtype>,
    /// Experts used for each token.
    pub experts_per_token: u32,
    /// Whose vocabulary the merged model has.
    pub tokenizer_source: TokenizerSource,
}

/// One expert of a recipe.
#[derive(Clone, Debug)]
pub struct Expert {
    /// Where its feed-forward networks come from.
    pub source_model: String,
    /// What should and should not be routed to it.
    pub prompts: Prompts,
    /// Standard deviation of the noise that is added to its weights.
    pub noise_scale: Option<f32>,
    /// What its down projections are multiplied by.
    pub residual_scale: Option<f32>,
}

/// Whose vocabulary the merged model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// The base's, which all others must have, too.
    Base,
    /// The base's, and behind it the tokens that only experts have.
    Union,
}

/// What is wrong with a recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe `{path}`: {error}")]
    Io {
        /// The recipe.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// It is no YAML.
    #[error("the recipe `{path}` is no YAML: {error}")]
    Yaml {
        /// The recipe.
        path: PathBuf,
        /// The place and the reason.
        error: serde_yaml_ng::Error,
    },
    /// A key that there is not.
    #[error("`{path}`: unknown key `{key}`{hint}")]
    UnknownKey {
        /// The recipe.
        path: PathBuf,
        /// The key, with its place.
        key: String,
        /// The nearest known one; empty, or begins with a comma.
        hint: String,
    },
    /// A key that is known, and not for this.
    #[error("`{path}`: `{key}` is not for a merge into a Mixtral: {reason}")]
    Refused {
        /// The recipe.
        path: PathBuf,
        /// The key.
        key: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A value is missing, of the wrong kind or out of range.
    #[error("`{path}`: `{key}` is {found}, expected {expected}")]
    Value {
        /// The recipe.
        path: PathBuf,
        /// The key, with its place.
        key: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
}

const KEYS: [&str; 8] = [
    "base_model",
    "experts",
    "gate_mode",
    "dtype",
    "experts_per_token",
    "tokenizer_source",
    "architecture",
    "shared_experts",
];

const EXPERT_KEYS: [&str; 5] = [
    "source_model",
    "positive_prompts",
    "negative_prompts",
    "noise_scale",
    "residual_scale",
];

impl Recipe {
    /// Reads the recipe at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is not a recipe.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let io_error = |error| RecipeError::Io {
            path: path.into(),
            error,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(io_error)?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(io_error)?;
        if text.len() as u64 > MAX_BYTES {
            let reason = format!("it has more than {MAX_BYTES} bytes");
            return Err(io_error(io::Error::other(reason)));
        }
        Self::parse(path, text)
    }

    /// Parses a recipe's text; `path` is for messages.
    ///
    /// # Errors
    /// When it is not a recipe.
    pub fn parse(path: &Path, text: String) -> Result<Self, RecipeError> {
        let yaml_error = |error| RecipeError::Yaml {
            path: path.into(),
            error,
        };
        let mut yaml: Value = serde_yaml_ng::from_str(&text).map_err(yaml_error)?;
        yaml.apply_merge().map_err(yaml_error)?;
        let reader = Reader { path };
        let top = Table::new(&reader, "", &yaml, &KEYS)?;
        if let Some(Value::Sequence(list)) = top.get("shared_experts")
            && list.is_empty()
        {
            // As good as none.
        } else if let Some(value) = top.get("shared_experts") {
            return Err(reader.refused("shared_experts", value));
        }
        if let Some(name) = top.text("architecture")?
            && !"mixtral".starts_with(&name.to_lowercase())
        {
            return Err(reader.value("architecture", &name.into(), "`mixtral`"));
        }

        let experts = match top.get("experts") {
            Some(Value::Sequence(list)) if (1..=MAX_EXPERTS).contains(&list.len()) => list
                .iter()
                .enumerate()
                .map(|(i, value)| Expert::read(&reader, i, value))
                .collect::<Result<Vec<_>, _>>()?,
            found => {
                let expected = format!("a list of 1 to {MAX_EXPERTS} experts");
                return Err(reader.value("experts", found.unwrap_or(&Value::Null), expected));
            }
        };
        let recipe = Self {
            base_model: top.required_text("base_model")?,
            gate_mode: top.parsed("gate_mode")?.unwrap_or(GateMode::Hidden),
            dtype: top.dtype("dtype")?,
            experts_per_token: top.count("experts_per_token", experts.len())?,
            tokenizer_source: top
                .parsed("tokenizer_source")?
                .unwrap_or(TokenizerSource::Base),
            experts,
            text,
        };
        recipe.require_prompts(&reader)?;
        Ok(recipe)
    }

    /// Has `n` experts used for each token, in the place of the recipe's own number.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn use_experts(&mut self, path: &Path, n: u32) -> Result<(), RecipeError> {
        let n_expert = self.experts.len();
        if !(1..=n_expert).contains(&(n as usize)) {
            return Err(RecipeError::Value {
                path: path.into(),
                key: "--experts-per-token".into(),
                found: format!("`{n}`"),
                expected: format!("a number from 1 to {n_expert}, the number of experts"),
            });
        }
        self.experts_per_token = n;
        Ok(())
    }

    /// Fails where the gates look at prompts and there are none, or they are all the same.
    fn require_prompts(&self, reader: &Reader<'_>) -> Result<(), RecipeError> {
        if matches!(self.gate_mode, GateMode::Random | GateMode::UniformRandom) {
            return Ok(());
        }
        for (i, expert) in self.experts.iter().enumerate() {
            if expert.prompts.positive.is_empty() {
                return Err(reader.value(
                    &format!("experts[{i}].positive_prompts"),
                    &Value::Null,
                    "prompts for this expert: the gates are made of them unless `gate_mode` is `random` or `uniform_random`",
                ));
            }
        }
        if let [first, rest @ ..] = &self.experts[..]
            && !rest.is_empty()
            && rest.iter().all(|e| e.prompts == first.prompts)
        {
            return Err(RecipeError::Value {
                path: reader.path.into(),
                key: "positive_prompts".into(),
                found: "the same for all experts".into(),
                expected: "prompts that tell them apart".into(),
            });
        }
        Ok(())
    }
}

impl FromStr for TokenizerSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "base" => Ok(Self::Base),
            "union" => Ok(Self::Union),
            _ => Err("`base` or `union`".into()),
        }
    }
}

impl Expert {
    fn read(reader: &Reader<'_>, index: usize, value: &Value) -> Result<Self, RecipeError> {
        let table = Table::new(reader, &format!("experts[{index}]."), value, &EXPERT_KEYS)?;
        Ok(Self {
            source_model: table.required_text("source_model")?,
            prompts: Prompts {
                positive: table.texts("positive_prompts")?,
                negative: table.texts("negative_prompts")?,
            },
            noise_scale: table.number("noise_scale", 0.0)?,
            residual_scale: table.number("residual_scale", f32::MIN)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "base_model: ./base
gate_mode: hidden_avg
dtype: float16
experts_per_token: 1
tokenizer_source: union
experts:
  - source_model: one
    positive_prompts: [\"a b\", c]
    negative_prompts:
      - d
    noise_scale: 1e-3
  - source_model: hf:org/two
    positive_prompts: [e]
    residual_scale: -2
";

    #[test]
    fn a_recipe_is_read_whole() {
        let recipe = Recipe::parse(Path::new("x.yml"), RECIPE.into()).unwrap();
        let [one, two] = &recipe.experts[..] else {
            panic!("{recipe:?}");
        };
        assert_eq!(
            (recipe.base_model.as_str(), recipe.text.as_str()),
            ("./base", RECIPE)
        );
        assert_eq!(recipe.gate_mode, GateMode::HiddenAvg);
        assert_eq!(
            (recipe.dtype, recipe.experts_per_token),
            (Some(Dtype::F16), 1)
        );
        assert_eq!(recipe.tokenizer_source, TokenizerSource::Union);
        assert_eq!(one.prompts.positive, ["a b", "c"]);
        assert_eq!(one.prompts.negative, ["d"]);
        assert_eq!((one.noise_scale, one.residual_scale), (Some(1e-3), None));
        assert_eq!(
            (two.source_model.as_str(), two.residual_scale),
            ("hf:org/two", Some(-2.0))
        );
    }

    /// Cut or changed anywhere, it is a recipe or an error, and nothing else.
    #[test]
    fn a_damaged_recipe_is_no_panic() {
        for end in 0..RECIPE.len() {
            let _ = Recipe::parse(Path::new("x.yml"), RECIPE[..end].into());
            for other in ["\0", "[", "{", ": ", "\t", "&a ", "*a", "\n", "!!binary "] {
                let text = format!("{}{other}{}", &RECIPE[..end], &RECIPE[end + 1..]);
                let _ = Recipe::parse(Path::new("x.yml"), text);
            }
        }
    }

    /// Nine lists of nine of the list before: three hundred million texts, if they were written out.
    #[test]
    fn a_recipe_that_grows_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..10 {
            let before = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", [before.as_str(); 9].join(", "));
        }
        let error = Recipe::parse(Path::new("x.yml"), text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("is no YAML"), "{error}");
    }
}
