//! The options of `run` that say how answers are made: the choice of tokens, and where they end.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::runner::settings::{self, Limit, Seed};

/// How answers are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answers")]
pub struct SamplingArgs {
    /// End the answer before this text; may be given more than once
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), allow_hyphen_values = true)]
    pub stop: Vec<String>,

    /// Most tokens of an answer; -1 leaves its end to the model
    #[arg(short, long, alias = "predict", value_name = "N", default_value = "-1", value_parser = settings::limit, allow_negative_numbers = true)]
    pub n_predict: Limit,

    /// Let an answer go on that only repeats itself; so does --raw with -n
    #[arg(long)]
    pub no_loop_stop: bool,

    /// Temperature; 0 always takes the most likely token
    #[arg(long, alias = "temperature", value_name = "T", default_value_t = 0.8, value_parser = parse_temperature, allow_negative_numbers = true)]
    pub temp: f32,

    /// Choose among the K most likely tokens; 0 is all
    #[arg(long, value_name = "K", default_value_t = 40, value_parser = parse_count)]
    pub top_k: u32,

    /// Choose among the most likely tokens that together have probability P
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = parse_probability, allow_negative_numbers = true)]
    pub top_p: f32,

    /// Choose among tokens at least P times as likely as the most likely one
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = parse_probability, allow_negative_numbers = true)]
    pub min_p: f32,

    /// Choose among locally typical tokens that together have probability P; 1 is off
    #[arg(long, alias = "typical", value_name = "P", default_value_t = 1.0, value_parser = parse_probability, allow_negative_numbers = true)]
    pub typical_p: f32,

    /// Choose among tokens within N standard deviations of the most likely one; 0 is off
    #[arg(long, alias = "top-nsigma", value_name = "N", default_value_t = 0.0, value_parser = parse_n_sigma, allow_negative_numbers = true)]
    pub top_n_sigma: f32,

    /// How often all top choices but the last are left out; 0 is off
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parse_probability, allow_negative_numbers = true)]
    pub xtc_probability: f32,

    /// A top choice is at least so likely
    #[arg(long, value_name = "P", default_value_t = 0.1, value_parser = parse_probability, allow_negative_numbers = true)]
    pub xtc_threshold: f32,

    /// Divide the logits of recent tokens by X; 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_repeat_penalty, allow_negative_numbers = true)]
    pub repeat_penalty: f32,

    /// How many tokens are recent, for the penalties
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = parse_last_n)]
    pub repeat_last_n: u32,

    /// Take X off the logits of recent tokens; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = parse_penalty, allow_negative_numbers = true)]
    pub presence_penalty: f32,

    /// Take X off the logits of recent tokens for each time they came; 0 is off
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = parse_penalty, allow_negative_numbers = true)]
    pub frequency_penalty: f32,

    /// Seed of the random choice; -1 takes another one each time
    #[arg(long, value_name = "N", default_value = "-1", value_parser = settings::seed, allow_negative_numbers = true)]
    pub seed: Seed,
}

fn parse_temperature(text: &str) -> Result<f32, String> {
    settings::number(text, &settings::TEMPERATURE)
}

fn parse_probability(text: &str) -> Result<f32, String> {
    settings::number(text, &settings::PROBABILITY)
}

fn parse_n_sigma(text: &str) -> Result<f32, String> {
    settings::number(text, &settings::N_SIGMA)
}

fn parse_repeat_penalty(text: &str) -> Result<f32, String> {
    settings::number(text, &settings::REPEAT_PENALTY)
}

fn parse_penalty(text: &str) -> Result<f32, String> {
    settings::number(text, &settings::PENALTY)
}

fn parse_count(text: &str) -> Result<u32, String> {
    settings::number(text, &settings::COUNT)
}

fn parse_last_n(text: &str) -> Result<u32, String> {
    settings::number(text, &settings::LAST_N)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;
    use crate::runner::SessionOptions;
    use crate::runner::settings::SETTINGS;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        sampling: SamplingArgs,
    }

    /// What `/set` shows is what the command line takes, with the same defaults.
    #[test]
    fn the_chat_and_the_command_line_have_the_same_options() {
        let mut options = SessionOptions::default();
        let command = Options::command();
        let mut found = Vec::new();
        for argument in command.get_arguments() {
            let long = argument.get_long().unwrap();
            let name = long.strip_prefix("no-").unwrap_or(long);
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let setting = setting.unwrap_or_else(|| panic!("`/set` has no `{name}`"));
            found.push(name);
            let default = argument.get_default_values().first();
            if let Some(default) = default.filter(|_| !["seed", "loop-stop"].contains(&name)) {
                assert_eq!(
                    default.to_str(),
                    Some(setting.value(&mut options).as_str()),
                    "{name}"
                );
            }
        }
        assert_eq!(found.len(), SETTINGS.len());
        let matches = command.get_matches_from(["x", "--temperature", "0.5"]);
        let options = Options::from_arg_matches(&matches).unwrap();
        assert!((options.sampling.temp - 0.5).abs() < f32::EPSILON);
    }
}
