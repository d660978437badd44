//! The numbers of a model, held against each other.

use super::{Findings, Header};
use crate::gguf::{Array, Value, ValueType};

/// `LLAMA_MAX_LAYERS` of llama.cpp.
pub const MAX_LAYERS: u64 = 512;

/// `LLAMA_MAX_EXPERTS` of llama.cpp.
pub const MAX_EXPERTS: u64 = 1024;

/// Architectures that llama.cpp rotates whole heads of.
const WHOLE_HEADS: [&str; 4] = ["llama", "deci", "falcon", "llama-embed"];

/// The numbers that tensors are held against, as far as they are known and possible.
pub(super) struct Numbers<'a> {
    pub(super) architecture: &'a str,
    pub(super) layers: Option<u64>,
    /// Layers at the end that predict tokens further on, and may be left out.
    pub(super) predicting: u64,
    pub(super) embd: Option<u64>,
    /// Of each layer.
    pub(super) ff: Vec<u64>,
    pub(super) heads: Vec<u64>,
    pub(super) heads_kv: Vec<u64>,
    pub(super) head_dim: Option<u64>,
    /// 0 for a dense model.
    pub(super) experts: Option<u64>,
}

/// Reads and checks them. Nothing is said of what follows from a number that is missing or wrong by
/// itself.
pub(super) fn check<'a>(
    header: &Header<'_>,
    architecture: &'a str,
    found: &mut Findings,
) -> Numbers<'a> {
    let mut keys = Keys {
        header,
        architecture,
        found,
    };
    keys.required("context_length", 1..=i32::MAX as u64);
    let embd = keys.required("embedding_length", 1..=u64::from(u32::MAX));
    let layers = keys.required("block_count", 1..=MAX_LAYERS);
    let n_layer = layers.unwrap_or(0);
    let predicting = keys.number("nextn_predict_layers", 0..=n_layer);

    let experts = keys.experts(n_layer);
    keys.check_groups_of_experts(experts);
    keys.number("leading_dense_block_count", 0..=n_layer);
    keys.per_layer("expert_feed_forward_length", n_layer);
    let heads = keys.per_layer("attention.head_count", n_layer);
    let heads_kv = match keys.has("attention.head_count_kv") {
        true => keys.per_layer("attention.head_count_kv", n_layer),
        false => heads.clone(),
    };
    let head_dim = keys.head_dim(embd, &heads);
    keys.check_groups(&heads, &heads_kv);
    keys.check_types();
    Numbers {
        architecture,
        layers,
        predicting: predicting.unwrap_or(0),
        embd,
        ff: keys.per_layer("feed_forward_length", n_layer),
        heads,
        heads_kv,
        head_dim,
        experts,
    }
}

/// The architecture's own keys.
struct Keys<'h, 'f> {
    header: &'h Header<'h>,
    architecture: &'h str,
    found: &'f mut Findings,
}

