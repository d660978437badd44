//! The options of `run` that say how answers are made: the choice of tokens, and where they end.

use std::ops::RangeInclusive;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, value_parser};

/// How answers are made.
#[derive(Debug, Args)]
pub struct SamplingArgs {
    /// End the answer before this text; may be given more than once
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub stop: Vec<String>,

    /// Most tokens of an answer; -1 leaves its end to the model
    #[arg(short, long, value_name = "N", default_value_t = -1, value_parser = parse_n_predict, allow_negative_numbers = true)]
    pub n_predict: i32,

    /// Let an answer go on that only repeats itself; so does --raw with -n
    #[arg(long)]
    pub no_loop_stop: bool,

    /// Temperature; 0 always takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 0.8, value_parser = parse_temperature, allow_negative_numbers = true)]
    pub temp: f32,

    /// Choose among the K most likely tokens; 0 is all
    #[arg(long, value_name = "K", default_value_t = 40)]
    pub top_k: u32,

    /// Choose among the most likely tokens that together have probability P
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = parse_probability, allow_negative_numbers = true)]
    pub top_p: f32,

    /// Choose among tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = parse_probability, allow_negative_numbers = true)]
    pub min_p: f32,

    /// Penalty on the last 64 tokens; 1 is none
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_penalty, allow_negative_numbers = true)]
    pub repeat_penalty: f32,

    /// Seed of the random choice; -1 takes another one each time
    #[arg(long, value_name = "N", default_value_t = -1, value_parser = value_parser!(i64).range(-1..=i64::from(u32::MAX)), allow_negative_numbers = true)]
    pub seed: i64,
}

fn parse_n_predict(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(n) if n == -1 || n >= 1 => Ok(n),
        _ => Err("expected a number from 1, or -1".to_owned()),
    }
}

fn parse_f32(text: &str, range: RangeInclusive<f32>) -> Result<f32, String> {
    match text.parse() {
        Ok(x) if range.contains(&x) => Ok(x),
        _ => Err(format!(
            "expected a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

fn parse_temperature(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.0..=100.0)
}

fn parse_probability(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.0..=1.0)
}

fn parse_penalty(text: &str) -> Result<f32, String> {
    parse_f32(text, 0.01..=100.0)
}
