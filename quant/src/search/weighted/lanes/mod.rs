//! The weighted searches for `N` sub-blocks at once, one in each lane; see [`crate::search::lanes`].
//!
//! The levels of the proposal that fits best are not stored while the search runs. What is kept is
//! what makes them of the weights ([`Fit`], `ScaleFit`), for the types and the rare sub-blocks
//! that need them.

#![allow(
    clippy::needless_range_loop,
    reason = "the loops over lanes are the algorithm"
)]

mod grid_scale;
mod scale;
mod scale_and_min;
mod unit;

pub(crate) use grid_scale::grid_scale;
pub(crate) use scale::{levels_around_zero, scale, signed_unit};
pub(crate) use scale_and_min::{Fit, levels_from, scale_and_min};
pub(crate) use unit::unit;
