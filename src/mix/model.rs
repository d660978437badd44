//! What the rules ask about a model, and of which architectures they are.

use crate::gguf::{Array, KeyValues, Value};

/// What the rules ask about a model.
#[derive(Clone, Copy, Debug)]
pub struct MixModel {
    /// Number of transformer blocks.
    pub n_layer: u32,
    /// Attention heads.
    pub n_head: u32,
    /// Key and value heads.
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

/// The architectures for which llama-quantize has no rules of their own, and whose 80-layer models
/// it does not take for a 70B, but for those of [`is_70b`]. Others may have the same mix; we name
/// those we have read.
const COMMON_MIX: [&str; 64] = [
    "llama",
    "llama4",
    "llama-embed",
    "deci",
    "mistral3",
    "mistral4",
    "qwen",
    "qwen2",
    "qwen2moe",
    "qwen2vl",
    "qwen3",
    "qwen3moe",
    "qwen3next",
    "qwen3vl",
    "qwen3vlmoe",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "gemma-embedding",
    "phi2",
    "phi3",
    "phimoe",
    "gpt2",
    "gptneox",
    "mpt",
    "bloom",
    "baichuan",
    "starcoder",
    "starcoder2",
    "refact",
    "stablelm",
    "orion",
    "internlm2",
    "minicpm",
    "minicpm3",
    "xverse",
    "command-r",
    "cohere2",
    "dbrx",
    "arctic",
    "olmo",
    "olmo2",
    "olmoe",
    "deepseek",
    "deepseek2",
    "chatglm",
    "glm4",
    "glm4moe",
    "nemotron",
    "exaone",
    "exaone4",
    "granite",
    "granitemoe",
    "bailingmoe",
    "bailingmoe2",
    "dots1",
    "arcee",
    "ernie4_5",
    "ernie4_5-moe",
    "hunyuan-moe",
    "hunyuan-dense",
    "smollm3",
    "seed_oss",
];

/// Whether llama-quantize mixes types for this architecture by the rules we have.
pub fn has_common_mix(architecture: &str) -> bool {
    COMMON_MIX.contains(&architecture)
}

impl MixModel {
    /// Reads the hyper-parameters from a GGUF's key-values and looks at the names of its tensors.
    /// As in llama.cpp, a missing number of key and value heads is that of the heads, and of
    /// a number for each layer the first one counts.
    pub fn new<'a>(key_values: &KeyValues, tensors: impl Iterator<Item = &'a str>) -> Self {
        let get = |key: &str| key_values.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let architecture = get("general.architecture").and_then(Value::as_str);
        let number = |key: &str| {
            let key = format!("{}.{key}", architecture.unwrap_or_default());
            get(&key).and_then(first_u32)
        };
        let n_layer = number("block_count").unwrap_or(0);
        let n_head = number("attention.head_count").unwrap_or(0);
        let n_head_kv = number("attention.head_count_kv").unwrap_or(n_head);
        let mut model = Self {
            n_layer,
            n_head,
            n_head_kv,
            n_expert: number("expert_count").unwrap_or(0),
            tied: true,
            n_attn_v: 0,
            has_imatrix: false,
            is_70b: is_70b(architecture, n_layer, n_head != n_head_kv),
        };
        for name in tensors {
            model.tied &= name != super::OUTPUT;
            model.n_attn_v += u32::from(super::mixture::is_attn_v(name));
        }
        model
    }
}

/// Whether llama.cpp calls the model "70B": by its number of layers, and for Llama by whether
/// queries are grouped.
fn is_70b(architecture: Option<&str>, n_layer: u32, grouped: bool) -> bool {
    match architecture {
        Some("llama") => n_layer == 80 && grouped,
        Some("qwen2" | "deci" | "olmo") => n_layer == 80,
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
    fn architectures_are_named_once() {
        let mut names = COMMON_MIX.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMON_MIX.len());
        assert!(has_common_mix("llama") && !has_common_mix("falcon") && !has_common_mix(""));
    }
}
