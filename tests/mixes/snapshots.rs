//! The types of a dozen real models, as llama.cpp's sources have them in `tests/snapshots`: of each
//! file type those tensors that have another type than its own. Run where the sources are
//! (`LLAMA_CPP_SOURCES`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use swallow_gguf::{file_type::FileType, mix::layer_of};

use super::{Tensor, TestModel, types};
use crate::support::skip;

/// Parts of tensors' names, and the length of their rows.
type Rows = &'static [(&'static str, u64)];

/// The models by the names of their files: the architecture, and rows that 256 does not divide.
const MODELS: &[(&str, &str, Rows)] = &[
    ("deepseek-v3.1", "deepseek2", &[("attn_k_b", 128)]),
    ("gemma-3-4b-it", "gemma3", &[]),
    (
        "glm-4.6v",
        "glm4moe",
        &[("ffn_down.", 10944), ("ffn_down_", 1408)],
    ),
    (
        "gpt-oss-120b",
        "gpt-oss",
        &[("attn_output", 4096), ("", 2880)],
    ),
    ("meta-llama-3.1-70b-instruct", "llama", &[]),
    (
        "nvidia-nemotron-3-nano-30b-a3b",
        "nemotron_h_moe",
        &[
            ("attn_output", 4096),
            ("ssm_out", 4096),
            ("ffn_down_exps", 1856),
            ("ffn_down_shexp", 3712),
            ("", 2688),
        ],
    ),
    ("qwen3-0.6b", "qwen3", &[]),
    ("qwen3-14b", "qwen3", &[]),
    ("qwen3-coder-next", "qwen3next", &[]),
    ("qwen3.5-397b-a17b", "qwen35moe", &[]),
    ("qwen3.6-27b", "qwen35", &[]),
    ("step-3.5-flash", "step35", &[]),
];

/// What a file says: the numbers of the model, and for each file type by name its own type and the
/// tensors that have others.
struct Snapshot {
    numbers: BTreeMap<String, u32>,
    sections: Vec<(String, String, BTreeMap<String, String>)>,
}

impl Snapshot {
    fn read(text: &str) -> Self {
        let mut read = Self {
            numbers: BTreeMap::new(),
            sections: Vec::new(),
        };
        for line in text.lines() {
            if let Some(numbers) = line.strip_prefix("# n_embd=") {
                let named = format!("n_embd={numbers}");
                let pairs = named.split(", ").map(|pair| pair.split_once('=').unwrap());
                read.numbers = pairs
                    .map(|(name, number)| (name.to_owned(), number.parse().unwrap()))
                    .collect();
            } else if let Some(section) = line.strip_prefix('[') {
                let (name, ty) = section.split_once("] ").unwrap();
                let section = (name.to_owned(), ty.to_owned(), BTreeMap::new());
                read.sections.push(section);
            } else if let Some((tensor, ty)) = line.split_once(' ')
                && !line.starts_with('#')
            {
                let (_, _, others) = read.sections.last_mut().unwrap();
                others.insert(tensor.to_owned(), ty.to_owned());
            }
        }
        read
    }

    fn number(&self, name: &str) -> u32 {
        self.numbers.get(name).copied().unwrap_or(0)
    }
}

#[test]
fn real_models_have_the_types_of_llama_cpps_snapshots() {
    let test = "real_models_have_the_types_of_llama_cpps_snapshots";
    let Some(sources) = std::env::var_os("LLAMA_CPP_SOURCES").map(PathBuf::from) else {
        return skip(
            test,
            "LLAMA_CPP_SOURCES is not set, the folder of llama.cpp's sources",
        );
    };
    let (mut held, mut sections) = (0, 0);
    for (file, architecture, rows) in MODELS {
        let path = sources.join(format!("tests/snapshots/{file}.schema"));
        let snapshot = Snapshot::read(&fs::read_to_string(path).unwrap());
        let model = TestModel {
            architecture,
            n_layer: snapshot.number("n_layer"),
            n_head: snapshot.number("n_head"),
            n_head_kv: snapshot.number("n_head_kv"),
            n_expert: snapshot.number("n_expert"),
        };
        // Nearly all tensors have another type than the file type's in one section or another.
        let names: BTreeSet<(Option<u32>, &str)> = snapshot
            .sections
            .iter()
            .flat_map(|(_, _, others)| others.keys())
            .map(|name| (layer_of(name), name.as_str()))
            .collect();
        let row = |name: &str| {
            let found = rows.iter().find(|(part, _)| name.contains(part));
            found.map_or(256, |(_, row)| *row)
        };
        let tensors: Vec<Tensor> = names
            .iter()
            .map(|(_, name)| Tensor {
                name: (*name).to_owned(),
                dims: vec![row(name), 2],
            })
            .collect();
        for (section, own, others) in &snapshot.sections {
            let Ok(file_type) = section.parse::<FileType>() else {
                continue;
            };
            let ours = types(&model, &tensors, file_type);
            for (tensor, ours) in tensors.iter().zip(ours) {
                let theirs = others.get(&tensor.name).unwrap_or(own);
                assert!(
                    ours.name().eq_ignore_ascii_case(theirs),
                    "{file}: {} as {file_type} is {ours}, expected {theirs}",
                    tensor.name
                );
            }
            sections += 1;
            held += tensors.len();
        }
    }
    assert_eq!(sections, MODELS.len() * FileType::ALL.len());
    println!("{held} types of {} models", MODELS.len());
}
