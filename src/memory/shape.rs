//! What a header says that decides about memory.

use std::ops::Range;

use swallow_quant::GgmlType;

use super::Placement;
use crate::{
    gguf::{Gguf, TensorInfo, Value},
    mix::layer_of,
    plan::ConversionPlan,
};

/// Tokens of the largest context made unasked: keys and values take memory for each of them, and
/// newer models were trained for a million.
pub const DEFAULT_CONTEXT: u32 = 8192;

/// A layer more than any model has would only be memory for a lie in the header.
const MAX_LAYERS: u64 = 512;

/// What is known of a model before it is loaded: its layers and tensors.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Tokens of the longest text the model was trained on, 0 where the header does not say.
    pub trained_context: u32,
    /// Weights of a row of the embedding.
    pub embedding: u64,
    /// Tokens of the vocabulary.
    pub vocabulary: u64,
    /// Number of experts, 0 for a dense model.
    pub experts: u64,
    pub(super) heads: u64,
    /// Weights of the queries of a token, all heads together.
    pub(super) queries: u64,
    /// Kinds of layers by the tokens that they see: all, or those in a window too.
    pub(super) masks: u64,
    /// Width of the widest feed-forward network that a token goes through, all its experts together.
    pub(super) feed_forward: u64,
    pub(super) kv: Vec<Kv>,
    /// Weights of a head's key, and of its value.
    pub(super) head: (u64, u64),
    pub(super) tensors: Vec<Tensor>,
}

/// What a layer keeps of each token, and of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kv {
    /// Weights of a key, all heads together.
    pub(super) key: u64,
    /// Weights of a value, all heads together.
    pub(super) value: u64,
    /// Numbers of a state that does not grow with the context.
    pub(super) state: u64,
}

/// A tensor, as far as it decides about memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) ty: GgmlType,
    /// Extents in ne order, without those of 1 at the end.
    pub(super) dims: Vec<u64>,
    /// The layer it belongs to.
    pub(super) layer: Option<u32>,
    /// Whether it is a matrix of all experts of a layer.
    pub(super) is_expert: bool,
    /// Whether it is looked up at the beginning, which the CPU does.
    pub(super) is_input: bool,
    /// Whether something is multiplied with it.
    pub(super) is_multiplied: bool,
}

impl Shape {
    /// The shape of a model with this metadata and these tensors, of all its files.
    pub fn new<'a>(
        key_values: &[(String, Value)],
        tensors: impl IntoIterator<Item = &'a TensorInfo>,
    ) -> Self {
        let keys = Keys::new(key_values);
        let layers = keys.number("block_count").min(MAX_LAYERS) as usize;
        let unread = keys.predicting(layers);
        let mut vocabulary = 0;
        let tensors: Vec<Tensor> = tensors
            .into_iter()
            .filter(|info| layer_of(&info.name).is_none_or(|layer| !unread.contains(&layer)))
            .inspect(|info| {
                if matches!(info.name.as_str(), "token_embd.weight" | "output.weight") {
                    vocabulary = info.rows();
                }
            })
            .map(Tensor::new)
            .collect();
        let embedding = keys.number("embedding_length");
        Self {
            trained_context: u32::try_from(keys.number("context_length")).unwrap_or(u32::MAX),
            embedding,
            vocabulary,
            experts: keys.number("expert_count"),
            heads: keys.largest("attention.head_count", layers),
            queries: keys.queries(layers, embedding),
            masks: 1 + u64::from(keys.number("attention.sliding_window") > 0),
            feed_forward: keys.feed_forward(layers),
            head: keys.head(embedding),
            kv: (0..layers).map(|i| keys.kv(i, layers, embedding)).collect(),
            tensors,
        }
    }

    /// The shape of a model in one file.
    pub fn of_file(gguf: &Gguf) -> Self {
        Self::new(&gguf.key_values, &gguf.tensors)
    }

    /// The shape of a file that is not written yet.
    pub fn of_plan(plan: &ConversionPlan) -> Self {
        Self::new(
            &plan.key_values,
            plan.tensors.iter().map(|tensor| &tensor.info),
        )
    }

    /// Number of layers.
    pub fn layers(&self) -> u32 {
        self.kv.len() as u32
    }

    /// Whether it is a Mixture of Experts.
    pub fn has_experts(&self) -> bool {
        self.tensors.iter().any(|tensor| tensor.is_expert)
    }

    /// Whether a placement is meant for one of its tensors.
    pub fn has_tensor(&self, placement: &Placement) -> bool {
        self.tensors
            .iter()
            .any(|tensor| placement.takes(&tensor.name))
    }

    /// Tokens of the context that is made where `asked` are asked for; `None` is what the model was
    /// trained for, at most [`DEFAULT_CONTEXT`].
    pub fn context(&self, asked: Option<u32>) -> u32 {
        asked.unwrap_or_else(|| match self.trained_context {
            0 => DEFAULT_CONTEXT,
            trained => trained.min(DEFAULT_CONTEXT),
        })
    }

    /// Weights of a head's key and of its value.
    pub fn head_sizes(&self) -> (u64, u64) {
        self.head
    }

    /// Whether one vector is kept for key and value (latent attention).
    pub fn keeps_latent(&self) -> bool {
        self.kv.iter().any(|kv| kv.key > 0 && kv.value == 0)
    }

    pub(super) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Bytes of the embedding where it is the output too.
    pub(super) fn tied_output(&self) -> Option<u64> {
        let outside = |tensor: &&Tensor| tensor.layer.is_none();
        let has_output = |tensor: &Tensor| tensor.is_multiplied && tensor.dims.len() == 2;
        let mut outside = self.tensors.iter().filter(outside);
        let embedding = outside.clone().find(|tensor| tensor.is_input)?;
        match outside.any(has_output) {
            true => None,
            false => Some(embedding.bytes),
        }
    }
}

