//! Importance matrices: what llama.cpp's quantizer makes of the values and keys that we read, and
//! which types it then gives to tensors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use swallow_gguf::{
    bench::ggml,
    file_type::FileType::{self, *},
    gguf::{Gguf, KeyValues},
    imatrix::{Fit, Imatrix},
    mix::{Knobs, Mix, MixModel, Rules, needs_importance_matrix},
    synthetic::{
        Sizes,
        imatrix::{Measured, Spec, measure, write_gguf, write_legacy},
    },
};
use swallow_quant::GgmlType;
use tempfile::TempDir;

use crate::support::{
    LlamaKnobs, checkpoint, converted, llama_quantize, small_moe, swallow_gguf, text,
};

/// A model in a GGUF for llama.cpp to start from, and importance matrices for it.
struct Model {
    dir: TempDir,
    sizes: Sizes,
    plain: PathBuf,
}

impl Model {
    fn new(change: impl FnOnce(&mut Sizes)) -> Self {
        let mut spec = small_moe();
        change(&mut spec.sizes);
        let dir = tempfile::tempdir().unwrap();
        let source = checkpoint(dir.path(), "Test-Model-v1.0", &spec);
        let plain = dir.path().join("plain.gguf");
        converted(&source, &plain, &["-t", "bf16"]);
        Self {
            dir,
            sizes: spec.sizes,
            plain,
        }
    }

    fn matrix(&self, seed: u64, legacy: bool) -> Imatrix {
        let spec = Spec {
            seed,
            output: false,
            unseen: true,
        };
        let measured = measure(&Gguf::open(&self.plain).unwrap().tensors, &spec);
        let path = self.dir.path().join("imatrix");
        let bytes = match legacy {
            true => write_legacy(&measured, "text.txt"),
            false => write_gguf(&measured, "text.txt").unwrap(),
        };
        fs::write(&path, bytes).unwrap();
        Imatrix::open(&path).unwrap()
    }

    /// What llama.cpp writes, `None` where it refuses.
    fn quantized(&self, file_type: FileType, imatrix: Option<&Imatrix>) -> Option<Quantized> {
        let output = self.dir.path().join("theirs.gguf");
        let knobs = LlamaKnobs {
            imatrix,
            ..LlamaKnobs::default()
        };
        llama_quantize(&self.plain, &output, file_type, &knobs).then(|| Quantized::read(&output))
    }
}

struct Quantized {
    gguf: Gguf,
    bytes: Vec<u8>,
}

impl Quantized {
    fn read(path: &Path) -> Self {
        Self {
            gguf: Gguf::open(path).unwrap(),
            bytes: fs::read(path).unwrap(),
        }
    }

    fn data(&self, tensor: &str) -> &[u8] {
        let info = self.gguf.tensor(tensor).unwrap();
        let begin = (self.gguf.data_offset + info.offset) as usize;
        &self.bytes[begin..begin + info.size() as usize]
    }

    fn keys_at_the_end(&self, count: usize) -> KeyValues {
        let keys = &self.gguf.key_values;
        keys[keys.len() - count..].to_vec()
    }
}

#[test]
fn llama_cpp_takes_the_values_and_the_keys() {
    let model = Model::new(|_| {});
    assert!(model.quantized(Q2_K_S, None).is_none());
    for legacy in [false, true] {
        let [first, second] = [1, 2].map(|seed| model.matrix(seed, legacy));
        let [a, b] = [&first, &second].map(|m| model.quantized(Q2_K_S, Some(m)).unwrap());
        assert_eq!(a.keys_at_the_end(4), first.key_values());
        // Each expert is weighed by its own values: none for the second, which no token reached.
        let up = "blk.0.ffn_up_exps.weight";
        let (a_up, b_up) = (a.data(up), b.data(up));
        let half = a_up.len() / 2;
        assert!(a_up[..half] != b_up[..half]);
        assert!(a_up[half..] == b_up[half..]);
        let dims = &a.gguf.tensor(up).unwrap().dims;
        match first.fit(up, dims) {
            Fit::Fits { unseen, .. } => assert_eq!(unseen, [1]),
            other => panic!("{other:?}"),
        }
        // There is no entry for the output.
        assert!(a.data("output.weight") == b.data("output.weight"));
    }
}

