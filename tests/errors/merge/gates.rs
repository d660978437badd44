//! Errors of gates.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    convert::CheckpointSource,
    merge::gates::{GateError, GateMode, GateNames, Gates, PromptOptions, Prompts, from_prompts},
    source::{Dtype, ShardError},
};

use super::{configure, copy, merge};
use crate::{edited::Folder, errors::Section};

const GATE: &str = "model.layers.0.block_sparse_moe.gate.weight";

pub(super) fn errors(list: &mut Section) {
    let dir = list.dir().to_owned();
    files(list, &dir);
    prompts(list, &dir);
}

/// A safetensors file of F32 zeros but for the first number.
fn write(path: &Path, tensors: &[(&str, &[u64])], first: f32) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape) in tensors {
        let begin = data.len();
        data.resize(begin + 4 * shape.iter().product::<u64>() as usize, 0);
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert((*name).into(), entry);
    }
    data[..4].copy_from_slice(&first.to_le_bytes());
    let header = Json::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length, header.as_bytes(), &data].concat()).unwrap();
}

fn files(list: &mut Section, dir: &Path) {
    let path = dir.join("gates.safetensors");
    let read = |tensors: &[(&str, &[u64])], first| {
        write(&path, tensors, first);
        Gates::read(&path)
    };
    let other = "model.norm.weight";
    list.add(
        "a file without gates",
        read(&[(other, &[2])], 1.0).unwrap_err(),
    );
    let third = GATE.replace('0', "2");
    let gap: [(&str, &[u64]); 2] = [(GATE, &[2, 2]), (&third, &[2, 2])];
    list.add("a gap among the layers", read(&gap, 1.0).unwrap_err());
    list.add(
        "gates of one dimension",
        read(&[(GATE, &[2])], 1.0).unwrap_err(),
    );
    let second = GATE.replace('0', "1");
    let uneven: [(&str, &[u64]); 2] = [(GATE, &[2, 2]), (&second, &[3, 2])];
    list.add(
        "layers of different shapes",
        read(&uneven, 1.0).unwrap_err(),
    );
    list.add(
        "a gate that is no number",
        read(&[(GATE, &[2, 2])], f32::NAN).unwrap_err(),
    );

    let gates = read(&[(GATE, &[2, 2])], 1.0).unwrap();
    let sizes = gates.expect_sizes(&path, 40, 2, 5120);
    list.add("gates of another model", sizes.unwrap_err());
    let save = |path: &Path| {
        gates
            .save(path, GateNames::Mixtral, Dtype::Bf16, false)
            .unwrap_err()
    };
    list.add("a file in the place of the gates", save(&path));
    list.add(
        "gates in a folder that is not there",
        save(&dir.join("none/gates.safetensors")),
    );
    let merge = merge(
        dir,
        "base_model: ./one\ngate_mode: random\nexperts: [{source_model: ./one}, {source_model: ./two}]\n",
    );
    let config = dir.join("one/config.json");
    let saved = merge.unwrap().save_gates(&config, true);
    match saved.unwrap_err() {
        swallow_gguf::merge::MergeError::Gates(error) => {
            list.add("gates in the place of an input", error);
        }
        other => panic!("{other}"),
    }
    // A file that shrinks while it is read.
    list.add(
        "gates that end early",
        GateError::Read {
            path,
            error: ShardError::Local(std::io::ErrorKind::UnexpectedEof.into()),
        },
    );
}

fn prompts(list: &mut Section, dir: &Path) {
    let prompt = |text: &str| Prompts {
        positive: vec![text.to_owned()],
        negative: Vec::new(),
    };
    let make = |mode, base: &str, second: Prompts| {
        let options = PromptOptions {
            n_shared: 0,
            threads: None,
            memory: None,
            pre: None,
            scratch: dir,
            cancel: &AtomicBool::new(false),
            progress: &|_| {},
        };
        let base = CheckpointSource::Folder(dir.join(base));
        from_prompts(
            mode,
            &base,
            &[prompt("a"), second],
            &options,
            &mut Vec::new(),
        )
        .unwrap_err()
    };
    list.add(
        "a mode without prompts",
        make(GateMode::Random, "one", prompt("b")),
    );
    list.add(
        "an expert without prompts",
        make(GateMode::CheapEmbed, "one", Prompts::default()),
    );
    let long = prompt(&"あ".repeat(2000));
    list.add(
        "a prompt that is too long",
        make(GateMode::CheapEmbed, "one", long),
    );

    let no_bos = copy(dir, "no-bos");
    configure(&no_bos, "bos_token_id", Json::Null);
    let tokenizer = json!({"add_bos_token": false, "tokenizer_class": "LlamaTokenizer"});
    fs::write(no_bos.join("tokenizer_config.json"), tokenizer.to_string()).unwrap();
    list.add(
        "an empty prompt",
        make(GateMode::CheapEmbed, "no-bos", prompt("")),
    );

    let infinite = copy(dir, "infinite");
    let shard = infinite.join("model.safetensors");
    let folder = Folder { source: infinite };
    for weight in ["v_proj", "o_proj"] {
        let name = format!("model.layers.0.self_attn.{weight}.weight");
        folder.set_weight(&name, 0, 0x7f00);
    }
    list.add(
        "numbers that grow beyond all bounds",
        make(GateMode::Hidden, "infinite", prompt("b")),
    );
    // The tensor's rows are those of the config, or the model is refused before.
    list.add(
        "a token without a row",
        GateError::NoEmbedding {
            token: 32001,
            tensor: "model.embed_tokens.weight".into(),
            path: shard,
            rows: 32000,
        },
    );
}
