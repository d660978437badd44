//! What an expert and the base must have in common: its feed-forward networks are to stand among the
//! base's layers, and read what those write.

use serde_json::Value as Json;

use super::{
    MergeError,
    parents::{Parent, Parents},
};

/// Fails where a parent is not of the base's shape.
pub(super) fn check(parents: &Parents) -> Result<(), MergeError> {
    let base = parents.base();
    for parent in &parents.all {
        let activation = facts(parent).pop();
        if let Some((key, found)) = activation
            && found != "silu"
        {
            return Err(MergeError::Activation {
                parent: parent.reference.clone(),
                key,
                found,
            });
        }
    }
    for other in &parents.all[1..] {
        for ((key, base_value), (_, other_value)) in facts(base).into_iter().zip(facts(other)) {
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
    Ok(())
}

/// What must be the same, by the names of config.json, as a message shows it. The last is the
/// activation.
fn facts(parent: &Parent) -> Vec<(&'static str, String)> {
    let config = &parent.config;
    let activation = parent.checkpoint.config.get("hidden_act");
    let activation = match activation {
        None | Some(Json::Null) => "silu".to_owned(),
        Some(Json::String(name)) => name.clone(),
        Some(other) => other.to_string(),
    };
    vec![
        ("num_hidden_layers", config.n_layer.to_string()),
        ("hidden_size", config.n_embd.to_string()),
        ("intermediate_size", config.n_ff.to_string()),
        ("num_attention_heads", config.n_head.to_string()),
        ("num_key_value_heads", config.n_head_kv.to_string()),
        ("head_dim", config.head_dim.to_string()),
        ("rms_norm_eps", format!("{:e}", config.rms_eps)),
        ("rope_theta", config.rope_theta.to_string()),
        ("rope_scaling", format!("{:?}", config.rope_scaling)),
        ("hidden_act", activation),
    ]
}
