//! The models among the GGUF files of a repository: by name alone, because that is all the hub tells.

use std::sync::LazyLock;

use regex::Regex;

use super::like;

/// The most parts that a model is in.
const MAX_PARTS: u32 = 1000;

/// A file type at the end of a name, with what makers of files put before it.
static TYPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let types = r"[IT]?Q[0-9]+(?:_[0-9A-Z]+)*|BF16|FP?16|FP?32|MXFP4(?:_[0-9A-Z]+)*|NVFP4";
    Regex::new(&format!(r"(?i)(?:^|[-._/])((?:(?:UD|i1)-)?(?:{types}))$")).ok()
});

/// Words in the names of GGUF files that are no models.
const NO_MODELS: [&str; 2] = ["mmproj", "imatrix"];

/// A model in one file or in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufModel {
    /// Its files in the repository, the first part first.
    pub paths: Vec<String>,
    /// Bytes of all of them, where the hub tells.
    pub bytes: Option<u64>,
    /// The file type that its name ends with.
    pub file_type: Option<String>,
}

impl GgufModel {
    /// The models among `files`, each with its size where that is known, in the order of their names.
    pub fn among(files: &[(&str, Option<u64>)]) -> Vec<Self> {
        let names = files.iter().map(|(name, _)| *name);
        let firsts = like::ggufs(names).into_iter().filter(|path| is_model(path));
        let size = |path: &String| files.iter().find(|(name, _)| name == path)?.1;
        firsts
            .map(|first| {
                let paths = parts(first);
                Self {
                    bytes: paths.iter().map(size).sum(),
                    file_type: type_of(first),
                    paths,
                }
            })
            .collect()
    }

    /// The file by which it is opened.
    pub fn first(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }

    /// Those of `models` whose name says `tag`: as their type, or where none does, anywhere between
    /// dashes and dots. Upper and lower case are one.
    pub fn tagged<'a>(models: &'a [Self], tag: &str) -> Vec<&'a Self> {
        let typed = |model: &&Self| {
            let ty = model.file_type.as_deref();
            ty.is_some_and(|ty| ty.eq_ignore_ascii_case(tag))
        };
        let exact: Vec<&Self> = models.iter().filter(typed).collect();
        if !exact.is_empty() {
            return exact;
        }
        models
            .iter()
            .filter(|model| says(stem(model.first()), tag))
            .collect()
    }

    /// Whether its weights are quantized, as far as its name says.
    pub fn is_quantized(&self) -> bool {
        let ty = self.file_type.as_deref().unwrap_or("").to_ascii_uppercase();
        !matches!(ty.as_str(), "BF16" | "F16" | "FP16" | "F32" | "FP32")
    }
}

/// The files of the model whose first is `path`: `x-00001-of-00003.gguf` has two more.
pub fn parts(path: &str) -> Vec<String> {
    let Some((prefix, count, n)) = as_first_part(path) else {
        return vec![path.to_owned()];
    };
    (1..=n)
        .map(|part| format!("{prefix}-{part:05}-of-{count}.gguf"))
        .collect()
}

/// Prefix, count as it is written and count of the first of several parts.
fn as_first_part(path: &str) -> Option<(&str, &str, u32)> {
    let stem = path.strip_suffix(".gguf")?;
    let (prefix, count) = stem.rsplit_once("-00001-of-")?;
    let n = count
        .parse::<u32>()
        .ok()
        .filter(|n| (1..=MAX_PARTS).contains(n))?;
    (count.len() == 5).then_some((prefix, count, n))
}

fn is_model(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    !NO_MODELS.iter().any(|word| name.contains(word))
}

/// The path without what stands behind the model's own name.
fn stem(path: &str) -> &str {
    match as_first_part(path) {
        Some((prefix, ..)) => prefix,
        None => path
            .get(..path.len().saturating_sub(".gguf".len()))
            .unwrap_or(path),
    }
}

fn type_of(path: &str) -> Option<String> {
    let ty = TYPE.as_ref()?;
    let stem = stem(path);
    let folder = stem.rsplit_once('/').map(|(folder, _)| folder);
    let found = ty.captures(stem).or_else(|| ty.captures(folder?))?;
    Some(found.get(1)?.as_str().to_owned())
}