impl Tensor {
    fn new(info: &TensorInfo) -> Self {
        let mut dims = info.dims.clone();
        while dims.len() > 1 && dims.last() == Some(&1) {
            dims.pop();
        }
        let is_input = [
            "token_embd",
            "position_embd",
            "token_types",
            "per_layer_token_embd",
        ]
        .iter()
        .any(|name| info.name.split('.').next() == Some(name));
        Self {
            name: info.name.clone(),
            bytes: info.size(),
            ty: info.ty,
            layer: layer_of(&info.name),
            is_expert: ["_exps.", "_chexps."]
                .iter()
                .any(|part| info.name.contains(part)),
            is_input,
            is_multiplied: !is_input && info.name.ends_with(".weight") && dims.len() > 1,
            dims,
        }
    }
}

/// The keys of the model's architecture.
struct Keys<'a> {
    key_values: &'a [(String, Value)],
    architecture: &'a str,
}

impl<'a> Keys<'a> {
    fn new(key_values: &'a [(String, Value)]) -> Self {
        let named = key_values
            .iter()
            .find(|(key, _)| key == "general.architecture");
        Self {
            key_values,
            architecture: named.and_then(|(_, value)| value.as_str()).unwrap_or(""),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let key = |key: &str| {
            key.strip_prefix(self.architecture)?
                .strip_prefix('.')
                .map(str::to_owned)
        };
        let found = self
            .key_values
            .iter()
            .find(|(k, _)| key(k).as_deref() == Some(name));
        found.map(|(_, value)| value)
    }

    /// What is said for a layer: of an array its element, else the number for all of them.
    fn of_layer(&self, name: &str, layer: usize) -> Option<u64> {
        match self.get(name)? {
            Value::Array(array) => array.get(layer)?.as_u64(),
            value => value.as_u64(),
        }
    }

    /// A number for the whole model, 0 where there is none.
    fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The largest of what is said for layers.
    fn largest(&self, name: &str, layers: usize) -> u64 {
        let said = (0..layers).filter_map(|layer| self.of_layer(name, layer));
        said.max().unwrap_or(0)
    }

    fn feed_forward(&self, layers: usize) -> u64 {
        let dense = self.largest("feed_forward_length", layers);
        let used = self.largest("expert_used_count", layers);
        let expert = match self.largest("expert_feed_forward_length", layers) {
            0 => dense,
            width => width,
        };
        // What all tokens go through is computed by itself.
        let shared = match self.number("expert_shared_feed_forward_length") {
            0 => expert.saturating_mul(self.number("expert_shared_count")),
            width => width,
        };
        dense.max(expert.saturating_mul(used)).max(shared)
    }

    fn queries(&self, layers: usize, embedding: u64) -> u64 {
        let heads = |layer| self.of_layer("attention.head_count", layer).unwrap_or(0);
        let of_layer = (0..layers).map(heads).map(|heads| {
            let width = self.head_width("attention.key_length", heads, embedding);
            heads.saturating_mul(width)
        });
        of_layer.max().unwrap_or(0)
    }

    /// The last layers that predict tokens further on, which llama.cpp does not read unless it is asked
    /// to. A model of nothing else is a draft for another one.
    fn predicting(&self, layers: usize) -> Range<u32> {
        let layers = layers as u32;
        let further = u32::try_from(self.number("nextn_predict_layers")).unwrap_or(u32::MAX);
        match layers.checked_sub(further) {
            Some(first) if first > 0 => first..layers,
            _ => layers..layers,
        }
    }

    fn head(&self, embedding: u64) -> (u64, u64) {
        let heads = self.of_layer("attention.head_count", 0).unwrap_or(0);
        let width = |name| self.head_width(name, heads, embedding);
        (
            width("attention.key_length"),
            width("attention.value_length"),
        )
    }

    fn head_width(&self, name: &str, heads: u64, embedding: u64) -> u64 {
        match self.number(name).max(self.number(&format!("{name}_swa"))) {
            0 => embedding.checked_div(heads).unwrap_or(0),
            width => width,
        }
    }

    /// What a layer keeps. Where an architecture is told in other keys than these, all layers count
    /// as if they attended to everything: rather too much than too little.
    fn kv(&self, layer: usize, layers: usize, embedding: u64) -> Kv {
        let heads = self.of_layer("attention.head_count", layer).unwrap_or(0);
        let kv_heads = self
            .of_layer("attention.head_count_kv", layer)
            .unwrap_or(heads);
        let width = |name| self.head_width(name, heads, embedding);
        // Latent attention keeps one key for both.
        let latent = self.number("attention.key_length_mla") > 0;
        if self.predicting(layers).contains(&(layer as u32)) {
            return Kv::default();
        }
        let state = self.state(embedding, heads);
        let attends = !self.is_recurrent(layer) && !self.shares(layer, layers);
        // Sparse attention keeps a small key of its own to choose by.
        let indexer = self.number("attention.indexer.key_length");
        Kv {
            key: match attends {
                true => width("attention.key_length")
                    .saturating_mul(kv_heads)
                    .saturating_add(indexer),
                false => 0,
            },
            value: match attends && !latent {
                true => width("attention.value_length").saturating_mul(kv_heads),
                false => 0,
            },
            state,
        }
    }

    /// Whether a layer keeps a state and nothing of each token.
    fn is_recurrent(&self, layer: usize) -> bool {
        let interval = self.number("full_attention_interval");
        let by_list = self.of_layer("attention.recurrent_layers", layer);
        let whole = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];
        whole.contains(&self.architecture)
            || by_list.is_some_and(|is| is != 0)
            || interval > 0 && !(layer as u64 + 1).is_multiple_of(interval)
    }

