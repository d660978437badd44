//! Makes `golden/`, with llama.cpp's converter and the quantizer that is linked in:
//!
//! ```sh
//! LLAMA_CPP_CONVERTER=llama.cpp/convert_hf_to_gguf.py HF_PYTHON=venv/bin/python \
//!     cargo test --release --test tests families::write -- --ignored --nocapture
//! ```
//!
//! `FAMILIES="qwen2 qwen3"` makes only some, and `families::write::checkpoints` with `CHECKPOINTS=DIR` only writes
//! what is converted. The converter is that of b11434, its Python has transformers 4.57.6,
//! torch and sentencepiece.

use std::{env, fmt::Write, fs, path::Path, process::Command};

use super::{
    NAMES, PROMPT, answer, generate,
    golden::{self, TYPES, digests, lines},
    greedy,
    recipe::Recipe,
    write_checkpoint,
};
use crate::support::{LlamaKnobs, llama_quantize, text};

/// The most likely token must be ahead of the next by this part of the logits' deviation, so that the
/// order in which a processor adds does not decide.
const LEAST_MARGIN: f32 = 0.005;

/// So many of the eight tokens must not be the same.
const LEAST_DIFFERENT: usize = 3;

fn wanted() -> String {
    env::var("FAMILIES").unwrap_or_else(|_| NAMES.join(" "))
}

#[test]
#[ignore = "writes to a folder, CHECKPOINTS"]
fn checkpoints() {
    let dir = env::var_os("CHECKPOINTS").expect("CHECKPOINTS, the folder to write to");
    for name in wanted().split_whitespace() {
        write_checkpoint(dir.as_ref(), name);
    }
}

#[test]
#[ignore = "needs llama.cpp's converter, LLAMA_CPP_CONVERTER"]
fn goldens() {
    let wanted = wanted();
    let mut failed = Vec::new();
    for name in wanted.split_whitespace() {
        match golden(name) {
            Ok(text) => fs::write(golden::path(name), text).unwrap(),
            Err(error) => {
                println!("{name}: {error}");
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn golden(name: &str) -> Result<String, String> {
    let recipe = Recipe::read(name);
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join(name);
    generate::write(&source, &recipe);
    let converted = dir.path().join("converted.gguf");
    run_converter(&source, &converted, recipe.pre.as_deref())?;

    let mut text = String::new();
    for file_type in TYPES {
        let path = dir.path().join(format!("{file_type}.gguf"));
        if !llama_quantize(&converted, &path, file_type, &LlamaKnobs::default()) {
            return Err(format!("llama.cpp does not quantize to {file_type}"));
        }
        if text.is_empty() {
            text = lines(&path).join("\n") + "\n\n";
        }
        writeln!(text, "{file_type}: {}", digests(&path)).unwrap();
    }
    let model = dir.path().join("BF16.gguf");
    match greedy::clearness(&model, PROMPT, 8) {
        Ok(clear) => {
            let (answer, stderr) = answer(&model);
            if clear.margin < LEAST_MARGIN || clear.different < LEAST_DIFFERENT || answer.len() < 2
            {
                let (margin, different) = (clear.margin, clear.different);
                return Err(format!(
                    "a margin of {margin}, {different} different tokens, {answer:?}, take another seed {stderr}"
                ));
            }
            println!("{name}: margin {:.3}, {answer:?}", clear.margin);
            writeln!(text, "answer: {}", serde_json::to_string(&answer).unwrap()).unwrap();
        }
        Err(reason) => {
            println!("{name}: not run, {reason}");
            writeln!(text, "not run: {reason}").unwrap();
        }
    }
    Ok(text)
}

/// llama.cpp's converter, which is told the pre-tokenizer's name.
fn run_converter(source: &Path, output: &Path, pre: Option<&str>) -> Result<(), String> {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/family-converter.py");
    let run = Command::new(variable("HF_PYTHON"))
        .args([script, &variable("LLAMA_CPP_CONVERTER"), pre.unwrap_or("")])
        .arg(source)
        .args(["--outtype", "bf16", "--outfile"])
        .arg(output)
        .output()
        .unwrap();
    match run.status.success() {
        true => Ok(()),
        false => Err(text(&run.stderr)),
    }
}
