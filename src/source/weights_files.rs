//! Which files of a folder or a repository hold its weights: a choice by their names alone.
//!
//! The order is transformers': `model.safetensors`, then `model.safetensors.index.json` with the
//! shards that it lists. Shards that number themselves completely need no index. What else there is
//! is taken only where it is all there is.

use std::collections::{BTreeMap, BTreeSet};

use crate::hub::quoted;

pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";
pub(crate) const SINGLE_FILE: &str = "model.safetensors";

/// The files that hold the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WeightFiles {
    /// One file, of this name.
    Single(String),
    /// The shards that [`INDEX_FILE`] lists.
    Indexed,
    /// All shards, which number themselves.
    Numbered(Vec<String>),
}

/// Why no weights can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// There is nothing that could be meant.
    #[error(
        "there are no weights: expected `{SINGLE_FILE}`, or `{INDEX_FILE}` with its shards; is the download complete?"
    )]
    Missing,
    /// Shards number themselves, and some numbers are missing.
    #[error(
        "{} of {count} shards are missing, `{}`{}: download them again",
        missing.len(),
        missing.first().map_or("", String::as_str),
        and_more(missing.len())
    )]
    Incomplete {
        /// The names of those that are not there.
        missing: Vec<String>,
        /// How many there should be.
        count: u32,
    },
    /// Several files could be meant.
    #[error(
        "there is no `{SINGLE_FILE}`, but {}: leave one in the folder, or give it that name",
        quoted(found)
    )]
    Ambiguous {
        /// A file, or the first shard, of each.
        found: Vec<String>,
    },
    /// The weights are pickles.
    #[error(
        "the weights are PyTorch pickles (`{example}`), expected safetensors: transformers' `from_pretrained` and then `save_pretrained` write them so, and many repositories have them in another revision"
    )]
    Pickles {
        /// One of them.
        example: String,
    },
    /// The weights are in the format of the model's makers.
    #[error(
        "the weights (`{example}`) are in the format of Meta's and Mistral's own programs, expected `{SINGLE_FILE}`: take the `-hf` repository of the model, or convert them with transformers"
    )]
    Original {
        /// One of them.
        example: String,
    },
    /// There are only weights of an adapter.
    #[error(
        "`{example}` holds an adapter (LoRA), not a model: merge it into its base model first, for example with peft's `merge_and_unload`, and convert that"
    )]
    Adapter {
        /// The file.
        example: String,
    },
    /// The model is a GGUF already.
    #[error(
        "`{example}` is a GGUF already: give that file to `swallow-gguf run` or `swallow-gguf quantize`"
    )]
    Gguf {
        /// One of them.
        example: String,
    },
}

/// What follows the first of `n` names.
pub(super) fn and_more(n: usize) -> String {
    match n {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    }
}

/// Shards that share a prefix and a count: `PREFIX-00001-of-00003.safetensors`.
struct Numbered<'a> {
    prefix: &'a str,
    count: u32,
    numbers: BTreeSet<u32>,
}

impl Numbered<'_> {
    /// The numbers there should be: from 1 on, or from 0 where some tool began there.
    fn expected(&self) -> std::ops::Range<u32> {
        let first = u32::from(!self.numbers.contains(&0));
        first..first + self.count
    }

    fn is_complete(&self) -> bool {
        self.numbers.iter().copied().eq(self.expected())
    }

    fn name(&self, number: u32) -> String {
        format!(
            "{}-{number:05}-of-{:05}.safetensors",
            self.prefix, self.count
        )
    }

    fn names(&self) -> Vec<String> {
        self.numbers.iter().map(|&no| self.name(no)).collect()
    }

    fn incomplete(&self) -> WeightsError {
        let missing = self.expected().filter(|no| !self.numbers.contains(no));
        WeightsError::Incomplete {
            missing: missing.map(|no| self.name(no)).collect(),
            count: self.count,
        }
    }
}