#[test]
fn llama_cpp_refuses_what_we_do() {
    let model = Model::new(|_| {});
    let whole = model.matrix(1, false);
    let tensors = model.quantized(Q4_K_M, Some(&whole)).unwrap();
    assert!(whole.check(&tensors.gguf.tensors).is_ok());

    // An entry less: no trouble but where it is needed.
    let mut less = whole.clone();
    less.select(&[], &["blk.1.ffn_up".into()]);
    assert!(less.check(&tensors.gguf.tensors).is_ok());
    assert!(model.quantized(Q4_K_M, Some(&less)).is_some());
    assert!(model.quantized(Q2_K_S, Some(&less)).is_none());
    let up = "blk.1.ffn_up_exps.weight";
    assert_eq!(less.fit(up, &[256, 512, 2]), Fit::Missing);
    assert!(needs_importance_matrix(Q2_K_S, up, GgmlType::Q2_K));

    // The matrix of a model with more experts.
    let other = Model::new(|sizes| sizes.num_local_experts = 3);
    let wrong = other.matrix(1, false);
    assert!(wrong.check(&tensors.gguf.tensors).is_err());
    assert!(model.quantized(Q4_K_M, Some(&wrong)).is_none());
}

/// Sets importances to 0: of one expert, of a tensor, of a block of columns of each expert.
fn leave_out(measured: &mut [Measured]) {
    for measured in measured {
        let columns = measured.sums.len() / measured.counts.len();
        match measured.tensor.as_str() {
            "blk.0.attn_q.weight" => measured.sums.fill(0.0),
            "blk.0.ffn_up_exps.weight" => {
                measured.sums[columns..].fill(0.0);
            }
            "blk.0.ffn_down_exps.weight" => {
                for of_expert in measured.sums.chunks_mut(columns) {
                    of_expert[..256].fill(0.0);
                }
            }
            _ => {}
        }
    }
}

/// llama.cpp writes weights of 0 there, for most types. Here the part is quantized as without a
/// matrix, and everything else as by llama.cpp.
#[test]
fn what_a_matrix_knows_nothing_of_is_quantized_as_without_one() {
    let model = Model::new(|_| {});
    let spec = Spec {
        seed: 1,
        output: true,
        unseen: false,
    };
    let source = model.dir.path().join("Test-Model-v1.0");
    let path = model.dir.path().join("imatrix");
    let note = "note: quantized as without a matrix, for all importances are 0: \
                blk.0.attn_q.weight, blk.0.ffn_down_exps.weight (columns 0 to 255 of expert 0; \
                columns 0 to 255 of expert 1), blk.0.ffn_up_exps.weight (expert 1)\n";
    for (file_type, legacy) in FileType::offered()
        .filter(|file_type| file_type.default_type().is_quantized())
        .zip([false, true].into_iter().cycle())
    {
        let mut measured = measure(&Gguf::open(&model.plain).unwrap().tensors, &spec);
        leave_out(&mut measured);
        let bytes = match legacy {
            true => write_legacy(&measured, "text.txt"),
            false => write_gguf(&measured, "text.txt").unwrap(),
        };
        fs::write(&path, bytes).unwrap();
        let theirs = {
            let output = model.dir.path().join("theirs.gguf");
            let matrix = Imatrix::open(&path).unwrap();
            let knobs = LlamaKnobs {
                imatrix: Some(&matrix),
                pure: true,
                ..LlamaKnobs::default()
            };
            assert!(llama_quantize(&model.plain, &output, file_type, &knobs));
            Quantized::read(&output)
        };
        let ours = |args: &[&str]| {
            let output = model.dir.path().join("ours.gguf");
            let mut command = swallow_gguf();
            command.args(args).arg("-o").arg(&output);
            let run = command
                .args(["--force", "--pure", "-t", file_type.name()])
                .output()
                .unwrap();
            let stderr = text(&run.stderr);
            assert!(run.status.success(), "{stderr}");
            (Quantized::read(&output), stderr)
        };
        let imatrix = ["--imatrix", path.to_str().unwrap()];
        let plain = model.plain.to_str().unwrap();
        let source = source.to_str().unwrap();
        let (found, said) = ours(&[&["quantize", plain][..], &imatrix].concat());
        let (again, said_again) = ours(&[&["convert", source][..], &imatrix].concat());
        let ty = file_type.default_type();
        let is_searched = ty != GgmlType::Q8_0;
        assert_eq!(said.contains(note), is_searched, "{file_type}: {said}");
        assert_eq!(said_again.contains(note), is_searched, "{file_type}");

        // Some types need a matrix to be asked for by name, and have blocks without one all the same.
        let weights = Quantized::read(&model.plain);
        let mut lost = 0;
        for info in &found.gguf.tensors {
            let name = info.name.as_str();
            let (found, theirs) = (found.data(name), theirs.data(name));
            assert!(found == again.data(name), "{file_type} {name}");
            let row = info.dims[0] as usize;
            let expert = info.dims.get(1).map_or(1, |rows| *rows as usize) * row;
            let without = |at: usize| match name {
                _ if info.ty != ty || !is_searched => false,
                "blk.0.attn_q.weight" => true,
                "blk.0.ffn_up_exps.weight" => at / expert == 1,
                "blk.0.ffn_down_exps.weight" => at % row < 256,
                _ => false,
            };
            let blocks = found
                .chunks(info.ty.block_bytes())
                .zip(theirs.chunks(info.ty.block_bytes()));
            let mut values = Vec::new();
            if info.ty == ty && is_searched {
                values.resize(info.elements() as usize, 0.0);
                swallow_quant::dequantize(GgmlType::BF16, weights.data(name), &mut values).unwrap();
            }
            for (block, (found, theirs)) in blocks.enumerate() {
                let at = block * info.ty.block_len();
                if !without(at) {
                    assert!(found == theirs, "{file_type} {name}: block {block}");
                    continue;
                }
                let mut plain = vec![0; ty.block_bytes()];
                ggml::quantize(ty, &values[at..at + ty.block_len()], &mut plain);
                assert!(found == plain, "{file_type} {name}: block {block}");
                let mut read = vec![1.0; ty.block_len()];
                swallow_quant::dequantize(ty, theirs, &mut read).unwrap();
                lost += usize::from(read.iter().all(|value| *value == 0.0));
            }
        }
        let is_lost = !matches!(ty, GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q8_0);
        assert_eq!(lost > 0, is_lost, "{file_type}");
    }
}

