//! Errors of `src/merge`.

mod gates;
mod recipes;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::{Value as Json, json};
use swallow_gguf::{
    file_type::FileType,
    gguf::LayoutError,
    hub::{Client, Config, RetryPolicy},
    merge::{
        Layout, Merge, MergeError, MergeOptions, MergeWishes, MergedCheckpoint, gates::GateError,
        recipe::RecipeError,
    },
    synthetic::Spec,
};

use super::{Section, variants};
use crate::{
    edited::Folder,
    support::{checkpoint, small_moe},
};

variants!(MergeError {
    NoFolder,
    Nowhere,
    Parent,
    NotDense,
    Family,
    Families,
    OtherOutput,
    RopeScaling,
    NoSharedExpert,
    SharedExperts,
    Bias,
    Lora,
    Activation,
    Differs,
    Vocabularies,
    NoUnion,
    Exists,
    Write,
    Read,
} hands_on { Recipe, Gates, Convert, Layout });

variants!(RecipeError {
    NotThere,
    Folder,
    File,
    Empty,
    Yaml,
    OfMergekitYaml,
    UnknownKey,
    Refused,
    Value,
});

variants!(GateError {
    NotOfPrompts,
    NoPrompts,
    EmptyPrompt,
    PromptTooLong,
    NoEmbedding,
    Missing,
    Tensor,
    NotFinite,
    Overflow,
    Shape,
    Exists,
    IsInput,
    Read,
    Write,
} hands_on { Source, Convert, Runner, Layout });

const EXPERTS: &str = "gate_mode: random\nexperts:\n- source_model: ./one\n- source_model: ";

pub(super) fn errors(list: &mut Section) {
    list.want::<MergeError>();
    list.want::<RecipeError>();
    list.want::<GateError>();
    recipes::errors(list);
    let dir = list.dir().to_owned();
    for (seed, name) in [(1, "one"), (2, "two")] {
        checkpoint(&dir, name, &dense(seed));
    }
    references(list);
    parents(list, &dir);
    vocabularies(list, &dir);
    outputs(list, &dir);
    gates::errors(list);
}

fn dense(seed: u64) -> Spec {
    Spec {
        shards: 1,
        ..crate::merge::dense(seed)
    }
}

/// Opens a merge of `one` and a second expert in `dir`, which fails.
fn failed(dir: &Path, second: &str, rest: &str) -> MergeError {
    merge(
        dir,
        &format!("base_model: ./one\n{EXPERTS}{second}\n{rest}"),
    )
    .unwrap_err()
}

fn merge(dir: &Path, yaml: &str) -> Result<Merge, MergeError> {
    let path = dir.join("moe.yml");
    fs::write(&path, yaml).unwrap();
    let config = Config {
        endpoint: "https://huggingface.co".into(),
        token: None,
        cache: dir.join("cache"),
        offline: Some("HF_HUB_OFFLINE"),
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let options = MergeOptions {
        recipe: path,
        name: None,
        seed: None,
        architecture: None,
        experts_per_token: None,
        gates: None,
        client: Client::new(config, RetryPolicy::default(), Arc::clone(&cancel)),
        skip_tensors: Vec::new(),
        pre: None,
        plan_only: true,
        threads: None,
        scratch: dir.into(),
        cancel,
    };
    Merge::open(&options, &|_| {})
}

fn references(list: &mut Section) {
    let dir = list.dir().to_owned();
    for (case, reference) in [
        ("a folder that is not there", "./elsewhere"),
        ("a slip in a folder's name", "./Two"),
        ("slashes of Windows", ".\\two"),
        (
            "neither a folder nor a repository",
            "mistralai/Mistral-7B-v0.1",
        ),
        ("a name that the hub cannot have", "hf:a/b/c"),
        ("a model and an adapter", "./one+./lora"),
    ] {
        list.add(case, failed(&dir, &format!("'{reference}'"), ""));
    }
    fs::create_dir_all(dir.join("models/two")).unwrap();
    list.add(
        "a slip in what looks like a repository",
        failed(&dir, "models/tow", ""),
    );
}

/// Copies the parent `one` to `name`, for changes.
fn copy(dir: &Path, name: &str) -> PathBuf {
    let to = dir.join(name);
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(dir.join("one")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
    }
    to
}

fn configure(parent: &Path, key: &str, value: Json) {
    let source = parent.to_owned();
    Folder { source }.edit_json("config.json", |config| config[key] = value);
}

/// Adds a tensor of BF16 zeros to a parent.
fn add_tensor(parent: &Path, name: &str, len: usize) {
    let source = parent.to_owned();
    let folder = Folder { source };
    let end = folder.parts().1.len();
    folder.edit_header(|header| {
        header[name] =
            json!({"dtype": "BF16", "shape": [len], "data_offsets": [end, end + 2 * len]});
    });
    let shard = folder.file("model.safetensors");
    let zeros = vec![0; 2 * len];
    fs::write(&shard, [fs::read(&shard).unwrap(), zeros].concat()).unwrap();
}

fn parents(list: &mut Section, dir: &Path) {
    fs::create_dir(dir.join("empty")).unwrap();
    list.add("an empty folder", failed(dir, "./empty", ""));
    fs::write(dir.join("two.gguf"), b"GGUF\x03\0\0\0").unwrap();
    list.add("a GGUF", failed(dir, "./two.gguf", ""));
    let adapter = r#"{"peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-2-7b-hf"}"#;
    fs::create_dir(dir.join("adapter")).unwrap();
    fs::write(dir.join("adapter/adapter_config.json"), adapter).unwrap();
    list.add("an adapter", failed(dir, "./adapter", ""));
    let shard = copy(dir, "pointer").join("model.safetensors");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 499723\n";
    fs::write(shard, pointer).unwrap();
    list.add("a shard that was not fetched", failed(dir, "./pointer", ""));

    checkpoint(dir, "moe", &small_moe());
    list.add("a mixture", failed(dir, "./moe", ""));
    let bias = copy(dir, "bias");
    add_tensor(&bias, "model.layers.0.self_attn.q_proj.bias", 256);
    list.add("a model with biases", failed(dir, "./bias", ""));
    crate::families::write_checkpoint(dir, "olmo2");
    list.add("another family", failed(dir, "./olmo2", ""));
    configure(
        &copy(dir, "qwen2"),
        "architectures",
        json!(["Qwen2ForCausalLM"]),
    );
    list.add("parents of two families", failed(dir, "./qwen2", ""));
    let asked = |output: &str| failed(dir, "./two", &format!("architecture: {output}"));
    list.add("a mixture that is not made of such", asked("qwen3"));
    list.add("no shared expert", asked("qwen2"));
    list.add(
        "a shared expert without a place",
        failed(dir, "./two", "shared_experts: [{source_model: ./two}]"),
    );
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0});
    configure(&dir.join("one"), "rope_scaling", llama3);
    let shared =
        "architecture: qwen2\nshared_experts: [{source_model: ./two, positive_prompts: [a]}]";
    list.add(
        "a rope scaling that the mixture has not",
        failed(dir, "./two", shared),
    );
    configure(&dir.join("one"), "rope_scaling", Json::Null);
    configure(&copy(dir, "gelu"), "hidden_act", json!("gelu"));
    list.add("another activation", failed(dir, "./gelu", ""));
    configure(
        &copy(dir, "gpt2"),
        "architectures",
        json!(["GPT2LMHeadModel"]),
    );
    list.add("another class", failed(dir, "./gpt2", ""));
    let mut deeper = dense(3);
    deeper.sizes.num_hidden_layers = 3;
    checkpoint(dir, "deeper", &deeper);
    list.add("another shape", failed(dir, "./deeper", ""));
}

