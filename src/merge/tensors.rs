//! The merged model's tensors: parts of the parents' tensors, under the names of a GGUF and under those
//! of a checkpoint.

use super::{
    Layout,
    gates::Gates,
    parents::{Parent, Parents},
    recipe::Recipe,
    vocabulary::MergedVocabulary,
};
use crate::{
    model::{Edit, ModelTensor, Noise, Part, RowOrder, TensorData},
    plan::CheckpointTensor,
    source::Dtype,
};

/// Everything that decides about the tensors.
pub(super) struct Ingredients<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) parents: &'a Parents,
    pub(super) vocabulary: &'a MergedVocabulary,
    pub(super) gates: &'a Gates,
    /// The merged checkpoint's number format; `None` leaves every weight its own.
    pub(super) dtype: Option<Dtype>,
    pub(super) seed: u64,
}

/// The feed-forward matrices of a dense GGUF, of a Mixtral's GGUF, and of its checkpoint.
const FFN: [(&str, &str, &str); 3] = [
    ("ffn_gate", "ffn_gate_exps", "w1"),
    ("ffn_down", "ffn_down_exps", "w2"),
    ("ffn_up", "ffn_up_exps", "w3"),
];

/// The base's other tensors in a GGUF and in a checkpoint, in the order of a checkpoint's shards; the
/// experts stand behind those of their layer.
const EMBEDDING: (&str, &str) = ("token_embd.weight", "model.embed_tokens.weight");
const OF_LAYER: [(&str, &str); 6] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
];
const OUTPUT: [(&str, &str); 2] = [
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

impl Ingredients<'_> {
    /// The tensors of the GGUF: attention, norms and embeddings are the base's, the experts each their
    /// parent's.
    pub(super) fn gguf_tensors(self) -> Vec<ModelTensor> {
        let base = self.parents.base();
        let is_ffn = |name: &str| {
            let category = name
                .strip_suffix(".weight")
                .and_then(|n| n.rsplit('.').next());
            FFN.iter().any(|(dense, ..)| category == Some(dense))
        };
        let mut out = Vec::new();
        for tensor in base.tensors.iter().filter(|t| !is_ffn(&t.name)) {
            out.push(match tensor.name.as_str() {
                "token_embd.weight" | "output.weight" => self.vocabulary_tensor(tensor),
                _ => self.of_base(tensor),
            });
        }
        for layer in 0..base.config.n_layer {
            out.extend(FFN.iter().map(|ffn| self.experts(layer, ffn)));
        }
        let (n_embd, n_expert) = (base.config.n_embd, self.recipe.experts.len());
        for (layer, gates) in self.gates.layers.iter().enumerate() {
            out.push(ModelTensor::of_checkpoint(
                format!("blk.{layer}.ffn_gate_inp.weight"),
                vec![n_embd.into(), n_expert as u64],
                TensorData::Computed(gates.clone()),
            ));
        }
        out
    }

    fn of_base(&self, tensor: &ModelTensor) -> ModelTensor {
        let mut data = tensor.data.clone();
        if let TensorData::Rows { parts, .. } = &mut data {
            for part in parts {
                self.adopt(part, self.parents.base(), None, None);
            }
        }
        ModelTensor::of_checkpoint(tensor.name.clone(), tensor.dims.clone(), data)
    }

    /// Makes a parent's own part one of the merge.
    fn adopt(&self, part: &mut Part, parent: &Parent, noise: Option<Noise>, factor: Option<f32>) {
        part.shard += parent.first_shard;
        // Checkpoints have nothing else; see `Mapper::part`.
        if let Some(source) = Dtype::from_ggml(part.ty) {
            part.edit = Edit::new(source, noise, factor, self.dtype.unwrap_or(source));
        }
    }

    /// Embedding or output matrix: rows of the base and of those experts that have more tokens.
    fn vocabulary_tensor(&self, tensor: &ModelTensor) -> ModelTensor {
        let mut parts = Vec::new();
        for run in &self.vocabulary.rows {
            let parent = &self.parents.all[run.parent];
            // A model without an output matrix has its embedding in the place of one.
            let own = parent
                .tensor(&tensor.name)
                .or_else(|| parent.tensor("token_embd.weight"));
            for part in own.map_or(&[][..], parts_of) {
                let row_bytes = tensor.dims[0] * part.ty.block_bytes() as u64;
                let mut part = Part {
                    offset: part.offset + run.first * row_bytes,
                    first_row: run.first,
                    rows: run.rows,
                    ..part.clone()
                };
                self.adopt(&mut part, parent, None, None);
                parts.push(part);
            }
        }
        let dims = vec![tensor.dims[0], self.vocabulary.n_vocab as u64];
        let order = RowOrder::AsIs;
        ModelTensor::of_checkpoint(tensor.name.clone(), dims, TensorData::Rows { parts, order })
    }

    fn experts(&self, layer: u32, (dense, stacked, weight): &(&str, &str, &str)) -> ModelTensor {
        let mut dims = Vec::new();
        let mut parts = Vec::new();
        for (e, (expert, &parent)) in
            std::iter::zip(&self.recipe.experts, &self.parents.experts).enumerate()
        {
            let parent = &self.parents.all[parent];
            let Some(own) = parent.tensor(&format!("blk.{layer}.{dense}.weight")) else {
                unreachable!("every dense model has been mapped with its feed-forward tensors");
            };
            let noise = expert
                .noise_scale
                .map(|scale| Noise::new(scale, self.seed, &expert_name(layer, e, weight)));
            let factor = expert.residual_scale.filter(|_| *weight == "w2");
            for part in parts_of(own) {
                let mut part = part.clone();
                self.adopt(&mut part, parent, noise, factor);
                parts.push(part);
            }
            dims = own.dims.clone();
        }
        dims.push(self.recipe.experts.len() as u64);
        let order = RowOrder::AsIs;
        ModelTensor::of_checkpoint(
            format!("blk.{layer}.{stacked}.weight"),
            dims,
            TensorData::Rows { parts, order },
        )
    }
}