/// Whether `tag` stands in `stem` between dashes, dots, slashes or ends.
fn says(stem: &str, tag: &str) -> bool {
    let (stem, tag) = (stem.to_ascii_lowercase(), tag.to_ascii_lowercase());
    let is_border = |c: Option<char>| c.is_none_or(|c| "-./".contains(c));
    !tag.is_empty()
        && stem.match_indices(&tag).any(|(at, _)| {
            let before = stem[..at].chars().next_back();
            is_border(before) && is_border(stem[at + tag.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(names: &[&str]) -> Vec<GgufModel> {
        let files: Vec<(&str, Option<u64>)> = names.iter().map(|name| (*name, Some(5))).collect();
        GgufModel::among(&files)
    }

    fn tagged<'a>(models: &'a [GgufModel], tag: &str) -> Vec<&'a str> {
        let found = GgufModel::tagged(models, tag);
        found.into_iter().map(GgufModel::first).collect()
    }

    #[test]
    fn parts_of_a_model() {
        assert_eq!(parts("a/x.gguf"), ["a/x.gguf"]);
        assert_eq!(
            parts("a/x-00001-of-00003.gguf"),
            [
                "a/x-00001-of-00003.gguf",
                "a/x-00002-of-00003.gguf",
                "a/x-00003-of-00003.gguf"
            ]
        );
        for whole in [
            "x-00002-of-00003.gguf",
            "x-00001-of-3.gguf",
            "x-00001-of-99999.gguf",
            "x-00001-of-00003.bin",
        ] {
            assert_eq!(parts(whole), [whole]);
        }
    }

    #[test]
    fn the_type_is_the_end_of_the_name() {
        for (path, ty) in [
            ("m-Q4_K_M.gguf", Some("Q4_K_M")),
            ("m.q8_0.gguf", Some("q8_0")),
            ("Llama-3.1-8B-UD-Q4_K_XL.gguf", Some("UD-Q4_K_XL")),
            ("m.i1-IQ3_XXS.gguf", Some("i1-IQ3_XXS")),
            ("Q6_K/m-00001-of-00002.gguf", Some("Q6_K")),
            ("m-Q6_K-00001-of-00002.gguf", Some("Q6_K")),
            ("m-F16.gguf", Some("F16")),
            ("gpt-oss-20b-MXFP4.gguf", Some("MXFP4")),
            ("モデル-Q5_K_M.gguf", Some("Q5_K_M")),
            ("qwen2.gguf", None),
            ("Q4.x.gguf", None),
            (".gguf", None),
        ] {
            assert_eq!(type_of(path).as_deref(), ty, "{path}");
        }
    }

    #[test]
    fn a_tag_picks_a_model() {
        let models = models(&[
            "README.md",
            "m-Q4_K_M.gguf",
            "m-UD-Q4_K_M.gguf",
            "m-UD-Q4_K_XL.gguf",
            "m-Q8_0-00001-of-00002.gguf",
            "m-Q8_0-00002-of-00002.gguf",
            "m-BF16.gguf",
            "mmproj-m-Q4_K_M.gguf",
        ]);
        assert_eq!(models.len(), 5);
        assert_eq!(tagged(&models, "q4_k_m"), ["m-Q4_K_M.gguf"]);
        assert_eq!(tagged(&models, "UD-Q4_K_M"), ["m-UD-Q4_K_M.gguf"]);
        assert_eq!(tagged(&models, "Q4_K_XL"), ["m-UD-Q4_K_XL.gguf"]);
        assert_eq!(
            tagged(&models, "UD"),
            ["m-UD-Q4_K_M.gguf", "m-UD-Q4_K_XL.gguf"]
        );
        assert!(tagged(&models, "Q4_K").is_empty());
        assert!(tagged(&models, "").is_empty());
        let split = GgufModel::tagged(&models, "Q8_0")[0];
        assert_eq!((split.paths.len(), split.bytes), (2, Some(10)));
        assert!(!GgufModel::tagged(&models, "bf16")[0].is_quantized());
    }
}
