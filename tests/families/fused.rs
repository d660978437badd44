//! Experts in one tensor for gate and up projections and one for down projections, as transformers 5 holds
//! them: they become the files that they become with a tensor for each.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value as Json, json};
use swallow_gguf::file_type::FileType;

use super::{Golden, generate, golden::digests, write_checkpoint};
use crate::support::{convert, text};

/// What the gate, up and down projections of an expert are called.
const NAMED: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];
const NUMBERED: [&str; 3] = ["w1", "w3", "w2"];

/// Recipes whose experts are a tensor each; and what their router is called where they are not.
pub(super) const RECIPES: [(&str, [&str; 3], &str); 8] = [
    ("mixtral", NUMBERED, "mlp.gate.weight"),
    ("phimoe", NUMBERED, "mlp.router.weight"),
    ("qwen2moe", NAMED, "mlp.gate.weight"),
    ("qwen3moe", NAMED, "mlp.gate.weight"),
    ("olmoe", NAMED, "mlp.gate.weight"),
    ("dots1", NAMED, "mlp.gate.weight"),
    ("ernie4_5_moe", NAMED, "mlp.gate.weight"),
    ("hunyuan_moe", NAMED, "mlp.gate.wg.weight"),
];

#[test]
fn experts_in_one_tensor_make_the_same_file() {
    for (name, projections, router) in RECIPES {
        let dir = tempfile::tempdir().unwrap();
        let source = write_checkpoint(dir.path(), name);
        fuse(&source.join("model.safetensors"), projections, router);
        let output = dir.path().join("out.gguf");
        let run = convert(&source, &output, &["-t", "bf16"]);
        assert!(run.status.success(), "{name}: {}", text(&run.stderr));
        let golden = Golden::read(name);
        assert_eq!(digests(&output), golden.digests(FileType::BF16), "{name}");
    }
}

/// What is known of a tensor of the file: its type, its shape and its bytes.
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data: Vec<u8>,
}

/// Puts the experts of each layer into two tensors.
fn fuse(path: &Path, [gate, up, down]: [&str; 3], router: &str) {
    let mut tensors = read(path);
    let experts = tensors.keys().filter_map(|name| {
        let (layer, rest) = name
            .split_once("mlp.experts.0.")
            .or_else(|| name.split_once("block_sparse_moe.experts.0."))?;
        (rest == format!("{gate}.weight")).then(|| {
            let block = name.strip_suffix(&format!(".experts.0.{rest}")).unwrap();
            (layer.to_owned(), block.to_owned())
        })
    });
    let experts: Vec<_> = experts.collect();
    assert!(!experts.is_empty());
    for (layer, block) in experts {
        let mut gate_up = Vec::new();
        let mut downs = Vec::new();
        for number in 0.. {
            let mut take = |projection: &str| {
                tensors.remove(&format!("{block}.experts.{number}.{projection}.weight"))
            };
            let Some(gate) = take(gate) else {
                break;
            };
            gate_up.push(stacked(&[gate, take(up).unwrap()]));
            downs.push(take(down).unwrap());
        }
        for (name, of_each) in [("gate_up_proj", gate_up), ("down_proj", downs)] {
            let mut all = stacked(&of_each);
            all.shape
                .splice(..1, [of_each.len() as u64, of_each[0].shape[0]]);
            tensors.insert(format!("{layer}mlp.experts.{name}"), all);
        }
        if let Some(weights) = tensors.remove(&format!("{layer}block_sparse_moe.gate.weight")) {
            tensors.insert(format!("{layer}{router}"), weights);
        }
    }
    let mut header = Map::new();
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let begin = data.len();
        data.extend(tensor.data);
        let offsets = [begin, data.len()];
        let entry = json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets});
        header.insert(name, entry);
    }
    fs::write(path, generate::file(&header, &data)).unwrap();
}

/// The rows of tensors, one after the other.
fn stacked(tensors: &[Tensor]) -> Tensor {
    let first = &tensors[0];
    let mut shape = first.shape.clone();
    shape[0] = tensors.iter().map(|tensor| tensor.shape[0]).sum();
    Tensor {
        dtype: first.dtype.clone(),
        shape,
        data: tensors
            .iter()
            .flat_map(|tensor| tensor.data.clone())
            .collect(),
    }
}

fn read(path: &Path) -> BTreeMap<String, Tensor> {
    let file = fs::read(path).unwrap();
    let (len, rest) = file.split_at(8);
    let len = u64::from_le_bytes(len.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(len);
    let header: Map<String, Json> = serde_json::from_slice(header).unwrap();
    let tensors = header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, entry)| {
            let [begin, end]: [usize; 2] =
                serde_json::from_value(entry["data_offsets"].clone()).unwrap();
            let tensor = Tensor {
                dtype: entry["dtype"].as_str().unwrap().to_owned(),
                shape: serde_json::from_value(entry["shape"].clone()).unwrap(),
                data: data[begin..end].to_vec(),
            };
            (name, tensor)
        })
        .collect()
}
