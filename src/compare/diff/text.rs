//! What differs, for people.

use std::fmt::Write as _;

use super::{DataDiff, Diff, KeyDiff, Sides, TensorDiff, is_same};
use crate::{
    gguf::{TensorInfo, Value, escape},
    inspect::text::{type_name, value_text},
    table::{
        Cell::{self, Left, Right},
        aligned, grouped,
    },
};

impl Diff {
    /// What differs, as text that ends with a line break: the files, then key-values, tensors and
    /// weights that differ, and what is equal.
    pub fn text(&self) -> String {
        let shown = |path: &std::path::Path| escape(path.as_os_str().as_encoded_bytes());
        let mut out = format!("A: {}\nB: {}\n", shown(&self.a), shown(&self.b));
        // Writing to a String cannot fail, here and below.
        if let Some((a, b)) = self.version {
            let _ = writeln!(out, "\nGGUF version: {a} in A, {b} in B");
        }
        if let Some((a, b)) = self.file_bytes {
            let (a, b) = (grouped(a), grouped(b));
            let _ = writeln!(out, "\nfile size: {a} bytes in A, {b} in B");
        }
        self.key_values_text(&mut out);
        self.tensors_text(&mut out);
        let _ = writeln!(
            out,
            "\nequal key-values: {}, equal tensors: {}{}",
            self.equal_key_values,
            self.equal_tensors,
            if self.is_empty() {
                "; nothing differs"
            } else {
                ""
            }
        );
        out
    }

    fn key_values_text(&self, out: &mut String) {
        if !self.key_values.is_empty() {
            let rows: Vec<_> = self.key_values.iter().flat_map(key_rows).collect();
            let _ = writeln!(out, "\nkey-values that differ ({})", self.key_values.len());
            out.push_str(&aligned(&rows));
        }
        if let Some(key) = &self.key_moved {
            let key = escape(key.as_bytes());
            let _ = writeln!(out, "\norder of key-values: other from `{key}` on");
        }
    }

    fn tensors_text(&self, out: &mut String) {
        let rows: Vec<_> = self.tensors.iter().flat_map(info_rows).collect();
        if !rows.is_empty() {
            let count = self
                .tensors
                .iter()
                .filter(|diff| !info_rows(diff).is_empty())
                .count();
            let _ = writeln!(
                out,
                "\ntensors that only one file has, or of other shape or type ({count})"
            );
            out.push_str(&aligned(&rows));
        }
        let data: Vec<_> = self
            .tensors
            .iter()
            .filter_map(|diff| Some((diff, diff.data.as_ref()?)))
            .map(|(diff, data)| data_row(diff, data))
            .collect();
        if !data.is_empty() {
            let _ = writeln!(
                out,
                "\nweights that differ, B's error against A's ({})",
                data.len()
            );
            let heads = ["tensor", "type", "blocks that differ", "first"];
            let head = heads.into_iter().map(|head| Left(head.to_owned()));
            let errors = ["RMSE", "relative", "worst block", "its RMSE", "not finite"];
            let errors = errors.into_iter().map(|head| Right(head.to_owned()));
            let rows: Vec<Vec<Cell>> = std::iter::once(head.chain(errors).collect())
                .chain(data)
                .collect();
            out.push_str(&aligned(&rows));
        }
        let mut moved = self.tensors.iter().filter_map(|diff| match &diff.infos {
            Sides::Both(a, b) if a.offset != b.offset => Some((a, b)),
            _ => None,
        });
        if let Some((a, b)) = moved.next() {
            let _ = writeln!(
                out,
                "\noffsets that differ ({}): the first is that of `{}`, {} in A, {} in B",
                1 + moved.count(),
                escape(a.name.as_bytes()),
                grouped(a.offset),
                grouped(b.offset)
            );
        }
        if let Some(name) = &self.tensor_moved {
            let name = escape(name.as_bytes());
            let _ = writeln!(out, "\norder of tensors: other from `{name}` on");
        }
    }
}