/// Chooses among the names of the files in a folder or repository, and adds a note where files are
/// passed over that may have been meant, or taken that have unusual names.
///
/// # Errors
/// [`WeightsError`], where nothing can be chosen.
pub(crate) fn choose<'a>(
    names: impl IntoIterator<Item = &'a str>,
    notes: &mut Vec<String>,
) -> Result<WeightFiles, WeightsError> {
    let names: BTreeSet<&str> = names.into_iter().filter(|n| !n.contains('/')).collect();
    let (sets, singles) = candidates(&names);
    let (ours, others): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| set.prefix == "model");

    if names.contains(SINGLE_FILE) {
        let mut passed: Vec<String> = ours.iter().flat_map(Numbered::names).collect();
        if names.contains(INDEX_FILE) {
            passed.insert(0, INDEX_FILE.into());
        }
        if !passed.is_empty() {
            notes.push(format!(
                "the weights are read from `{SINGLE_FILE}`, as transformers does; passed over: {}",
                quoted(&passed)
            ));
        }
        return Ok(WeightFiles::Single(SINGLE_FILE.into()));
    }
    if names.contains(INDEX_FILE) {
        return Ok(WeightFiles::Indexed);
    }
    if !ours.is_empty() {
        return only_one(&ours, &[]);
    }
    if others.is_empty() && singles.is_empty() {
        return Err(what_else(&names));
    }
    let chosen = only_one(&others, &singles)?;
    let first = match &chosen {
        WeightFiles::Single(name) => name,
        WeightFiles::Numbered(names) => &names[0],
        WeightFiles::Indexed => INDEX_FILE,
    };
    notes.push(format!(
        "there is no `{SINGLE_FILE}`, the weights are read from `{first}`"
    ));
    Ok(chosen)
}

/// The only complete set of shards, or the only file.
fn only_one(sets: &[Numbered<'_>], singles: &[&str]) -> Result<WeightFiles, WeightsError> {
    let complete: Vec<_> = sets.iter().filter(|set| set.is_complete()).collect();
    match (complete.as_slice(), singles) {
        ([set], []) => Ok(WeightFiles::Numbered(set.names())),
        ([], [single]) => Ok(WeightFiles::Single((*single).to_owned())),
        ([], []) => Err(match sets.iter().max_by_key(|set| set.numbers.len()) {
            Some(largest) => largest.incomplete(),
            None => WeightsError::Missing,
        }),
        (sets, singles) => {
            let sets = sets.iter().filter_map(|set| set.names().into_iter().next());
            let singles = singles.iter().map(|&name| name.to_owned());
            let found = sets.chain(singles).collect();
            Err(WeightsError::Ambiguous { found })
        }
    }
}

/// The safetensors files that may hold a model's weights.
fn candidates<'a>(names: &BTreeSet<&'a str>) -> (Vec<Numbered<'a>>, Vec<&'a str>) {
    let mut sets: BTreeMap<(&str, u32), BTreeSet<u32>> = BTreeMap::new();
    let mut singles = Vec::new();
    for &name in names {
        let Some(stem) = name.strip_suffix(".safetensors") else {
            continue;
        };
        let is_other = ["consolidated", "adapter_", "optimizer"];
        if is_other.iter().any(|other| stem.starts_with(other)) {
            continue;
        }
        match numbered(stem) {
            Some((prefix, number, count)) => {
                sets.entry((prefix, count)).or_default().insert(number);
            }
            None if name != SINGLE_FILE => singles.push(name),
            None => {}
        }
    }
    let sets = sets.into_iter().map(|((prefix, count), numbers)| Numbered {
        prefix,
        count,
        numbers,
    });
    (sets.collect(), singles)
}

/// `PREFIX-00001-of-00003` taken apart.
fn numbered(stem: &str) -> Option<(&str, u32, u32)> {
    let number =
        |digits: &str| match digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u32>().ok(),
            false => None,
        };
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (prefix, no) = rest.rsplit_once('-')?;
    let (no, count) = (number(no)?, number(count)?);
    (no <= count && count > 0).then_some((prefix, no, count))
}

