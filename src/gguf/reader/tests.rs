mod corrupt;

use corrupt::{F32, Raw};
use proptest::prelude::*;

use super::*;
use crate::gguf::{encode_header, lay_out};

/// A file with every value type, arrays, and tensors of several types and shapes.
fn valid_file() -> (KeyValues, Vec<TensorInfo>, Vec<u8>) {
    let strings = |list: &[&str]| Array::String(list.iter().map(|s| BString::from(*s)).collect());
    let key_values: KeyValues = vec![
        ("general.architecture".into(), "llama".into()),
        ("a.u8".into(), Value::U8(200)),
        ("a.i8".into(), Value::I8(-100)),
        ("a.u16".into(), Value::U16(60_000)),
        ("a.i16".into(), Value::I16(-30_000)),
        ("a.u32".into(), Value::U32(4_000_000_000)),
        ("a.i32".into(), Value::I32(-2_000_000_000)),
        ("a.f32".into(), Value::F32(1e-5)),
        ("a.bool".into(), Value::Bool(true)),
        ("a.u64".into(), Value::U64(1 << 63)),
        ("a.i64".into(), Value::I64(i64::MIN)),
        ("a.f64".into(), Value::F64(0.1)),
        (
            "a.tokens".into(),
            strings(&["<s>", "", "日本", "\u{1f600}"]).into(),
        ),
        (
            "a.scores".into(),
            Array::F32(vec![0.0, -1.5, f32::MIN]).into(),
        ),
        (
            "a.flags".into(),
            Array::Bool(vec![true, false, true]).into(),
        ),
        ("a.none".into(), Array::I64(vec![]).into()),
    ];
    let tensor =
        |name: &str, dims: &[u64], ty| TensorInfo::new(name.to_owned(), dims.to_vec(), ty).unwrap();
    let mut tensors = vec![
        tensor("output_norm.weight", &[5], GgmlType::F32),
        tensor("token_embd.weight", &[256, 2], GgmlType::Q4_K),
        tensor("blk.0.ffn_up_exps.weight", &[32, 3, 2], GgmlType::Q8_0),
    ];
    lay_out(&mut tensors, 32).unwrap();
    let mut file = encode_header(&key_values, &tensors, 32);
    let last = tensors.last().unwrap();
    file.resize(file.len() + (last.offset + last.size()) as usize, 7);
    (key_values, tensors, file)
}

fn parse(bytes: &[u8]) -> Result<Gguf, FormatError> {
    Gguf::parse(bytes, bytes.len() as u64)
}

#[test]
fn what_was_written_is_read() {
    let (key_values, tensors, file) = valid_file();
    let gguf = parse(&file).unwrap();
    assert_eq!(gguf.key_values, key_values);
    assert_eq!(gguf.tensors, tensors);
    assert_eq!((gguf.version, gguf.alignment), (3, 32));
    assert_eq!(
        gguf.data_offset as usize,
        encode_header(&key_values, &tensors, 32).len()
    );
    assert_eq!(gguf.get_str("general.architecture"), Some("llama"));
    assert_eq!(gguf.get_u64("a.u8"), Some(200));
    assert_eq!(gguf.get_u64("a.i8"), None);
    assert_eq!(gguf.get_bool("a.bool"), Some(true));
    assert_eq!(gguf.get_f32("a.f64"), Some(0.1));
    assert_eq!(gguf.get_array("a.none").map(Array::len), Some(0));
    assert_eq!(
        gguf.tensor("token_embd.weight").map(TensorInfo::size),
        Some(288)
    );
    assert_eq!(gguf.parameters(), 5 + 512 + 192);
}

#[test]
fn version_2_is_read_and_a_file_without_tensors_needs_no_padding() {
    let file = Raw::header(2, 0, 1)
        .string("general.name")
        .u32(8)
        .string("x");
    let gguf = parse(&file.0).unwrap();
    assert_eq!((gguf.version, gguf.get_str("general.name")), (2, Some("x")));
    assert_eq!(gguf.data_offset, file.0.len() as u64);
}

#[test]
fn the_alignment_of_the_file_is_used() {
    let file = Raw::header(3, 2, 1)
        .string("general.alignment")
        .u32(4)
        .u32(64)
        .tensor("a", &[4], F32, 0)
        .tensor("b", &[4], F32, 64);
    let header_len = file.0.len().next_multiple_of(64);
    let gguf = Gguf::parse(&file.0, header_len as u64 + 80).unwrap();
    assert_eq!(
        (gguf.alignment, gguf.data_offset as usize),
        (64, header_len)
    );
    let cut = Gguf::parse(&file.0, header_len as u64 + 79).unwrap_err();
    assert!(
        matches!(cut, FormatError::DataCut { missing: 1, .. }),
        "{cut}"
    );
}

#[test]
fn every_prefix_is_an_error() {
    let (_, _, file) = valid_file();
    for len in 0..file.len() {
        let error = parse(&file[..len]).expect_err("a prefix was taken for a whole file");
        let cut = matches!(
            error,
            FormatError::Empty
                | FormatError::HeaderCut { .. }
                | FormatError::Count { .. }
                | FormatError::DataCut { .. }
        );
        assert!(cut, "prefix of {len} bytes: {error}");
    }
}

