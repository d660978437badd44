//! Tensors that a model does without because they are all zeros.

use super::{TensorError, mapper::shard_name};
use crate::{
    gguf::shown,
    source::{Checkpoint, Dtype, SourceTensor},
};

/// Weights that are read at a time.
const CHUNK: u64 = 1 << 14;

/// Fails where one of the weights is not zero. They are few, so this does not wait for the pass over all.
pub(super) fn check(
    checkpoint: &Checkpoint,
    name: &str,
    tensor: &SourceTensor,
) -> Result<(), TensorError> {
    let path = || shard_name(checkpoint, tensor);
    let dtype = Dtype::from_name(&tensor.dtype).ok_or_else(|| TensorError::Type {
        tensor: shown(name),
        path: path(),
        found: shown(&tensor.dtype),
    })?;
    let of_chunk = CHUNK as usize * dtype.bytes();
    let mut bytes = vec![0; of_chunk];
    let mut weights = vec![0.0; CHUNK as usize];
    for offset in tensor.bytes.clone().step_by(of_chunk) {
        let n = (tensor.bytes.end - offset).min(of_chunk as u64) as usize;
        let (bytes, weights) = (&mut bytes[..n], &mut weights[..n / dtype.bytes()]);
        let shard = &checkpoint.shards[tensor.shard];
        let read = shard.read_exact_at(bytes, offset);
        read.map_err(|source| TensorError::Read {
            tensor: shown(name),
            path: path(),
            source,
        })?;
        dtype.to_f32(bytes, weights);
        if let Some(found) = weights.iter().find(|weight| **weight != 0.0) {
            return Err(TensorError::NotZero {
                tensor: shown(name),
                path: path(),
                found: *found,
            });
        }
    }
    Ok(())
}
