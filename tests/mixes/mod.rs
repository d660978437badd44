//! The mixes of every architecture, held against llama.cpp's choice of types.

#[cfg(all(unix, target_pointer_width = "64"))]
mod oracle;
#[cfg(all(unix, target_pointer_width = "64"))]
mod same;
mod snapshots;

use swallow_gguf::{
    file_type::FileType,
    gguf::KeyValues,
    mix::{Knobs, Mix, MixModel},
};
use swallow_quant::GgmlType;

/// What the tensors are stored as.
const STORED: GgmlType = GgmlType::BF16;

/// The numbers that types are chosen by.
#[derive(Clone, Copy, Debug)]
struct TestModel<'a> {
    architecture: &'a str,
    n_layer: u32,
    n_head: u32,
    n_head_kv: u32,
    n_expert: u32,
}

struct Tensor {
    name: String,
    dims: Vec<u64>,
}

/// Tensors in the order of a file, whose names are those of `kinds` in each layer.
fn tensors(outside: &[(&str, &[u64])], kinds: &[(&str, &[u64])], n_layer: u32) -> Vec<Tensor> {
    let sorted = |kinds: &[(&str, &[u64])]| {
        let mut tensors: Vec<(String, Vec<u64>)> = kinds
            .iter()
            .map(|(name, dims)| ((*name).to_owned(), dims.to_vec()))
            .collect();
        tensors.sort();
        tensors
    };
    let in_layers = (0..n_layer).flat_map(|layer| {
        let named = move |(kind, dims)| (format!("blk.{layer}.{kind}"), dims);
        sorted(kinds).into_iter().map(named)
    });
    let all = sorted(outside).into_iter().chain(in_layers);
    all.map(|(name, dims)| Tensor { name, dims }).collect()
}

/// The types that we give, from the keys of a file.
fn types(model: &TestModel<'_>, tensors: &[Tensor], file_type: FileType) -> Vec<GgmlType> {
    let mut key_values: KeyValues =
        vec![("general.architecture".into(), model.architecture.into())];
    for (key, number) in [
        ("block_count", model.n_layer),
        ("attention.head_count", model.n_head),
        ("attention.head_count_kv", model.n_head_kv),
        ("expert_count", model.n_expert),
    ] {
        key_values.push((format!("{}.{key}", model.architecture), number.into()));
    }
    let names = tensors.iter().map(|tensor| tensor.name.as_str());
    let mix_model = MixModel::new(&key_values, names);
    let knobs = Knobs::default();
    let mut mix = Mix::new(file_type, &knobs, mix_model);
    let choices = tensors.iter().map(|tensor| {
        let choice = mix.choose(&tensor.name, &tensor.dims, STORED);
        choice.unwrap().ty
    });
    choices.collect()
}
