//! The plan of a conversion: every tensor's type, size, offset and reason, before a weight is read.
//!
//! Planning is pure. It knows the size of everything, so the header can be written first, nothing
//! seeks back, and a dry run costs nothing.

mod error;
mod files;
mod fitting;
mod safetensors;

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::Arc,
};

use swallow_quant::GgmlType;

pub use error::PlanError;
pub use files::PlannedFile;
pub use fitting::Fitting;
pub use safetensors::{CheckpointTensor, shard_header};

use crate::{
    file_type::FileType,
    gguf::{KeyValues, TensorInfo},
    imatrix::Imatrix,
    mix::{Choice, Knobs, Mix, MixModel, Reason, layer_of, needs_importance_matrix},
    model::{KeyOverride, ModelTensor, TensorData, key_override},
};

/// What the user asks for.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The file type.
    pub file_type: FileType,
    /// What changes the types of tensors beside it.
    pub knobs: Knobs,
    /// Metadata in the place of the model's own.
    pub overrides: Vec<KeyOverride>,
    /// How much each column of a tensor matters.
    pub imatrix: Option<Arc<Imatrix>>,
    /// How scales are searched for.
    pub search: Search,
    /// Whether weights that are quantized already may be quantized again. Q8_0 may always: it
    /// is as good as the original.
    pub allow_requantize: bool,
    /// Bytes of tensors that one file holds at most, where the model is to be split.
    pub split_max_bytes: Option<u64>,
}

impl From<FileType> for Wishes {
    /// The file type and nothing else.
    fn from(file_type: FileType) -> Self {
        Self {
            file_type,
            knobs: Knobs::default(),
            overrides: Vec::new(),
            imatrix: None,
            search: Search::Reference,
            allow_requantize: false,
            split_max_bytes: None,
        }
    }
}

/// How the scales of blocks are searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Search {
    /// As ggml does, for ggml's bytes
    #[default]
    Reference,
    /// For a lower error than ggml's search finds, in Q4_K, Q5_K and Q6_K
    Best,
}

/// The format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A GGUF, or several.
    Gguf,
    /// Shards of a checkpoint.
    Safetensors,
}

/// What a GGUF, or a checkpoint's shards, will be, to the byte.
#[derive(Debug)]
pub struct ConversionPlan {
    /// The format of the files.
    pub container: Container,
    /// The file type asked for.
    pub file_type: FileType,
    /// The metadata, in the order of the file; of a GGUF only.
    pub key_values: KeyValues,
    /// The tensors, in the order of the file.
    pub tensors: Vec<PlannedTensor>,
    /// How the scales of blocks are searched for.
    pub search: Search,
    /// The file, or the files that the model is split into. Never empty.
    pub files: Vec<PlannedFile>,
    /// Wishes that have no effect or look like a slip, a line each.
    pub notes: Vec<String>,
}

/// A tensor of the plan.
#[derive(Debug)]
pub struct PlannedTensor {
    /// Name, shape, type and offset in its file.
    pub info: TensorInfo,
    /// Index into [`ConversionPlan::files`].
    pub file: usize,
    /// Where the weights come from.
    pub data: TensorData,
    /// Why it has its type.
    pub choice: Choice,
    /// How much each of its columns matters, expert after expert, where that is known and makes a
    /// difference.
    pub importance: Option<Vec<f32>>,
}

impl PlannedTensor {
    /// Bytes that are read for this tensor.
    pub fn source_bytes(&self) -> u64 {
        match &self.data {
            TensorData::Computed(_) => 0,
            TensorData::Rows { parts, .. } => parts
                .iter()
                .map(|p| bytes_of(p.ty, p.rows * self.row_len()))
                .sum(),
        }
    }

    /// Weights of a row of the source. It is the GGUF's row, but 1 for a permuted vector.
    pub fn row_len(&self) -> u64 {
        let rows = match &self.data {
            TensorData::Computed(_) => 1,
            TensorData::Rows { parts, .. } => parts.iter().map(|p| p.rows).sum(),
        };
        self.info.elements() / rows.max(1)
    }
}

/// Bytes of `weights` of a type, whole blocks.
pub(crate) fn bytes_of(ty: GgmlType, weights: u64) -> u64 {
    weights / ty.block_len() as u64 * ty.block_bytes() as u64
}

