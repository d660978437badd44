//! How far weights are from those they should be.

/// Sums over pairs of a reference weight and the weight that stands for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Pairs that count: both numbers finite, or the same bits.
    pub weights: u64,
    /// Pairs that do not, because one of two different numbers is not finite.
    pub not_finite: u64,
    /// Sum of the squares of the reference's weights.
    pub reference_squares: f64,
    /// Sum of the squares of the differences.
    pub error_squares: f64,
    /// The block of the largest squared error and that error's mean over the block; `None` where
    /// all pairs are equal.
    pub worst: Option<(u64, f64)>,
}

impl Deviation {
    /// Measures whole blocks of `block_len` weights, of which the first is block `first_block` of
    /// its tensor.
    pub(super) fn measure(
        reference: &[f32],
        weights: &[f32],
        block_len: usize,
        first_block: u64,
    ) -> Self {
        let mut sums = Self::default();
        let blocks = reference.chunks(block_len).zip(weights.chunks(block_len));
        for (block, (reference, weights)) in (first_block..).zip(blocks) {
            let mut error_squares = 0.0;
            for (&reference, &weight) in reference.iter().zip(weights) {
                let (r, error) = (
                    f64::from(reference),
                    f64::from(weight) - f64::from(reference),
                );
                // An infinity or NaN on either side leaves no finite difference.
                if error.is_finite() {
                    sums.reference_squares += r * r;
                    error_squares += error * error;
                } else if reference.to_bits() != weight.to_bits() {
                    sums.not_finite += 1;
                }
            }
            let pairs = reference.len() as u64;
            sums.weights += pairs;
            sums.error_squares += error_squares;
            sums.note_worst(block, error_squares / pairs as f64);
        }
        sums.weights -= sums.not_finite;
        sums
    }

    /// Adds equal weights, of which only the reference's squares count.
    pub(super) fn add_equal(&mut self, weights: &[f32]) {
        let finite = weights.iter().filter(|weight| weight.is_finite());
        self.reference_squares += finite.map(|&w| f64::from(w) * f64::from(w)).sum::<f64>();
        self.weights += weights.len() as u64;
    }

    /// Adds the sums of blocks that follow.
    pub(super) fn add(&mut self, following: &Self) {
        self.weights += following.weights;
        self.not_finite += following.not_finite;
        self.reference_squares += following.reference_squares;
        self.error_squares += following.error_squares;
        if let Some((block, mean)) = following.worst {
            self.note_worst(block, mean);
        }
    }

    fn note_worst(&mut self, block: u64, mean: f64) {
        if mean > self.worst.map_or(0.0, |(_, worst)| worst) {
            self.worst = Some((block, mean));
        }
    }

    /// Whether every weight is its reference (or a zero of the other sign).
    pub fn is_exact(&self) -> bool {
        self.error_squares == 0.0 && self.not_finite == 0
    }

    /// Root of the mean squared error, in the unit of the weights.
    pub fn rmse(&self) -> f64 {
        (self.error_squares / self.weights.max(1) as f64).sqrt()
    }

    /// The root mean squared error as a part of the reference's root mean square; infinite where
    /// the reference is all zeros and the weights are not.
    pub fn relative(&self) -> f64 {
        if self.error_squares == 0.0 {
            0.0
        } else {
            (self.error_squares / self.reference_squares).sqrt()
        }
    }

    /// Signal-to-noise ratio in decibels: the reference's squares to those of the error. Infinite
    /// where nothing differs.
    pub fn snr_db(&self) -> f64 {
        -20.0 * self.relative().log10()
    }

    /// The block of the largest error, and the root of its mean squared error.
    pub fn worst_block(&self) -> Option<(u64, f64)> {
        self.worst.map(|(block, mean)| (block, mean.sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::Deviation;

    #[test]
    fn figures_follow_from_their_definitions() {
        let d = Deviation::measure(&[3.0, 4.0, 0.0, 5.0], &[3.0, 4.0, 3.0, 1.0], 2, 10);
        assert_eq!((d.weights, d.not_finite), (4, 0));
        assert_eq!(d.rmse(), 2.5);
        assert_eq!(d.relative(), (25.0f64 / 50.0).sqrt());
        assert!((d.snr_db() - 10.0 * 2f64.log10()).abs() < 1e-12);
        assert_eq!(d.worst_block(), Some((11, 12.5f64.sqrt())));
        assert!(!d.is_exact());
    }

    #[test]
    fn equal_weights_are_exact_even_where_all_are_zero() {
        for weights in [[0.0, -0.0], [1.0, 2.0], [f32::NAN, f32::INFINITY]] {
            let d = Deviation::measure(&weights, &weights, 1, 0);
            assert!(d.is_exact(), "{d:?}");
            assert_eq!((d.weights, d.rmse(), d.relative()), (2, 0.0, 0.0));
            assert_eq!((d.snr_db(), d.worst_block()), (f64::INFINITY, None));
        }
        let nothing = Deviation::default();
        assert_eq!((nothing.rmse(), nothing.snr_db()), (0.0, f64::INFINITY));
        let of_zeros = Deviation::measure(&[0.0], &[1.0], 1, 0);
        assert_eq!(of_zeros.snr_db(), f64::NEG_INFINITY);
    }

    #[test]
    fn what_is_not_finite_is_counted_and_left_out() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let d = Deviation::measure(
            &[1.0, nan, 2.0, -inf, inf],
            &[nan, 1.0, 1.0, inf, inf],
            1,
            0,
        );
        assert_eq!((d.weights, d.not_finite), (2, 3));
        assert_eq!(d.error_squares, 1.0);
        assert!(!d.is_exact());
    }

    #[test]
    fn sums_of_parts_are_those_of_the_whole() {
        let reference: Vec<f32> = (0..64).map(|i| i as f32).collect();
        let weights: Vec<f32> = reference.iter().map(|w| w * 1.5).collect();
        let whole = Deviation::measure(&reference, &weights, 8, 0);
        let mut parts = Deviation::measure(&reference[..24], &weights[..24], 8, 0);
        parts.add(&Deviation::measure(&reference[24..], &weights[24..], 8, 3));
        assert_eq!(parts, whole);
        assert_eq!(whole.worst.map(|(block, _)| block), Some(7));
        parts.add_equal(&[2.0, f32::INFINITY]);
        assert_eq!(parts.reference_squares, whole.reference_squares + 4.0);
        assert_eq!(
            (parts.weights, parts.error_squares),
            (66, whole.error_squares)
        );
    }
}
