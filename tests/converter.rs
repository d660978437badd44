//! Whole headers against llama.cpp's converter, on real tokenizers, where these are at hand:
//! `LLAMA_CPP_CONVERTER` names its `convert_hf_to_gguf.py`, `HF_PYTHON` a Python with what that needs (torch,
//! transformers, sentencepiece), and `TOKENIZERS` a folder with `NAME/tokenizer.json` (and
//! `tokenizer_config.json` and so on beside it) and `NAME.model`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    gguf::{Gguf, KeyValues},
    source::Dtype,
    synthetic::{self, Layout, Sizes, Spec},
};

use crate::support::{convert, skip, text};

const TEST: &str = "headers against llama.cpp's converter";

/// The converter, a Python for it, and the tokenizers.
struct Oracle {
    converter: PathBuf,
    python: OsString,
    tokenizers: PathBuf,
}

impl Oracle {
    fn find() -> Option<Self> {
        let variable = |name: &str| {
            let value = std::env::var_os(name);
            if value.is_none() {
                skip(TEST, &format!("{name} is not set"));
            }
            value
        };
        Some(Self {
            converter: variable("LLAMA_CPP_CONVERTER")?.into(),
            python: variable("HF_PYTHON")?,
            tokenizers: variable("TOKENIZERS")?.into(),
        })
    }

    /// The header that the converter writes, or the last line of what it says.
    fn header(&self, source: &Path) -> Result<KeyValues, String> {
        let output = source.with_extension("reference.gguf");
        let run = Command::new(&self.python)
            .arg(&self.converter)
            .arg(source)
            .args(["--outtype", "bf16", "--outfile"])
            .arg(&output)
            .env(
                "PYTHONPATH",
                self.converter.with_file_name("gguf-py").as_os_str(),
            )
            .output()
            .unwrap();
        match run.status.success() {
            true => Ok(decisive(&output)),
            false => Err(text(&run.stderr).lines().last().unwrap_or("").to_owned()),
        }
    }
}

/// The key-values that decide how a model runs. The converter writes the file type, we both that and
/// the quantizer's version, at the end.
fn decisive(path: &Path) -> KeyValues {
    let is_decisive = |key: &str| {
        !key.starts_with("general.")
            || key.starts_with("general.sampling.")
            || ["general.architecture", "general.type"].contains(&key)
    };
    let key_values = Gguf::open(path).unwrap().key_values;
    let decisive = key_values.into_iter().filter(|(key, _)| is_decisive(key));
    decisive.collect()
}

/// A small Llama with this tokenizer, in `dir/NAME`.
fn checkpoint(dir: &Path, tokenizer: &Path) -> PathBuf {
    let is_folder = tokenizer.is_dir();
    let vocab_size = match is_folder {
        true => largest_id(&tokenizer.join("tokenizer.json")) + 9,
        false => 65536,
    };
    let spec = Spec {
        sizes: Sizes {
            num_hidden_layers: 1,
            hidden_size: 64,
            intermediate_size: 64,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            vocab_size,
            num_local_experts: 0,
        },
        layout: Layout::Separate,
        dtype: Dtype::Bf16,
        other_dtype: None,
        tied: true,
        shards: 1,
        seed: 1,
        sparse: true,
    };
    let source = dir.join(tokenizer.file_stem().unwrap());
    synthetic::write(&source, &spec).unwrap();
    fs::remove_file(source.join("tokenizer.model")).unwrap();
    if is_folder {
        for entry in fs::read_dir(tokenizer).unwrap() {
            let from = entry.unwrap().path();
            if from.extension().is_some_and(|kind| kind == "json") {
                let to = source.join(from.file_name().unwrap());
                if !to.exists() {
                    fs::copy(&from, to).unwrap();
                }
            }
        }
    } else {
        fs::copy(tokenizer, source.join("tokenizer.model")).unwrap();
    }
    let sampling = json!({
        "do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0,
        "repetition_penalty": 1.05, "eos_token_id": [1, 2],
    });
    fs::write(source.join("generation_config.json"), sampling.to_string()).unwrap();
    source
}

