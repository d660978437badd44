//! The merged model's tensors: parts of the parents' tensors, by the rows that the registry has of the
//! family that is made. A row's name in the GGUF says where its weights come from, and its names in the
//! checkpoint, one for each layout, under which they are written.
//!
//! | row | weights |
//! | --- | --- |
//! | `ffn_gate_inp`, `ffn_gate_inp_shexp` | gates |
//! | `ffn_*_exps` | of each expert's source its `ffn_*` |
//! | `ffn_*_shexp` | the same of the shared expert |
//! | `token_embd`, `output` | the base's, with rows of experts that have more tokens |
//! | all others | the base's |

use std::collections::BTreeMap;

use super::{
    Layout,
    gates::Gates,
    output::Output,
    parents::{Parent, Parents},
    recipe::{Expert, Recipe},
    vocabulary::MergedVocabulary,
};
use crate::{
    model::{
        ConfigError, Edit, ModelConfig, ModelTensor, Noise, Part, RowOrder, TensorData,
        architecture::{Architecture, Dim, Layers, Place, Presence, Row, Source},
        tensors::computed,
    },
    plan::CheckpointTensor,
    source::Dtype,
};

/// Everything that decides about the tensors.
pub(super) struct Ingredients<'a> {
    pub(super) output: Output,
    /// The merged model's.
    pub(super) config: &'a ModelConfig,
    pub(super) recipe: &'a Recipe,
    pub(super) parents: &'a Parents,
    pub(super) vocabulary: &'a MergedVocabulary,
    pub(super) gates: &'a Gates,
    /// The merged checkpoint's number format; `None` leaves every weight its own.
    pub(super) dtype: Option<Dtype>,
    pub(super) seed: u64,
}

/// Where the weights of a row come from.
enum Weights {
    /// The router's gates.
    Gates,
    /// The gate of the shared expert.
    SharedGate,
    /// Of each expert the tensor that ends like this.
    Experts(String),
    /// Of the shared expert.
    Shared(String),
    /// Rows of the vocabulary.
    Tokens,
    /// The base's tensor of the same name.
    Base,
}

impl Weights {
    fn of(row: &Row) -> Self {
        let stem = |end: &str| Some(format!("{}.weight", row.target.strip_suffix(end)?));
        match row.target {
            "ffn_gate_inp.weight" => Self::Gates,
            "ffn_gate_inp_shexp.weight" => Self::SharedGate,
            "token_embd.weight" | "output.weight" => Self::Tokens,
            _ => match (stem("_exps.weight"), stem("_shexp.weight")) {
                (Some(dense), _) => Self::Experts(dense),
                (_, Some(dense)) => Self::Shared(dense),
                _ => Self::Base,
            },
        }
    }
}