fn vocabularies(list: &mut Section, dir: &Path) {
    let larger = |name: &str| {
        let mut spec = dense(4);
        spec.sizes.vocab_size = 303;
        checkpoint(dir, name, &spec)
    };
    larger("larger");
    list.add("words that differ", failed(dir, "./larger", ""));
    let union = "tokenizer_source: union";
    let bytes = larger("bytes");
    fs::remove_file(bytes.join("tokenizer.model")).unwrap();
    let vocab: serde_json::Map<String, Json> = ('!'..='~')
        .chain('¡'..='¬')
        .chain('®'..='ÿ')
        .chain('Ā'..='Ń')
        .enumerate()
        .map(|(id, c)| (c.to_string(), json!(id)))
        .collect();
    let tokenizer = json!({
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    fs::write(bytes.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    list.add("vocabularies of two kinds", failed(dir, "./bytes", union));

    // A word of the expert is a piece of the base that an added token has taken the place of.
    let added = json!({"added_tokens_decoder": {"299": {"content": "<|a|>", "special": true}}});
    let path = dir.join("one/tokenizer_config.json");
    fs::write(&path, added.to_string()).unwrap();
    list.add("a union of one text twice", written(dir, "./larger", union));
    fs::remove_file(path).unwrap();
}

/// As [`failed`], of a merge that is open and whose tokenizer cannot be written.
fn written(dir: &Path, second: &str, rest: &str) -> MergeError {
    let yaml = format!("base_model: ./one\n{EXPERTS}{second}\n{rest}");
    let wishes = MergeWishes {
        wishes: FileType::Q8_0.into(),
        chat_template: None,
    };
    let conversion = merge(dir, &yaml).unwrap().into_conversion(&wishes);
    conversion.unwrap_err()
}

fn outputs(list: &mut Section, dir: &Path) {
    let yaml = format!("base_model: ./one\n{EXPERTS}./two\n");
    let merge = merge(dir, &yaml).unwrap();
    let checkpoint = MergedCheckpoint::new(merge, Layout::Separate, u64::MAX).unwrap();
    let check = |name: &str| checkpoint.check_output(&dir.join(name)).unwrap_err();
    list.add("an output that is there", check("one"));
    list.add("an output below a file", check("one/config.json/merged"));
    // What a privileged user may always read.
    list.add(
        "a tokenizer file without the right to read it",
        MergeError::Read {
            path: dir.join("one/tokenizer.model"),
            error: io::ErrorKind::PermissionDenied.into(),
        },
    );
    let too_large = LayoutError::TooLarge {
        name: "model.embed_tokens.weight".into(),
        dims: vec![u64::MAX, 2],
    };
    list.add("a tensor beyond all bounds", MergeError::Layout(too_large));
}
