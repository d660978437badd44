//! Hugging Face tensor names → GGUF tensors: a table, and the two layouts of a Mixtral's experts.

use std::collections::BTreeSet;

use super::config::ModelConfig;
use crate::source::{Checkpoint, Dtype, SourceTensor};

/// A tensor of the GGUF and where its weights come from.
#[derive(Clone, Debug)]
pub struct ModelTensor {
    /// Name in the GGUF, for example `blk.0.ffn_gate_exps.weight`.
    pub name: String,
    /// Dimensions in ggml's order: the row length first.
    pub dims: Vec<u64>,
    /// The weights.
    pub data: TensorData,
}

/// Where a tensor's weights come from.
#[derive(Clone, Debug)]
pub enum TensorData {
    /// Rows of the checkpoint: the parts one after the other, all with rows of the same length.
    Rows {
        /// The pieces, in the order of the output.
        parts: Vec<Part>,
        /// Order of the rows within each part.
        order: RowOrder,
    },
    /// Values that follow from config.json.
    Computed(Vec<f32>),
}

/// Consecutive rows of one checkpoint tensor.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name in the checkpoint.
    pub tensor: String,
    /// Number format.
    pub dtype: Dtype,
    /// Index into [`Checkpoint::shards`].
    pub shard: usize,
    /// First byte in the shard's file.
    pub offset: u64,
    /// First row within the checkpoint's tensor, for messages.
    pub first_row: u64,
    /// Number of rows.
    pub rows: u64,
}

/// In which order the rows of a part are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// As they stand.
    AsIs,
    /// Within each head, the rows of the first and the second half alternate: transformers turns
    /// the halves of a head against each other, llama.cpp neighbouring rows.
    Rotary {
        /// Rows of one head.
        head_rows: u64,
    },
}

impl RowOrder {
    /// The row of the checkpoint that becomes row `row` of the output.
    pub fn source_row(self, row: u64) -> u64 {
        match self {
            Self::AsIs => row,
            Self::Rotary { head_rows } => {
                let (head, within) = (row / head_rows, row % head_rows);
                head * head_rows + within % 2 * (head_rows / 2) + within / 2
            }
        }
    }
}

/// A checkpoint whose tensors are not those of its config.json.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// A tensor that the model needs is not there.
    #[error("tensor `{tensor}` is missing from the checkpoint{hint}")]
    Missing {
        /// Its name.
        tensor: String,
        /// What else may be meant; empty, or begins with a comma.
        hint: String,
    },
    /// A tensor that no model of this class has.
    #[error("tensor `{tensor}` in `{path}` is unknown: no {class:?} model has it")]
    Unknown {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// The model class.
        class: super::config::ModelClass,
    },
    /// The shape is not what config.json asks for.
    #[error("tensor `{tensor}` in `{path}` has shape {found:?}, config.json asks for {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// What config.json asks for.
        expected: Vec<u64>,
        /// What the shard's header says.
        found: Vec<u64>,
    },
    /// The number format is not one we read.
    #[error("tensor `{tensor}` in `{path}` is of type {found}, expected BF16, F16 or F32")]
    Type {
        /// Its name.
        tensor: String,
        /// The shard.
        path: String,
        /// What the shard's header says.
        found: String,
    },
}

/// A length that config.json decides.
#[derive(Clone, Copy)]
enum Dim {
    Embd,
    Ff,
    Q,
    Kv,
    Vocab,
    Expert,
}

/// One line of the table: the checkpoint's name and shape, and the GGUF's name.
struct Rule {
    source: &'static str,
    target: &'static str,
    shape: &'static [Dim],
    rotary: bool,
    optional: bool,
}

const fn rule(source: &'static str, target: &'static str, shape: &'static [Dim]) -> Rule {
    Rule {
        source,
        target,
        shape,
        rotary: false,
        optional: false,
    }
}

