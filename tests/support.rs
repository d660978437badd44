//! What several test modules need: the program, folders, generated checkpoints, llama.cpp's
//! quantizer.

use std::{
    ffi::CString,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Once,
};

use swallow_gguf::{
    file_type::FileType,
    gguf::{Gguf, KeyValues, Value, encode_header},
    imatrix::Imatrix,
    source::Dtype,
    synthetic::{self, Layout, Sizes, Spec},
};
use swallow_quant::GgmlType;

/// The program under test.
pub(crate) fn swallow_gguf() -> Command {
    Command::new(env!("CARGO_BIN_EXE_swallow-gguf"))
}

/// Runs `swallow-gguf convert SRC -o OUT -q` with further arguments.
pub(crate) fn convert(source: &Path, output: &Path, args: &[&str]) -> Output {
    swallow_gguf()
        .arg("convert")
        .arg(source)
        .arg("-o")
        .arg(output)
        .arg("-q")
        .args(args)
        .output()
        .unwrap()
}

/// Runs `swallow-gguf quantize IN -o OUT -q` with further arguments.
pub(crate) fn quantize(source: &Path, output: &Path, args: &[&str]) -> Output {
    swallow_gguf()
        .arg("quantize")
        .arg(source)
        .arg("-o")
        .arg(output)
        .arg("-q")
        .args(args)
        .output()
        .unwrap()
}

/// As [`quantize`], and it must succeed.
pub(crate) fn quantized(source: &Path, output: &Path, args: &[&str]) -> Vec<u8> {
    let run = quantize(source, output, args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    std::fs::read(output).unwrap()
}

/// As [`convert`], and it must succeed.
pub(crate) fn converted(source: &Path, output: &Path, args: &[&str]) -> Vec<u8> {
    let run = convert(source, output, args);
    assert!(run.status.success(), "{}", text(&run.stderr));
    std::fs::read(output).unwrap()
}

/// Writes a generated importance matrix of the model in `model`, in today's format or the older one.
pub(crate) fn write_imatrix(model: &Path, path: &Path, legacy: bool) {
    let spec = synthetic::imatrix::Spec {
        seed: 5,
        output: true,
        unseen: true,
    };
    let measured = synthetic::imatrix::measure(&Gguf::open(model).unwrap().tensors, &spec);
    let bytes = match legacy {
        true => synthetic::imatrix::write_legacy(&measured, "text.txt"),
        false => synthetic::imatrix::write_gguf(&measured, "text.txt").unwrap(),
    };
    std::fs::write(path, bytes).unwrap();
}

/// Flips bits of one byte of a block of a tensor.
pub(crate) fn flip(file: &Path, tensor: &str, block: usize, byte: usize, bits: u8) {
    let gguf = Gguf::open(file).unwrap();
    let info = gguf.tensor(tensor).unwrap();
    let begin = (gguf.data_offset + info.offset) as usize;
    let mut bytes = std::fs::read(file).unwrap();
    bytes[begin + block * info.ty.block_bytes() + byte] ^= bits;
    std::fs::write(file, bytes).unwrap();
}

/// Changes the metadata of a GGUF, whatever comes of it.
pub(crate) fn change_keys(file: &Path, change: impl FnOnce(&mut KeyValues)) {
    let mut gguf = Gguf::open(file).unwrap();
    let bytes = std::fs::read(file).unwrap();
    change(&mut gguf.key_values);
    let mut changed = encode_header(&gguf.key_values, &gguf.tensors, gguf.alignment);
    changed.extend_from_slice(&bytes[gguf.data_offset as usize..]);
    std::fs::write(file, changed).unwrap();
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A small Mixtral with two experts: rows of 256 and 512, grouped queries, two shards.
pub(crate) fn small_moe() -> Spec {
    Spec {
        sizes: Sizes {
            num_hidden_layers: 2,
            hidden_size: 256,
            intermediate_size: 512,
            num_attention_heads: 8,
            num_key_value_heads: 2,
            vocab_size: 300,
            num_local_experts: 2,
        },
        layout: Layout::Separate,
        dtype: Dtype::Bf16,
        tied: false,
        shards: 2,
        seed: 1,
        sparse: false,
        other_dtype: None,
    }
}

/// Writes the checkpoint of `spec` into `dir/name`.
pub(crate) fn checkpoint(dir: &Path, name: &str, spec: &Spec) -> PathBuf {
    let path = dir.join(name);
    synthetic::write(&path, spec).unwrap();
    path
}

/// Says that a test does not run here, and why. Not by `eprintln!`, which the test harness keeps
/// to itself for tests that pass.
pub(crate) fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Material that is not part of the project, where it is there; else says that a test is skipped.
pub(crate) fn fixtures(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("SWALLOW_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"),
        PathBuf::from,
    );
    if !path.is_dir() {
        skip(
            test,
            &format!("no fixtures at {} (SWALLOW_FIXTURES)", path.display()),
        );
        return None;
    }
    Some(path)
}

/// The real SmolLM2-135M-Instruct: a byte-level vocabulary, ChatML in the file. `scripts/test.sh`
/// fetches it and gives its path.
pub(crate) fn smollm2(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("SMOLLM2_GGUF").map(PathBuf::from);
    if path.is_none() {
        skip(test, "SMOLLM2_GGUF is not set, scripts/test.sh does that");
    }
    path
}

/// The example that makes checkpoints out of a dense GGUF; `cargo test` builds it.
pub(crate) fn moe_from_gguf() -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_swallow-gguf"));
    let example = program.with_file_name("examples").join("moe_from_gguf");
    Command::new(example.with_extension(std::env::consts::EXE_EXTENSION))
}