    /// Whether a layer uses another one's keys and values: the last ones of Gemma's small models.
    fn shares(&self, layer: usize, layers: usize) -> bool {
        let shared = self.number("attention.shared_kv_layers");
        layer as u64 >= (layers as u64).saturating_sub(shared)
    }

    /// Numbers of the state that a recurrent layer keeps; layers that attend count too, because which
    /// of them do both is the architecture's secret.
    fn state(&self, embedding: u64, heads: u64) -> u64 {
        let number = |name: &str| self.number(name);
        let wkv = number("wkv.head_size");
        if wkv > 0 {
            let shift = number("token_shift_count").max(2);
            return embedding.saturating_mul(shift.saturating_add(wkv));
        }
        let convolution = number("shortconv.l_cache");
        if convolution > 0 {
            return embedding.saturating_mul(convolution - 1);
        }
        let kernel = number("ssm.conv_kernel").saturating_sub(1);
        let kda = number("kda.head_dim");
        if kda > 0 {
            let inner = heads.max(1).saturating_mul(kda);
            return inner.saturating_mul(kernel.max(3).saturating_mul(3).saturating_add(kda));
        }
        let (inner, state) = (number("ssm.inner_size"), number("ssm.state_size"));
        let groups = number("ssm.group_count")
            .saturating_mul(state)
            .saturating_mul(2);
        kernel
            .saturating_mul(inner.saturating_add(groups))
            .saturating_add(inner.saturating_mul(state))
    }
}
