//! The registry as text, for people and for a test that keeps it.

use std::fmt::{self, Write};

use super::{Architecture, BASE, Dim, Key, Layers, NameRules, Place, Presence, Row, Source, Take};

impl fmt::Display for Architecture {
    /// The whole table: classes, defaults, experts, tensors with their sources and shapes, keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} -> {}", self.name, self.gguf)?;
        writeln!(f, "  classes: {}", self.classes.join(", "))?;
        writeln!(f, "  model_type: {}", self.model_type)?;
        for (key, default) in self.defaults.iter().copied().flatten() {
            writeln!(f, "  default: {key} {default:?}")?;
        }
        for key in self.ignored {
            writeln!(f, "  ignored: {key}")?;
        }
        writeln!(f, "  kinds of layers: {}", self.layer_kinds.join(", "))?;
        if let Some(experts) = &self.experts {
            writeln!(
                f,
                "  experts: {} of {}, width {}, shared {:?}, layers {:?}",
                experts.used.join("|"),
                experts.count.join("|"),
                experts.ff.join("|"),
                experts.shared_ff,
                experts.layers,
            )?;
        }
        let NameRules {
            roots,
            embedding,
            layers,
            output,
        } = self.names;
        if self.names != NameRules::COMMON {
            let roots = roots.join("|");
            writeln!(
                f,
                "  names: {roots}{embedding}, {roots}{layers}N., {output}"
            )?;
        }
        for row in self.rows() {
            writeln!(f, "  {row}")?;
        }
        for name in self.left_out {
            writeln!(f, "  left out: {name}")?;
        }
        for name in self.zero {
            writeln!(f, "  zero: {name}")?;
        }
        for computed in self.computed {
            writeln!(f, "  computed: {computed:?}")?;
        }
        for key in self.early_keys {
            writeln!(f, "  early key: {key}")?;
        }
        for keys in self.keys {
            if *keys == BASE {
                writeln!(f, "  keys of nearly all")?;
                continue;
            }
            for key in *keys {
                writeln!(f, "  key: {key}")?;
            }
        }
        writeln!(f, "  tokenizer: {:?}", self.tokenizer)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Layer => "blk.N.",
            Place::Model | Place::Output => "",
        };
        write!(f, "{place}{} {} <- ", self.target, shape(self.shape))?;
        let layouts: Vec<String> = self.from.layouts().iter().map(layout).collect();
        f.write_str(&layouts.join(" or "))?;
        match self.layers {
            Layers::All => {}
            layers => write!(f, ", {layers:?} layers")?,
        }
        match self.presence {
            Presence::Needed => {}
            presence => write!(f, ", {presence:?}")?,
        }
        f.write_str(if self.rotary { ", rotary" } else { "" })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{} = ", self.key)?;
        }
        write!(f, "{:?}", self.value)?;
        f.write_str(if self.needed { ", needed" } else { "" })
    }
}

fn layout(from: &Source) -> String {
    match from {
        Source::One(name) => (*name).to_owned(),
        Source::Each(name) => format!("each {name}"),
        Source::Part {
            name,
            shape: whole,
            take,
        } => {
            let mut text = format!("{name} {}", shape(whole));
            for Take {
                groups,
                first,
                rows,
            } in *take
            {
                let (groups, first, rows) = (dim(*groups), dim(*first), dim(*rows));
                let _ = write!(text, " [{groups} x ({first}, {rows})]");
            }
            text
        }
        Source::Either(_) => "several".to_owned(),
    }
}

fn shape(dims: &[Dim]) -> String {
    let dims: Vec<String> = dims.iter().map(|d| dim(*d)).collect();
    format!("({})", dims.join(", "))
}

fn dim(dim_: Dim) -> String {
    let joined = |dims: &[Dim], with: &str| {
        let dims: Vec<String> = dims.iter().map(|d| dim(*d)).collect();
        dims.join(with)
    };
    match dim_ {
        Dim::N(n) => n.to_string(),
        Dim::Sum(dims) => joined(dims, "+"),
        Dim::Product(dims) => joined(dims, "*"),
        other => format!("{other:?}"),
    }
}
