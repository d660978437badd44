//! Gates that are too similar to tell experts apart.
//!
//! The condition number of a layer's gates, as a matrix with a row for each expert, is its largest
//! singular value divided by its smallest: 1 for gates at right angles to each other, and infinite where one
//! is a sum of the others. mergekit warns where it is over 5.
//!
//! The singular values are the square roots of the eigenvalues of the small matrix of all products
//! of two gates. In double precision that is exact enough up to condition numbers of a million.

use nalgebra::{DMatrix, SymmetricEigen};

use super::Gates;

/// The condition number from which on gates count as degenerate.
const THRESHOLD: f64 = 5.0;

/// Smallest eigenvalue, as a part of the largest, that is told from zero.
const SMALLEST: f64 = 1e-13;

/// Steps of the eigenvalue solver for each row; it takes a few.
const MAX_STEPS: usize = 1000;

/// A layer whose gates are degenerate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degenerate {
    /// The layer, from 0.
    pub layer: usize,
    /// The condition number: over 5, or infinite.
    pub condition: f64,
}

impl Gates {
    /// The layers with a condition number over 5, where an expert will hardly be used or two always be
    /// used together.
    pub fn degenerate(&self) -> Vec<Degenerate> {
        let layers = self.layers.iter().enumerate();
        layers
            .map(|(layer, gates)| Degenerate {
                layer,
                condition: condition(gates, self.n_expert, self.n_embd),
            })
            .filter(|found| found.condition > THRESHOLD)
            .collect()
    }

    /// One line for people about the layers with degenerate gates, if there are some.
    pub fn degenerate_note(&self) -> Option<String> {
        let found = self.degenerate();
        let worst = found.iter().map(|d| d.condition).fold(0.0, f64::max);
        let layers = match found.as_slice() {
            [] => return None,
            [one] => format!("layer {}", one.layer),
            all if all.len() == self.n_layer => "all layers".to_owned(),
            some => format!("layers {}", ranges(some)),
        };
        let worst = match worst.is_finite() {
            true => format!("up to {worst:.1}"),
            false => "infinite".to_owned(),
        };
        Some(format!(
            "the gates of {layers} are degenerate (condition number {worst}, expected at most {THRESHOLD}): prompts that differ more would use the experts more evenly"
        ))
    }
}

/// Numbers of layers in increasing order, with `3-7` for runs.
fn ranges(found: &[Degenerate]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for layer in found.iter().map(|d| d.layer) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == layer => *last = layer,
            _ => runs.push((layer, layer)),
        }
    }
    let told = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The condition number of a matrix of `n_rows` rows.
fn condition(values: &[f32], n_rows: usize, n_columns: usize) -> f64 {
    let largest = values
        .iter()
        .fold(0.0f32, |max, value| max.max(value.abs()));
    if largest == 0.0 || values.iter().any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    // In units of the largest number, so that no product overflows or vanishes.
    let scaled = values.iter().map(|value| f64::from(value / largest));
    let matrix = DMatrix::from_row_iterator(n_rows, n_columns, scaled);
    let products = match n_rows <= n_columns {
        true => &matrix * matrix.transpose(),
        false => matrix.transpose() * &matrix,
    };
    let steps = products.nrows() * MAX_STEPS;
    let Some(eigen) = SymmetricEigen::try_new(products, f64::EPSILON, steps) else {
        return f64::INFINITY;
    };
    let (min, max) = (eigen.eigenvalues.min(), eigen.eigenvalues.max());
    match min > max * SMALLEST {
        true => (max / min).sqrt(),
        false => f64::INFINITY,
    }
}
