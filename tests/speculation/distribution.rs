//! Sampled text has the model's distribution.
//!
//! A tiny model says two dozen tokens, some of them again and again, with many seeds. How often each ending comes is held against other seeds without proposals, by
//! the chi-square of two samples. The test is tested, too: an acceptance that is a little too kind to
//! what is proposed must be found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use swallow_gguf::runner::{
    ContextOptions, LoadOptions, Model, ModelFile, Sampling, Session, SessionOptions, Speculate,
};

use crate::run::talkative;

type Counts = BTreeMap<String, u32>;

/// How often each ending comes: the last two words.
fn sample(model: &Model, speculate: Speculate, first_seed: u32, count: u32) -> (Counts, usize) {
    let mut session = session(model, speculate, first_seed);
    let mut counts = Counts::new();
    let mut accepted = 0;
    // Each answer of a session has the next seed.
    for _ in 0..count {
        let answer = session.complete("a", |_| ControlFlow::Continue(()));
        let answer = answer.unwrap();
        accepted += answer.figures.speculated.accepted;
        let words: Vec<&str> = answer.text.split_whitespace().rev().take(2).collect();
        *counts.entry(words.join(" ")).or_default() += 1;
    }
    (counts, accepted)
}

fn session(model: &Model, speculate: Speculate, seed: u32) -> Session<'_> {
    let options = SessionOptions {
        context: ContextOptions {
            size: Some(256),
            threads: 1,
            ..ContextOptions::default()
        },
        sampling: Sampling {
            temperature: 1.0,
            top_k: 3,
            seed,
            ..Sampling::default()
        },
        limit: Some(24),
        loop_stop: false,
        speculate,
        ..SessionOptions::default()
    };
    Session::new(model, options).unwrap()
}

/// The chi-square of two samples, less what is expected, in standard deviations. Rare texts count as one.
fn apart(a: &Counts, b: &Counts) -> f64 {
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut rare = (0.0, 0.0);
    let texts: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for text in texts {
        let count = |counts: &Counts| f64::from(counts.get(text).copied().unwrap_or(0));
        let cell = (count(a), count(b));
        match cell.0 + cell.1 < 20.0 {
            true => rare = (rare.0 + cell.0, rare.1 + cell.1),
            false => cells.push(cell),
        }
    }
    if rare.0 + rare.1 >= 20.0 {
        cells.push(rare);
    }
    let total = |counts: &Counts| f64::from(counts.values().sum::<u32>());
    let (k_a, k_b) = ((total(b) / total(a)).sqrt(), (total(a) / total(b)).sqrt());
    let chi_square: f64 = cells
        .iter()
        .map(|(a, b)| (k_a * a - k_b * b).powi(2) / (a + b))
        .sum();
    let freedom = (cells.len() - 1) as f64;
    assert!(freedom >= 2.0, "{cells:?}");
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

fn model(dir: &Path) -> Model {
    let file = ModelFile::open(&talkative(dir)).unwrap();
    Model::load(&file, &LoadOptions::default(), |_| {}).unwrap()
}

#[test]
fn sampled_text_has_the_models_distribution() {
    const COUNT: u32 = 400;
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let (plain, none) = sample(&model, Speculate::Off, 0, COUNT);
    assert_eq!(none, 0);
    let (speculative, accepted) = sample(&model, Speculate::UpTo(4), 1 << 20, COUNT);
    assert!(accepted > 100, "{accepted}");
    let found = apart(&plain, &speculative);
    assert!(found < 4.0, "{found}: {plain:?} {speculative:?}");

    // One ending in four replaced by the one that comes most: what a kinder acceptance would do.
    let (favourite, _) = speculative.iter().max_by_key(|(_, count)| **count).unwrap();
    let mut kinder = Counts::new();
    for (text, count) in &speculative {
        *kinder.entry(text.clone()).or_default() += count - count / 4;
        *kinder.entry(favourite.clone()).or_default() += count / 4;
    }
    let found = apart(&plain, &kinder);
    assert!(found > 4.0, "{found}");
}
