//! Both formats, from files that are written by hand or by [`crate::synthetic::imatrix`].

mod broken;
mod fit;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{
    gguf::{Array, TensorInfo, encode_header, lay_out},
    synthetic::imatrix::{CHUNKS, Measured, Spec, measure, write_gguf, write_legacy},
};
use swallow_quant::GgmlType;

/// Files that are read, in a folder of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("imatrix");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, bytes: &[u8]) -> Result<Imatrix, ImatrixError> {
        Imatrix::open(&self.write(bytes))
    }

    /// The error in one line, without the folder.
    fn error(&self, bytes: &[u8]) -> String {
        match self.read(bytes) {
            Ok(_) => "Ok".to_owned(),
            Err(error) => format!("{:#}", anyhow::Error::from(error))
                .replace(&self.0.path().display().to_string(), "DIR"),
        }
    }
}

/// The keys that llama-imatrix writes.
fn keys() -> KeyValues {
    let datasets = ["a.txt", "b.txt"].map(BString::from).to_vec();
    vec![
        ("general.type".into(), "imatrix".into()),
        ("imatrix.datasets".into(), Array::String(datasets).into()),
        ("imatrix.chunk_count".into(), 7u32.into()),
        ("imatrix.chunk_size".into(), 512u32.into()),
    ]
}

/// A GGUF of these tensors of F32.
fn gguf_file(key_values: &KeyValues, tensors: &[(&str, &[u64], &[f32])]) -> Vec<u8> {
    let info = |(name, dims, _): &(&str, &[u64], &[f32])| {
        TensorInfo::new((*name).to_owned(), dims.to_vec(), GgmlType::F32).unwrap()
    };
    let mut infos: Vec<TensorInfo> = tensors.iter().map(info).collect();
    lay_out(&mut infos, 32).unwrap();
    let mut file = encode_header(key_values, &infos, 32);
    for (_, _, numbers) in tensors {
        file.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        file.resize(file.len().next_multiple_of(32), 0);
    }
    file
}

/// A file of the older format, a part at a time.
#[derive(Clone, Default)]
struct Dat(Vec<u8>);

impl Dat {
    fn of(entries: i32) -> Self {
        Self::default().i32(entries)
    }
    fn i32(mut self, n: i32) -> Self {
        self.0.extend(n.to_le_bytes());
        self
    }
    fn string(self, s: impl AsRef<[u8]>) -> Self {
        let mut dat = self.i32(s.as_ref().len() as i32);
        dat.0.extend(s.as_ref());
        dat
    }
    fn entry(self, name: &str, calls: i32, values: &[f32]) -> Self {
        let mut dat = self.string(name).i32(calls).i32(values.len() as i32);
        dat.0.extend(values.iter().flat_map(|n| n.to_le_bytes()));
        dat
    }
}

/// The tensors of a mixture of two experts: one layer, and what is outside of it.
fn model() -> Vec<TensorInfo> {
    let tensor = |name: &str, dims: &[u64], ty| {
        TensorInfo::new(format!("{name}.weight"), dims.to_vec(), ty).unwrap()
    };
    vec![
        tensor("output", &[256, 300], GgmlType::Q6_K),
        tensor("output_norm", &[256], GgmlType::F32),
        tensor("token_embd", &[256, 300], GgmlType::Q4_K),
        tensor("blk.0.attn_q", &[256, 256], GgmlType::Q4_K),
        tensor("blk.0.ffn_down_exps", &[512, 256, 2], GgmlType::Q4_K),
        tensor("blk.0.ffn_gate_inp", &[256, 2], GgmlType::F32),
        tensor("blk.0.ffn_up_exps", &[256, 512, 2], GgmlType::Q4_K),
    ]
}

const SPEC: Spec = Spec {
    seed: 1,
    output: false,
    unseen: true,
};

#[test]
fn importance_is_the_sum_divided_by_the_count_of_its_expert() {
    let sums = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.0];
    let tensors: &[(&str, &[u64], &[f32])] = &[
        ("a.in_sum2", &[2, 4], &sums),
        // Counts are whole numbers; 0.4 is none and 2.5 is three, as in llama.cpp.
        ("a.counts", &[1, 4], &[3.0, 0.0, 0.4, 2.5]),
        // What newer files have beside them.
        ("a.in_sum", &[2, 4], &[-1.0; 8]),
        ("a.stats", &[3], &[f32::NAN, f32::INFINITY, -1.0]),
        ("b.weight.counts", &[1], &[7.0]),
        ("b.weight.in_sum2", &[3], &[0.1, 1e30, 1e-45]),
    ];
    let files = Files::new();
    let matrix = files.read(&gguf_file(&keys(), tensors)).unwrap();
    assert_eq!(matrix.tensors().collect::<Vec<_>>(), ["a", "b.weight"]);
    assert_eq!(
        matrix.get("a").unwrap(),
        [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0, 1.0, 7.0 / 3.0, 0.0]
    );
    // Divided in f32, once.
    assert_eq!(
        matrix.get("b.weight").unwrap(),
        [0.1f32 / 7.0, 1e30 / 7.0, 1e-45 / 7.0]
    );
    assert_eq!(matrix.get("b"), None);
    assert_eq!((matrix.datasets.len(), matrix.chunk_count), (2, 7));
}

