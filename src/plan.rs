//! The plan of a conversion: every tensor's type, size, offset and reason, before a weight is read.
//!
//! Planning is pure. It knows the size of everything, so the header can be written first, nothing
//! seeks back, and a dry run costs nothing.

use std::cmp::Ordering;

use swallow_quant::GgmlType;

use crate::{
    file_type::FileType,
    gguf::{self, KeyValues, LayoutError, TensorInfo, Value},
    mix::{Choice, Knobs, Mix, MixModel, Reason, SlowPattern, layer_of},
    model::{KeyOverride, ModelConfig, ModelTensor, OverrideError, TensorData, key_override},
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
}

impl From<FileType> for Wishes {
    /// The file type and nothing else.
    fn from(file_type: FileType) -> Self {
        Self {
            file_type,
            knobs: Knobs::default(),
            overrides: Vec::new(),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A tensor cannot be in a GGUF as it should be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A key cannot be overridden.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// A pattern takes too long.
    #[error(transparent)]
    Pattern(#[from] SlowPattern),
    /// The file type is only good with an importance matrix.
    #[error(
        "tensor `{tensor}` as {ty} needs an importance matrix in a {file_type} file, which we cannot read yet: choose another file type"
    )]
    NeedsImportanceMatrix {
        /// The first such tensor.
        tensor: String,
        /// The type it would have.
        ty: GgmlType,
        /// The file type asked for.
        file_type: FileType,
    },
    /// The fallback for odd row lengths led to a type we do not write.
    #[error(
        "tensor `{tensor}` has rows of {row} weights and would become {ty}, which is not written yet: choose another type"
    )]
    NotWritten {
        /// The tensor.
        tensor: String,
        /// Its row length.
        row: u64,
        /// The type it would have.
        ty: GgmlType,
    },
}

/// What a GGUF will be, to the byte.
#[derive(Debug)]
pub struct ConversionPlan {
    /// The file type asked for.
    pub file_type: FileType,
    /// The metadata, in the order of the file.
    pub key_values: KeyValues,
    /// The tensors, in the order of the file.
    pub tensors: Vec<PlannedTensor>,
    /// Bytes from the beginning of the file to the first tensor.
    pub header: Vec<u8>,
    /// Bytes of the tensors with the padding behind each.
    pub data_bytes: u64,
    /// Wishes that have no effect or look like a slip, a line each.
    pub notes: Vec<String>,
}

/// A tensor of the plan.
#[derive(Debug)]
pub struct PlannedTensor {
    /// Name, shape, type and offset in the file.
    pub info: TensorInfo,
    /// Where the weights come from.
    pub data: TensorData,
    /// Why it has its type.
    pub choice: Choice,
}

impl PlannedTensor {
    /// Bytes that are read for this tensor.
    pub fn source_bytes(&self) -> u64 {
        match &self.data {
            TensorData::Computed(_) => 0,
            TensorData::Rows { parts, .. } => {
                let weights: u64 = parts.iter().map(|p| p.rows).sum();
                let per_row = self.info.elements() / weights.max(1);
                parts
                    .iter()
                    .map(|p| p.rows * per_row * p.dtype.bytes() as u64)
                    .sum()
            }
        }
    }
}

impl ConversionPlan {
    /// Plans the file that holds `tensors` and `key_values` as `wishes` has it; the keys that only
    /// the writer knows, the quantization version and the file type, are added at the end.
    ///
    /// # Errors
    /// When a tensor cannot be in a GGUF as it should be, or a wish cannot be granted.
    pub fn new(
        config: &ModelConfig,
        mut tensors: Vec<ModelTensor>,
        mut key_values: KeyValues,
        wishes: &Wishes,
    ) -> Result<Self, PlanError> {
        let file_type = wishes.file_type;
        key_values.push((
            "general.quantization_version".into(),
            QUANTIZATION_VERSION.into(),
        ));
        key_values.push(("general.file_type".into(), file_type.id().into()));
        let mut notes = key_override::apply(&wishes.overrides, &mut key_values)?;

        tensors.sort_by(|a, b| file_order(&a.name, &b.name));
        let model = mix_model(config, &key_values, &tensors);
        let mut mix = Mix::new(file_type, &wishes.knobs, model);
        let mut choices = Vec::with_capacity(tensors.len());
        let mut infos = Vec::with_capacity(tensors.len());
        let mut data = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let choice = mix.choose(&tensor.name, &tensor.dims, tensor.data.ggml_type())?;
            require_writable(&tensor, &choice, file_type)?;
            infos.push(TensorInfo::new(tensor.name, tensor.dims, choice.ty)?);
            choices.push(choice);
            data.push(tensor.data);
        }
        let reasons: Vec<(&str, &Reason)> = std::iter::zip(&infos, &choices)
            .map(|(info, choice)| (info.name.as_str(), &choice.reason))
            .collect();
        let quantized = file_type.default_type().is_quantized();
        notes.extend(wishes.knobs.without_effect(&reasons, quantized)?);

        let data_bytes = gguf::lay_out(&mut infos, gguf::DEFAULT_ALIGNMENT)?;
        let header = gguf::encode_header(&key_values, &infos, gguf::DEFAULT_ALIGNMENT);

        let tensors = infos
            .into_iter()
            .zip(data)
            .zip(choices)
            .map(|((info, data), choice)| PlannedTensor { info, data, choice })
            .collect();
        Ok(Self {
            file_type,
            key_values,
            tensors,
            header,
            data_bytes,
            notes,
        })
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.header.len() as u64 + self.data_bytes
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

/// What the mix asks about the model. As in llama.cpp, overridden hyper-parameters count.
fn mix_model(config: &ModelConfig, key_values: &KeyValues, tensors: &[ModelTensor]) -> MixModel {
    let hyper_parameter = |key: &str, own: u32| {
        let found = key_values.iter().find(|(k, _)| k == key);
        match found {
            Some((_, Value::U32(value))) => *value,
            _ => own,
        }
    };
    let n_expert = config.experts.map_or(0, |(n, _)| n);
    let attn_v = tensors
        .iter()
        .filter(|t| t.name.ends_with(".attn_v.weight"));
    MixModel {
        n_layer: hyper_parameter("llama.block_count", config.n_layer),
        n_head: hyper_parameter("llama.attention.head_count", config.n_head),
        n_head_kv: hyper_parameter("llama.attention.head_count_kv", config.n_head_kv),
        n_expert: hyper_parameter("llama.expert_count", n_expert),
        tied: !tensors.iter().any(|t| t.name == "output.weight"),
        n_attn_v: attn_v.count() as u32,
        has_imatrix: false,
    }
}

fn require_writable(
    tensor: &ModelTensor,
    choice: &Choice,
    file_type: FileType,
) -> Result<(), PlanError> {
    let ty = choice.ty;
    if file_type.needs_importance_matrix(&tensor.name, ty) {
        return Err(PlanError::NeedsImportanceMatrix {
            tensor: tensor.name.clone(),
            ty,
            file_type,
        });
    }
    if !swallow_quant::can_quantize(ty) {
        return Err(PlanError::NotWritten {
            tensor: tensor.name.clone(),
            row: tensor.dims.first().copied().unwrap_or(0),
            ty,
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