impl ConversionPlan {
    /// Plans the file that holds `tensors` and `key_values` as `wishes` has it; the keys that only
    /// the writer knows, the quantization version and the file type, are moved to the end.
    ///
    /// # Errors
    /// When a tensor cannot be in a GGUF as it should be, or a wish cannot be granted.
    pub fn new(
        mut tensors: Vec<ModelTensor>,
        mut key_values: KeyValues,
        wishes: &Wishes,
    ) -> Result<Self, PlanError> {
        let file_type = wishes.file_type;
        for (key, value) in [
            (QUANTIZATION_VERSION_KEY, QUANTIZATION_VERSION),
            (FILE_TYPE_KEY, file_type.id()),
        ] {
            key_values.retain(|(k, _)| k != key);
            key_values.push((key.into(), value.into()));
        }
        // What is said of an input's own quantization is not true of the output's.
        key_values.retain(|(k, _)| k != SEARCH_KEY);
        let shapes = tensors.iter().map(|t| (t.name.as_str(), t.dims.as_slice()));
        let mut notes = key_override::apply_fitting(&wishes.overrides, &mut key_values, shapes)?;
        let imatrix = wishes.imatrix.as_deref().filter(|m| !m.is_empty());
        for (key, value) in imatrix.map(Imatrix::key_values).unwrap_or_default() {
            key_values.retain(|(k, _)| *k != key);
            key_values.push((key, value));
        }

        require_known_mix(&key_values, wishes)?;
        tensors.sort_by(|a, b| file_order(&a.name, &b.name));
        let names = tensors.iter().map(|tensor| tensor.name.as_str());
        let model = MixModel {
            has_imatrix: imatrix.is_some(),
            ..MixModel::new(&key_values, names)
        };
        let mut mix = Mix::new(file_type, &wishes.knobs, model);
        let mut chosen = Vec::with_capacity(tensors.len());
        for tensor in &tensors {
            let choice = mix.choose(&tensor.name, &tensor.dims, tensor.stored)?;
            let info = TensorInfo::new(tensor.name.clone(), tensor.dims.clone(), choice.ty)?;
            chosen.push((choice, info));
        }
        if let Some(imatrix) = imatrix {
            let infos: Vec<TensorInfo> = chosen.iter().map(|(_, info)| info.clone()).collect();
            notes.extend(imatrix.check(&infos)?);
        }
        let mut planned = Vec::with_capacity(tensors.len());
        for (tensor, (choice, info)) in tensors.into_iter().zip(chosen) {
            let importance = imatrix.and_then(|m| m.importance(&tensor.name, &tensor.dims));
            require_possible(&tensor, &choice, wishes, importance.is_some())?;
            let is_quantized = choice.ty.is_quantized() && tensor.data.ggml_type() != choice.ty;
            planned.push(PlannedTensor {
                importance: importance.filter(|_| is_quantized).map(<[f32]>::to_vec),
                info,
                file: 0,
                data: tensor.data,
                choice,
            });
        }
        let reasons: Vec<(&str, &Reason)> = planned
            .iter()
            .map(|tensor| (tensor.info.name.as_str(), &tensor.choice.reason))
            .collect();
        let quantized = file_type.default_type().is_quantized();
        notes.extend(wishes.knobs.without_effect(&reasons, quantized)?);

        let is_searched = |tensor: &PlannedTensor| {
            swallow_quant::can_search_best(tensor.info.ty)
                && tensor.data.ggml_type() != tensor.info.ty
        };
        if wishes.search == Search::Best {
            if planned.iter().any(is_searched) {
                key_values.push((SEARCH_KEY.into(), "best".into()));
            } else {
                notes.push(
                    "`--search best` has no effect: no tensor becomes Q4_K, Q5_K or Q6_K".into(),
                );
            }
        }

        let files = files::lay_out(&mut planned, &key_values, wishes.split_max_bytes)?;
        Ok(Self {
            container: Container::Gguf,
            file_type,
            key_values,
            tensors: planned,
            search: wishes.search,
            files,
            notes,
        })
    }

    /// Where the files go for an output at `path`: `path` itself where there is one, else `path`
    /// without its ending and with the number of each.
    pub fn paths(&self, path: &Path) -> Vec<PathBuf> {
        match self.container {
            Container::Gguf => files::paths(path, self.files.len()),
            Container::Safetensors => safetensors::paths(path, self.files.len()),
        }
    }

