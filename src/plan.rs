//! The plan of a conversion: every tensor's type, size, offset and reason, before a weight is read.
//!
//! Planning is pure. It knows the size of everything, so the header can be written first, nothing
//! seeks back, and a dry run costs nothing.

use std::cmp::Ordering;

use swallow_quant::GgmlType;

use crate::{
    file_type::FileType,
    gguf::{self, KeyValues, LayoutError, TensorInfo},
    mix::{Choice, Mix, MixModel},
    model::{ModelConfig, ModelTensor, TensorData},
};

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
    /// Plans the file of `file_type` that holds `tensors` and `key_values`; the keys that only the
    /// writer knows, the quantization version and the file type, are added at the end.
    ///
    /// # Errors
    /// When a tensor cannot be in a GGUF.
    pub fn new(
        config: &ModelConfig,
        mut tensors: Vec<ModelTensor>,
        mut key_values: KeyValues,
        file_type: FileType,
    ) -> Result<Self, LayoutError> {
        tensors.sort_by(|a, b| file_order(&a.name, &b.name));
        let count = |suffix: &str| tensors.iter().filter(|t| t.name.ends_with(suffix)).count();
        let mut mix = Mix::new(
            file_type,
            MixModel {
                n_layer: config.n_layer,
                n_head: config.n_head,
                n_head_kv: config.n_head_kv,
                n_expert: config.experts.map_or(0, |(n, _)| n),
                tied: !tensors.iter().any(|t| t.name == "output.weight"),
                n_attn_v: count(".attn_v.weight") as u32,
            },
        );

        let mut choices = Vec::with_capacity(tensors.len());
        let mut infos = Vec::with_capacity(tensors.len());
        let mut data = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let choice = mix.choose(&tensor.name, &tensor.dims);
            infos.push(TensorInfo::new(tensor.name, tensor.dims, choice.ty)?);
            choices.push(choice);
            data.push(tensor.data);
        }
        let data_bytes = gguf::lay_out(&mut infos, gguf::DEFAULT_ALIGNMENT)?;

        key_values.push((
            "general.quantization_version".into(),
            QUANTIZATION_VERSION.into(),
        ));
        key_values.push(("general.file_type".into(), file_type.id().into()));
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

/// llama.cpp's order of tensors: those outside the layers first, then layer by layer, bytewise by
/// name within each.
fn file_order(a: &str, b: &str) -> Ordering {
    let layer = |name: &str| {
        name.strip_prefix("blk.")?
            .split('.')
            .next()?
            .parse::<u32>()
            .ok()
    };
    layer(a).cmp(&layer(b)).then_with(|| a.cmp(b))
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