/// The name of an expert's matrix in the 2024 layout.
fn expert_name(layer: u32, expert: usize, weight: &str) -> String {
    format!("model.layers.{layer}.block_sparse_moe.experts.{expert}.{weight}.weight")
}

fn parts_of(tensor: &ModelTensor) -> &[Part] {
    match &tensor.data {
        TensorData::Rows { parts, .. } => parts,
        TensorData::Computed(_) => &[],
    }
}

/// The tensors of the checkpoint that has those of the GGUF, `tensors`, in `layout`. `dtype` is that of
/// the gates.
pub(super) fn checkpoint_tensors(
    tensors: &[ModelTensor],
    n_layer: u32,
    layout: Layout,
    dtype: Dtype,
) -> Vec<CheckpointTensor> {
    let mut out = Checkpoint {
        tensors,
        dtype,
        out: Vec::new(),
    };
    out.copy(EMBEDDING.0, EMBEDDING.1);
    for layer in 0..n_layer {
        for (ours, theirs) in OF_LAYER {
            out.copy(
                &format!("blk.{layer}.{ours}.weight"),
                &format!("model.layers.{layer}.{theirs}.weight"),
            );
        }
        out.experts(layer, layout);
    }
    for (ours, theirs) in OUTPUT {
        out.copy(ours, theirs);
    }
    out.out
}

/// A checkpoint's tensors in the making.
struct Checkpoint<'a> {
    tensors: &'a [ModelTensor],
    dtype: Dtype,
    out: Vec<CheckpointTensor>,
}

impl<'a> Checkpoint<'a> {
    fn find(&self, name: &str) -> Option<&'a ModelTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The tensor `ours` of the base under a Mixtral's name, which need not be its own; nothing where there
    /// is no such tensor.
    fn copy(&mut self, ours: &str, theirs: &str) {
        let Some(tensor) = self.find(ours) else {
            return;
        };
        let shape = tensor.dims.iter().rev().copied().collect();
        self.push(theirs.to_owned(), shape, parts_of(tensor).to_vec());
    }

    fn push(&mut self, name: String, shape: Vec<u64>, parts: Vec<Part>) {
        let order = RowOrder::AsIs;
        let data = TensorData::Rows { parts, order };
        self.out.push(CheckpointTensor {
            dtype: Dtype::from_ggml(data.ggml_type()).unwrap_or(Dtype::F32),
            name,
            shape,
            data,
        });
    }

    /// Router and experts of a layer.
    fn experts(&mut self, layer: u32, layout: Layout) {
        let prefix = match layout {
            Layout::Separate => format!("model.layers.{layer}.block_sparse_moe"),
            Layout::Fused => format!("model.layers.{layer}.mlp"),
        };
        if let Some(router) = self.find(&format!("blk.{layer}.ffn_gate_inp.weight")) {
            self.out.push(CheckpointTensor {
                name: format!("{prefix}.gate.weight"),
                shape: router.dims.iter().rev().copied().collect(),
                data: router.data.clone(),
                dtype: self.dtype,
            });
        }
        let stacked = FFN.map(|(_, stacked, _)| {
            let tensor = self.find(&format!("blk.{layer}.{stacked}.weight"));
            tensor.map_or((&[][..], &[][..]), |t| (parts_of(t), &t.dims[..]))
        });
        let [(gate, gate_dims), (down, down_dims), (up, _)] = stacked;
        let (&[embd, ff, n], &[_, _, _]) = (gate_dims, down_dims) else {
            return;
        };
        match layout {
            Layout::Separate => {
                for (e, ((gate, down), up)) in gate.iter().zip(down).zip(up).enumerate() {
                    for (weight, shape, part) in [
                        ("w1", [ff, embd], gate),
                        ("w2", [embd, ff], down),
                        ("w3", [ff, embd], up),
                    ] {
                        let part = vec![part.clone()];
                        self.push(expert_name(layer, e, weight), shape.to_vec(), part);
                    }
                }
            }
            Layout::Fused => {
                let gate_up = gate
                    .iter()
                    .zip(up)
                    .flat_map(|(g, u)| [g.clone(), u.clone()]);
                let gate_up = gate_up.collect();
                let name = format!("{prefix}.experts.gate_up_proj");
                self.push(name, vec![n, 2 * ff, embd], gate_up);
                let name = format!("{prefix}.experts.down_proj");
                self.push(name, vec![n, embd, ff], down.to_vec());
            }
        }
    }
}