/// Bytes of memory that hold a header, by what its vectors have reserved.
fn memory(gguf: &Gguf) -> usize {
    let values = gguf.key_values.iter().map(|(key, value)| {
        key.capacity()
            + match value {
                Value::String(s) => s.capacity(),
                Value::Array(Array::String(strings)) => {
                    strings.iter().map(|s| 24 + s.capacity()).sum()
                }
                Value::Array(array) => array.len() * 8,
                _ => 0,
            }
    });
    let tensors = gguf
        .tensors
        .iter()
        .map(|t| t.name.capacity() + t.dims.capacity() * 8);
    values.sum::<usize>() + tensors.sum::<usize>()
}

#[test]
fn every_bit_flip_is_an_error_or_a_bounded_header() {
    let (key_values, tensors, mut file) = valid_file();
    let header_len = encode_header(&key_values, &tensors, 32).len();
    let (mut refused, mut taken) = (0, 0);
    for bit in 0..header_len * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        // Also as the beginning of a file so large that no number looks too large for it.
        for file_len in [file.len() as u64, 1 << 62] {
            match Gguf::parse(&file, file_len) {
                Err(_) => refused += 1,
                Ok(gguf) => {
                    taken += 1;
                    assert!(
                        memory(&gguf) < 32 * file.len(),
                        "bit {bit}: {} bytes",
                        memory(&gguf)
                    );
                }
            }
        }
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(
        refused > 1000 && taken > 1000,
        "{refused} refused, {taken} taken"
    );
}

#[test]
fn a_header_past_the_bound_is_refused_before_it_is_read() {
    // The claim of a large file is enough: nothing is read or reserved for it.
    let file = Raw::header(3, 0, 1)
        .string("k")
        .u32(9)
        .u32(0)
        .u64(600 << 20)
        .0;
    let error = read(&file[..], 1 << 40, 1 << 40).unwrap_err();
    assert!(
        matches!(error, FormatError::HeaderTooLarge { .. }),
        "{error}"
    );
    // Within the bound, memory comes as bytes do, and they end.
    let file = Raw::header(3, 0, 1).string("k").u32(8).u64(500 << 20).0;
    let error = read(&file[..], 1 << 40, 1 << 40).unwrap_err();
    assert!(
        matches!(error, FormatError::HeaderCut { left: 0, .. }),
        "{error}"
    );
}

#[test]
fn what_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let error = Gguf::open(path).unwrap_err();
        format!("{:#}", anyhow::Error::from(error))
            .replace(&dir.path().display().to_string(), "DIR")
    };
    assert_eq!(
        message(dir.path()),
        "`DIR` is a folder, expected a GGUF file"
    );
    assert_eq!(
        message(&dir.path().join("none.gguf")),
        "there is no file `DIR/none.gguf`"
    );
    let empty = dir.path().join("empty.gguf");
    std::fs::write(&empty, b"").unwrap();
    assert_eq!(
        message(&empty),
        "cannot read `DIR/empty.gguf`: the file is empty, download it again"
    );
    let whole = dir.path().join("whole.gguf");
    let (_, tensors, file) = valid_file();
    std::fs::write(&whole, &file).unwrap();
    assert_eq!(Gguf::open(&whole).unwrap().tensors, tensors);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let error = Gguf::open(Path::new("/dev/null")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/dev/null` is not a regular file, expected a GGUF file"
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(BString::from);
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<bool>().prop_map(Value::Bool),
        (-1e30f32..1e30).prop_map(Value::F32),
        bytes().prop_map(Value::String),
        prop::collection::vec(any::<u16>(), 0..40).prop_map(|v| Array::U16(v).into()),
        prop::collection::vec(any::<bool>(), 0..40).prop_map(|v| Array::Bool(v).into()),
        prop::collection::vec(-1e300f64..1e300, 0..9000).prop_map(|v| Array::F64(v).into()),
        prop::collection::vec(bytes(), 0..40).prop_map(|v| Array::String(v).into()),
    ]
}

fn any_tensor() -> impl Strategy<Value = (Vec<u64>, GgmlType)> {
    let ty = prop::sample::select(GgmlType::ALL);
    (1u64..4, prop::collection::vec(1u64..5, 0..4), ty).prop_map(|(blocks, outer, ty)| {
        ([vec![blocks * ty.block_len() as u64], outer].concat(), ty)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_header_is_read_as_written(
        values in prop::collection::vec(any_value(), 0..12),
        shapes in prop::collection::vec(any_tensor(), 0..12),
        alignment in prop::sample::select(vec![1u32, 8, 32, 4096]),
    ) {
        let mut key_values: KeyValues =
            values.into_iter().enumerate().map(|(i, value)| (format!("key.{i}"), value)).collect();
        key_values.push((ALIGNMENT_KEY.to_owned(), alignment.into()));
        let mut tensors = Vec::new();
        for (i, (mut dims, ty)) in shapes.into_iter().enumerate() {
            // The writer leaves trailing ones out, as llama.cpp does.
            while dims.len() > 1 && dims.last() == Some(&1) {
                dims.pop();
            }
            tensors.push(TensorInfo::new(format!("tensor.{i}"), dims, ty).unwrap());
        }
        let data = lay_out(&mut tensors, alignment.into()).unwrap();
        let header = encode_header(&key_values, &tensors, alignment.into());
        let gguf = Gguf::parse(&header, header.len() as u64 + data).unwrap();
        prop_assert_eq!(gguf.key_values, key_values);
        prop_assert_eq!(gguf.tensors, tensors);
    }

    #[test]
    fn any_bytes_after_the_magic_do_not_panic(
        bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..200),
    ) {
        let _ = parse(&Raw::header(3, 2, 3).bytes(&bytes).0);
    }
}