impl Rule {
    const fn rotary(mut self) -> Self {
        self.rotary = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

use Dim::{Embd, Expert, Ff, Kv, Q, Vocab};

const GLOBAL: &[Rule] = &[
    rule(
        "model.embed_tokens.weight",
        "token_embd.weight",
        &[Vocab, Embd],
    ),
    rule("model.norm.weight", "output_norm.weight", &[Embd]),
];

/// Absent where the output is the token embedding; written all the same where it is there.
const OUTPUT: Rule = rule("lm_head.weight", "output.weight", &[Vocab, Embd]);

/// Follows `model.layers.N.` and `blk.N.`.
const ATTENTION: &[Rule] = &[
    rule("input_layernorm.weight", "attn_norm.weight", &[Embd]),
    rule(
        "post_attention_layernorm.weight",
        "ffn_norm.weight",
        &[Embd],
    ),
    rule("self_attn.q_proj.weight", "attn_q.weight", &[Q, Embd]).rotary(),
    rule("self_attn.k_proj.weight", "attn_k.weight", &[Kv, Embd]).rotary(),
    rule("self_attn.v_proj.weight", "attn_v.weight", &[Kv, Embd]),
    rule("self_attn.o_proj.weight", "attn_output.weight", &[Embd, Q]),
    rule("self_attn.q_proj.bias", "attn_q.bias", &[Q])
        .rotary()
        .optional(),
    rule("self_attn.k_proj.bias", "attn_k.bias", &[Kv])
        .rotary()
        .optional(),
    rule("self_attn.v_proj.bias", "attn_v.bias", &[Kv]).optional(),
    rule("self_attn.o_proj.bias", "attn_output.bias", &[Embd]).optional(),
];

const DENSE_FFN: &[Rule] = &[
    rule("mlp.gate_proj.weight", "ffn_gate.weight", &[Ff, Embd]),
    rule("mlp.up_proj.weight", "ffn_up.weight", &[Ff, Embd]),
    rule("mlp.down_proj.weight", "ffn_down.weight", &[Embd, Ff]),
    rule("mlp.gate_proj.bias", "ffn_gate.bias", &[Ff]).optional(),
    rule("mlp.up_proj.bias", "ffn_up.bias", &[Ff]).optional(),
    rule("mlp.down_proj.bias", "ffn_down.bias", &[Embd]).optional(),
];

/// The router, as mergekit and transformers 4 named it, and since transformers 5.
const ROUTER: Rule = rule(
    "block_sparse_moe.gate.weight",
    "ffn_gate_inp.weight",
    &[Expert, Embd],
);
const FUSED_ROUTER: Rule = rule("mlp.gate.weight", "ffn_gate_inp.weight", &[Expert, Embd]);

/// One tensor for each expert: `block_sparse_moe.experts.E.{w1,w2,w3}.weight`.
const EXPERTS: &[Rule] = &[
    rule("w1", "ffn_gate_exps.weight", &[Ff, Embd]),
    rule("w2", "ffn_down_exps.weight", &[Embd, Ff]),
    rule("w3", "ffn_up_exps.weight", &[Ff, Embd]),
];

/// Lists the tensors of the GGUF, in the order of the table. Every tensor of the checkpoint is
/// used or refused, but for the rotary frequencies that old checkpoints carry along.
///
/// # Errors
/// When a tensor is missing, unknown, or of the wrong shape or type.
pub fn map(config: &ModelConfig, checkpoint: &Checkpoint) -> Result<Vec<ModelTensor>, TensorError> {
    let mut mapper = Mapper {
        config,
        checkpoint,
        used: BTreeSet::new(),
        out: Vec::new(),
    };
    for rule in GLOBAL {
        mapper.apply(rule, "", "")?;
    }
    if !config.tied || checkpoint.tensors.contains_key(OUTPUT.source) {
        mapper.apply(&OUTPUT, "", "")?;
    }
    let head_dim = config.head_dim;
    if let Some(factors) = config
        .rope_scaling
        .frequency_factors(head_dim, config.rope_theta)
    {
        mapper.out.push(ModelTensor {
            name: "rope_freqs.weight".into(),
            dims: vec![factors.len() as u64],
            data: TensorData::Computed(factors),
        });
    }
    for layer in 0..config.n_layer {
        mapper.layer(layer)?;
    }
    let used = mapper.used;
    let leftover = |name: &str| !used.contains(name) && !name.ends_with("rotary_emb.inv_freq");
    if let Some((name, tensor)) = checkpoint.tensors.iter().find(|(name, _)| leftover(name)) {
        return Err(TensorError::Unknown {
            tensor: name.clone(),
            path: shard_name(checkpoint, tensor),
            class: config.class,
        });
    }
    Ok(mapper.out)
}

struct Mapper<'a> {
    config: &'a ModelConfig,
    checkpoint: &'a Checkpoint,
    used: BTreeSet<&'a str>,
    out: Vec<ModelTensor>,
}

impl<'a> Mapper<'a> {
    fn layer(&mut self, layer: u32) -> Result<(), TensorError> {
        let source = format!("model.layers.{layer}.");
        let target = format!("blk.{layer}.");
        for rule in ATTENTION {
            self.apply(rule, &source, &target)?;
        }
        let Some((n_expert, _)) = self.config.experts else {
            return DENSE_FFN
                .iter()
                .try_for_each(|rule| self.apply(rule, &source, &target));
        };
        if self.has(&format!("{source}{}", FUSED_ROUTER.source)) {
            self.apply(&FUSED_ROUTER, &source, &target)?;
            self.fused_experts(&source, &target, u64::from(n_expert))
        } else {
            self.apply(&ROUTER, &source, &target)?;
            self.separate_experts(&source, &target, n_expert)
        }
    }

