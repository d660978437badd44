//! What an expert and the base must have in common, and what they need not: an expert's feed-forward
//! networks are to stand among the base's layers, and read what those write.
//!
//! Shapes must be the same, and the activation that of the mixture. All that only the base's attention and
//! norms look at is taken from the base, as mergekit-moe does, and said where an expert was trained
//! with something else.

use serde_json::Value as Json;

use super::{
    MergeError,
    output::Output,
    parents::{Parent, Parents},
    rope::Rope,
};

/// What a parent says of something by the name that config.json has for it, as a message shows it.
type Fact = (&'static str, String);

/// Fails where a parent is not of the base's shape; else the notes on what they were trained with.
pub(super) fn check(output: Output, parents: &Parents) -> Result<Vec<String>, MergeError> {
    let (base, others) = (parents.base(), &parents.all[1..]);
    for parent in &parents.all {
        require_silu(output, parent)?;
    }
    for other in others {
        for ((key, base_value), (_, other_value)) in shape(base).into_iter().zip(shape(other)) {
            if base_value != other_value {
                return Err(MergeError::Differs {
                    key,
                    base: base.reference.clone(),
                    base_value,
                    other: other.reference.clone(),
                    other_value,
                });
            }
        }
    }
    Ok(notes(output, base, others))
}

fn require_silu(output: Output, parent: &Parent) -> Result<(), MergeError> {
    let found = match parent.checkpoint.config.get("hidden_act") {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::String(name)) if name == "silu" => return Ok(()),
        Some(Json::String(name)) => format!("`{name}`"),
        Some(other) => format!("`{other}`"),
    };
    Err(MergeError::Activation {
        output: output.name(),
        parent: parent.reference.clone(),
        found,
    })
}

/// What must be the same.
fn shape(parent: &Parent) -> [Fact; 6] {
    let config = &parent.config;
    [
        ("num_hidden_layers", config.n_layer.to_string()),
        ("hidden_size", config.n_embd.to_string()),
        ("intermediate_size", config.n_ff.to_string()),
        ("num_attention_heads", config.n_head.to_string()),
        ("num_key_value_heads", config.n_head_kv.to_string()),
        ("head_dim", config.head_dim.to_string()),
    ]
}

/// What is the base's in the merged model, but for the last, which not every mixture has.
fn settings(parent: &Parent) -> [Fact; 5] {
    let (config, json) = (&parent.config, &parent.checkpoint.config);
    let rope = Rope::of(json);
    let theta = rope.theta.as_ref().and_then(Json::as_f64);
    let theta = theta.map_or(config.rope_theta, |theta| theta as f32);
    let is_used = |used: &Json| used.as_bool().unwrap_or(false);
    let is_off = match config.architecture.name {
        // These have a width and a switch, which is off as a rule.
        "Qwen2" | "Qwen3" => !json.get("use_sliding_window").is_some_and(is_used),
        _ => false,
    };
    let window = match json.get("sliding_window") {
        _ if is_off => "none".to_owned(),
        // The default of the class.
        None if config.architecture.name == "Mistral" => "4096".to_owned(),
        None | Some(Json::Null) => "none".to_owned(),
        Some(window) => window.to_string(),
    };
    [
        ("rope_theta", theta.to_string()),
        ("rope_scaling", rope.shown()),
        ("rms_norm_eps", format!("{:e}", config.rms_eps)),
        ("max_position_embeddings", config.n_ctx.to_string()),
        ("sliding_window", window),
    ]
}

/// A line for each setting in which an expert differs.
fn notes(output: Output, base: &Parent, others: &[Parent]) -> Vec<String> {
    let of_others: Vec<_> = others
        .iter()
        .map(|other| (other, settings(other)))
        .collect();
    let mut notes = Vec::new();
    for (i, (key, of_base)) in settings(base).into_iter().enumerate() {
        let others: Vec<String> = of_others
            .iter()
            .filter(|(_, settings)| settings[i].1 != of_base)
            .map(|(other, settings)| format!("{} in `{}`", settings[i].1, other.reference))
            .collect();
        if others.is_empty() {
            continue;
        }
        let taken = match key {
            "sliding_window" if output != Output::Qwen3Moe => "none",
            _ => "the base's",
        };
        notes.push(format!(
            "`{key}` is {of_base} in the base `{}`, {}: the merged model has {taken}, as mergekit-moe does it",
            base.reference,
            others.join(", ")
        ));
    }
    notes
}
