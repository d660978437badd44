//! A file as text: one line for each fact, nothing in it that a terminal would obey.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Summary;
use crate::{
    gguf::{Array, Gguf, TensorInfo, Value, escape},
    table::{
        self,
        Cell::{self, Left, Right},
        grouped,
    },
};

/// Columns that a value may take before it is cut.
const VALUE_WIDTH: usize = 80;

/// What is in a file, as text that ends with a line break: the figures, the tensors by type, the
/// key-values, and with `tensors` every tensor.
pub fn text(gguf: &Gguf, tensors: bool) -> String {
    let summary = Summary::new(gguf);
    let mut out = heading(&summary);
    section(
        &mut out,
        "tensors by type",
        gguf.tensors.len(),
        &type_rows(&summary),
    );
    section(
        &mut out,
        "key-values",
        gguf.key_values.len(),
        &key_value_rows(gguf),
    );
    if tensors {
        section(
            &mut out,
            "tensors",
            gguf.tensors.len(),
            &tensor_rows(&gguf.tensors),
        );
    }
    out
}

fn heading(summary: &Summary<'_>) -> String {
    let shown = |s: &str| cut(&escape(s.as_bytes()), VALUE_WIDTH);
    let mut facts = Vec::new();
    facts.extend(summary.architecture.map(shown));
    facts.extend(summary.size_label.map(shown));
    facts.extend(summary.file_type_name());
    facts.push(bytes(summary.file_bytes));
    facts.push(format!("{} parameters", count(summary.parameters)));
    facts.extend(
        summary
            .bits_per_weight()
            .map(|bits| format!("{bits:.2} bits per weight")),
    );
    let name = summary.name.map_or("(no name)".to_owned(), shown);
    let mut out = format!("{name}: {}\n", facts.join(", "));
    if let Some(experts) = &summary.experts {
        let mut facts = vec![
            experts.n_expert.to_string(),
            format!("{} used per token", experts.n_expert_used),
        ];
        if experts.shared > 0 {
            facts.push(format!("{} shared", experts.shared));
        }
        match experts.leading_dense_layers {
            0 => {}
            1 => facts.push("none in the first layer".to_owned()),
            n => facts.push(format!("none in the first {n} layers")),
        }
        facts.push(format!(
            "{} active parameters",
            count(experts.active_parameters)
        ));
        let _ = writeln!(out, "experts: {}", facts.join(", "));
    }
    if let Some(split) = &summary.split {
        let _ = writeln!(out, "split: file {} of {}", split.number, split.count);
    }
    out
}

fn type_rows(summary: &Summary<'_>) -> Vec<Vec<Cell>> {
    let row = |count: &super::TypeCount| {
        vec![
            Left(count.ty.name().to_owned()),
            Right(count.tensors.to_string()),
            Right(format!("{} bytes", grouped(count.bytes))),
            Right(format!("{:.1} %", 100.0 * summary.share(count.bytes))),
        ]
    };
    summary.types.iter().map(row).collect()
}

fn key_value_rows(gguf: &Gguf) -> Vec<Vec<Cell>> {
    let row = |(key, value): &(String, Value)| {
        vec![
            Left(escape(key.as_bytes())),
            Left(type_name(value)),
            Left(value_text(value)),
        ]
    };
    gguf.key_values.iter().map(row).collect()
}

fn tensor_rows(tensors: &[TensorInfo]) -> Vec<Vec<Cell>> {
    let row = |tensor: &TensorInfo| {
        vec![
            Left(escape(tensor.name.as_bytes())),
            Left(format!("{:?}", tensor.dims)),
            Left(tensor.ty.name().to_owned()),
            Right(format!("at {}", grouped(tensor.offset))),
            Right(format!("{} bytes", grouped(tensor.size()))),
        ]
    };
    tensors.iter().map(row).collect()
}

fn section(out: &mut String, title: &str, count: usize, rows: &[Vec<Cell>]) {
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "\n{title} ({count})");
    out.push_str(&table::aligned(rows));
}

/// `u32`, or for arrays `str[32000]`.
pub(crate) fn type_name(value: &Value) -> String {
    match value {
        Value::Array(array) => format!("{}[{}]", array.element_type(), array.len()),
        _ => value.value_type().to_string(),
    }
}

pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::U8(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::U16(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::F32(v) => format!("{v:?}"),
        Value::Bool(v) => v.to_string(),
        Value::String(v) => string_text(v),
        Value::Array(array) => array_text(array),
        Value::U64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::F64(v) => format!("{v:?}"),
    }
}

/// The first line of a string, as far as there is room, and its length where that is not all.
fn string_text(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    // Every character of 1 to 4 bytes that is left by `escape` takes a column, so this fills
    // the width.
    let line = escape(&line[..line.len().min(4 * (VALUE_WIDTH + 1))]);
    let shown = cut(&line, VALUE_WIDTH);
    if bytes.contains(&b'\n') || shown != line {
        let shown = shown.trim_end_matches('…');
        format!("{shown}… ({} bytes)", grouped(bytes.len() as u64))
    } else {
        shown
    }
}

/// The first elements of an array, as many as there is room for.
fn array_text(array: &Array) -> String {
    let mut out = String::from("[");
    for index in 0.. {
        let Some(element) = array.get(index) else {
            break;
        };
        if index > 0 {
            out.push_str(", ");
        }
        if out.width() >= VALUE_WIDTH {
            out.push('…');
            break;
        }
        match element {
            Value::String(s) => {
                let shown = cut(&escape(&s[..s.len().min(4 * VALUE_WIDTH)]), VALUE_WIDTH / 2);
                out.extend(["\"", &shown, "\""]);
            }
            element => out.push_str(&value_text(&element)),
        }
    }
    out.push(']');
    out
}

/// The beginning of `text` that fits in `width` columns, with an ellipsis where it is not all.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// A size as people compare downloads (GB) and as tools count memory (GiB).
pub(crate) fn bytes(n: u64) -> String {
    let size = n as f64;
    match n {
        1_000_000_000.. => format!("{:.2} GB ({:.2} GiB)", size / 1e9, size / 1_073_741_824.0),
        1_000_000.. => format!("{:.2} MB ({:.2} MiB)", size / 1e6, size / 1_048_576.0),
        _ => format!("{} bytes", grouped(n)),
    }
}

/// A number of parameters: `21.62 B`, `134.52 M`, `832`.
fn count(n: u64) -> String {
    match n {
        1_000_000_000.. => format!("{:.2} B", n as f64 / 1e9),
        1_000_000.. => format!("{:.2} M", n as f64 / 1e6),
        1_000.. => format!("{:.2} K", n as f64 / 1e3),
        _ => n.to_string(),
    }
}
