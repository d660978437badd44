//! The key-values that say what a model is: `general.*` for people, the architecture's own for the
//! runner.

use std::path::Path;

use serde_json::Value as Json;

use super::{
    ConfigError, Identity, ModelCard, ModelConfig,
    architecture::{Fixed, Key, KeyValue},
    name::{self, NameParts},
};
use crate::{
    gguf::{Array, KeyValues, Value},
    source::{Origin, text_file},
};

/// `general.*`, in the reference converter's order; `general.file_type` is the writer's to add.
///
/// Of a checkpoint that is known to be of the hub, `general.source.*` also tells repository, commit,
/// and what names the bytes of each shard.
pub fn general(
    config: &ModelConfig,
    identity: &Identity,
    card: &ModelCard,
    dir: &Path,
    origin: Option<&Origin>,
    notes: &mut Vec<String>,
) -> Result<KeyValues, ConfigError> {
    let architecture = config.architecture;
    let mut kv: KeyValues = vec![("general.architecture".into(), architecture.gguf.into())];
    put_keys(&mut kv, architecture.early_keys, config)?;
    kv.push(("general.type".into(), "model".into()));
    add_sampling(&mut kv, dir, notes);
    let mut text = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            kv.push((format!("general.{key}"), value.into()));
        }
    };
    text("name", Some(identity.name.clone()));
    text(
        "author",
        card.text(&["author", "model_author", "model_creator"]),
    );
    text("version", identity.version.clone());
    text("organization", identity.organization.clone());
    text("finetune", identity.finetune.clone());
    text("basename", identity.basename.clone());
    text(
        "description",
        card.text(&["description", "model_description"]),
    );
    text("size_label", Some(identity.size_label.clone()));
    text("license", card.list(&["license"]).map(|all| all.join(",")));
    text("license.name", card.text(&["license_name"]));
    text("license.link", card.text(&["license_link"]));
    text("source.url", card.text(&["url", "model_url"]));
    text("source.doi", card.text(&["doi", "model_doi"]));
    text("source.uuid", card.text(&["uuid", "model_uuid"]));
    let page = origin.map(|origin| format!("https://huggingface.co/{}", origin.repo));
    text(
        "source.repo_url",
        card.text(&["repo_url", "model_repo_url"]).or(page),
    );
    if let Some(origin) = origin {
        add_origin(&mut kv, origin);
    }

    add_models(
        &mut kv,
        "base_model",
        card.list(&["base_model", "base_models", "base_model_sources"]),
    );
    add_models(
        &mut kv,
        "dataset",
        card.list(&["datasets", "dataset", "dataset_sources"]),
    );

    let mut tags = card.list(&["tags"]).unwrap_or_default();
    tags.extend(card.list(&["pipeline_tag"]).unwrap_or_default());
    let mut languages = card.list(&["languages"]).unwrap_or_default();
    languages.extend(card.list(&["language"]).unwrap_or_default());
    for (key, values) in [("general.tags", tags), ("general.languages", languages)] {
        if !values.is_empty() {
            let values = values.into_iter().map(Into::into).collect();
            kv.push((key.into(), Array::String(values).into()));
        }
    }
    Ok(kv)
}

/// What a merge writes its recipe to, in the folder of the merged checkpoint; mergekit does, too.
pub const RECIPE_FILE: &str = "mergekit_moe_config.yml";

/// The key of a card's front matter that has the seed of a merge.
pub const MERGE_SEED: &str = "merge_seed";

/// Recipes are read this far; real ones have a kilobyte.
const MAX_RECIPE_BYTES: u64 = 1 << 20;

/// The largest generation_config.json we read; real ones have a kilobyte.
const MAX_GENERATION_BYTES: u64 = 1 << 20;

