//! The buffers that llama.cpp computes in: an estimate. It lays the results of a graph over each other
//! as soon as they are read, so what counts is the widest place, not the sum.

use super::{Shape, Usage, cache};

/// What a result is computed in: `f32`.
const FLOAT: u64 = 4;

/// Bytes of the buffer of a whole layer, and of the logits where they are computed there.
pub(super) fn graph(shape: &Shape, usage: &Usage, has_output: bool) -> u64 {
    let tokens = tokens(usage);
    let floats = |width: u64| width.saturating_mul(tokens).saturating_mul(FLOAT);
    let embedding = floats(shape.embedding);
    let widest_key = shape.kv.iter().map(|kv| kv.key).max().unwrap_or(0);
    let scores = match usage.flash_attn {
        true => 0,
        false => floats(shape.heads.saturating_mul(cache::cells(usage))),
    };
    // Queries, and what attention makes of them.
    let widest = shape.embedding.max(widest_key).max(shape.queries);
    let attention = floats(widest.saturating_mul(2)).saturating_add(scores);
    // Gate, up, and their product.
    let feed_forward = floats(shape.feed_forward.saturating_mul(3));
    let state = shape.kv.iter().map(|kv| kv.state).max().unwrap_or(0);
    let logits = match has_output {
        true => floats(shape.vocabulary).saturating_add(embedding.saturating_mul(2)),
        false => 0,
    };
    attention
        .max(feed_forward)
        .max(logits)
        .max(state.saturating_mul(2 * FLOAT))
        .saturating_add(embedding.saturating_mul(2))
        .saturating_add(inputs(shape, usage))
}

/// Bytes of what a graph is given: embeddings, and for each token which others it sees.
pub(super) fn inputs(shape: &Shape, usage: &Usage) -> u64 {
    let tokens = tokens(usage);
    let seen = if usage.flash_attn { 2 } else { FLOAT };
    let mask = cache::cells(usage)
        .saturating_mul(tokens)
        .saturating_mul(seen)
        .saturating_mul(shape.masks);
    let embedding = shape.embedding.saturating_mul(tokens).saturating_mul(FLOAT);
    mask.saturating_add(embedding)
}

fn tokens(usage: &Usage) -> u64 {
    u64::from(usage.ubatch.clamp(1, usage.context.max(1)))
}