/// Options of llama.cpp's quantizer.
#[derive(Default)]
pub(crate) struct LlamaKnobs<'a> {
    pub(crate) output_type: Option<GgmlType>,
    pub(crate) token_embedding_type: Option<GgmlType>,
    pub(crate) leave_output: bool,
    pub(crate) pure: bool,
    pub(crate) allow_requantize: bool,
    /// Patterns, in lower case as llama-quantize hands them on.
    pub(crate) tensor_types: &'a [(&'a str, GgmlType)],
    pub(crate) overrides: &'a [(&'a str, Value)],
    /// As llama-quantize does, this adds the matrix's keys behind `overrides`.
    pub(crate) imatrix: Option<&'a Imatrix>,
}

/// Makes llama.cpp ready, once, and has it say nothing.
pub(crate) fn silent_llama() {
    extern "C" fn silent(
        _: llama_cpp_sys_2::ggml_log_level,
        _: *const std::ffi::c_char,
        _: *mut std::ffi::c_void,
    ) {
    }
    static BACKEND: Once = Once::new();
    // SAFETY: the function that is handed over does nothing, and is there as long as the program.
    BACKEND.call_once(|| unsafe {
        llama_cpp_sys_2::llama_backend_init();
        llama_cpp_sys_2::llama_log_set(Some(silent), std::ptr::null_mut());
    });
}