/// `general.merge.*`: the recipe of a merged checkpoint in folder `dir`, and its seed. Nothing where
/// there is no recipe, and a note where there is one that is no text of a recipe's size.
pub fn merge(card: &ModelCard, dir: &Path, notes: &mut Vec<String>) -> KeyValues {
    let mut kv = KeyValues::new();
    let recipe = match text_file::read_text(&dir.join(RECIPE_FILE), MAX_RECIPE_BYTES) {
        Ok(Some(recipe)) => recipe,
        Ok(None) => return kv,
        Err(problem) => {
            notes.push(format!("{RECIPE_FILE} is ignored: {problem}"));
            return kv;
        }
    };
    kv.push(("general.merge.recipe".into(), recipe.into()));
    if let Some(seed) = card.text(&[MERGE_SEED]).and_then(|s| s.parse::<u64>().ok()) {
        kv.push(("general.merge.seed".into(), Value::U64(seed)));
    }
    kv
}

/// `general.source.*`: the commit, and the shards with what names their bytes, where that is known.
fn add_origin(kv: &mut KeyValues, origin: &Origin) {
    kv.push((
        "general.source.revision".into(),
        origin.commit.as_str().into(),
    ));
    if origin.shards.is_empty() {
        return;
    }
    let (files, etags) = origin
        .shards
        .iter()
        .map(|(file, etag)| (file.as_str().into(), etag.as_str().into()))
        .unzip();
    kv.push(("general.source.files".into(), Array::String(files).into()));
    kv.push(("general.source.etags".into(), Array::String(etags).into()));
}

/// `general.sampling.*`: what generation_config.json recommends. A broken one is a note and no reason
/// to stop: nothing but these recommendations hangs on it.
fn add_sampling(kv: &mut KeyValues, dir: &Path, notes: &mut Vec<String>) {
    let path = dir.join("generation_config.json");
    let config: Json = match text_file::read_json(&path, MAX_GENERATION_BYTES) {
        Ok(Some(config)) => config,
        Ok(None) => return,
        Err(problem) => {
            notes.push(format!("generation_config.json is ignored: {problem}"));
            return;
        }
    };
    let as_i32 = |v: &Json| {
        v.as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .map(Value::I32)
    };
    let as_f32 = |v: &Json| v.as_f64().map(|x| Value::F32(x as f32));
    // The second is the transformers library's own name.
    let penalty_repeat = match config.get("penalty_repeat") {
        Some(_) => "penalty_repeat",
        None => "repetition_penalty",
    };
    type Read<'a> = &'a dyn Fn(&Json) -> Option<Value>;
    let keys: [(&str, &str, Read<'_>); 11] = [
        ("top_k", "top_k", &as_i32),
        ("top_p", "top_p", &as_f32),
        ("min_p", "min_p", &as_f32),
        ("xtc_probability", "xtc_probability", &as_f32),
        ("xtc_threshold", "xtc_threshold", &as_f32),
        ("temperature", "temp", &as_f32),
        ("penalty_last_n", "penalty_last_n", &as_i32),
        (penalty_repeat, "penalty_repeat", &as_f32),
        ("mirostat", "mirostat", &as_i32),
        ("mirostat_tau", "mirostat_tau", &as_f32),
        ("mirostat_eta", "mirostat_eta", &as_f32),
    ];
    if let Some(sequence) = config.get("sequence").and_then(Json::as_str) {
        kv.push(("general.sampling.sequence".into(), sequence.into()));
    }
    for (from, to, read) in keys {
        if let Some(value) = config.get(from).and_then(read) {
            kv.push((format!("general.sampling.{to}"), value));
        }
    }
}

/// `general.base_model.*` or `general.dataset.*`: a count, then what the identifiers tell.
fn add_models(kv: &mut KeyValues, kind: &str, ids: Option<Vec<String>>) {
    let Some(ids) = ids else { return };
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    kv.push((format!("general.{kind}.count"), count.into()));
    for (i, id) in ids.iter().enumerate() {
        let mut text = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                kv.push((format!("general.{kind}.{i}.{key}"), value.into()));
            }
        };
        let is_url = ["http://", "https://", "ssh://"]
            .iter()
            .any(|p| id.starts_with(p));
        let hub_id = if is_url {
            id.split_once("huggingface.co/").map(|(_, rest)| rest)
        } else {
            Some(id.as_str())
        };
        let parts = hub_id
            .filter(|id| !is_url || id.split('/').count() == 2)
            .map(|id| NameParts::of(id, 0));
        text("name", parts.as_ref().map(|p| name::title(&p.full)));
        text("version", parts.as_ref().and_then(|p| p.version.clone()));
        text(
            "organization",
            parts
                .as_ref()
                .and_then(|p| p.organization.as_deref())
                .map(name::title),
        );
        let page = |p: NameParts| {
            p.organization
                .map(|org| format!("https://huggingface.co/{org}/{}", p.full))
        };
        text(
            "repo_url",
            if is_url {
                Some(id.clone())
            } else {
                parts.and_then(page)
            },
        );
    }
}