fn key_rows(diff: &KeyDiff) -> Vec<Vec<Cell>> {
    let row = |side: &str, value: &Value, shown: String| {
        vec![
            Left(side.to_owned()),
            Left(escape(diff.key.as_bytes())),
            Left(type_name(value)),
            Left(shown),
        ]
    };
    match &diff.values {
        Sides::OnlyA(value) => vec![row("only A", value, value_text(value))],
        Sides::OnlyB(value) => vec![row("only B", value, value_text(value))],
        Sides::Both(a, b) => {
            let (shown_a, shown_b) = from_difference(a, b);
            vec![row("A", a, shown_a), row("B", b, shown_b)]
        }
    }
}

/// Two values shown from where they differ: long texts and lists often begin the same.
fn from_difference(a: &Value, b: &Value) -> (String, String) {
    match (a, b) {
        (Value::Array(list_a), Value::Array(list_b))
            if list_a.element_type() == list_b.element_type() =>
        {
            let common = list_a.len().min(list_b.len());
            let differs = |&index: &usize| match (list_a.get(index), list_b.get(index)) {
                (Some(a), Some(b)) => !is_same(&a, &b),
                _ => false,
            };
            let mut differing = (0..common).filter(differs);
            let first = differing.next().unwrap_or(common);
            let count =
                differing.count() + usize::from(first < common) + list_a.len().max(list_b.len())
                    - common;
            let shown = |element: Option<Value>| {
                let element = element.map_or("nothing".to_owned(), |v| value_text(&v));
                format!("[{first}] {element} ({} differ)", grouped(count as u64))
            };
            (shown(list_a.get(first)), shown(list_b.get(first)))
        }
        (Value::String(text_a), Value::String(text_b)) => {
            let same = text_a
                .iter()
                .zip(text_b.iter())
                .take_while(|(a, b)| a == b)
                .count();
            // From the start of that line on, which is also the start of a character.
            let line = text_a[..same]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            if line == 0 {
                return (value_text(a), value_text(b));
            }
            let shown = |text: &[u8]| {
                let rest = Value::String(text[line..].into());
                format!("from byte {}: {}", grouped(line as u64), value_text(&rest))
            };
            (shown(text_a), shown(text_b))
        }
        _ => (value_text(a), value_text(b)),
    }
}

fn info_rows(diff: &TensorDiff) -> Vec<Vec<Cell>> {
    let row = |side: &str, info: &TensorInfo| {
        vec![
            Left(side.to_owned()),
            Left(escape(info.name.as_bytes())),
            Left(format!("{:?}", info.dims)),
            Left(info.ty.name().to_owned()),
            Right(format!("{} bytes", grouped(info.size()))),
        ]
    };
    match &diff.infos {
        Sides::OnlyA(info) => vec![row("only A", info)],
        Sides::OnlyB(info) => vec![row("only B", info)],
        Sides::Both(a, b) if a.dims != b.dims || a.ty != b.ty => vec![row("A", a), row("B", b)],
        Sides::Both(..) => vec![],
    }
}

fn data_row(diff: &TensorDiff, data: &DataDiff) -> Vec<Cell> {
    let types = match &diff.infos {
        Sides::Both(a, b) if a.ty != b.ty => format!("{} → {}", a.ty, b.ty),
        Sides::Both(info, _) | Sides::OnlyA(info) | Sides::OnlyB(info) => info.ty.to_string(),
    };
    let mut row = vec![Left(escape(diff.name().as_bytes())), Left(types)];
    row.extend(match data.blocks {
        Some(blocks) => [
            Left(format!(
                "{} of {}",
                grouped(blocks.differing),
                grouped(blocks.total)
            )),
            Left(grouped(blocks.first)),
        ],
        None => [Left("-".to_owned()), Left("-".to_owned())],
    });
    let cells = match &data.deviation {
        Err(ty) => [
            format!("{ty} is not read"),
            "-".into(),
            "-".into(),
            "-".into(),
            "-".into(),
        ],
        Ok(deviation) => {
            let (worst, its) = deviation
                .worst_block()
                .map_or(("-".to_owned(), "-".to_owned()), |(block, rmse)| {
                    (grouped(block), format!("{rmse:.3e}"))
                });
            [
                format!("{:.3e}", deviation.rmse()),
                format!("{:.3e}", deviation.relative()),
                worst,
                its,
                grouped(deviation.not_finite),
            ]
        }
    };
    row.extend(cells.map(Right));
    row
}
