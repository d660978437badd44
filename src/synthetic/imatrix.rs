//! Makes importance matrices for tests and benchmarks, in both formats of [`crate::imatrix`].
//!
//! Real ones come from llama-imatrix, which runs a text through the model. These have values like
//! theirs: the importance of a column is log-normal, so that a few columns stand far out, and each
//! expert has seen its own number of tokens.
//!
//! ```no_run
//! use swallow_gguf::{gguf::Gguf, synthetic::imatrix::{Spec, measure, write_gguf}};
//!
//! let model = Gguf::open("model-BF16.gguf".as_ref())?;
//! let spec = Spec { seed: 1, output: false, unseen: true };
//! std::fs::write("imatrix.gguf", write_gguf(&measure(&model.tensors, &spec), "text.txt")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use swallow_quant::GgmlType;

use super::fnv1a;
use crate::gguf::{self, Array, KeyValues, LayoutError, TensorInfo, lay_out};

/// Tokens in a chunk of text, as llama-imatrix has it by default.
const CHUNK_TOKENS: u32 = 512;

/// Chunks of text that the matrix is made from, as it says.
pub const CHUNKS: u32 = 40;

/// An importance matrix to be made.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Seed of the values: the same for the same tensor.
    pub seed: u64,
    /// Whether the output matrix has an entry; llama-imatrix leaves it out unless it is asked.
    pub output: bool,
    /// Whether the last expert of each stack was reached by no token.
    pub unseen: bool,
}

/// What was measured for one tensor.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The tensor's name.
    pub tensor: String,
    /// The sum of squares at each column of each expert, expert after expert.
    pub sums: Vec<f32>,
    /// How many rows of input each expert has seen.
    pub counts: Vec<u32>,
}

/// Measures, so to speak, the matrices among `tensors` that llama-imatrix would: those of the
/// layers, and the output. The order is that of the names.
pub fn measure(tensors: &[TensorInfo], spec: &Spec) -> Vec<Measured> {
    let is_measured = |tensor: &TensorInfo| {
        tensor.dims.len() > 1
            && (tensor.name.starts_with("blk.") || spec.output && tensor.name == "output.weight")
    };
    let mut measured: Vec<Measured> = tensors
        .iter()
        .filter(|tensor| is_measured(tensor))
        .map(|tensor| measure_one(tensor, spec))
        .collect();
    measured.sort_by(|a, b| a.tensor.cmp(&b.tensor));
    measured
}

fn measure_one(tensor: &TensorInfo, spec: &Spec) -> Measured {
    let columns = tensor.dims[0] as usize;
    let experts = tensor.dims.get(2).copied().unwrap_or(1) as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed ^ fnv1a(&tensor.name));
    let importance = match LogNormal::new(-3.0f32, 1.5) {
        Ok(importance) => importance,
        Err(error) => unreachable!("constant parameters: {error}"),
    };
    let all = CHUNKS * CHUNK_TOKENS;
    let counts: Vec<u32> = (0..experts)
        .map(|expert| match expert + 1 == experts {
            _ if experts == 1 => all,
            true if spec.unseen => 0,
            _ => rng.random_range(1..=all),
        })
        .collect();
    let sums = counts
        .iter()
        .flat_map(|count| std::iter::repeat_n(*count as f32, columns))
        .map(|count| importance.sample(&mut rng) * count)
        .collect();
    Measured {
        tensor: tensor.name.clone(),
        sums,
        counts,
    }
}

/// The bytes of a matrix in the format of today, made from the text `dataset`.
///
/// # Errors
/// Where a name is longer than a tensor's can be with `.in_sum2` behind it.
pub fn write_gguf(measured: &[Measured], dataset: &str) -> Result<Vec<u8>, LayoutError> {
    let datasets = Array::String(vec![dataset.into()]);
    let key_values: KeyValues = vec![
        ("general.type".into(), "imatrix".into()),
        ("imatrix.datasets".into(), datasets.into()),
        ("imatrix.chunk_count".into(), CHUNKS.into()),
        ("imatrix.chunk_size".into(), CHUNK_TOKENS.into()),
    ];
    let (mut tensors, mut data) = (Vec::new(), Vec::new());
    for Measured {
        tensor,
        sums,
        counts,
    } in measured
    {
        let counts: Vec<f32> = counts.iter().map(|count| *count as f32).collect();
        for (ending, numbers) in [("in_sum2", sums), ("counts", &counts)] {
            let dims = vec![(numbers.len() / counts.len()) as u64, counts.len() as u64];
            let name = format!("{tensor}.{ending}");
            tensors.push(TensorInfo::new(name, dims, GgmlType::F32)?);
            data.push(
                numbers
                    .iter()
                    .copied()
                    .flat_map(f32::to_le_bytes)
                    .collect::<Vec<u8>>(),
            );
        }
    }
    let alignment = gguf::DEFAULT_ALIGNMENT;
    lay_out(&mut tensors, alignment)?;
    let mut file = gguf::encode_header(&key_values, &tensors, alignment);
    for bytes in data {
        file.extend(bytes);
        file.resize(file.len().next_multiple_of(alignment as usize), 0);
    }
    Ok(file)
}

/// The bytes of a matrix in the older format, made from the text `dataset`. It has no counts, so
/// what an expert saw that saw nothing is written as an importance of 1.
pub fn write_legacy(measured: &[Measured], dataset: &str) -> Vec<u8> {
    let mut file = Vec::new();
    put_i32(&mut file, measured.len());
    for Measured {
        tensor,
        sums,
        counts,
    } in measured
    {
        let calls = counts
            .iter()
            .max()
            .map_or(0, |max| max.div_ceil(CHUNK_TOKENS));
        put_i32(&mut file, tensor.len());
        file.extend(tensor.bytes());
        put_i32(&mut file, calls as usize);
        put_i32(&mut file, sums.len());
        for (sums, &count) in sums.chunks(sums.len() / counts.len()).zip(counts) {
            let importance = |sum: &f32| match count {
                0 => 1.0,
                _ => sum / count as f32,
            };
            let values = sums.iter().map(|sum| importance(sum) * calls as f32);
            file.extend(values.flat_map(f32::to_le_bytes));
        }
    }
    put_i32(&mut file, CHUNKS as usize);
    put_i32(&mut file, dataset.len());
    file.extend(dataset.bytes());
    file
}

fn put_i32(file: &mut Vec<u8>, number: usize) {
    file.extend((number as i32).to_le_bytes());
}
