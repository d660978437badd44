//! Families of models: for each a tiny checkpoint, made here of a recipe, and what llama.cpp's converter and
//! quantizer make of it, made once and kept in `golden/` (see `write.rs`).

mod fused;
mod generate;
mod golden;
mod greedy;
mod recipe;
mod registry;
mod tokenizer;
mod variants;
mod write;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use swallow_gguf::file_type::FileType;

use crate::support::{LlamaKnobs, convert, llama_quantize, swallow_gguf, text};
use golden::{TYPES, difference, digests, first_differing_block, lines};
use recipe::Recipe;

/// A test for each recipe, and the list of them.
macro_rules! recipes {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

recipes! {
    cohere
    cohere2
    cohere_qk_norm
    dots1
    ernie4_5
    ernie4_5_fused
    ernie4_5_moe
    exaone4
    exaone4_window
    falcon
    falcon_rw
    glm4
    granite
    granite_hybrid
    granitemoe
    granitemoe_shared
    hunyuan_dense
    hunyuan_moe
    hunyuan_untied
    internlm2
    llama
    minicpm
    minicpm_longrope
    mistral_tekken
    mixtral
    olmo2
    olmo3
    olmoe
    phi3
    phi4
    phimoe
    qwen2
    qwen2_r1
    qwen2moe
    qwen2moe_fused
    qwen3
    qwen3_untied
    qwen3moe
    qwen3moe_fused
    seed_oss
    smollm3
    stablelm
    stablelm_parallel
    starcoder2
}

/// Writes the checkpoint of a recipe that is changed before.
pub(crate) fn write_edited(dir: &Path, name: &str, edit: impl FnOnce(&mut serde_json::Value)) {
    fs::create_dir_all(dir.parent().unwrap()).unwrap();
    generate::write(dir, &Recipe::edited(name, edit));
}

const PROMPT: &str = "The quick brown fox jumps over 12 lazy dogs.";

/// The checkpoint of a recipe, in a folder of its name in `dir`.
pub(crate) fn write_checkpoint(dir: &Path, name: &str) -> PathBuf {
    let source = dir.join(name);
    generate::write(&source, &Recipe::read(name));
    source
}

fn check(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let source = write_checkpoint(dir.path(), name);
    let golden = Golden::read(name);
    let mut wrong = String::new();
    for file_type in TYPES {
        let ours = dir.path().join(format!("{file_type}.gguf"));
        let run = convert(&source, &ours, &["-t", &file_type.to_string()]);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let found = digests(&ours);
        if found != golden.digests(file_type) {
            let differs = match file_type {
                FileType::BF16 => difference(&golden.lines, &lines(&ours)),
                _ => unlike_quantizer(dir.path(), file_type, &ours),
            };
            wrong += &format!(
                "{file_type}, llama.cpp's (-) and ours (+):\n- {}\n+ {found}\n{differs}",
                golden.digests(file_type)
            );
        }
    }
    assert!(wrong.is_empty(), "{name}: {wrong}");
    let bf16 = dir.path().join("BF16.gguf");
    let mut verify = swallow_gguf();
    verify
        .arg("verify")
        .arg(&bf16)
        .arg("--against")
        .arg(&source);
    let verified = verify.output().unwrap();
    assert!(
        verified.status.success(),
        "{name}: {}{}",
        text(&verified.stdout),
        text(&verified.stderr)
    );
    if let Some(expected) = golden.answer() {
        let (answer, stderr) = answer(&bf16);
        assert_eq!(answer, expected, "{name}: {stderr}");
    }
}

/// What llama.cpp's quantizer, here and now, makes otherwise of our file in BF16.
fn unlike_quantizer(dir: &Path, file_type: FileType, ours: &Path) -> String {
    let theirs = dir.join(format!("{file_type}.llama.gguf"));
    let input = dir.join("BF16.gguf");
    if !llama_quantize(&input, &theirs, file_type, &LlamaKnobs::default()) {
        return "llama.cpp does not quantize our file in BF16\n".to_owned();
    }
    let without_data = |path: &Path| -> Vec<String> {
        let all = lines(path).into_iter();
        all.map(|line| {
            line.rsplit_once("] ")
                .map_or(line.clone(), |(table, rest)| {
                    let ty = rest.split(' ').next().unwrap_or_default();
                    format!("{table}] {ty}")
                })
        })
        .collect()
    };
    let table = difference(&without_data(&theirs), &without_data(ours));
    match table.is_empty() {
        true => first_differing_block(&theirs, ours),
        false => table,
    }
}

/// What is written after a prompt, and what is said about it.
fn answer(model: &Path) -> (String, String) {
    let state = model.parent().unwrap();
    let output = swallow_gguf()
        .env("XDG_STATE_HOME", state)
        .args([
            "run", "-t", "1", "-c", "128", "--raw", "--temp", "0", "-n", "8",
        ])
        .args(["-p", PROMPT, "-m"])
        .arg(model)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// `golden/NAME.txt`: lines of the file in BF16, an empty line, digests of all files, and the answer.
struct Golden {
    lines: Vec<String>,
    rest: Vec<String>,
}

impl Golden {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(golden::path(name)).unwrap();
        let (lines, rest) = text.split_once("\n\n").unwrap();
        let list = |text: &str| text.lines().map(str::to_owned).collect();
        Self {
            lines: list(lines),
            rest: list(rest),
        }
    }

    fn after(&self, start: &str) -> Option<&str> {
        self.rest.iter().find_map(|line| line.strip_prefix(start))
    }

    fn digests(&self, file_type: FileType) -> &str {
        self.after(&format!("{file_type}: ")).unwrap()
    }

    /// What llama.cpp's own file answers, if llama.cpp loads it.
    fn answer(&self) -> Option<String> {
        let answer = self.after("answer: ")?;
        Some(serde_json::from_str(answer).unwrap())
    }
}

#[test]
fn every_recipe_is_listed_and_has_its_digests() {
    let stems = |dir: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let names: BTreeSet<_> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(stems(Recipe::folder()), names, "recipes");
    let goldens = golden::path("any").parent().unwrap().to_owned();
    assert_eq!(stems(goldens), names, "digests");
}

/// Writes the checkpoint of a recipe to `dir`, with other weights for another seed.
pub(crate) fn write_seeded(dir: &Path, recipe: &str, seed: u64) {
    let recipe = Recipe {
        seed,
        ..Recipe::read(recipe)
    };
    generate::write(dir, &recipe);
}