impl Ingredients<'_> {
    /// The tensors of the GGUF, in the order of the rows.
    ///
    /// # Errors
    /// Where what follows from config.json cannot be computed.
    pub(super) fn gguf_tensors(self) -> Result<Vec<ModelTensor>, ConfigError> {
        let architecture = self.config.architecture;
        let mut out = Vec::new();
        let is_outer = |row: &&Row| row.place != Place::Layer;
        out.extend(
            architecture
                .rows()
                .filter(is_outer)
                .filter_map(|row| self.tensor(row, 0)),
        );
        out.extend(computed(self.config)?);
        for layer in 0..self.config.n_layer {
            let rows = rows_of_layer(architecture);
            out.extend(rows.filter_map(|row| self.tensor(row, layer)));
        }
        Ok(out)
    }

    /// The tensor of a row; `None` where the merged model has none.
    fn tensor(&self, row: &'static Row, layer: u32) -> Option<ModelTensor> {
        let name = target(row, layer);
        let data = match Weights::of(row) {
            Weights::Gates => TensorData::Computed(self.gates.layers[layer as usize].clone()),
            Weights::SharedGate => {
                TensorData::Computed(self.gates.shared.get(layer as usize)?.clone())
            }
            Weights::Experts(dense) => {
                let experts = std::iter::zip(&self.recipe.experts, &self.parents.experts);
                self.networks(experts, row, layer, &dense)
            }
            Weights::Shared(dense) => {
                let shared = std::iter::zip(&self.recipe.shared_experts, &self.parents.shared);
                self.networks(shared, row, layer, &dense)
            }
            Weights::Tokens => self.tokens(self.parents.base().tensor(&name)?),
            Weights::Base => match self.parents.base().tensor(&name) {
                Some(tensor) => self.of_base(tensor, row),
                None if self.output.biases().contains(&row.target) => {
                    TensorData::Computed(vec![0.0; self.elements(row)])
                }
                None if row.presence == Presence::Needed => {
                    unreachable!("a model of the base's family has been mapped with `{name}`")
                }
                None => return None,
            },
        };
        let dims = self.shape(row).into_iter().rev().collect();
        Some(ModelTensor::of_checkpoint(name, dims, data))
    }

    /// Outermost dimension first.
    fn shape(&self, row: &Row) -> Vec<u64> {
        // The config has been read, and so has all lengths of its rows.
        Dim::all(row.shape, &self.config.lengths()).unwrap_or_default()
    }

    fn elements(&self, row: &Row) -> usize {
        let n: u64 = self.shape(row).iter().product();
        usize::try_from(n).unwrap_or(0)
    }

    fn of_base(&self, tensor: &ModelTensor, row: &Row) -> TensorData {
        let mut data = tensor.data.clone();
        if let TensorData::Rows { parts, order } = &mut data {
            for part in parts {
                self.adopt(part, self.parents.base(), None, None);
            }
            *order = match row.rotary {
                true => RowOrder::Rotary {
                    head_rows: self.config.head_dim.into(),
                },
                false => RowOrder::AsIs,
            };
        }
        data
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
    fn tokens(&self, tensor: &ModelTensor) -> TensorData {
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
        rows_of(parts)
    }

    /// A matrix of the feed-forward networks of `experts`, each with the index of its parent, one after the
    /// other.
    fn networks<'a>(
        &self,
        experts: impl Iterator<Item = (&'a Expert, &'a usize)>,
        row: &'static Row,
        layer: u32,
        dense: &str,
    ) -> TensorData {
        let name = source(self.config.architecture, row, layer, Layout::Separate);
        let mut parts = Vec::new();
        for (e, (expert, &parent)) in experts.enumerate() {
            let parent = &self.parents.all[parent];
            let Some(own) = parent.tensor(&format!("blk.{layer}.{dense}")) else {
                unreachable!("every dense model has been mapped with its feed-forward tensors");
            };
            let noise = expert
                .noise_scale
                .map(|scale| Noise::new(scale, self.seed, &of_expert(&name, e)));
            let factor = expert.residual_scale.filter(|_| dense == "ffn_down.weight");
            for part in parts_of(own) {
                let mut part = part.clone();
                self.adopt(&mut part, parent, noise, factor);
                parts.push(part);
            }
        }
        rows_of(parts)
    }
}

/// The rows of a layer; every layer is a mixture.
fn rows_of_layer(architecture: &Architecture) -> impl Iterator<Item = &'static Row> {
    let rows = architecture.rows();
    rows.filter(|row| row.place == Place::Layer && row.layers != Layers::Dense)
}

/// The name in the GGUF of a row's tensor.
fn target(row: &Row, layer: u32) -> String {
    match row.place {
        Place::Layer => format!("blk.{layer}.{}", row.target),
        Place::Model | Place::Output => row.target.to_owned(),
    }
}

