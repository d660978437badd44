//! What may be meant where a checkpoint's names are not those of its model.

mod strangers;

use std::{cmp::Reverse, collections::BTreeSet};

use strangers::stranger;

use super::{
    mapper::{Mapper, first_name},
    names::Names,
};
use crate::{
    gguf::shown,
    model::{
        architecture::{Architecture, Layers, Place, Presence, Row, Source},
        families,
    },
};

/// Bytes of the longest name that is compared with one of ours.
const MAX_NAME: usize = 256;

/// How many names are compared.
const MAX_NAMES: usize = 10_000;

impl Mapper<'_> {
    /// What else may be meant by a tensor that is not there: empty, or begins with a separator.
    pub(super) fn missing_hint(&self, name: &str) -> String {
        if let Some(pattern) = self.checkpoint.skipped.get(name) {
            return format!(": `--skip-tensor {pattern}` leaves it out, and the model needs it");
        }
        let names = || self.checkpoint.tensors.keys();
        if names().any(|n| n == "tok_embeddings.weight" || n.ends_with(".attention.wq.weight")) {
            return ": its names are those of Meta's and Mistral's own format; take the `-hf` \
                    repository of the model, or convert it with transformers"
                .into();
        }
        let output = self.config.architecture.names.output;
        if name.strip_prefix(self.names.output.as_str()) == Some(output) {
            return format!(
                ", and config.json does not set `tie_word_embeddings`; a model that was saved as its \
                 base class (`LlamaModel`) has no output matrix{}",
                self.nearest(name)
            );
        }
        if let Some(hint) = self.count_hint(name) {
            return hint;
        }
        if let Some(hint) = self.other_kind_of_layer(name) {
            return hint;
        }
        if let Some((there, classes)) = self.other_family(name) {
            return format!(
                ", but `{there}` is there: is `architectures` of config.json `{classes}`?"
            );
        }
        if let Some(other) = self.other_layout(name) {
            return format!(
                ", and so is `{other}` of the other layout{}",
                self.nearest(name)
            );
        }
        self.nearest(name)
    }

    /// What a tensor is that is none of the model's, and what to do.
    pub(super) fn unknown_hint(&self, name: &str) -> String {
        if let Some(hint) = stranger(name) {
            return hint;
        }
        let skip = "`--skip-tensor REGEX` leaves tensors out by name";
        let count = self.config.n_layer;
        if self.layer_number(name).is_some_and(|layer| layer >= count) {
            return format!("`num_hidden_layers` of config.json is {count}; {skip}");
        }
        match self.other_family(name) {
            Some((_, classes)) => {
                format!("is `architectures` of config.json `{classes}`? else {skip}")
            }
            None => skip.into(),
        }
    }

    /// The layer that a tensor is of.
    fn layer_number(&self, name: &str) -> Option<u32> {
        let (layer, _) = self.of_layer(name)?;
        let (_, number) = layer.strip_suffix('.')?.rsplit_once('.')?;
        number.parse().ok()
    }

    /// A layer that has experts and should have none, or the other way round.
    fn other_kind_of_layer(&self, missing: &str) -> Option<String> {
        let own = self.config.architecture;
        let keys = own.experts.as_ref()?.layers.keys();
        let (layer, name) = self.of_layer(missing)?;
        let (there, verb, other) = match own.rows().find(|row| is_of_row(row, name))?.layers {
            Layers::All => return None,
            Layers::Dense => (Layers::Moe, "has", "none"),
            Layers::Moe => (Layers::Dense, "has no", "some"),
        };
        let mut rows = own.rows().filter(|row| row.layers == there);
        rows.find_map(|row| self.found(row, layer))?;
        let number = self.layer_number(missing)?;
        let keys = keys.join("` and `");
        Some(format!(
            ": layer {number} {verb} experts, and by `{keys}` of config.json it has {other}"
        ))
    }

    /// The checkpoint's name of a row's tensor in the layer whose names begin with `layer`.
    fn found(&self, row: &Row, layer: &str) -> Option<String> {
        let layouts = row.from.layouts().iter();
        let mut names = layouts.map(|from| first_name(from, layer));
        names.find(|name| self.has(name))
    }

    /// What follows `layers.N.` in a name, and all before it.
    fn of_layer<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let rules = &self.config.architecture.names;
        let rest = name.strip_prefix(self.names.model.as_str())?;
        let rest = rest.strip_prefix(rules.layers)?.split_once('.')?.1;
        Some((&name[..name.len() - rest.len()], rest))
    }

    /// The classes of the families that would have more of what is in the layer of a tensor which is missing or
    /// unknown, and a tensor that tells them from ours.
    fn other_family(&self, name: &str) -> Option<(String, String)> {
        let (layer, _) = self.of_layer(name)?;
        let own = self.config.architecture;
        // Of those with as much of what is there, those that lack least.
        let found = |family| {
            let rows = rows_of_a_layer(family);
            let is_there = rows.map(|row| self.found(row, layer).is_some());
            let (there, all) = is_there.fold((0, 0), |(there, all), is_there| {
                (there + usize::from(is_there), all + 1)
            });
            (there, Reverse(all))
        };
        let others = families::ALL
            .iter()
            .filter(|family| family.names.layers == own.names.layers);
        let most = others.clone().map(|family| found(family)).max()?;
        if most.0 <= found(own).0 {
            return None;
        }
        let others: Vec<_> = others.filter(|family| found(family) == most).collect();
        let is_own = |row: &&Row| own.rows().any(|own| own.from.name() == row.from.name());
        let mut told = rows_of_a_layer(others.first()?).filter(|row| !is_own(row));
        let there = told.find_map(|row| self.found(row, layer))?;
        let classes: Vec<&str> = others
            .iter()
            .filter_map(|f| f.classes.first().copied())
            .collect();
        Some((there, classes[..classes.len().min(2)].join("` or `")))
    }

    /// The name in another layout of a layer's tensor that is not there in any.
    fn other_layout(&self, missing: &str) -> Option<String> {
        let (layer, name) = self.of_layer(missing)?;
        let rows = self.config.architecture.rows();
        let mut layouts = rows
            .map(|row| row.from.layouts())
            .filter(|all| all.len() > 1);
        let layouts = layouts.find(|all| first_name(&all[0], "") == name)?;
        Some(first_name(&layouts[1], layer))
    }

    /// The count in config.json that is too large, where all of a layer or an expert is missing.
    fn count_hint(&self, name: &str) -> Option<String> {
        let has = |beginning: &str| {
            let mut from = self.checkpoint.tensors.range(beginning.to_owned()..);
            from.next().is_some_and(|(n, _)| n.starts_with(beginning))
        };
        let n_expert = self.config.experts.map_or(0, |(n, _)| n);
        let rules = &self.config.architecture.names;
        let experts = self.config.architecture.experts;
        let experts_key = experts.and_then(|rule| Some(*rule.count.first()?));
        for (part, what, key, count) in [
            (
                rules.layers,
                "layer",
                "num_hidden_layers",
                self.config.n_layer,
            ),
            (
                ".experts.",
                "expert",
                experts_key.unwrap_or_default(),
                n_expert,
            ),
        ] {
            let Some((before, rest)) = name.split_once(part) else {
                continue;
            };
            let number = rest.split('.').next().unwrap_or_default();
            // Where even the first is not there, the count is not to blame.
            let is_number = number.parse::<u32>().is_ok_and(|n| n > 0);
            if is_number
                && has(&format!("{before}{part}0."))
                && !has(&format!("{before}{part}{number}."))
            {
                return Some(format!(
                    ", and so is all of {what} {number}: `{key}` of config.json is {count}"
                ));
            }
        }
        None
    }

    /// The names nearest to one that is missing, among those that mean nothing to us.
    fn nearest(&self, missing: &str) -> String {
        // What is compared grows with the product of both lengths, and the names are a stranger's.
        let strange = self.checkpoint.tensors.keys();
        let strange = strange.filter(|n| n.len() <= MAX_NAME && !self.is_ours(n));
        let mut near: Vec<(f64, &String)> = strange
            .take(MAX_NAMES)
            .map(|name| (likeness(missing, name), name))
            .collect();
        near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        // As near as the nearest, or almost; of many layers one is enough.
        let best = near.first().map_or(0.0, |(likeness, _)| *likeness);
        near.retain(|(likeness, _)| *likeness > best - 0.05);
        let mut kinds = BTreeSet::new();
        let near: Vec<&String> = near
            .into_iter()
            .map(|(_, name)| name)
            .filter(|name| kinds.insert(name.replace(|c: char| c.is_ascii_digit(), "")))
            .collect();
        match near[..] {
            [] => String::new(),
            [one] => format!(
                "; nearest is `{}`{}",
                shown(one),
                stranger(one).map_or(String::new(), |what| format!(": {what}"))
            ),
            [one, other, ..] => format!(
                "; nearest are `{}` and `{}`{}",
                shown(one),
                shown(other),
                stranger(one).map_or(String::new(), |what| format!(": {what}"))
            ),
        }
    }

    /// Whether a model of this family may have a tensor of this name, be it one that is left out.
    fn is_ours(&self, name: &str) -> bool {
        let mut left_out = self.config.architecture.left_out.iter();
        if left_out.any(|piece| name.contains(piece)) {
            return true;
        }
        let Names { model, output } = &self.names;
        let is = |place: Place, name: &str| is_of(self.config.architecture, place, name);
        if let Some((_, name)) = self.of_layer(name) {
            return is(Place::Layer, name);
        }
        let within = |prefix: &str, place| name.strip_prefix(prefix).is_some_and(|n| is(place, n));
        within(output, Place::Output) || within(model, Place::Model)
    }
}

