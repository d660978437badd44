//! Keys that stand in people's recipes and are none of mergekit-moe's, which ignores what it does not
//! know: what they are, and what to write.

use serde_yaml_ng::{Mapping, Value};

/// Keys by which a recipe of mergekit-yaml is known.
const OF_MERGEKIT_YAML: [&str; 3] = ["merge_method", "models", "slices"];

const MERGEKIT_YAML: &str =
    "it is of mergekit-yaml's recipes, and mergekit-moe ignores it; take it out";
const PER_TOKEN: &str = "write `experts_per_token`";
const COUNTED: &str = "the number of experts is that of the entries in `experts`; take it out";
const OF_EXPERT: &str =
    "attention and embeddings are the base's as they are; write it in an entry of `experts`";
const OPTION: &str = "it is an option of mergekit-moe's command line; take it out";

/// Keys at the top of a recipe, and why they are not taken.
const TOP: [(&str, &str); 30] = [
    ("merge_method", MERGEKIT_YAML),
    ("models", MERGEKIT_YAML),
    ("slices", MERGEKIT_YAML),
    ("parameters", MERGEKIT_YAML),
    ("modules", MERGEKIT_YAML),
    ("int8_mask", MERGEKIT_YAML),
    ("normalize", MERGEKIT_YAML),
    ("out_dtype", "write `dtype`"),
    ("torch_dtype", "write `dtype`"),
    (
        "tokenizer",
        "write `tokenizer_source: base` or `tokenizer_source: union`",
    ),
    ("chat_template", "give it as `--chat-template`"),
    ("name", "give it as `--name`"),
    ("model_name", "give it as `--name`"),
    ("seed", "give it as `--seed`"),
    ("random_seed", "give it as `--seed`"),
    ("output", "give it as `-o`"),
    ("out_path", "give it as `-o`"),
    ("output_path", "give it as `-o`"),
    ("num_experts_per_tok", PER_TOKEN),
    ("num_experts_per_token", PER_TOKEN),
    ("experts_per_tok", PER_TOKEN),
    ("num_experts", COUNTED),
    ("num_local_experts", COUNTED),
    ("load_in_4bit", OPTION),
    ("load_in_8bit", OPTION),
    ("trust_remote_code", OPTION),
    ("base", "write `base_model`"),
    ("shared_expert", "write `shared_experts`, a list of one"),
    ("residual_scale", OF_EXPERT),
    ("noise_scale", OF_EXPERT),
];

/// Keys of an expert, and why they are not taken.
const EXPERT: [(&str, &str); 11] = [
    ("model", "write `source_model`"),
    ("name", "write `source_model`"),
    ("path", "write `source_model`"),
    ("base_model", "write `source_model`"),
    ("prompts", "write `positive_prompts`"),
    ("prompt", "write `positive_prompts`, a list"),
    (
        "lora",
        "merge the adapter into the model first, and name its folder",
    ),
    ("parameters", MERGEKIT_YAML),
    ("weight", MERGEKIT_YAML),
    ("density", MERGEKIT_YAML),
    ("layer_range", MERGEKIT_YAML),
];

/// Why `key` is not taken, at the top of a recipe or in an expert.
pub(super) fn reason(is_top: bool, key: &str) -> Option<&'static str> {
    let table = if is_top { &TOP[..] } else { &EXPERT[..] };
    let found = table.iter().find(|(known, _)| *known == key);
    found.map(|(_, reason)| *reason)
}

/// What a recipe of mergekit-yaml is known by; `None` for any other.
pub(super) fn mergekit_yaml(recipe: &Mapping) -> Option<String> {
    if recipe.contains_key("experts") {
        return None;
    }
    let found = OF_MERGEKIT_YAML
        .iter()
        .find_map(|key| Some((key, recipe.get(key)?)));
    found.map(|(key, value)| match value {
        Value::String(method) => format!("`{key}: {}`", super::table::cut(method)),
        _ => format!("it has `{key}`"),
    })
}
