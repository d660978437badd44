//! What a user asks for beyond the file type: llama-quantize's options, and two words of our own.

use std::{fmt, io, path::Path, path::PathBuf, str::FromStr, sync::Arc};

use fancy_regex::{Regex, RegexBuilder};
use swallow_quant::GgmlType;

use super::{OUTPUT, Reason, SlowPattern, TOKEN_EMBD};
use crate::source::{FileProblem, text_file};

/// Steps that a pattern may go back on one name. The plain ones, without look-around and back
/// references, never do.
pub(crate) const MAX_BACKTRACKS: usize = 100_000;

/// Options that change the types of tensors. The default asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    /// `--output-tensor-type`: the type of `output.weight`, or of what serves as such.
    pub output_type: Option<GgmlType>,
    /// `--token-embedding-type`: the type of `token_embd.weight`.
    pub token_embedding_type: Option<GgmlType>,
    /// `--leave-output-tensor`: `output.weight` stays in the checkpoint's number format.
    pub leave_output: bool,
    /// `--pure`: the file type's own type instead of its mix.
    pub pure: bool,
    /// `--tensor-type` and `--tensor-type-file`: the first pattern that is found decides.
    pub tensor_types: Vec<TensorRule>,
    /// `--experts-type`: the type of the stacked feed-forward weights of all experts.
    pub experts_type: Option<GgmlType>,
    /// `--attn-type`: the type of the attention's matrices.
    pub attn_type: Option<GgmlType>,
}

impl Knobs {
    /// The rule that decides for this tensor.
    pub(super) fn first_rule(&self, tensor: &str) -> Result<Option<&TensorRule>, SlowPattern> {
        for rule in &self.tensor_types {
            if rule.is_found_in(tensor)? {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }

    /// The type by our own words, which hold for every file type. Shared experts are none of the
    /// experts: every token goes through them.
    pub(super) fn plain_words(&self, tensor: &str) -> Option<(GgmlType, Reason)> {
        let kind = tensor.strip_suffix(".weight")?.rsplit('.').next()?;
        let (option, asked) = if kind.starts_with("ffn_") && kind.ends_with("_exps") {
            ("experts-type", self.experts_type)
        } else if kind.starts_with("attn_") {
            ("attn-type", self.attn_type)
        } else {
            return None;
        };
        asked.map(|ty| (ty, typed(option, ty)))
    }

    pub(super) fn output_reason(ty: GgmlType) -> Reason {
        typed("output-tensor-type", ty)
    }

    pub(super) fn token_embedding_reason(ty: GgmlType) -> Reason {
        typed("token-embedding-type", ty)
    }

    pub(super) fn leave_output_reason() -> Reason {
        Reason::Knob("--leave-output-tensor".into())
    }

    /// A line for each option that has decided nothing, and why. `tensors` are the names with the
    /// reasons for their types; `quantized` tells whether the file type is.
    ///
    /// # Errors
    /// Where a pattern takes too long.
    pub fn without_effect(
        &self,
        tensors: &[(&str, &Reason)],
        quantized: bool,
    ) -> Result<Vec<String>, SlowPattern> {
        let used = |reason: &Reason| tensors.iter().any(|(_, r)| *r == reason);
        let there = |name: &str| tensors.iter().any(|(n, _)| *n == name);
        let mut notes = Vec::new();
        let mut note = |reason: Reason, why: &str| {
            if !used(&reason) {
                notes.push(format!("`{reason}` has no effect: {why}"));
            }
        };
        if self.leave_output {
            note(Self::leave_output_reason(), "there is no `output.weight`");
        }
        if let Some(ty) = self.output_type {
            let why = match (there(OUTPUT), self.leave_output) {
                (true, true) => "`--leave-output-tensor` comes first",
                (true, false) => "another option comes first",
                (false, _) => {
                    "there is no `output.weight`, and the embedding does not follow it here"
                }
            };
            note(Self::output_reason(ty), why);
        }
        if let Some(ty) = self.token_embedding_type {
            let why = format!("there is no `{TOKEN_EMBD}`");
            note(Self::token_embedding_reason(ty), &why);
        }
        for rule in &self.tensor_types {
            let mut found = false;
            for (name, _) in tensors {
                found = found || rule.is_found_in(name)?;
            }
            let why = match (found, quantized) {
                (false, _) => "no tensor has a name like this",
                (true, false) => "patterns apply to quantized file types only",
                (true, true) => {
                    "the tensors named like this are never quantized, or another option comes first"
                }
            };
            note(rule.reason(), why);
        }
        for (ty, option, why) in [
            (
                self.experts_type,
                "experts-type",
                "no experts, or another option comes first",
            ),
            (
                self.attn_type,
                "attn-type",
                "another option comes first for all of the attention",
            ),
        ] {
            if let Some(ty) = ty {
                note(typed(option, ty), why);
            }
        }
        Ok(notes)
    }
}

fn typed(option: &str, ty: GgmlType) -> Reason {
    Reason::Knob(format!("--{option} {ty}").into())
}

/// `REGEX=TYPE`: tensors in whose names the pattern is found get this type.
///
/// llama-quantize lower-cases the pattern, so `\D` means `\d` here too; the names are in lower
/// case already.
#[derive(Clone, Debug)]
pub struct TensorRule {
    pattern: Regex,
    ty: GgmlType,
    option: Arc<str>,
}

/// What is no `REGEX=TYPE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum BrokenRule {
    #[error("`{0}` is no rule, expected REGEX=TYPE, for example attn_v=Q8_0")]
    NoRule(String),
    #[error("`{rule}` has a broken pattern: {what}")]
    Pattern { rule: String, what: String },
    #[error("`{rule}`: {unknown}")]
    Type {
        rule: String,
        unknown: UnknownTensorType,
    },
}

impl TensorRule {
    /// The type it gives.
    pub(super) fn ty(&self) -> GgmlType {
        self.ty
    }