/// What there is where there are no weights that we read.
fn what_else(names: &BTreeSet<&str>) -> WeightsError {
    let find = |is: &dyn Fn(&str) -> bool| {
        let found = names.iter().find(|name| is(name));
        found.map(|name| (*name).to_owned())
    };
    let pickle = [".bin", ".pt", ".pth"];
    if let Some(example) = find(&|n| n.starts_with("consolidated")) {
        WeightsError::Original { example }
    } else if let Some(example) = find(&|n| n.starts_with("pytorch_model") && n.contains(".bin")) {
        WeightsError::Pickles { example }
    } else if let Some(example) = find(&|n| n.starts_with("adapter_model")) {
        WeightsError::Adapter { example }
    } else if let Some(example) = find(&|n| n.to_ascii_lowercase().ends_with(".gguf")) {
        WeightsError::Gguf { example }
    } else if let Some(example) =
        find(&|n| pickle.iter().any(|end| n.ends_with(end)) && !n.starts_with("training_args"))
    {
        WeightsError::Pickles { example }
    } else {
        WeightsError::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> (Result<WeightFiles, WeightsError>, Vec<String>) {
        let mut notes = Vec::new();
        let chosen = choose(names.iter().copied(), &mut notes);
        (chosen, notes)
    }

    fn shards(prefix: &str, numbers: &[u32], of: u32) -> Vec<String> {
        let name = |no| format!("{prefix}-{no:05}-of-{of:05}.safetensors");
        numbers.iter().map(name).collect()
    }

    fn of(names: &[String]) -> (Result<WeightFiles, WeightsError>, Vec<String>) {
        chosen(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn one_file_goes_before_an_index_and_a_note_names_what_is_passed_over() {
        let one = WeightFiles::Single(SINGLE_FILE.into());
        let (files, notes) = chosen(&["config.json", SINGLE_FILE]);
        assert_eq!((files, notes), (Ok(one.clone()), vec![]));
        // Mistral's repositories have the same weights once more; there is nothing to choose.
        let (files, notes) = chosen(&["consolidated.safetensors", SINGLE_FILE]);
        assert_eq!((files, notes), (Ok(one.clone()), vec![]));

        let (files, notes) = chosen(&[SINGLE_FILE, INDEX_FILE, "model-00001-of-00001.safetensors"]);
        assert_eq!(files, Ok(one));
        assert_eq!(
            notes,
            [
                "the weights are read from `model.safetensors`, as transformers does; passed over: \
                 `model.safetensors.index.json`, `model-00001-of-00001.safetensors`"
            ]
        );
    }

    #[test]
    fn an_index_goes_before_numbers() {
        let mut names = shards("model", &[1, 2], 2);
        names.push(INDEX_FILE.into());
        names.push("original/model.safetensors".into());
        assert_eq!(of(&names), (Ok(WeightFiles::Indexed), vec![]));
    }

    #[test]
    fn shards_that_number_themselves_need_no_index() {
        for numbers in [&[1, 2, 3], &[0, 1, 2]] {
            let names = shards("model", numbers, 3);
            assert_eq!(
                of(&names),
                (Ok(WeightFiles::Numbered(names.clone())), vec![])
            );
        }
        // What is left of another set does not hinder.
        let names = shards("model", &[1, 2], 2);
        let mut all = names.clone();
        all.extend(shards("model", &[2], 3));
        assert_eq!(of(&all).0, Ok(WeightFiles::Numbered(names)));
    }

    #[test]
    fn missing_shards_are_named() {
        let error = of(&shards("model", &[2, 4, 5], 5)).0.unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 of 5 shards are missing, `model-00001-of-00005.safetensors` and 1 more: download them again"
        );
    }

    #[test]
    fn other_names_are_taken_where_there_is_nothing_else() {
        let (files, notes) = chosen(&["model.fp16.safetensors", "adapter_model.safetensors"]);
        assert_eq!(
            files,
            Ok(WeightFiles::Single("model.fp16.safetensors".into()))
        );
        assert!(notes[0].ends_with("read from `model.fp16.safetensors`"));
        let names = shards("pytorch_model", &[1, 2], 2);
        assert_eq!(of(&names).0, Ok(WeightFiles::Numbered(names.clone())));

        let mut both = names;
        both.push("model.fp16.safetensors".into());
        let error = of(&both).0.unwrap_err().to_string();
        assert!(
            error.contains("`pytorch_model-00001-of-00002.safetensors`, `model.fp16.safetensors`"),
            "{error}"
        );
    }

    #[test]
    fn what_is_there_instead_is_named() {
        for (names, fragment) in [
            (&["config.json"][..], "there are no weights"),
            (
                &["pytorch_model-00001-of-00002.bin", "x.gguf"],
                "PyTorch pickles",
            ),
            (
                &["consolidated.00.pth"],
                "Meta's and Mistral's own programs",
            ),
            (&["consolidated.safetensors"], "`-hf` repository"),
            (&["adapter_model.safetensors"], "merge_and_unload"),
            (&["m.Q4_K_M.GGUF"], "swallow-gguf quantize"),
            (&["model-1-of-1.safetensors.part"], "there are no weights"),
        ] {
            let error = chosen(names).0.unwrap_err().to_string();
            assert!(error.contains(fragment), "{names:?}: {error}");
        }
    }
}