/// Where a row's weights stand in a checkpoint of this layout: the older one is the first that is named.
fn from(row: &'static Row, layout: Layout) -> &'static Source {
    let layouts = row.from.layouts();
    let found = match layout {
        Layout::Separate => layouts.first(),
        Layout::Fused => layouts.last(),
    };
    found.unwrap_or(&row.from)
}

/// The name in the checkpoint of a row's tensor; `{}` stands for the number of an expert.
fn source(architecture: &Architecture, row: &'static Row, layer: u32, layout: Layout) -> String {
    let names = &architecture.names;
    let root = names.roots.first().copied().unwrap_or_default();
    let name = from(row, layout).name();
    match row.place {
        Place::Layer => format!("{root}{}{layer}.{name}", names.layers),
        Place::Model => format!("{root}{name}"),
        Place::Output => name.to_owned(),
    }
}

fn of_expert(name: &str, expert: usize) -> String {
    name.replace("{}", &expert.to_string())
}

fn parts_of(tensor: &ModelTensor) -> &[Part] {
    match &tensor.data {
        TensorData::Rows { parts, .. } => parts,
        TensorData::Computed(_) => &[],
    }
}

/// The tensors of the checkpoint of `config` that has those of the GGUF, `tensors`, in `layout`: the
/// embedding, the layers, and what comes behind them. `dtype` is that of the gates.
pub(super) fn checkpoint_tensors(
    tensors: &[ModelTensor],
    config: &ModelConfig,
    layout: Layout,
    dtype: Dtype,
) -> Vec<CheckpointTensor> {
    let mut checkpoint = Checkpoint {
        config,
        tensors: tensors.iter().map(|t| (t.name.as_str(), t)).collect(),
        layout,
        dtype,
        out: Vec::new(),
    };
    let outer = |row: &&Row| row.place != Place::Layer;
    let is_first = |row: &&Row| row.target == "token_embd.weight";
    let rows = || config.architecture.rows().filter(outer);
    checkpoint.add(rows().filter(is_first), 0);
    for layer in 0..config.n_layer {
        checkpoint.add(rows_of_layer(config.architecture), layer);
    }
    checkpoint.add(rows().filter(|row| !is_first(row)), 0);
    checkpoint.out
}

/// A checkpoint's tensors in the making.
struct Checkpoint<'a> {
    config: &'a ModelConfig,
    tensors: BTreeMap<&'a str, &'a ModelTensor>,
    layout: Layout,
    dtype: Dtype,
    out: Vec<CheckpointTensor>,
}

/// Rows that share a tensor of the checkpoint: its shape, and of each row where in an expert's rows it
/// begins and its parts.
struct Joined<'a> {
    shape: Vec<u64>,
    rows: Vec<(u64, &'a [Part])>,
}

impl<'a> Checkpoint<'a> {
    /// Adds the tensors that `rows` are in.
    fn add(&mut self, rows: impl Iterator<Item = &'static Row>, layer: u32) {
        let lengths = self.config.lengths();
        let mut joined: BTreeMap<String, Joined<'a>> = BTreeMap::new();
        for row in rows {
            let Some(&tensor) = self.tensors.get(target(row, layer).as_str()) else {
                continue;
            };
            let name = source(self.config.architecture, row, layer, self.layout);
            let shape: Vec<u64> = tensor.dims.iter().rev().copied().collect();
            match from(row, self.layout) {
                Source::Each(_) => {
                    for (e, part) in parts_of(tensor).iter().enumerate() {
                        self.push(
                            of_expert(&name, e),
                            shape[1..].to_vec(),
                            rows_of(vec![part.clone()]),
                        );
                    }
                }
                Source::Part { shape, take, .. } => {
                    let first = take.first().and_then(|take| take.first.of(&lengths));
                    let whole = joined.entry(name).or_insert_with(|| Joined {
                        shape: Dim::all(shape, &lengths).unwrap_or_default(),
                        rows: Vec::new(),
                    });
                    whole.rows.push((first.unwrap_or(0), parts_of(tensor)));
                }
                _ => self.push(name, shape, as_it_stands(&tensor.data)),
            }
        }
        for (name, Joined { shape, mut rows }) in joined {
            rows.sort_by_key(|(first, _)| *first);
            let n_expert = rows.iter().map(|(_, parts)| parts.len()).min().unwrap_or(0);
            let of_one = |e: usize| rows.iter().map(move |(_, parts)| parts[e].clone());
            let parts = (0..n_expert).flat_map(of_one).collect();
            self.push(name, shape, rows_of(parts));
        }
    }

    fn push(&mut self, name: String, shape: Vec<u64>, data: TensorData) {
        let dtype = match &data {
            TensorData::Computed(_) => self.dtype,
            rows => Dtype::from_ggml(rows.ggml_type()).unwrap_or(Dtype::F32),
        };
        self.out.push(CheckpointTensor {
            name,
            shape,
            data,
            dtype,
        });
    }
}

fn rows_of(parts: Vec<Part>) -> TensorData {
    let order = RowOrder::AsIs;
    TensorData::Rows { parts, order }
}

/// The same in the order of a checkpoint.
fn as_it_stands(data: &TensorData) -> TensorData {
    match data {
        TensorData::Rows { parts, .. } => rows_of(parts.clone()),
        computed => computed.clone(),
    }
}
