//! How large a model is.

use super::ModelTensor;

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
