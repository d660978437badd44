//! Keys and values of the context.

use swallow_quant::GgmlType;

use super::{Shape, Usage};

/// llama.cpp's contexts are whole multiples of this.
const CELLS: u64 = 256;

/// Bytes that a layer keeps. Layers with a sliding window keep the whole context too: what has left
/// the window could not come back when a chat goes back a question.
pub(super) fn layer(shape: &Shape, layer: u32, usage: &Usage) -> u64 {
    let Some(kv) = shape.kv.get(layer as usize) else {
        return 0;
    };
    let cells = cells(usage);
    let value = match usage.flash_attn || kv.value == 0 {
        true => kv.value,
        // Values lie transposed, in rows of one width.
        false => shape.kv.iter().map(|kv| kv.value).max().unwrap_or(0),
    };
    let bytes = |width, ty| row_bytes(width, ty).saturating_mul(cells);
    bytes(kv.key, usage.key_type)
        .saturating_add(bytes(value, usage.value_type))
        .saturating_add(kv.state.saturating_mul(4))
}

/// Tokens that there is room for.
pub(super) fn cells(usage: &Usage) -> u64 {
    u64::from(usage.context).next_multiple_of(CELLS).max(CELLS)
}

fn row_bytes(width: u64, ty: GgmlType) -> u64 {
    width
        .div_ceil(ty.block_len() as u64)
        .saturating_mul(ty.block_bytes() as u64)
}
