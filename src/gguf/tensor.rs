//! Tensor infos, and where tensors lie in the data section.

use swallow_quant::GgmlType;

use super::{MAX_DIMS, MAX_TENSOR_NAME, escape};

/// What the header says about one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, for example `blk.0.attn_q.weight`.
    pub name: String,
    /// Extents in ne order: `dims[0]` is the row length.
    pub dims: Vec<u64>,
    /// Type of the weights.
    pub ty: GgmlType,
    /// Where the data begins, in bytes from the data section's beginning.
    pub offset: u64,
    /// Bytes of the data; known to fit because [`TensorInfo::new`] is the only way here.
    size: u64,
}

/// Why a tensor cannot be in a GGUF.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say what the variants and fields are"
)]
pub enum LayoutError {
    #[error("tensor `{name}` has a name of {} bytes, expected 1 to {MAX_TENSOR_NAME}", name.len())]
    Name { name: String },
    #[error("tensor `{name}` has {found} dimensions, expected 1 to {MAX_DIMS}")]
    Dims { name: String, found: usize },
    #[error("tensor `{name}` has rows of {row} weights, expected a multiple of {block} for {ty}")]
    Row {
        name: String,
        row: u64,
        block: u64,
        ty: GgmlType,
    },
    #[error("tensor `{name}` of shape {dims:?} is too large to address")]
    TooLarge { name: String, dims: Vec<u64> },
}

impl TensorInfo {
    /// A tensor of this shape (ne order) and type, at offset 0 until [`lay_out`] places it.
    ///
    /// # Errors
    /// Where the name is empty or longer than ggml's 63 bytes, the dimensions are not 1 to 4, a
    /// row is not a whole number of blocks, or the elements or bytes do not fit in 63 bits.
    pub fn new(name: String, dims: Vec<u64>, ty: GgmlType) -> Result<Self, LayoutError> {
        let shown = || escape(name.as_bytes());
        if name.is_empty() || name.len() > MAX_TENSOR_NAME {
            return Err(LayoutError::Name { name: shown() });
        }
        if dims.is_empty() || dims.len() > MAX_DIMS {
            return Err(LayoutError::Dims {
                name: shown(),
                found: dims.len(),
            });
        }
        let (row, block) = (dims[0], ty.block_len() as u64);
        if !row.is_multiple_of(block) {
            return Err(LayoutError::Row {
                name: shown(),
                row,
                block,
                ty,
            });
        }
        let size = data_bytes(&dims, ty).ok_or_else(|| LayoutError::TooLarge {
            name: shown(),
            dims: dims.clone(),
        })?;
        Ok(Self {
            name,
            dims,
            ty,
            offset: 0,
            size,
        })
    }

    /// Bytes of the data, without the padding that follows.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Number of weights.
    pub fn elements(&self) -> u64 {
        // In whole blocks, and the product fits: `new` has seen to both.
        self.size / self.ty.block_bytes() as u64 * self.ty.block_len() as u64
    }

    /// Its dimensions without ones at the end, which a file may have or leave out.
    pub fn shape(&self) -> &[u64] {
        let last = self.dims.iter().rposition(|dim| *dim != 1);
        &self.dims[..last.map_or(1, |last| last + 1)]
    }

    /// Number of rows: the product of all dimensions but the first.
    pub fn rows(&self) -> u64 {
        self.dims[1..].iter().product()
    }
}

/// Bytes of a tensor whose rows are whole blocks; `None` where its elements or bytes are too many
/// for the signed 64 bits that ggml counts in. A dimension of 0 does not excuse the others: no
/// product of any of the dimensions overflows.
fn data_bytes(dims: &[u64], ty: GgmlType) -> Option<u64> {
    let representable = |n: &u64| *n <= i64::MAX as u64;
    let product = dims.iter().try_fold(1u64, |product, &dim| {
        product.checked_mul(dim.max(1)).filter(representable)
    })?;
    let elements = if dims.contains(&0) { 0 } else { product };
    (elements / ty.block_len() as u64)
        .checked_mul(ty.block_bytes() as u64)
        .filter(representable)
}

/// Places the tensors one after another, in this order and each at a multiple of `alignment`
/// (a power of two), by setting their offsets. Returns the bytes of the data section, with the
/// padding after the last tensor, which llama.cpp writes too.
///
/// # Errors
/// Where all of them together do not fit in 63 bits.
pub fn lay_out(tensors: &mut [TensorInfo], alignment: u64) -> Result<u64, LayoutError> {
    let mut end: u64 = 0;
    for tensor in tensors {
        tensor.offset = end;
        end = end
            .checked_add(tensor.size)
            .and_then(|end| end.checked_next_multiple_of(alignment))
            .filter(|end| *end <= i64::MAX as u64)
            .ok_or_else(|| LayoutError::TooLarge {
                name: escape(tensor.name.as_bytes()),
                dims: tensor.dims.clone(),
            })?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[u64], ty: GgmlType) -> TensorInfo {
        TensorInfo::new(name.to_owned(), dims.to_vec(), ty).unwrap()
    }

    #[test]
    fn sizes_count_blocks() {
        let q4 = tensor("a", &[512, 3, 2], GgmlType::Q4_K);
        assert_eq!(
            (q4.size(), q4.elements(), q4.rows()),
            (2 * 6 * 144, 3072, 6)
        );
        let vector = tensor("b", &[5], GgmlType::F32);
        assert_eq!(
            (vector.size(), vector.elements(), vector.rows()),
            (20, 5, 1)
        );
        let nothing = tensor("c", &[32, 0], GgmlType::Q8_0);
        assert_eq!((nothing.size(), nothing.elements()), (0, 0));
    }

    #[test]
    fn tensors_lie_at_multiples_of_the_alignment() {
        let mut tensors = [
            tensor("a", &[5], GgmlType::F32),
            tensor("b", &[32], GgmlType::F32),
            tensor("c", &[32], GgmlType::Q8_0),
        ];
        assert_eq!(lay_out(&mut tensors, 32), Ok(32 + 128 + 64));
        assert_eq!(tensors.each_ref().map(|t| t.offset), [0, 32, 160]);
        assert_eq!(lay_out(&mut [], 32), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused =
            |dims: &[u64], ty| TensorInfo::new("t".to_owned(), dims.to_vec(), ty).unwrap_err();
        let half = 1 << 32;
        for dims in [&[half, half][..], &[u64::MAX], &[half, half, 0], &[1 << 62]] {
            assert_eq!(
                refused(dims, GgmlType::F32),
                LayoutError::TooLarge {
                    name: "t".to_owned(),
                    dims: dims.to_vec()
                }
            );
        }
        assert_eq!(
            refused(&[100, 2], GgmlType::Q4_K).to_string(),
            "tensor `t` has rows of 100 weights, expected a multiple of 256 for Q4_K"
        );
        assert_eq!(
            refused(&[], GgmlType::F32).to_string(),
            "tensor `t` has 0 dimensions, expected 1 to 4"
        );
        let large = tensor("large", &[1 << 60], GgmlType::F32);
        let error = lay_out(&mut [large.clone(), large], 32).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor `large` of shape [1152921504606846976] is too large to address"
        );
    }
}
