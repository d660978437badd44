//! The options of answers by name: one list of names, ranges and words, for the command line and for
//! `/set` in the chat.

use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::SessionOptions;
use crate::nearest;

/// What a temperature may be.
pub const TEMPERATURE: RangeInclusive<f32> = 0.0..=100.0;

/// What a probability may be.
pub const PROBABILITY: RangeInclusive<f32> = 0.0..=1.0;

/// What divides logits.
pub const REPEAT_PENALTY: RangeInclusive<f32> = 0.01..=100.0;

/// What is taken off logits; less than 0 rewards.
pub const PENALTY: RangeInclusive<f32> = -100.0..=100.0;

/// Standard deviations; 0 is off.
pub const N_SIGMA: RangeInclusive<f32> = 0.0..=100.0;

/// How many tokens there may be of something.
pub const COUNT: RangeInclusive<u32> = 0..=u32::MAX;

/// How far penalties look back.
pub const LAST_N: RangeInclusive<u32> = 0..=65536;

/// The number that `text` is, within `range`.
///
/// # Errors
/// What was expected, where it is none.
pub fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    match text.parse() {
        Ok(x) if range.contains(&x) => Ok(x),
        _ => Err(format!(
            "expected a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// The most tokens of an answer; `None` is written -1.
///
/// # Errors
/// What was expected, where `text` is neither.
pub fn limit(text: &str) -> Result<Limit, String> {
    match text.parse::<i32>() {
        Ok(-1) => Ok(Limit(None)),
        Ok(n @ 1..) => Ok(Limit(usize::try_from(n).ok())),
        _ => Err("expected a number from 1, or -1".to_owned()),
    }
}

/// The most tokens of an answer; `None` leaves its end to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<usize>);

impl Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(n) => n.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// A seed; -1 is a random one.
///
/// # Errors
/// What was expected, where `text` is neither.
pub fn seed(text: &str) -> Result<Seed, String> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(Seed(None)),
        Ok(n) => u32::try_from(n).map(|n| Seed(Some(n))).map_err(|_| ()),
        Err(_) => Err(()),
    }
    .map_err(|()| format!("expected a number from 0 to {}, or -1", u32::MAX))
}

/// A seed that was asked for; `None` is a random one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub Option<u32>);

impl Seed {
    /// The seed to use.
    pub fn value(self) -> u32 {
        // The standard library seeds its hash maps from the system's random source.
        let random = || RandomState::new().build_hasher().finish() as u32;
        self.0.unwrap_or_else(random)
    }
}

impl Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(n) => n.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// An option that can be changed between answers.
#[derive(Debug)]
pub struct Setting {
    /// Its name, which on the command line comes after `--`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    kind: Kind,
}

/// What an option is, and where it is kept.
#[derive(Debug)]
enum Kind {
    Real(RangeInclusive<f32>, fn(&mut SessionOptions) -> &mut f32),
    Whole(RangeInclusive<u32>, fn(&mut SessionOptions) -> &mut u32),
    Seed,
    Limit,
    LoopStop,
    Stops,
}

const fn real(
    name: &'static str,
    range: RangeInclusive<f32>,
    field: fn(&mut SessionOptions) -> &mut f32,
    about: &'static str,
) -> Setting {
    let kind = Kind::Real(range, field);
    Setting { name, about, kind }
}

const fn whole(
    name: &'static str,
    range: RangeInclusive<u32>,
    field: fn(&mut SessionOptions) -> &mut u32,
    about: &'static str,
) -> Setting {
    let kind = Kind::Whole(range, field);
    Setting { name, about, kind }
}

const fn other(name: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { name, about, kind }
}

/// All of them, in the order in which the steps are taken.
pub const SETTINGS: &[Setting] = &[
    real(
        "temp",
        TEMPERATURE,
        |o| &mut o.sampling.temperature,
        "0 always takes the most likely token",
    ),
    whole(
        "top-k",
        COUNT,
        |o| &mut o.sampling.top_k,
        "among the K most likely; 0 is all",
    ),
    real(
        "top-p",
        PROBABILITY,
        |o| &mut o.sampling.top_p,
        "among the most likely that together have this probability",
    ),
    real(
        "min-p",
        PROBABILITY,
        |o| &mut o.sampling.min_p,
        "at least so likely, relative to the most likely",
    ),
    real(
        "typical-p",
        PROBABILITY,
        |o| &mut o.sampling.typical_p,
        "locally typical tokens; 1 is off",
    ),
    real(
        "top-n-sigma",
        N_SIGMA,
        |o| &mut o.sampling.top_n_sigma,
        "logits within so many standard deviations of the highest; 0 is off",
    ),
    real(
        "xtc-probability",
        PROBABILITY,
        |o| &mut o.sampling.xtc_probability,
        "how often the top choices are left out; 0 is off",
    ),
    real(
        "xtc-threshold",
        PROBABILITY,
        |o| &mut o.sampling.xtc_threshold,
        "a top choice is at least so likely; above 0.5 is off",
    ),
    real(
        "repeat-penalty",
        REPEAT_PENALTY,
        |o| &mut o.sampling.repeat_penalty,
        "divides the logits of recent tokens; 1 is off",
    ),
    whole(
        "repeat-last-n",
        LAST_N,
        |o| &mut o.sampling.repeat_last_n,
        "recent tokens that are penalized",
    ),
    real(
        "presence-penalty",
        PENALTY,
        |o| &mut o.sampling.presence_penalty,
        "taken off the logits of recent tokens; 0 is off",
    ),
    real(
        "frequency-penalty",
        PENALTY,
        |o| &mut o.sampling.frequency_penalty,
        "the same, for each time they came; 0 is off",
    ),
    other("seed", Kind::Seed, "of the random choice; -1 draws one"),
    other(
        "n-predict",
        Kind::Limit,
        "most tokens of an answer; -1 leaves its end to the model",
    ),
    other(
        "stop",
        Kind::Stops,
        "ends the answer before this text; \"\" is none",
    ),
    other(
        "loop-stop",
        Kind::LoopStop,
        "on ends an answer that only repeats itself",
    ),
];

/// Other names: those of llama.cpp and Ollama.
const ALSO: &[(&str, &str)] = &[
    ("temperature", "temp"),
    ("typical", "typical-p"),
    ("top-nsigma", "top-n-sigma"),
    ("predict", "n-predict"),
    ("num-predict", "n-predict"),
];

impl Setting {
    /// The option of this name, with or without `--`, and with `_` for `-` where that is written.
    ///
    /// # Errors
    /// Where there is none, in words, with the one that was probably meant.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let plain = name
            .trim_start_matches('-')
            .replace('_', "-")
            .to_lowercase();
        let also = ALSO.iter().find(|(other, _)| *other == plain);
        let wanted = also.map_or(plain.as_str(), |(_, name)| name);
        let found = SETTINGS.iter().find(|setting| setting.name == wanted);
        found.ok_or_else(|| {
            let known = SETTINGS.iter().map(|setting| setting.name);
            let known = known.chain(ALSO.iter().map(|(other, _)| *other));
            match nearest::of(&plain, known) {
                Some(near) => format!("there is no option `{name}`; is `{near}` meant?"),
                None => format!("there is no option `{name}`; `/set` lists them"),
            }
        })
    }

    /// Its value as it is written.
    pub fn value(&self, options: &mut SessionOptions) -> String {
        match &self.kind {
            Kind::Real(_, field) => field(options).to_string(),
            Kind::Whole(_, field) => field(options).to_string(),
            Kind::Seed => options.sampling.seed.to_string(),
            Kind::Limit => Limit(options.limit).to_string(),
            Kind::LoopStop => ["off", "on"][usize::from(options.loop_stop)].to_owned(),
            Kind::Stops => {
                let quoted: Vec<_> = options
                    .stops
                    .iter()
                    .map(|stop| format!("{stop:?}"))
                    .collect();
                match quoted.is_empty() {
                    true => "\"\"".to_owned(),
                    false => quoted.join(" "),
                }
            }
        }
    }

    /// Sets it to what `text` says.
    ///
    /// # Errors
    /// What was expected. Nothing is changed then.
    pub fn set(&self, options: &mut SessionOptions, text: &str) -> Result<(), String> {
        match &self.kind {
            Kind::Real(range, field) => *field(options) = number(text, range)?,
            Kind::Whole(range, field) => *field(options) = number(text, range)?,
            Kind::Seed => options.sampling.seed = seed(text)?.value(),
            Kind::Limit => options.limit = limit(text)?.0,
            Kind::LoopStop => {
                options.loop_stop = match text {
                    "on" => true,
                    "off" => false,
                    _ => return Err("expected `on` or `off`".to_owned()),
                }
            }
            Kind::Stops => {
                let text = match text.starts_with('"') {
                    true => serde_json::from_str(text)
                        .map_err(|_| "expected text, or text between `\"` as in JSON".to_owned())?,
                    false => text.to_owned(),
                };
                options.stops = Some(text)
                    .filter(|text| !text.is_empty())
                    .into_iter()
                    .collect();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SessionOptions {
        SessionOptions::default()
    }

    #[test]
    fn every_option_reads_what_it_writes_and_refuses_what_is_none() {
        for setting in SETTINGS {
            let mut options = options();
            let value = setting.value(&mut options);
            setting.set(&mut options, &value).unwrap();
            assert_eq!(setting.value(&mut options), value, "{}", setting.name);
            if setting.name != "stop" {
                let before = format!("{options:?}");
                for wrong in ["", "x", "nan", "1e99", "-1000000"] {
                    let error = setting.set(&mut options, wrong).unwrap_err();
                    assert!(error.starts_with("expected "), "{error}");
                    assert_eq!(format!("{options:?}"), before);
                }
            }
        }
    }

    #[test]
    fn a_value_reaches_its_own_field() {
        let values = [
            "0.5", "7", "0.25", "0.125", "0.75", "2.5", "0.0625", "0.375", "1.5", "9", "-2", "3.5",
            "11", "12", "\"13\"", "off",
        ];
        let mut options = options();
        for (setting, value) in SETTINGS.iter().zip(values) {
            setting.set(&mut options, value).unwrap();
        }
        for (setting, value) in SETTINGS.iter().zip(values) {
            assert_eq!(setting.value(&mut options), value, "{}", setting.name);
        }
        assert_eq!(options.sampling.frequency_penalty, 3.5);
        assert_eq!(options.limit, Some(12));
        assert_eq!(options.stops, ["13"]);
    }

    #[test]
    fn names_as_people_write_them() {
        let name = |text: &str| Setting::find(text).map(|setting| setting.name);
        for (written, meant) in [
            ("temp", "temp"),
            ("--temp", "temp"),
            ("temperature", "temp"),
            ("top_p", "top-p"),
            ("Top-K", "top-k"),
            ("num_predict", "n-predict"),
        ] {
            assert_eq!(name(written), Ok(meant));
        }
        let near = name("tepm").unwrap_err();
        assert_eq!(near, "there is no option `tepm`; is `temp` meant?");
        assert_eq!(
            name("xyzzy").unwrap_err(),
            "there is no option `xyzzy`; `/set` lists them"
        );
    }
}