/// llama.cpp's own quantizer, in process, on one thread; whether it succeeds.
pub(crate) fn llama_quantize(
    input: &Path,
    output: &Path,
    file_type: FileType,
    knobs: &LlamaKnobs<'_>,
) -> bool {
    silent_llama();
    let c_path = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
    let (input, output) = (c_path(input), c_path(output));
    let patterns: Vec<CString> = knobs
        .tensor_types
        .iter()
        .map(|(pattern, _)| CString::new(*pattern).unwrap())
        .collect();
    let mut tensor_types: Vec<_> = std::iter::zip(&patterns, knobs.tensor_types)
        .map(
            |(pattern, (_, ty))| llama_cpp_sys_2::llama_model_tensor_override {
                pattern: pattern.as_ptr(),
                type_: *ty as _,
            },
        )
        .collect();
    tensor_types.push(llama_cpp_sys_2::llama_model_tensor_override {
        pattern: std::ptr::null(),
        type_: 0,
    });
    let mut overrides: Vec<_> = knobs
        .overrides
        .iter()
        .map(|(key, value)| llama_override(key, value))
        .collect();
    let imatrix_keys = knobs.imatrix.map(Imatrix::key_values).unwrap_or_default();
    overrides.extend(
        imatrix_keys
            .iter()
            .map(|(key, value)| llama_override(key, value)),
    );
    let has_overrides = !overrides.is_empty();
    // The end of the list is an empty key.
    overrides.push(llama_override("", &Value::Bool(false)));
    let named_importance: Vec<(CString, &[f32])> = knobs
        .imatrix
        .into_iter()
        .flat_map(|imatrix| {
            imatrix
                .tensors()
                .map(|name| (name, imatrix.get(name).unwrap()))
        })
        .map(|(name, importance)| (CString::new(name).unwrap(), importance))
        .collect();
    let mut imatrix: Vec<_> = named_importance
        .iter()
        .map(
            |(name, importance)| llama_cpp_sys_2::llama_model_imatrix_data {
                name: name.as_ptr(),
                data: importance.as_ptr(),
                size: importance.len(),
            },
        )
        .collect();
    imatrix.push(llama_cpp_sys_2::llama_model_imatrix_data {
        name: std::ptr::null(),
        data: std::ptr::null(),
        size: 0,
    });
    // SAFETY: the strings, numbers and lists, which end as llama.cpp expects it, outlive the call;
    // the other parameters are llama.cpp's own defaults but for plain values.
    let status = unsafe {
        let mut params = llama_cpp_sys_2::llama_model_quantize_default_params();
        params.nthread = 1;
        params.ftype = file_type.id() as _;
        if let Some(ty) = knobs.output_type {
            params.output_tensor_type = ty as _;
        }
        if let Some(ty) = knobs.token_embedding_type {
            params.token_embedding_type = ty as _;
        }
        params.quantize_output_tensor = !knobs.leave_output;
        params.pure_ = knobs.pure;
        params.allow_requantize = knobs.allow_requantize;
        if !knobs.tensor_types.is_empty() {
            params.tt_overrides = tensor_types.as_ptr();
        }
        if has_overrides {
            params.kv_overrides = overrides.as_ptr();
        }
        if knobs.imatrix.is_some() {
            params.imatrix = imatrix.as_ptr();
        }
        llama_cpp_sys_2::llama_model_quantize(input.as_ptr(), output.as_ptr(), &params)
    };
    status == 0
}

fn llama_override(key: &str, value: &Value) -> llama_cpp_sys_2::llama_model_kv_override {
    use llama_cpp_sys_2::{
        LLAMA_KV_OVERRIDE_TYPE_BOOL, LLAMA_KV_OVERRIDE_TYPE_FLOAT, LLAMA_KV_OVERRIDE_TYPE_INT,
        LLAMA_KV_OVERRIDE_TYPE_STR, llama_model_kv_override__bindgen_ty_1 as OverrideValue,
    };
    let c_chars = |text: &str| {
        let mut chars = [0; 128];
        for (to, from) in chars[..127].iter_mut().zip(text.bytes()) {
            *to = from as std::ffi::c_char;
        }
        chars
    };
    let (tag, value) = match value {
        Value::U32(v) => (
            LLAMA_KV_OVERRIDE_TYPE_INT,
            OverrideValue {
                val_i64: i64::from(*v),
            },
        ),
        Value::F32(v) => (
            LLAMA_KV_OVERRIDE_TYPE_FLOAT,
            OverrideValue {
                val_f64: f64::from(*v),
            },
        ),
        Value::Bool(v) => (LLAMA_KV_OVERRIDE_TYPE_BOOL, OverrideValue { val_bool: *v }),
        Value::String(v) => (
            LLAMA_KV_OVERRIDE_TYPE_STR,
            OverrideValue {
                val_str: c_chars(&v.to_string()),
            },
        ),
        other => panic!("no override can be {other:?}"),
    };
    llama_cpp_sys_2::llama_model_kv_override {
        tag,
        key: c_chars(key),
        __bindgen_anon_1: value,
    }
}
