//! The weights of the checkpoint: their names, shapes, and where their values come from.

use anyhow::{Context, ensure};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Normal};
use swallow_gguf::gguf::Gguf;

use crate::{Data, config::Config};

/// A weight of the checkpoint.
pub(crate) struct Weight {
    pub(crate) name: String,
    /// Extents as safetensors has them: the row length last.
    pub(crate) shape: Vec<u64>,
    source: Source,
}

/// Where the values of a weight come from.
enum Source {
    /// A tensor of the GGUF as it is.
    Tensor(String),
    /// A query or key tensor, whose rows llama.cpp's converter permuted within `n_head` heads.
    Permuted { tensor: String, n_head: u64 },
    /// Small random numbers, others for each stream.
    Random { stream: u64 },
}

/// The weights in the order of a checkpoint: embedding, layers, output.
pub(crate) fn weights(
    gguf: &Gguf,
    config: &Config,
    n_expert: Option<u64>,
) -> anyhow::Result<Vec<Weight>> {
    let mut list = List {
        gguf,
        weights: Vec::new(),
    };
    list.add("model.embed_tokens", "token_embd", None)?;
    for layer in 0..config.n_layer {
        let (to, from) = (format!("model.layers.{layer}"), format!("blk.{layer}"));
        let mut add = |name: &str, tensor: &str, heads| {
            list.add(&format!("{to}.{name}"), &format!("{from}.{tensor}"), heads)
        };
        add("input_layernorm", "attn_norm", None)?;
        add("self_attn.q_proj", "attn_q", Some(config.n_head))?;
        add("self_attn.k_proj", "attn_k", Some(config.n_head_kv))?;
        add("self_attn.v_proj", "attn_v", None)?;
        add("self_attn.o_proj", "attn_output", None)?;
        add("post_attention_layernorm", "ffn_norm", None)?;
        let Some(n_expert) = n_expert else {
            add("mlp.gate_proj", "ffn_gate", None)?;
            add("mlp.up_proj", "ffn_up", None)?;
            add("mlp.down_proj", "ffn_down", None)?;
            continue;
        };
        for expert in 0..n_expert {
            let expert = format!("block_sparse_moe.experts.{expert}");
            add(&format!("{expert}.w1"), "ffn_gate", None)?;
            add(&format!("{expert}.w2"), "ffn_down", None)?;
            add(&format!("{expert}.w3"), "ffn_up", None)?;
        }
        list.weights.push(Weight {
            name: format!("{to}.block_sparse_moe.gate.weight"),
            shape: vec![n_expert, config.n_embd],
            source: Source::Random { stream: layer },
        });
    }
    list.add("model.norm", "output_norm", None)?;
    if gguf.tensor("output.weight").is_some() {
        list.add("lm_head", "output", None)?;
    }

    let used = |name: &str| {
        list.weights.iter().any(|weight| match &weight.source {
            Source::Tensor(tensor) | Source::Permuted { tensor, .. } => tensor == name,
            Source::Random { .. } => false,
        })
    };
    let left = gguf.tensors.iter().find(|tensor| !used(&tensor.name));
    ensure!(
        left.is_none(),
        "tensor `{}` has no place in the checkpoint",
        left.map_or("", |t| &t.name)
    );
    Ok(list.weights)
}

struct List<'a> {
    gguf: &'a Gguf,
    weights: Vec<Weight>,
}

impl List<'_> {
    fn add(&mut self, name: &str, tensor: &str, n_head: Option<u64>) -> anyhow::Result<()> {
        let tensor = format!("{tensor}.weight");
        let info = self
            .gguf
            .tensor(&tensor)
            .with_context(|| format!("no tensor `{tensor}`"))?;
        let source = match n_head {
            None => Source::Tensor(tensor),
            Some(n_head) => {
                let divides = n_head > 0 && info.rows().is_multiple_of(2 * n_head);
                ensure!(
                    divides,
                    "tensor `{tensor}` has {} rows for {n_head} heads",
                    info.rows()
                );
                Source::Permuted { tensor, n_head }
            }
        };
        let shape = info.dims.iter().rev().copied().collect();
        self.weights.push(Weight {
            name: format!("{name}.weight"),
            shape,
            source,
        });
        Ok(())
    }
}

/// The values of a weight.
pub(crate) fn values(weight: &Weight, data: &Data<'_>, seed: u64) -> anyhow::Result<Vec<f32>> {
    match &weight.source {
        Source::Tensor(tensor) => data.tensor(tensor),
        Source::Permuted { tensor, n_head } => Ok(unpermute(
            &data.tensor(tensor)?,
            weight.shape[0] as usize,
            *n_head as usize,
        )),
        Source::Random { stream } => {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(*stream);
            let normal = Normal::new(0.0f32, 0.02)?;
            let n = weight.shape.iter().product::<u64>();
            Ok((0..n).map(|_| normal.sample(&mut random)).collect())
        }
    }
}

/// Undoes the converter's permutation of query and key rows. It has turned the two halves of each
/// head, which Hugging Face rotates against each other, into pairs of neighbours:
/// (half, place) became (place, half).
fn unpermute(values: &[f32], rows: usize, n_head: usize) -> Vec<f32> {
    let columns = values.len() / rows;
    let head = rows / n_head;
    let half = head / 2;
    (0..rows)
        .flat_map(|row| {
            let (first, in_head) = (row / head * head, row % head);
            let from = first + in_head % half * 2 + in_head / half;
            &values[from * columns..(from + 1) * columns]
        })
        .copied()
        .collect()
}
