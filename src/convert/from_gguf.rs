//! The conversion of a GGUF to another file type.

use std::path::{Path, PathBuf};

use super::{Conversion, ConvertError};
use crate::{
    file_type::FileType,
    gguf::Value,
    model::tensors,
    plan::{ConversionPlan, Wishes},
    source::GgufModel,
};

/// Which GGUF to quantize, and to what.
#[derive(Clone, Debug)]
pub struct GgufOptions {
    /// The file, or any part of a split model.
    pub source: PathBuf,
    /// The file type to write, and what changes it.
    pub wishes: Wishes,
}

impl Conversion {
    /// Opens a GGUF and plans its quantization; reads headers only.
    ///
    /// # Errors
    /// When the file is not whole, or cannot become what is asked for.
    pub fn of_gguf(options: &GgufOptions) -> Result<Self, ConvertError> {
        let model = GgufModel::open(&options.source)?;
        let key_values = model.key_values();
        let plan = ConversionPlan::new(tensors::of_gguf(&model), key_values, &options.wishes)?;
        let name = plan.key_values.iter().find(|(k, _)| k == "general.name");
        let name = name.and_then(|(_, name): &(String, Value)| name.as_str());
        let stem = stem(&model.path);
        Ok(Self {
            source: options.source.display().to_string(),
            inputs: model.shards.iter().map(|s| s.path().to_owned()).collect(),
            origins: Vec::new(),
            shards: model.shards,
            default_file_name: format!("{}-{}.gguf", without_file_type(&stem), plan.file_type),
            name: name.unwrap_or(&stem).to_owned(),
            skipped: Vec::new(),
            notes: plan.notes.clone(),
            plan,
        })
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// A file's name without the file type at its end: `Moe-2x13B` for `Moe-2x13B-BF16`.
fn without_file_type(stem: &str) -> &str {
    let names = FileType::ALL.iter().map(|t| t.name());
    let cut = names.filter_map(|name| {
        let at = stem
            .len()
            .checked_sub(name.len() + 1)
            .filter(|&at| at > 0)?;
        let end = stem.get(at..)?.strip_prefix(['-', '.', '_'])?;
        end.eq_ignore_ascii_case(name).then_some(at)
    });
    // Of Q8_0 and the like the longest counts.
    cut.min().map_or(stem, |at| &stem[..at])
}

#[cfg(test)]
mod tests {
    use super::without_file_type;

    #[test]
    fn the_file_type_is_cut_off() {
        for (stem, rest) in [
            ("Moe-2x13B-v0.1-BF16", "Moe-2x13B-v0.1"),
            ("moe.q4_k_m", "moe"),
            ("moe-f16", "moe"),
            ("moe", "moe"),
            ("-f16", "-f16"),
            ("f16", "f16"),
            ("日本語-F32", "日本語"),
            ("moe-2x13b", "moe-2x13b"),
        ] {
            assert_eq!(without_file_type(stem), rest, "{stem}");
        }
    }
}
