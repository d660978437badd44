//! The registry itself: shown as a whole, and reached as a whole by the recipes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use swallow_gguf::model::{
    architecture::{Architecture, BASE, Place, Row, Source},
    families,
};

use super::{NAMES, fused, golden, recipe::Recipe};

/// `UPDATE_SNAPSHOTS=1 cargo test --release --test tests families::registry` writes it anew.
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/families/registry.txt");

#[test]
fn is_what_the_snapshot_shows() {
    let mut families = families::ALL.to_vec();
    families.sort_unstable_by_key(|family| family.name.to_lowercase());
    let mut shown = "keys of nearly all\n".to_owned();
    for key in BASE {
        writeln!(shown, "  key: {key}").unwrap();
    }
    for family in families {
        write!(shown, "\n{family}").unwrap();
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(SNAPSHOT, &shown).unwrap();
    }
    let kept = fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let differs = std::iter::zip(shown.lines(), kept.lines()).find(|(now, then)| now != then);
    assert!(
        shown == kept,
        "the registry is no longer what {} shows, first at {differs:?}; UPDATE_SNAPSHOTS=1 writes it anew",
        Path::new(SNAPSHOT).file_name().unwrap().display(),
    );
}

/// README's table names the families that are compared with llama.cpp, and no others.
#[test]
fn is_what_the_readme_lists() {
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let (_, table) = readme.split_once("| family | architecture |").unwrap();
    let table = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let listed: Vec<(String, String)> = table
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let mut families = families::ALL.to_vec();
    families.sort_unstable_by_key(|family| family.name.to_lowercase());
    let known: Vec<_> = families
        .iter()
        .map(|family| (family.name.to_owned(), family.gguf.to_owned()))
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn has_no_row_that_no_recipe_reaches() {
    let mut reached = BTreeSet::new();
    let mut families = BTreeSet::new();
    for name in NAMES {
        let recipe = Recipe::read(name);
        let family = families::of_class(recipe.class()).unwrap();
        let sources: BTreeSet<String> = recipe.tensors().into_iter().map(|t| t.name).collect();
        let targets = golden_tensors(name);
        families.insert(family.name);
        for row in family.rows() {
            if let Some(layout) = layout_of(family, row, &sources) {
                let target = pattern(row.place, row.target);
                assert!(targets.contains(&target), "{name}: {row} makes no {target}");
                reached.insert(shown(row, layout));
            }
        }
    }
    // What llama.cpp's converter does not take has no recipe, and makes the same file.
    for (name, _, router) in fused::RECIPES {
        let family = families::of_class(Recipe::read(name).class()).unwrap();
        let sources = BTreeSet::from([format!("model.{}0.{router}", family.names.layers)]);
        for row in family.rows() {
            let layout = layout_of(family, row, &sources);
            reached.extend(layout.map(|layout| shown(row, layout)));
        }
    }
    let mut missing: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for family in families::ALL {
        if !families.contains(family.name) {
            missing
                .entry("every row".into())
                .or_default()
                .push(family.name);
            continue;
        }
        for row in family.rows() {
            for layout in row.from.layouts() {
                let shown = shown(row, layout);
                if !reached.contains(&shown) {
                    missing.entry(shown).or_default().push(family.name);
                }
            }
        }
    }
    let mut text = String::new();
    for (row, families) in &missing {
        writeln!(text, "{row}, of {}", families.join(", ")).unwrap();
    }
    assert!(missing.is_empty(), "no recipe reaches\n{text}");
}

/// The layout of a row that a checkpoint with these tensors has.
fn layout_of<'r>(
    family: &Architecture,
    row: &'r Row,
    sources: &BTreeSet<String>,
) -> Option<&'r Source> {
    let is_there = |name: &str| {
        let mut roots = family.names.roots.iter();
        roots.any(|root| sources.contains(&format!("{root}{name}")))
    };
    let mut layouts = row.from.layouts().iter();
    layouts.find(|layout| {
        let name = layout.name().replace("{}", "0");
        let layers = family.names.layers;
        match row.place {
            Place::Output => sources.contains(&name),
            Place::Model => is_there(&name),
            // Not all layers have it.
            Place::Layer => (0..8).any(|layer| is_there(&format!("{layers}{layer}.{name}"))),
        }
    })
}

/// Names of the tensors of a golden file, with `N` for a layer.
fn golden_tensors(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(golden::path(name)).unwrap();
    let (lines, _) = text.split_once("\n\n").unwrap();
    let tensors = lines.lines().filter(|line| !line.contains(" = "));
    tensors
        .map(|line| {
            let name = line.split(' ').next().unwrap();
            match name
                .strip_prefix("blk.")
                .and_then(|rest| rest.split_once('.'))
            {
                Some((_, rest)) => pattern(Place::Layer, rest),
                None => name.to_owned(),
            }
        })
        .collect()
}

fn pattern(place: Place, target: &str) -> String {
    match place {
        Place::Layer => format!("blk.N.{target}"),
        Place::Model | Place::Output => target.to_owned(),
    }
}

/// A row with one of its layouts. Families share rows: one recipe is enough for all of them.
fn shown(row: &Row, layout: &Source) -> String {
    let row = Row {
        from: *layout,
        ..*row
    };
    row.to_string()
}