    /// The option as it could be typed.
    pub(super) fn reason(&self) -> Reason {
        Reason::Knob(Arc::clone(&self.option))
    }

    fn is_found_in(&self, tensor: &str) -> Result<bool, SlowPattern> {
        self.pattern.is_match(tensor).map_err(|_| SlowPattern {
            rule: self.option.to_string(),
            tensor: tensor.to_owned(),
        })
    }
}

impl FromStr for TensorRule {
    type Err = BrokenRule;

    fn from_str(rule: &str) -> Result<Self, BrokenRule> {
        // No type has a `=` in its name, but a pattern may have one: `(?=…)`.
        let (pattern, ty) = match rule.rsplit_once('=') {
            Some((pattern, ty)) if !pattern.is_empty() && !ty.is_empty() => (pattern, ty),
            _ => return Err(BrokenRule::NoRule(rule.to_owned())),
        };
        let ty = tensor_type(ty).map_err(|unknown| BrokenRule::Type {
            rule: rule.to_owned(),
            unknown,
        })?;
        let lower = pattern.to_ascii_lowercase();
        let pattern = RegexBuilder::new(&lower)
            .backtrack_limit(MAX_BACKTRACKS)
            .build()
            .map_err(|error| BrokenRule::Pattern {
                rule: rule.to_owned(),
                what: what_is_broken(&error),
            })?;
        let option = format!("--tensor-type {lower}={ty}").into();
        Ok(Self {
            pattern,
            ty,
            option,
        })
    }
}

/// The error in one line, with the place where the parser knows it.
pub(crate) fn what_is_broken(error: &fancy_regex::Error) -> String {
    let lower_first = |text: String| {
        let mut chars = text.chars();
        let first = chars.next().map(|c| c.to_ascii_lowercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    match error {
        fancy_regex::Error::ParseError(at, what) => {
            format!("{} at byte {at}", lower_first(what.to_string()))
        }
        other => lower_first(
            other
                .to_string()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        ),
    }
}

/// The largest file of rules we read.
const MAX_RULES_BYTES: u64 = 16 << 20;

/// The rules of a `--tensor-type-file`: `REGEX=TYPE`, with spaces or line ends between them.
///
/// # Errors
/// Where the file cannot be read, or a rule is broken.
pub fn read_rules(path: &Path) -> Result<Vec<TensorRule>, RulesFileError> {
    let failed = |problem| RulesFileError::File {
        path: path.into(),
        problem,
    };
    let text = text_file::read_named_text(path, MAX_RULES_BYTES).map_err(failed)?;
    let text = text.ok_or_else(|| failed(FileProblem::Read(io::ErrorKind::NotFound.into())))?;
    let mut rules = Vec::new();
    for (line, text) in text.lines().enumerate() {
        for rule in text.split_ascii_whitespace() {
            rules.push(rule.parse().map_err(|error| RulesFileError::Rule {
                path: path.into(),
                line: line + 1,
                error,
            })?);
        }
    }
    Ok(rules)
}

/// What is wrong with a `--tensor-type-file`.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum RulesFileError {
    #[error("`{path}`: {problem}")]
    File { path: PathBuf, problem: FileProblem },
    #[error("`{path}`, line {line}: {error}")]
    Rule {
        path: PathBuf,
        line: usize,
        error: BrokenRule,
    },
}

/// A name that is no tensor type we write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTensorType(String);

impl std::error::Error for UnknownTensorType {}

impl fmt::Display for UnknownTensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = writable().map(GgmlType::name).collect();
        write!(
            f,
            "`{}` is not a tensor type we write, expected one of {}",
            self.0,
            names.join(", ")
        )
    }
}

/// The tensor type with this name, in any case, if it is one we write.
///
/// # Errors
/// Where it is not.
pub fn tensor_type(name: &str) -> Result<GgmlType, UnknownTensorType> {
    writable()
        .find(|ty| ty.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| UnknownTensorType(name.to_owned()))
}

fn writable() -> impl Iterator<Item = GgmlType> {
    let all = GgmlType::ALL.iter().copied();
    all.filter(|ty| swallow_quant::can_quantize(*ty))
}