#[test]
fn columns_without_importance_are_no_trouble() {
    let model = Model::new(|_| {});
    let spec = Spec {
        seed: 1,
        output: true,
        unseen: false,
    };
    let mut zeroed = measure(&Gguf::open(&model.plain).unwrap().tensors, &spec);
    for measured in &mut zeroed {
        let half = measured.sums.len() / 2;
        measured.sums[..half].fill(0.0);
    }
    let path = model.dir.path().join("zeroed");
    fs::write(&path, write_gguf(&zeroed, "t").unwrap()).unwrap();
    let matrix = Imatrix::open(&path).unwrap();
    for file_type in FileType::offered() {
        let written = model.quantized(file_type, Some(&matrix));
        assert!(written.is_some(), "{file_type}");
    }
}

#[test]
fn mixes_with_an_importance_matrix_are_llama_cpps() {
    let knobs = Knobs::default();
    for experts in [0, 2] {
        let model = Model::new(|sizes| {
            sizes.num_hidden_layers = 9;
            sizes.num_local_experts = experts;
            sizes.intermediate_size = 256;
        });
        let matrix = model.matrix(1, false);
        let plain = Gguf::open(&model.plain).unwrap();
        // Those that a matrix changes, and one that it does not.
        for file_type in [IQ4_NL, IQ4_XS, Q4_0, Q5_0, Q4_K_S] {
            let s = model.sizes;
            let mix_model = MixModel {
                rules: Rules::Common,
                n_layer: s.num_hidden_layers as u32,
                n_head: s.num_attention_heads as u32,
                n_head_kv: s.num_key_value_heads as u32,
                n_expert: s.num_local_experts as u32,
                tied: false,
                n_attn_v: s.num_hidden_layers as u32,
                has_imatrix: true,
                is_70b: false,
            };
            let mut mix = Mix::new(file_type, &knobs, mix_model);
            let theirs = model.quantized(file_type, Some(&matrix)).unwrap();
            for (plain, theirs) in plain.tensors.iter().zip(&theirs.gguf.tensors) {
                let ours = mix.choose(&plain.name, &plain.dims, plain.ty).unwrap();
                assert_eq!(
                    (&plain.name, ours.ty),
                    (&theirs.name, theirs.ty),
                    "{file_type}, {experts} experts"
                );
            }
        }
    }
}
