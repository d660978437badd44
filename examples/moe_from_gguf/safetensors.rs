//! Writing safetensors: 8 bytes of header length, a JSON header, the weights.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use serde_json::{Map, json};

use crate::{Dtype, checkpoint::Weight};

/// Writes the weights into `shards` files of about the same size, and the index where there is
/// more than one. Returns the bytes of all weights.
pub(crate) fn write(
    dir: &Path,
    weights: &[Weight],
    dtype: Dtype,
    shards: usize,
    mut values: impl FnMut(&Weight) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<u64> {
    let total: u64 = weights.iter().map(|weight| bytes(weight, dtype)).sum();
    let mut weight_map = Map::new();
    for (number, shard) in split(weights, dtype, total, shards).into_iter().enumerate() {
        let file = if shards == 1 {
            "model.safetensors".to_owned()
        } else {
            format!("model-{:05}-of-{shards:05}.safetensors", number + 1)
        };
        let path = dir.join(&file);
        write_shard(&path, shard, dtype, &mut values)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        weight_map.extend(
            shard
                .iter()
                .map(|weight| (weight.name.clone(), file.clone().into())),
        );
    }
    if shards > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
        let path = dir.join("model.safetensors.index.json");
        std::fs::write(&path, format!("{index:#}\n"))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(total)
}

fn bytes(weight: &Weight, dtype: Dtype) -> u64 {
    weight.shape.iter().product::<u64>() * dtype.bytes()
}

/// The weights of each shard: a shard ends with the weight that crosses its share of the bytes.
fn split(weights: &[Weight], dtype: Dtype, total: u64, shards: usize) -> Vec<&[Weight]> {
    let (mut parts, mut rest, mut before) = (Vec::new(), weights, 0);
    for shard in 1..=shards as u64 {
        let mut n = 0;
        while n < rest.len() && before * (shards as u64) < total * shard {
            before += bytes(&rest[n], dtype);
            n += 1;
        }
        let (part, others) = rest.split_at(n);
        parts.push(part);
        rest = others;
    }
    parts
}

fn write_shard(
    path: &Path,
    weights: &[Weight],
    dtype: Dtype,
    values: &mut impl FnMut(&Weight) -> anyhow::Result<Vec<f32>>,
) -> anyhow::Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut begin = 0;
    for weight in weights {
        let end = begin + bytes(weight, dtype);
        header.insert(
            weight.name.clone(),
            json!({
                "dtype": dtype.safetensors_name(),
                "shape": weight.shape,
                "data_offsets": [begin, end],
            }),
        );
        begin = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // Spaces, so that the weights begin at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for weight in weights {
        out.write_all(&dtype.encode(&values(weight)?))?;
    }
    out.into_inner()?.sync_all()?;
    Ok(())
}
