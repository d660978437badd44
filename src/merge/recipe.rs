//! The recipe: mergekit-moe's YAML, read strictly.
//!
//! ```yaml
//! base_model: ./base            # a folder, relative to the recipe, or hf:ORG/NAME
//! gate_mode: random             # hidden, hidden_avg, hidden_last, cheap_embed, random, uniform_random
//! dtype: bfloat16               # float16, float32; the base's own where it is missing
//! experts_per_token: 2
//! tokenizer_source: base        # or union
//! architecture: qwen            # mixtral, qwen2, qwen3; what is made of such parents where it is missing
//! experts:
//!   - source_model: ./one
//!     positive_prompts: ["…"]   # for gate modes that look at prompts
//!     negative_prompts: ["…"]
//!     noise_scale: 0.1
//!     residual_scale: 0.5
//! shared_experts:               # one, of a Qwen2MoE
//!   - source_model: ./one
//!     positive_prompts: ["…"]
//!     residual_scale: 0.1
//! ```
//!
//! A model may be written in mergekit's long words, `model: {path: ./base, revision: main}`, and a dtype as
//! `bf16`, `torch.bfloat16` and the like. mergekit ignores keys that it does not know, so that a slip of
//! the pen goes unnoticed; here each is an error that says what to write.

mod error;
mod file;
mod foreign;
mod table;

use std::path::Path;

use serde_yaml_ng::Value;

pub use self::error::RecipeError;
use self::table::{Reader, Table};
use super::{
    gates::{GateMode, Prompts},
    output::Asked,
};
use crate::source::Dtype;

/// The most experts; llama.cpp's own limit is twice that.
pub const MAX_EXPERTS: usize = 256;

/// A recipe for a Mixture of Experts.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file's text, without a byte-order mark.
    pub text: String,
    /// Where attention, norms and embeddings come from.
    pub base_model: String,
    /// The experts; at least one.
    pub experts: Vec<Expert>,
    /// Experts that see every token.
    pub shared_experts: Vec<Expert>,
    /// What is to be made; `None` for what is made of such parents.
    pub architecture: Option<Asked>,
    /// How the gates are made.
    pub gate_mode: GateMode,
    /// The number format of the merged checkpoint; `None` for the base's.
    pub dtype: Option<Dtype>,
    /// Experts used for each token.
    pub experts_per_token: u32,
    /// Whose vocabulary the merged model has; `None` for the base's, which must then be that of all others
    /// but for added tokens.
    pub tokenizer_source: Option<TokenizerSource>,
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
    /// The base's, whatever the others have.
    Base,
    /// The base's, and behind it the tokens that only experts have.
    Union,
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
        Self::parse(path, file::read(path)?)
    }

    /// Parses a recipe's text; `path` is for messages.
    ///
    /// # Errors
    /// When it is not a recipe.
    pub fn parse(path: &Path, text: String) -> Result<Self, RecipeError> {
        let yaml_error = |error| RecipeError::Yaml {
            path: path.into(),
            hint: file::yaml_hint(&text, &error),
            error,
        };
        let mut yaml: Value = serde_yaml_ng::from_str(&text).map_err(yaml_error)?;
        yaml.apply_merge().map_err(yaml_error)?;
        if yaml.is_null() {
            return Err(RecipeError::Empty { path: path.into() });
        }
        if let Some(found) = yaml.as_mapping().and_then(foreign::mergekit_yaml) {
            return Err(RecipeError::OfMergekitYaml {
                path: path.into(),
                found,
            });
        }
        let reader = Reader { path };
        let top = Table::new(&reader, "", &yaml, &KEYS)?;
        let experts = Expert::read_all(&top, "experts", 1)?;
        let shared_experts = Expert::read_all(&top, "shared_experts", 0)?;
        let base_model = top.model("base_model")?;
        let recipe = Self {
            gate_mode: top.parsed("gate_mode")?.unwrap_or(GateMode::Hidden),
            dtype: top.dtype("dtype")?,
            experts_per_token: top.count("experts_per_token", experts.len())?,
            tokenizer_source: TokenizerSource::read(&top, &base_model)?,
            architecture: top.parsed("architecture")?,
            base_model,
            experts,
            shared_experts,
            text,
        };
        recipe.require_prompts(&reader)?;
        Ok(recipe)
    }

    /// The models that it names, the base first, then those of the experts and of the shared experts.
    pub(super) fn models(&self) -> impl Iterator<Item = &String> {
        let experts = self.all_experts().map(|expert| &expert.source_model);
        std::iter::once(&self.base_model).chain(experts)
    }

    /// The experts, and behind them the shared ones.
    pub(super) fn all_experts(&self) -> impl Iterator<Item = &Expert> {
        self.experts.iter().chain(&self.shared_experts)
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

    /// Fails where the gate of a shared expert looks at prompts and there are none. It is asked for once it
    /// is known that what is made has such gates.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn require_shared_prompts(&self, path: &Path) -> Result<(), RecipeError> {
        let without = |expert: &Expert| expert.prompts.positive.is_empty();
        match self.shared_experts.iter().position(without) {
            Some(i) if self.gate_mode.looks_at_prompts() => Err(RecipeError::Value {
                path: path.into(),
                key: format!("shared_experts[{i}].positive_prompts"),
                found: "missing".into(),
                expected: "prompts for this expert: its gate is made of them unless `gate_mode` is `random` or `uniform_random`".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Fails where the gates look at prompts and there are none, or they are all the same.
    fn require_prompts(&self, reader: &Reader<'_>) -> Result<(), RecipeError> {
        if !self.gate_mode.looks_at_prompts() {
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

impl TokenizerSource {
    /// As it stands in a recipe, where mergekit-yaml's way of naming a model may name the base.
    fn read(top: &Table<'_>, base_model: &str) -> Result<Option<Self>, RecipeError> {
        let key = "tokenizer_source";
        let Some(text) = top.text(key)? else {
            return Ok(None);
        };
        match text.strip_prefix("model:").unwrap_or(&text) {
            "base" => Ok(Some(Self::Base)),
            "union" => Ok(Some(Self::Union)),
            model if model == base_model => Ok(Some(Self::Base)),
            _ => Err(top.error(key, &text.into(), "`base` or `union`")),
        }
    }
}

impl Expert {
    /// The list `key` of a recipe, which has at least so many entries.
    fn read_all(top: &Table<'_>, key: &str, least: usize) -> Result<Vec<Self>, RecipeError> {
        let list = match top.get(key) {
            None if least == 0 => return Ok(Vec::new()),
            Some(Value::Sequence(list)) if (least..=MAX_EXPERTS).contains(&list.len()) => list,
            found => {
                let expected = match least {
                    0 => "a list of one expert".to_owned(),
                    _ => format!("a list of {least} to {MAX_EXPERTS} experts"),
                };
                return Err(top.error(key, found.unwrap_or(&Value::Null), expected));
            }
        };
        let read = |(i, value)| Self::read(top, &format!("{key}[{i}]."), value);
        list.iter().enumerate().map(read).collect()
    }

    fn read(top: &Table<'_>, place: &str, value: &Value) -> Result<Self, RecipeError> {
        let table = top.within(place, value, &EXPERT_KEYS)?;
        Ok(Self {
            source_model: table.model("source_model")?,
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

    const RECIPE: &str = "base_model: {model: {path: ./base, revision: null}, lora: null}
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
        assert_eq!(recipe.tokenizer_source, Some(TokenizerSource::Union));
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
