//! What the rules ask about a model.

use crate::gguf::{Array, KeyValues, Value};

/// What the rules ask about a model.
#[derive(Clone, Copy, Debug)]
pub struct MixModel {
    /// Whose rules these are.
    pub rules: Rules,
    /// Number of transformer blocks, those that predict tokens further on among them.
    pub n_layer: u32,
    /// Attention heads of the first layer.
    pub n_head: u32,
    /// Key and value heads of the first layer, 0 where it has no attention.
    pub n_head_kv: u32,
    /// Experts, 0 for a dense model.
    pub n_expert: u32,
    /// Whether there is no `output.weight`.
    pub tied: bool,
    /// Number of `attn_v` tensors, and of those that hold the same among others.
    pub n_attn_v: u32,
    /// Whether there is an importance matrix, which some mixes spare bits for and some add bits to.
    pub has_imatrix: bool,
    /// Whether llama.cpp takes it for one of the 70 B models with few key and value heads.
    pub is_70b: bool,
}

/// Whose rules a model's types are chosen by: all but two architectures have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// Those of every other architecture.
    #[default]
    Common,
    /// Falcon's: less for `ffn_down` and `attn_output`, more for the output.
    Falcon,
    /// GLM 5 Next's: more matrices stay as they are, and some never get less than Q8_0.
    Glm5Next,
}

impl Rules {
    /// The rules for an architecture (`general.architecture`).
    pub fn of(architecture: &str) -> Self {
        match architecture {
            "falcon" => Self::Falcon,
            "glm5-next" => Self::Glm5Next,
            _ => Self::Common,
        }
    }
}

impl MixModel {
    /// Reads the hyper-parameters from a GGUF's key-values and looks at the names of its tensors.
    /// As in llama.cpp, a missing number of key and value heads is that of the heads, and of
    /// a number for each layer the first one counts.
    pub fn new<'a>(key_values: &KeyValues, tensors: impl Iterator<Item = &'a str>) -> Self {
        let get = |key: &str| key_values.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let architecture = get("general.architecture")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let number = |key: &str| get(&format!("{architecture}.{key}")).and_then(first_u32);
        let n_layer = n_layer(architecture, number);
        let n_head = number("attention.head_count").unwrap_or(0);
        let n_head_kv = number("attention.head_count_kv").unwrap_or(n_head);
        let predicting = number("nextn_predict_layers").unwrap_or(0);
        let n_trunk = n_layer.saturating_sub(predicting);
        let mut model = Self {
            rules: Rules::of(architecture),
            n_layer,
            n_head,
            n_head_kv,
            n_expert: number("expert_count").unwrap_or(0),
            tied: true,
            n_attn_v: 0,
            has_imatrix: false,
            is_70b: is_70b(architecture, n_trunk, n_head != n_head_kv),
        };
        for name in tensors {
            model.tied &= name != super::OUTPUT;
            model.n_attn_v += u32::from(super::mixture::is_attn_v(name));
        }
        model
    }
}

/// The layers that llama.cpp counts: those of the file, but for two architectures that have layers
/// without tensors of their own.
fn n_layer(architecture: &str, number: impl Fn(&str) -> Option<u32>) -> u32 {
    let blocks = number("block_count").unwrap_or(0);
    match architecture {
        // Its layers are gone through several times.
        "nanbeige" => blocks.saturating_mul(number("num_loops").unwrap_or(1)),
        // One layer behind the last chooses adapters.
        "graniteswitch" => blocks.saturating_add(1),
        _ => blocks,
    }
}

/// Whether llama.cpp calls the model "70B": by its number of layers without those that predict
/// tokens further on, and for Llama by whether queries are grouped.
fn is_70b(architecture: &str, n_layer: u32, grouped: bool) -> bool {
    match architecture {
        "llama" | "llama-embed" => n_layer == 80 && grouped,
        "qwen2" | "deci" | "olmo" => n_layer == 80,
        "jais2" => n_layer == 68,
        _ => false,
    }
}

fn first_u32(value: &Value) -> Option<u32> {
    match value {
        Value::Array(Array::U32(numbers)) => numbers.first().copied(),
        Value::Array(Array::I32(numbers)) => u32::try_from(*numbers.first()?).ok(),
        number => u32::try_from(number.as_u64()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_parameters_are_those_of_the_architecture() {
        let heads = |n: &[u32]| Value::from(Array::U32(n.to_vec()));
        let key_values: KeyValues = vec![
            ("general.architecture".into(), "qwen2".into()),
            ("llama.block_count".into(), 7u32.into()),
            ("qwen2.block_count".into(), 80u32.into()),
            ("qwen2.attention.head_count".into(), heads(&[64, 32])),
            ("qwen2.expert_count".into(), 8u32.into()),
        ];
        let names = [
            "token_embd.weight",
            "blk.0.attn_v.weight",
            "blk.1.attn_qkv.weight",
            "blk.2.attn_kv_b.weight",
            "blk.3.attn_v.bias",
        ];
        let model = MixModel::new(&key_values, names.into_iter());
        assert_eq!((model.n_layer, model.n_expert), (80, 8));
        assert_eq!((model.n_head, model.n_head_kv), (64, 64));
        assert_eq!((model.tied, model.n_attn_v, model.is_70b), (true, 3, true));

        let model = MixModel::new(&KeyValues::new(), ["output.weight"].into_iter());
        assert_eq!((model.n_layer, model.tied, model.is_70b), (0, false, false));
    }

    #[test]
    fn layers_are_counted_as_llama_cpp_counts_them() {
        let model = |architecture: &str, numbers: &[(&str, u32)]| {
            let mut key_values: KeyValues =
                vec![("general.architecture".into(), architecture.into())];
            for (key, number) in numbers {
                key_values.push((format!("{architecture}.{key}"), (*number).into()));
            }
            MixModel::new(&key_values, std::iter::empty())
        };
        let counted = |architecture: &str, numbers: &[(&str, u32)]| {
            let model = model(architecture, numbers);
            (model.n_layer, model.is_70b)
        };
        let heads = |n_layer: u32, kv: u32| {
            [
                ("block_count", n_layer),
                ("attention.head_count", 8),
                ("attention.head_count_kv", kv),
            ]
        };
        assert_eq!(counted("llama", &heads(80, 1)), (80, true));
        assert_eq!(counted("llama", &heads(80, 8)), (80, false));
        assert_eq!(counted("llama-embed", &heads(80, 1)), (80, true));
        assert_eq!(counted("jais2", &heads(68, 8)), (68, true));
        assert_eq!(counted("jais2", &heads(80, 8)), (80, false));
        assert_eq!(counted("qwen3", &heads(80, 1)), (80, false));
        let predicting = [("block_count", 81), ("nextn_predict_layers", 1)];
        assert_eq!(counted("deci", &predicting), (81, true));
        assert_eq!(counted("glm4moe", &predicting), (81, false));
        let looped = [("block_count", 20), ("num_loops", 3)];
        assert_eq!(counted("nanbeige", &looped), (60, false));
        assert_eq!(counted("nanbeige", &looped[..1]), (20, false));
        assert_eq!(counted("graniteswitch", &looped[..1]), (21, false));
        assert_eq!(model("falcon", &[]).rules, Rules::Falcon);
        assert_eq!(model("falcon-h1", &[]).rules, Rules::Common);
    }
}