/// Adds the architecture's own keys: the hyper-parameters, in the reference converter's order.
///
/// # Errors
/// When config.json has a value that cannot be, or lacks one that must be there.
pub fn add_hyper_parameters(kv: &mut KeyValues, config: &ModelConfig) -> Result<(), ConfigError> {
    let mut lists = config.architecture.keys.iter();
    lists.try_for_each(|keys| put_keys(kv, keys, config))
}

/// Adds keys of the table. One that is there already is written over in its place, as the reference
/// converter does.
fn put_keys(kv: &mut KeyValues, keys: &[Key], config: &ModelConfig) -> Result<(), ConfigError> {
    for key in keys {
        for (name, value) in values_of(key, config)? {
            let name = format!("{}.{name}", config.architecture.gguf);
            match kv.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => kv.push((name, value)),
            }
        }
    }
    Ok(())
}

fn values_of(key: &Key, config: &ModelConfig) -> Result<Vec<(&'static str, Value)>, ConfigError> {
    let hparams = &config.hparams;
    let (value, from): (Option<Value>, &[&'static str]) = match key.value {
        KeyValue::U32(from) => (hparams.u32(from)?.map(Into::into), from),
        KeyValue::U32IfNot0(from) => {
            let value = hparams.u32(from)?.filter(|n| *n != 0);
            (value.map(Into::into), from)
        }
        KeyValue::Product(of) => {
            let mut product = Some(1u32);
            for key in of {
                let factor = hparams.u32(&[key])?;
                product = product
                    .zip(factor)
                    .and_then(|(product, factor)| product.checked_mul(factor));
            }
            (product.map(Into::into), of)
        }
        KeyValue::F32(from) => (hparams.f32(from)?.map(Into::into), from),
        KeyValue::F32IfNot0(from) => {
            let value = hparams.f32(from)?.filter(|x| *x != 0.0);
            (value.map(Into::into), from)
        }
        KeyValue::Bool(from) => (hparams.bool(from)?.map(Into::into), from),
        KeyValue::Fixed(Fixed::U32(n)) => (Some(n.into()), &[]),
        KeyValue::Fixed(Fixed::F32(x)) => (Some(x.into()), &[]),
        KeyValue::Fixed(Fixed::Bool(is)) => (Some(is.into()), &[]),
        KeyValue::Fixed(Fixed::Text(text)) => (Some(text.into()), &[]),
        KeyValue::Length(dim) => {
            let length = dim.of(&config.lengths());
            let length = length.and_then(|length| u32::try_from(length).ok());
            (length.map(Into::into), &[])
        }
        KeyValue::Special(special) => return special.key_values(config),
    };
    match (value, from.first()) {
        (Some(value), _) => Ok(vec![(key.key, value)]),
        (None, Some(first)) if key.needed => Err(ConfigError::Missing { key: first }),
        (None, _) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_models_tell_who_made_them() {
        let mut kv = KeyValues::new();
        let ids = vec![
            "tokyotech-llm/Swallow-13b-instruct-hf".into(),
            "https://a.example/x".into(),
        ];
        add_models(&mut kv, "base_model", Some(ids));
        let text: Vec<String> = kv.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
        assert_eq!(
            text,
            [
                "general.base_model.count=U32(2)",
                "general.base_model.0.name=String(\"Swallow 13b Instruct Hf\")",
                "general.base_model.0.organization=String(\"Tokyotech Llm\")",
                "general.base_model.0.repo_url=String(\"https://huggingface.co/tokyotech-llm/Swallow-13b-instruct-hf\")",
                "general.base_model.1.repo_url=String(\"https://a.example/x\")",
            ]
        );
    }
}