#[test]
fn the_older_formats_values_are_divided_by_the_calls() {
    let dat = Dat::of(3)
        .entry("b.weight", 7, &[0.1, 1e30])
        .entry("a", 0, &[0.1, 3.0])
        .entry("c", -2, &[5.0]);
    let files = Files::new();
    let expect = |dat: &Dat, chunks, dataset: Option<&str>| {
        let matrix = files.read(&dat.0).unwrap();
        assert_eq!(matrix.get("a").unwrap(), [0.1, 3.0]);
        assert_eq!(matrix.get("b.weight").unwrap(), [0.1f32 / 7.0, 1e30 / 7.0]);
        assert_eq!(matrix.get("c").unwrap(), [5.0]);
        assert_eq!(matrix.chunk_count, chunks);
        let datasets: Vec<BString> = dataset.into_iter().map(BString::from).collect();
        assert_eq!(matrix.datasets, datasets);
    };
    expect(&dat, 0, None);
    expect(&dat.clone().i32(12), 12, None);
    expect(&dat.clone().i32(-1), 0, None);
    expect(&dat.clone().i32(12).string(""), 12, None);
    expect(
        &dat.i32(12).string("テキスト.txt"),
        12,
        Some("テキスト.txt"),
    );
}

#[test]
fn what_was_measured_is_read_in_both_formats() {
    let measured = measure(&model(), &SPEC);
    let names: Vec<&str> = measured.iter().map(|m| m.tensor.as_str()).collect();
    let expected = ["attn_q", "ffn_down_exps", "ffn_gate_inp", "ffn_up_exps"];
    assert_eq!(names, expected.map(|name| format!("blk.0.{name}.weight")));

    let files = Files::new();
    let today = files
        .read(&write_gguf(&measured, "text.txt").unwrap())
        .unwrap();
    let older = files.read(&write_legacy(&measured, "text.txt")).unwrap();
    for matrix in [&today, &older] {
        assert_eq!(matrix.tensors().collect::<Vec<_>>(), names);
        assert_eq!(matrix.datasets, ["text.txt"]);
        assert_eq!(matrix.chunk_count, CHUNKS);
    }
    for Measured {
        tensor,
        sums,
        counts,
    } in &measured
    {
        let columns = sums.len() / counts.len();
        let mean = |i: usize| match counts[i / columns] {
            0 => 1.0,
            count => sums[i] / count as f32,
        };
        let expected: Vec<f32> = (0..sums.len()).map(mean).collect();
        assert_eq!(today.get(tensor).unwrap(), expected, "{tensor}");
        // Multiplied and divided again: exact where all is 1, else nearly.
        for (older, expected) in older.get(tensor).unwrap().iter().zip(expected) {
            assert!((older - expected).abs() <= expected * 1e-6, "{tensor}");
            assert_eq!(*older == 1.0, expected == 1.0, "{tensor}");
        }
    }
}

#[test]
fn what_a_quantized_file_says() {
    let values = |matrix: &Imatrix| {
        let said = |(key, value): (String, Value)| match value {
            Value::String(text) => format!("{key}={text}"),
            Value::U32(number) => format!("{key}={number}"),
            other => panic!("{key} is {other:?}"),
        };
        matrix
            .key_values()
            .into_iter()
            .map(said)
            .collect::<Vec<_>>()
    };
    let mut matrix = Imatrix {
        file: "some/imatrix.gguf".into(),
        datasets: vec!["first.txt".into(), "second.txt".into()],
        chunk_count: 40,
        entries: BTreeMap::from([("a".into(), vec![1.0]), ("b".into(), vec![1.0])]),
    };
    assert_eq!(
        values(&matrix),
        [
            "quantize.imatrix.file=some/imatrix.gguf",
            "quantize.imatrix.dataset=first.txt",
            "quantize.imatrix.entries_count=2",
            "quantize.imatrix.chunks_count=40",
        ]
    );
    matrix.file = "x".repeat(200).into();
    matrix.datasets = vec!["first\0.txt".into()];
    matrix.chunk_count = 0;
    assert_eq!(
        values(&matrix),
        [
            format!("quantize.imatrix.file={}", "x".repeat(127)),
            "quantize.imatrix.dataset=first".to_owned(),
            "quantize.imatrix.entries_count=2".to_owned(),
        ]
    );
    matrix.datasets.clear();
    assert_eq!(values(&matrix).len(), 2);
    matrix.entries.clear();
    assert_eq!(values(&matrix), [""; 0]);
}

#[test]
fn entries_are_selected_by_parts_of_their_names() {
    let names = |include: &[&str], exclude: &[&str]| {
        let files = Files::new();
        let measured = measure(&model(), &SPEC);
        let mut matrix = files.read(&write_gguf(&measured, "t").unwrap()).unwrap();
        let owned = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        matrix.select(&owned(include), &owned(exclude));
        assert_eq!(matrix.len(), matrix.tensors().count());
        assert_eq!(matrix.is_empty(), matrix.tensors().next().is_none());
        let kind = |name: &str| name.split('.').nth(2).unwrap().to_owned();
        matrix.tensors().map(kind).collect::<Vec<_>>()
    };
    let all = ["attn_q", "ffn_down_exps", "ffn_gate_inp", "ffn_up_exps"];
    assert_eq!(names(&[], &[]), all);
    assert_eq!(names(&["up", "attn"], &[]), [all[0], all[3]]);
    assert_eq!(names(&[], &["up", "attn"]), all[1..3]);
    assert_eq!(names(&["nothing"], &[]), [""; 0]);
    assert_eq!(names(&[], &["blk"]), [""; 0]);
}