/// The rows that must be there in a layer: of a Mixture of Experts, or of a dense model.
fn rows_of_a_layer(family: &Architecture) -> impl Iterator<Item = &'static Row> {
    let absent = match family.experts {
        Some(_) => Layers::Dense,
        None => Layers::Moe,
    };
    family.rows().filter(move |row| {
        row.place == Place::Layer && row.presence == Presence::Needed && row.layers != absent
    })
}

/// Whether a row of the family at `place` has a tensor of this name in the checkpoint.
fn is_of(family: &Architecture, place: Place, name: &str) -> bool {
    let mut rows = family.rows().filter(|row| row.place == place);
    rows.any(|row| is_of_row(row, name))
}

/// Whether a row has a tensor of this name, without what it begins with.
fn is_of_row(row: &Row, name: &str) -> bool {
    let is = |from: &Source| match from {
        Source::Each(pattern) => pattern.split_once("{}").is_some_and(|(before, behind)| {
            let number = name
                .strip_prefix(before)
                .and_then(|n| n.strip_suffix(behind));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        }),
        from => first_name(from, "") == name,
    };
    row.from.layouts().iter().any(is)
}

/// From 0 to 1. An ending in common counts most: what differs is often what a program put before it.
fn likeness(a: &str, b: &str) -> f64 {
    match a.ends_with(b) || b.ends_with(a) {
        true => 1.0,
        false => strsim::normalized_damerau_levenshtein(a, b),
    }
}
