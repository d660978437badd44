//! Merging dense models into a Mixture of Experts.

pub mod gates;