    fn has(&self, name: &str) -> bool {
        self.checkpoint.tensors.contains_key(name)
    }

    /// One checkpoint tensor that becomes one GGUF tensor.
    fn apply(&mut self, rule: &Rule, source: &str, target: &str) -> Result<(), TensorError> {
        let name = format!("{source}{}", rule.source);
        if rule.optional && !self.has(&name) {
            return Ok(());
        }
        let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
        let tensor = self.take(&name, &shape)?;
        // A permuted vector is a column: its "rows" are single numbers.
        let rows = if rule.rotary || shape.len() > 1 {
            shape[0]
        } else {
            1
        };
        let order = match rule.rotary {
            true => RowOrder::Rotary {
                head_rows: u64::from(self.config.head_dim),
            },
            false => RowOrder::AsIs,
        };
        let parts = vec![self.part(&name, tensor, 0, rows, rows)?];
        self.out.push(ModelTensor {
            name: format!("{target}{}", rule.target),
            dims: shape.into_iter().rev().collect(),
            data: TensorData::Rows { parts, order },
        });
        Ok(())
    }

    /// `experts.E.w1` … of every expert E, stacked.
    fn separate_experts(
        &mut self,
        source: &str,
        target: &str,
        n_expert: u32,
    ) -> Result<(), TensorError> {
        for rule in EXPERTS {
            let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
            let mut parts = Vec::new();
            for expert in 0..n_expert {
                let weight = rule.source;
                let name = format!("{source}block_sparse_moe.experts.{expert}.{weight}.weight");
                let tensor = self.take(&name, &shape)?;
                parts.push(self.part(&name, tensor, 0, shape[0], shape[0])?);
            }
            self.push_experts(target, rule, &shape, parts);
        }
        Ok(())
    }

    /// `experts.gate_up_proj` [expert, 2·ff, embd], in which w1 stands before w3, and
    /// `experts.down_proj` [expert, embd, ff].
    fn fused_experts(
        &mut self,
        source: &str,
        target: &str,
        n_expert: u64,
    ) -> Result<(), TensorError> {
        let (embd, ff) = (self.len(Embd), self.len(Ff));
        let gate_up_name = format!("{source}mlp.experts.gate_up_proj");
        let gate_up = self.take(&gate_up_name, &[n_expert, 2 * ff, embd])?;
        let down_name = format!("{source}mlp.experts.down_proj");
        let down = self.take(&down_name, &[n_expert, embd, ff])?;
        for rule in EXPERTS {
            let shape: Vec<u64> = rule.shape.iter().map(|&d| self.len(d)).collect();
            let (name, tensor, stride, first) = match rule.source {
                "w1" => (&gate_up_name, gate_up, 2 * ff, 0),
                "w3" => (&gate_up_name, gate_up, 2 * ff, ff),
                _ => (&down_name, down, embd, 0),
            };
            let parts = (0..n_expert)
                .map(|e| {
                    self.part(
                        name,
                        tensor,
                        e * stride + first,
                        shape[0],
                        n_expert * stride,
                    )
                })
                .collect::<Result<_, _>>()?;
            self.push_experts(target, rule, &shape, parts);
        }
        Ok(())
    }

