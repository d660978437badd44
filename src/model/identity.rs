//! Who a model is, and what its file is called.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    ModelCard,
    name::{self, NameParts},
    tensors::ParameterCount,
};
use crate::file_type::FileType;

/// Who a model is: from its card, then from its folder. Never from config.json's
/// `_name_or_path`, which merges leave pointing at a parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// For people: `Swallow MoE 2x13B v0.1`.
    pub name: String,
    /// For file names, with the size taken out: `Swallow-MoE`.
    pub basename: Option<String>,
    /// For example `Instruct`.
    pub finetune: Option<String>,
    /// For example `v0.1`.
    pub version: Option<String>,
    /// Who published it.
    pub organization: Option<String>,
    /// `2x13B`: from the name, or counted.
    pub size_label: String,
}

impl Identity {
    /// Finds the identity of the checkpoint in folder `dir`.
    pub fn find(dir: &Path, card: &ModelCard, count: &ParameterCount) -> Self {
        let id = model_id(dir, card);
        let parts = NameParts::of(&id, count.total);
        let given = card.text(&["name", "model_name"]);
        let counted = || match count.n_expert {
            0 => name::size_label(count.total),
            n => format!("{n}x{}", name::size_label(count.shared + count.one_expert)),
        };
        let organization = parts.organization.as_deref().map(name::title);
        Self {
            name: given.unwrap_or_else(|| name::title(&parts.full)),
            basename: card
                .text(&["basename", "model_basename"])
                .or(parts.basename),
            finetune: card
                .text(&["finetune", "model_finetune"])
                .or(parts.finetune),
            version: card.text(&["version", "model_version"]).or(parts.version),
            organization: card
                .text(&["organization", "model_organization"])
                .or(organization),
            size_label: card
                .text(&["size_label", "model_size_label"])
                .or(parts.size_label)
                .unwrap_or_else(counted),
        }
    }

    /// The file name by the GGUF convention, for example `Swallow-MoE-2x13B-v0.1-Q4_K_M.gguf`.
    pub fn file_name(&self, file_type: FileType) -> String {
        let base = self.basename.as_ref().unwrap_or(&self.name);
        let mut words = vec![base.as_str(), &self.size_label];
        words.extend(
            [&self.finetune, &self.version]
                .into_iter()
                .flatten()
                .map(String::as_str),
        );
        words.push(file_type.name());
        let joined: Vec<String> = words.iter().map(|word| file_name_word(word)).collect();
        format!("{}.gguf", joined.join("-"))
    }
}

/// A word of a file name: nothing in it means something to a shell or a file system.
fn file_name_word(word: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "._+-".contains(c) {
            c
        } else {
            '-'
        }
    };
    word.trim()
        .trim_start_matches('.')
        .chars()
        .map(safe)
        .collect()
}

/// `ORG/NAME` or `NAME`: a name in the card, its title, or the folder.
pub fn model_id(dir: &Path, card: &ModelCard) -> String {
    if let Some(given) = card.text(&["name", "model_name"]) {
        return given;
    }
    if let Some(title) = card.title() {
        return title.to_owned();
    }
    // The folder may be given as `.`, or be a link.
    let dir = canonical(dir);
    if let Some(id) = hub_cache_id(&dir) {
        return id;
    }
    dir.file_name()
        .map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
}

fn canonical(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

/// `…/models--ORG--NAME/snapshots/COMMIT` of the Hugging Face cache is `ORG/NAME`.
fn hub_cache_id(dir: &Path) -> Option<String> {
    let snapshots = dir.parent().filter(|p| p.ends_with("snapshots"))?;
    let repository = snapshots
        .parent()?
        .file_name()?
        .to_str()?
        .strip_prefix("models--")?;
    Some(repository.replacen("--", "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: ParameterCount = ParameterCount {
        total: 21_624_181_760,
        shared: 4_630_000_000,
        one_expert: 8_490_000_000,
        n_expert: 2,
    };

    #[test]
    fn the_target_is_named_after_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("Swallow-MoE-2x13B-v0.1");
        fs::create_dir(&dir).unwrap();
        let identity = Identity::find(&dir, &ModelCard::default(), &TARGET);
        assert_eq!(identity.name, "Swallow MoE 2x13B v0.1");
        assert_eq!(
            identity.file_name(FileType::Q4_K_M),
            "Swallow-MoE-2x13B-v0.1-Q4_K_M.gguf"
        );
    }

    #[test]
    fn a_card_in_the_hub_cache_wins_over_nothing_and_the_size_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("models--Some--fine-moe/snapshots/0123");
        fs::create_dir_all(&dir).unwrap();
        let identity = Identity::find(&dir, &ModelCard::default(), &TARGET);
        assert_eq!(identity.organization.as_deref(), Some("Some"));
        assert_eq!(
            (identity.name.as_str(), identity.size_label.as_str()),
            ("Fine Moe", "2x13B")
        );

        fs::write(dir.join("README.md"), "---\nname: ../evil name\n---\n").unwrap();
        let (card, _) = ModelCard::read(&dir);
        let identity = Identity::find(&dir, &card, &TARGET);
        assert_eq!(identity.name, "../evil name");
        assert_eq!(
            identity.file_name(FileType::F16),
            "-evil-name-2x13B-F16.gguf"
        );
    }
}