fn largest_id(path: &Path) -> usize {
    let json: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let vocab = json["model"]["vocab"].as_object().unwrap().values();
    let added = json["added_tokens"].as_array().unwrap().iter();
    let ids = vocab.chain(added.map(|token| &token["id"]));
    ids.filter_map(Json::as_u64).max().unwrap() as usize
}

fn edit(path: &Path, edit: impl FnOnce(&mut Json)) {
    let mut json = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => json!({}),
    };
    edit(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

/// A change of a checkpoint's tokenizer files.
type Change = fn(&Path);

const BYTES_ALONE: &str = "bytes alone";

/// What is changed in each checkpoint, by name.
const CHANGES: [(&str, Change); 5] = [
    ("as it is", |_| {}),
    ("flags", |dir| {
        edit(&dir.join("tokenizer_config.json"), |json| {
            json["add_bos_token"] = json!(true);
            json["add_eos_token"] = json!(false);
            json["add_prefix_space"] = json!(false);
        });
    }),
    ("ids of config.json", |dir| {
        edit(&dir.join("config.json"), |json| {
            json["bos_token_id"] = json!(3);
            json["eos_token_id"] = json!([4, 5]);
            json["pad_token_id"] = json!(null);
            json["text_config"] = json!({"pad_token_id": 6});
        });
    }),
    (BYTES_ALONE, |dir| {
        if dir.join("tokenizer.json").exists() {
            edit(&dir.join("tokenizer.json"), |json| {
                json["post_processor"] = json!({"type": "ByteLevel", "add_prefix_space": true,
                    "trim_offsets": false, "use_regex": true});
            });
        }
    }),
    ("named tokens", |dir| {
        if dir.join("tokenizer.json").exists() {
            edit(&dir.join("tokenizer_config.json"), |json| {
                json.as_object_mut().unwrap().remove("added_tokens_decoder");
            });
            edit(&dir.join("special_tokens_map.json"), |json| {
                json["additional_special_tokens"] = json!(["<|one|>", "<|two|>"]);
            });
        }
    }),
];

#[test]
fn headers_are_the_converters() {
    let Some(oracle) = Oracle::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut tokenizers: Vec<PathBuf> = fs::read_dir(&oracle.tokenizers)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.join("tokenizer.json").exists() || path.extension().is_some_and(|e| e == "model")
        })
        .collect();
    tokenizers.sort();
    let (mut compared, mut differing) = (0, Vec::new());
    for tokenizer in tokenizers {
        for (what, change) in CHANGES {
            let source = checkpoint(dir.path(), &tokenizer);
            change(&source);
            let name = format!("{}, {what}", source.file_name().unwrap().display());
            let output = source.with_extension("gguf");
            let ours = convert(&source, &output, &["-t", "bf16", "-f"]);
            let reference = oracle.header(&source);
            match (ours.status.success(), reference) {
                (true, Ok(mut reference)) => {
                    let mut found = decisive(&output);
                    if what == BYTES_ALONE {
                        // Other ids at the ends are another hash to the converter, and so maybe
                        // another pre-tokenizer.
                        for header in [&mut found, &mut reference] {
                            header.retain(|(key, _)| key != "tokenizer.ggml.pre");
                        }
                    }
                    compared += 1;
                    if found != reference {
                        differing.push(format!("{name}: {}", first_difference(&found, &reference)));
                    }
                }
                (_, Err(why)) => skip(TEST, &format!("{name}: the converter says: {why}")),
                (false, _) => skip(TEST, &format!("{name}: {}", text(&ours.stderr).trim())),
            }
            fs::remove_dir_all(&source).unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(compared > 0, "nothing was compared");
}

fn first_difference(found: &KeyValues, reference: &KeyValues) -> String {
    let short = |pair: Option<&(String, _)>| format!("{:.200}", format!("{pair:?}"));
    let most = found.len().max(reference.len());
    let at = (0..most).find(|&i| found.get(i) != reference.get(i));
    let at = at.unwrap_or(most);
    format!(
        "found {}, expected {}",
        short(found.get(at)),
        short(reference.get(at))
    )
}