    fn push_experts(&mut self, target: &str, rule: &Rule, shape: &[u64], parts: Vec<Part>) {
        let [rows, cols] = *shape else { return };
        self.out.push(ModelTensor {
            name: format!("{target}{}", rule.target),
            dims: vec![cols, rows, parts.len() as u64],
            data: TensorData::Rows {
                parts,
                order: RowOrder::AsIs,
            },
        });
    }

    /// Finds a tensor, checks its shape and marks it as used.
    fn take(&mut self, name: &str, expected: &[u64]) -> Result<&'a SourceTensor, TensorError> {
        let Some((name, tensor)) = self.checkpoint.tensors.get_key_value(name) else {
            return Err(TensorError::Missing {
                tensor: name.into(),
                hint: self.hint(name),
            });
        };
        if tensor.shape != expected {
            return Err(TensorError::Shape {
                tensor: name.clone(),
                path: shard_name(self.checkpoint, tensor),
                expected: expected.into(),
                found: tensor.shape.clone(),
            });
        }
        self.used.insert(name);
        Ok(tensor)
    }

    fn hint(&self, name: &str) -> String {
        if name == OUTPUT.source {
            ", and config.json does not set `tie_word_embeddings`".into()
        } else if name.ends_with(ROUTER.source) {
            format!(
                ", and so is `{}` of the newer layout",
                name.replace(ROUTER.source, FUSED_ROUTER.source)
            )
        } else {
            String::new()
        }
    }

    /// Rows `first_row..first_row + rows` of a tensor that has `total_rows`.
    fn part(
        &self,
        name: &str,
        tensor: &SourceTensor,
        first_row: u64,
        rows: u64,
        total_rows: u64,
    ) -> Result<Part, TensorError> {
        let dtype = Dtype::from_name(&tensor.dtype).ok_or_else(|| TensorError::Type {
            tensor: name.into(),
            path: shard_name(self.checkpoint, tensor),
            found: tensor.dtype.clone(),
        })?;
        let row_bytes = (tensor.bytes.end - tensor.bytes.start) / total_rows;
        Ok(Part {
            tensor: name.into(),
            dtype,
            shard: tensor.shard,
            offset: tensor.bytes.start + first_row * row_bytes,
            first_row,
            rows,
        })
    }

    fn len(&self, dim: Dim) -> u64 {
        let c = self.config;
        match dim {
            Embd => c.n_embd.into(),
            Ff => c.n_ff.into(),
            Q => c.n_embd_q(),
            Kv => c.n_embd_kv(),
            Vocab => c.n_vocab.into(),
            Expert => c.experts.map_or(0, |(n, _)| n.into()),
        }
    }
}

fn shard_name(checkpoint: &Checkpoint, tensor: &SourceTensor) -> String {
    checkpoint.shards[tensor.shard].path().display().to_string()
}

/// Parameters of a model, counted as its size label does: all of them, and one expert's share.
pub fn count_parameters(tensors: &[ModelTensor]) -> ParameterCount {
    let mut count = ParameterCount::default();
    for tensor in tensors {
        let n: u64 = tensor.dims.iter().product();
        count.total += n;
        match tensor.dims[..] {
            [_, _, n_expert] => {
                count.one_expert += n / n_expert;
                count.n_expert = n_expert;
            }
            _ => count.shared += n,
        }
    }
    count
}

/// See [`count_parameters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParameterCount {
    /// All parameters.
    pub total: u64,
    /// Those that every token uses.
    pub shared: u64,
    /// Those of one expert in all layers.
    pub one_expert: u64,
    /// Number of experts, 0 for a dense model.
    pub n_expert: u64,
}

#[cfg(test)]
mod tests {
    use super::RowOrder;

    #[test]
    fn rotary_order_is_reshape_swap_reshape() {
        // PARITY: rows reshaped to (head, 2, half), axes 1 and 2 swapped.
        let (n_head, half) = (3, 4);
        let order = RowOrder::Rotary {
            head_rows: 2 * half,
        };
        let mut expected = Vec::new();
        for head in 0..n_head {
            for i in 0..half {
                for j in 0..2 {
                    expected.push(head * 2 * half + j * half + i);
                }
            }
        }
        let found: Vec<u64> = (0..n_head * 2 * half)
            .map(|r| order.source_row(r))
            .collect();
        assert_eq!(found, expected);
    }
}