impl Keys<'_, '_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn has(&self, key: &str) -> bool {
        self.header.get(&self.name(key)).is_some()
    }

    /// A number that may be left out.
    fn number(&mut self, key: &str, expected: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let key = self.name(key);
        let value = self.header.get(&key)?;
        if !self.found.is_of_type(&key, value, ValueType::U32) {
            return None;
        }
        let number = value.as_u64()?;
        if !expected.contains(&number) {
            let (first, last) = expected.into_inner();
            match first == last {
                true => self.found.add(&key, number, first),
                false => self
                    .found
                    .add(&key, number, format_args!("{first} to {last}")),
            }
            return None;
        }
        Some(number)
    }

    fn required(&mut self, key: &str, expected: std::ops::RangeInclusive<u64>) -> Option<u64> {
        if !self.has(key) {
            let key = self.name(key);
            self.found.missing(&key, "a number");
            return None;
        }
        self.number(key, expected)
    }

    /// A number of each layer, or one for all. Empty where there is none that fits.
    fn per_layer(&mut self, key: &str, n_layer: u64) -> Vec<u64> {
        let key = self.name(key);
        match self.header.get(&key) {
            None => Vec::new(),
            Some(Value::Array(array)) => {
                let is_number = matches!(array, Array::U32(_) | Array::I32(_));
                if !is_number {
                    let found = format!("an array of {}", array.element_type());
                    self.found.add(&key, found, "one of u32 or i32");
                } else if n_layer > 0 && array.len() as u64 != n_layer {
                    let expected = format!("{n_layer} (`{}.block_count`)", self.architecture);
                    let found = format!("an array of {} numbers", array.len());
                    self.found.add(&key, found, expected);
                } else {
                    let numbers = (0..array.len()).filter_map(|i| array.get(i));
                    return numbers.map(|n| n.as_u64().unwrap_or(0)).collect();
                }
                Vec::new()
            }
            Some(value) => match self.found.is_of_type(&key, value, ValueType::U32) {
                true => vec![value.as_u64().unwrap_or(0); n_layer as usize],
                false => Vec::new(),
            },
        }
    }

    /// How many experts there are, and whether as many can be used as are.
    fn experts(&mut self, n_layer: u64) -> Option<u64> {
        let experts = match self.has("expert_count") {
            true => self.number("expert_count", 0..=MAX_EXPERTS)?,
            false => 0,
        };
        // llama.cpp takes one expert for none there.
        if experts == 1 && self.architecture.starts_with("hunyuan") {
            return None;
        }
        let key = "expert_used_count";
        if experts > 0 && !self.has(key) {
            let (name, count) = (self.name(key), self.name("expert_count"));
            let expected = format!("1 to {experts} (`{count}`)");
            self.found.missing(&name, expected);
        } else {
            let used = self.per_layer(key, n_layer).into_iter().max();
            if let Some(used) =
                used.filter(|used| *used > experts || (*used == 0) != (experts == 0))
            {
                let (name, count) = (self.name(key), self.name("expert_count"));
                let expected = match (experts, self.has("expert_count")) {
                    (0, true) => format!("0 (`{count}`)"),
                    (0, false) => format!("0, for there is no `{count}`"),
                    (1, _) => format!("1 (`{count}`)"),
                    _ => format!("1 to {experts} (`{count}`)"),
                };
                self.found.add(&name, used, expected);
            }
        }
        Some(experts)
    }

    /// Experts are in groups of one size, of which some are used: llama.cpp ends over others.
    fn check_groups_of_experts(&mut self, experts: Option<u64>) {
        let Some(experts) = experts else { return };
        let count = self.name("expert_count");
        let most = experts.saturating_sub(1);
        let Some(groups) = self
            .number("expert_group_count", 0..=most)
            .filter(|n| *n > 1)
        else {
            return;
        };
        if !experts.is_multiple_of(groups) {
            let name = self.name("expert_group_count");
            let expected = format!("a divisor of {experts} (`{count}`)");
            self.found.add(&name, groups, expected);
        } else if self.has("expert_group_used_count") {
            self.number("expert_group_used_count", 1..=groups - 1);
        } else {
            let name = self.name("expert_group_used_count");
            self.found
                .missing(&name, format_args!("at least 1 of {groups} groups"));
        }
    }

    /// The width of a head, and whether it is that of keys, values and positions.
    fn head_dim(&mut self, embd: Option<u64>, heads: &[u64]) -> Option<u64> {
        let heads = heads.first().copied().filter(|heads| *heads > 0)?;
        let embd = embd?;
        let any = 1..=u64::from(u32::MAX);
        let by_key = match self.has("attention.key_length") {
            true => Some(self.number("attention.key_length", any.clone())?),
            false => None,
        };
        if by_key.is_none() && !embd.is_multiple_of(heads) {
            let name = self.name("attention.head_count");
            let length = self.name("embedding_length");
            let expected = format!("a divisor of {embd} (`{length}`)");
            self.found.add(&name, heads, expected);
            return None;
        }
        let head_dim = by_key.unwrap_or(embd / heads);
        if WHOLE_HEADS.contains(&self.architecture) {
            self.number("rope.dimension_count", head_dim..=head_dim);
            self.number("attention.value_length", head_dim..=head_dim);
        } else {
            self.number("rope.dimension_count", 0..=u64::from(u32::MAX));
            self.number("attention.value_length", any);
        }
        Some(head_dim)
    }

    /// Queries share keys and values in groups of one size.
    fn check_groups(&mut self, heads: &[u64], heads_kv: &[u64]) {
        let odd = heads
            .iter()
            .zip(heads_kv)
            .find(|&(heads, kv)| *heads > 0 && *kv > 0 && !heads.is_multiple_of(*kv));
        if let Some((heads, kv)) = odd {
            let (key, of) = (
                self.name("attention.head_count_kv"),
                self.name("attention.head_count"),
            );
            let expected = format!("a divisor of {heads} (`{of}`)");
            self.found.add(&key, kv, expected);
        }
    }

    /// Numbers that llama.cpp takes of one type only.
    fn check_types(&mut self) {
        for (ty, keys) in [
            (
                ValueType::F32,
                &[
                    "attention.layer_norm_rms_epsilon",
                    "attention.layer_norm_epsilon",
                    "rope.freq_base",
                    "expert_weights_scale",
                    "logit_scale",
                    "residual_scale",
                    "embedding_scale",
                    "attention.scale",
                ][..],
            ),
            (
                ValueType::U32,
                &[
                    "expert_shared_count",
                    "expert_shared_feed_forward_length",
                    "expert_gating_func",
                    "attention.sliding_window",
                    "attention.q_lora_rank",
                    "attention.kv_lora_rank",
                ],
            ),
            (ValueType::Bool, &["expert_weights_norm"]),
        ] {
            for key in keys {
                let key = self.name(key);
                if let Some(value) = self.header.get(&key) {
                    self.found.is_of_type(&key, value, ty);
                }
            }
        }
        let key = self.name("attention.layer_norm_rms_epsilon");
        if self.architecture == "llama" && self.header.get(&key).is_none() {
            self.found.missing(&key, ValueType::F32);
        }
    }
}
