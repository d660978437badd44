//! The figures of a model, computed from its header.

use swallow_quant::GgmlType;

use crate::gguf::{Gguf, TensorInfo, Value, file_type_name};

/// The figures of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary<'a> {
    /// `general.name`.
    pub name: Option<&'a str>,
    /// `general.architecture`.
    pub architecture: Option<&'a str>,
    /// `general.size_label`, for example `2x13B`.
    pub size_label: Option<&'a str>,
    /// `general.file_type`.
    pub file_type: Option<u64>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of all tensors, without padding.
    pub tensor_bytes: u64,
    /// Weights of all tensors.
    pub parameters: u64,
    /// For a Mixture of Experts: its experts.
    pub experts: Option<Experts>,
    /// For a part of a split model: which one.
    pub split: Option<Split>,
    /// Tensors by type, the type with the most bytes first.
    pub types: Vec<TypeCount>,
}

/// The experts of a Mixture of Experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Experts per layer (`n_expert`).
    pub n_expert: u64,
    /// Experts that each token is given to (`n_expert_used`).
    pub n_expert_used: u64,
    /// Experts per layer that every token is given to besides (`n_expert_shared`).
    pub shared: u64,
    /// Layers at the beginning that have no experts (`n_layer_dense_lead`).
    pub leading_dense_layers: u64,
    /// Weights that take part in one token: all but those of the experts not used.
    pub active_parameters: u64,
}

/// The place of a file among those of a split model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Number of this file, from 1.
    pub number: u64,
    /// Files of the model.
    pub count: u64,
}

/// The tensors of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeCount {
    /// The type.
    pub ty: GgmlType,
    /// How many tensors have it.
    pub tensors: usize,
    /// Their weights.
    pub parameters: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl<'a> Summary<'a> {
    /// Computes the figures of a file.
    pub fn new(gguf: &'a Gguf) -> Self {
        Self {
            name: gguf.get_str("general.name"),
            architecture: gguf.get_str("general.architecture"),
            size_label: gguf.get_str("general.size_label"),
            file_type: gguf.get_u64("general.file_type"),
            file_bytes: gguf.file_len,
            tensor_bytes: gguf.tensor_bytes(),
            parameters: gguf.parameters(),
            experts: experts(gguf),
            split: split(gguf),
            types: types(&gguf.tensors),
        }
    }

    /// The name of the file type, for example `Q4_K_M`, or `type 99` for a number that is none.
    pub fn file_type_name(&self) -> Option<String> {
        self.file_type
            .map(|id| file_type_name(id).map_or(format!("type {id}"), str::to_owned))
    }

    /// Bits of tensor data per weight; `None` without weights.
    pub fn bits_per_weight(&self) -> Option<f64> {
        (self.parameters > 0).then(|| self.tensor_bytes as f64 * 8.0 / self.parameters as f64)
    }

    /// The part of all tensor bytes that `bytes` are, from 0 to 1.
    pub fn share(&self, bytes: u64) -> f64 {
        if self.tensor_bytes == 0 {
            0.0
        } else {
            bytes as f64 / self.tensor_bytes as f64
        }
    }
}

fn experts(gguf: &Gguf) -> Option<Experts> {
    let architecture = gguf.get_str("general.architecture")?;
    let get = |key: &str| gguf.get(&format!("{architecture}.{key}"));
    let number = |key: &str| get(key).and_then(Value::as_u64);
    let n_expert = number("expert_count").filter(|n| *n > 0)?;
    let n_expert_used = match get("expert_used_count")? {
        // A number of each layer.
        Value::Array(array) => (0..array.len())
            .filter_map(|layer| array.get(layer)?.as_u64())
            .max()?,
        number => number.as_u64()?,
    };
    let n_expert_used = n_expert_used.min(n_expert);
    // Qwen's have one, and only its width is told.
    let width = number("expert_shared_feed_forward_length").unwrap_or(0);
    let shared = number("expert_shared_count").unwrap_or(u64::from(width > 0));
    let idle = |tensor: &TensorInfo| {
        // Stacked experts are the outermost of three dimensions.
        let stacked = tensor.name.contains("_exps") && tensor.dims.get(2) == Some(&n_expert);
        if stacked {
            tensor.elements() / n_expert * (n_expert - n_expert_used)
        } else {
            0
        }
    };
    let idle: u64 = gguf.tensors.iter().map(idle).sum();
    Some(Experts {
        n_expert,
        n_expert_used,
        shared,
        leading_dense_layers: number("leading_dense_block_count").unwrap_or(0),
        active_parameters: gguf.parameters() - idle,
    })
}

fn split(gguf: &Gguf) -> Option<Split> {
    let count = gguf.get_u64("split.count").filter(|count| *count > 1)?;
    let number = gguf.get_u64("split.no")?.checked_add(1)?;
    Some(Split { number, count })
}

fn types(tensors: &[TensorInfo]) -> Vec<TypeCount> {
    let mut types: Vec<TypeCount> = Vec::new();
    for tensor in tensors {
        let at = types
            .iter()
            .position(|count| count.ty == tensor.ty)
            .unwrap_or_else(|| {
                types.push(TypeCount {
                    ty: tensor.ty,
                    tensors: 0,
                    parameters: 0,
                    bytes: 0,
                });
                types.len() - 1
            });
        types[at].tensors += 1;
        types[at].parameters += tensor.elements();
        types[at].bytes += tensor.size();
    }
    types.sort_by_key(|count| std::cmp::Reverse(count.bytes));
    types
}