    /// Bytes of all files.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(PlannedFile::bytes).sum()
    }

    /// Bytes of all headers.
    pub fn header_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.header.len() as u64).sum()
    }

    /// Bytes of weights that are read.
    pub fn source_bytes(&self) -> u64 {
        self.tensors.iter().map(PlannedTensor::source_bytes).sum()
    }

    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|t| t.info.elements()).sum()
    }

    /// Bits of tensor data per parameter.
    pub fn bits_per_weight(&self) -> f64 {
        let bytes: u64 = self.tensors.iter().map(|t| t.info.size()).sum();
        8.0 * bytes as f64 / self.parameters().max(1) as f64
    }

    /// For each type in use: tensors and bytes, largest share first.
    pub fn type_histogram(&self) -> Vec<(GgmlType, usize, u64)> {
        let mut histogram: Vec<(GgmlType, usize, u64)> = Vec::new();
        for info in self.tensors.iter().map(|t| &t.info) {
            match histogram.iter_mut().find(|(ty, ..)| *ty == info.ty) {
                Some((_, tensors, bytes)) => {
                    *tensors += 1;
                    *bytes += info.size();
                }
                None => histogram.push((info.ty, 1, info.size())),
            }
        }
        histogram.sort_by_key(|&(_, _, bytes)| std::cmp::Reverse(bytes));
        histogram
    }
}

/// `GGML_QNT_VERSION`: the revision of the block formats.
const QUANTIZATION_VERSION: u32 = 2;

const QUANTIZATION_VERSION_KEY: &str = "general.quantization_version";

/// Tells that the bytes are not those of ggml's search.
const SEARCH_KEY: &str = "quantize.search";

const FILE_TYPE_KEY: &str = "general.file_type";

/// Fails where the file type is a mix of types and the file does not say what it is mixed by: it is
/// of another program than llama.cpp, which has no such files. A projector is, and has no layers.
fn require_known_mix(key_values: &KeyValues, wishes: &Wishes) -> Result<(), PlanError> {
    const ARCHITECTURE: &str = "general.architecture";
    let (file_type, ty) = (wishes.file_type, wishes.file_type.default_type());
    let is_mix = file_type.tensor_types().iter().any(|of_mix| *of_mix != ty);
    if wishes.knobs.pure || !is_mix {
        return Ok(());
    }
    let get = |key: &str| key_values.iter().find(|(k, _)| k == key);
    let key = match get(ARCHITECTURE).and_then(|(_, value)| value.as_str()) {
        None => ARCHITECTURE.to_owned(),
        Some("clip") => return Ok(()),
        Some(architecture) => format!("{architecture}.block_count"),
    };
    match get(&key) {
        Some(_) => Ok(()),
        None => Err(PlanError::UnknownMix { file_type, key, ty }),
    }
}

/// Fails where the weights cannot be read, written, or made what they should be.
fn require_possible(
    tensor: &ModelTensor,
    choice: &Choice,
    wishes: &Wishes,
    has_importance: bool,
) -> Result<(), PlanError> {
    let (file_type, to) = (wishes.file_type, choice.ty);
    let name = || tensor.name.clone();
    if !has_importance && needs_importance_matrix(file_type, &tensor.name, to) {
        return Err(PlanError::NeedsImportanceMatrix {
            tensor: name(),
            ty: to,
            file_type,
            has: match wishes.imatrix {
                Some(_) => "the one given has no entry for it",
                None => "none is given",
            },
        });
    }
    // What stays of its type is copied, whatever it is.
    let from = tensor.data.ggml_type();
    if from == to {
        return Ok(());
    }
    if !swallow_quant::can_dequantize(from) {
        return Err(PlanError::NotRead {
            tensor: name(),
            from,
            to,
        });
    }
    if from.is_quantized() && from != GgmlType::Q8_0 && !wishes.allow_requantize {
        return Err(PlanError::Requantize {
            tensor: name(),
            from,
            to,
        });
    }
    if !swallow_quant::can_quantize(to) {
        return Err(PlanError::NotWritten {
            tensor: name(),
            row: tensor.dims.first().copied().unwrap_or(0),
            ty: to,
        });
    }
    Ok(())
}

/// llama.cpp's order of tensors: those outside the layers first, then layer by layer, bytewise by
/// name within each.
fn file_order(a: &str, b: &str) -> Ordering {
    layer_of(a).cmp(&layer_of(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::file_order;

    #[test]
    fn layers_count_as_numbers() {
        let mut names = [
            "blk.10.attn_k.weight",
            "token_embd.weight",
            "blk.2.ffn_up.weight",
            "output_norm.weight",
            "blk.2.attn_norm.weight",
            "output.weight",
        ];
        names.sort_by(|a, b| file_order(a, b));
        assert_eq!(
            names,
            [
                "output.weight",
                "output_norm.weight",
                "token_embd.weight",
                "blk.2.attn_norm.weight",
                "blk.2.ffn_up.weight",
                "blk.10.attn_k.weight",
            ]
        );
    }
}
