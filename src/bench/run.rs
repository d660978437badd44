//! `bench run`: how fast a model reads prompts and generates, in the way and the words of llama-bench.
//!
//! The tokens are random. Once around to warm up, then each test so often as asked for, the context filled to
//! its depth before the clock runs. Choosing tokens is no part of it.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::runner::{RunnerError, SpeedTest};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Test {
    /// Tokens of the prompt; 0 in a test of generation.
    pub n_prompt: u32,
    /// Tokens generated; 0 in a test of prompts.
    pub n_gen: u32,
    /// Tokens in the context before.
    pub n_depth: u32,
}

impl Test {
    /// All that is asked for, in llama-bench's order.
    pub fn all(prompts: &[u32], generations: &[u32], depths: &[u32]) -> Vec<Self> {
        let mut tests = Vec::new();
        for &n_depth in depths {
            for &n_prompt in prompts.iter().filter(|&&tokens| tokens > 0) {
                tests.push(Self {
                    n_prompt,
                    n_gen: 0,
                    n_depth,
                });
            }
            for &n_gen in generations.iter().filter(|&&tokens| tokens > 0) {
                tests.push(Self {
                    n_prompt: 0,
                    n_gen,
                    n_depth,
                });
            }
        }
        tests
    }

    /// Tokens the context must have room for.
    pub fn context(self) -> u32 {
        self.tokens().saturating_add(self.n_depth)
    }

    fn tokens(self) -> u32 {
        self.n_prompt.saturating_add(self.n_gen)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.n_prompt {
            0 => write!(f, "tg{}", self.n_gen)?,
            tokens => write!(f, "pp{tokens}")?,
        }
        match self.n_depth {
            0 => Ok(()),
            depth => write!(f, " @ d{depth}"),
        }
    }
}

/// What is measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The model's name.
    pub model: String,
    /// Bytes of its tensors.
    pub model_size: u64,
    /// Its weights.
    pub model_n_params: u64,
    /// What computes.
    pub backend: String,
    /// Threads.
    pub n_threads: u32,
    /// Tokens evaluated at once.
    pub n_ubatch: u32,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// On what.
    #[serde(flatten)]
    pub setting: Setting,
    /// What.
    #[serde(flatten)]
    pub test: Test,
    /// Mean tokens per second.
    pub avg_ts: f64,
    /// Their standard deviation.
    pub stddev_ts: f64,
    /// Each of them.
    pub samples_ts: Vec<f64>,
}

impl Line {
    /// What the columns are.
    pub const HEADER: &'static str = "\
| model                          |       size |     params | backend    | threads |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |";
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = &self.setting;
        write!(
            f,
            "| {:<30} | {:>10} | {:>10} | {:<10} | {:>7} | {:>15} | {:>20} |",
            console::truncate_str(&setting.model, 30, "…"),
            size(setting.model_size),
            count(setting.model_n_params),
            setting.backend,
            setting.n_threads,
            self.test.to_string(),
            format!("{:.2} ± {:.2}", self.avg_ts, self.stddev_ts),
        )
    }
}

/// llama-bench's size of a model.
fn size(bytes: u64) -> String {
    let (mib, gib) = (f64::from(1 << 20), f64::from(1 << 30));
    match bytes as f64 {
        bytes if bytes < gib => format!("{:.2} MiB", bytes / mib),
        bytes => format!("{:.2} GiB", bytes / gib),
    }
}

/// llama-bench's count of weights.
fn count(parameters: u64) -> String {
    match parameters as f64 {
        few if few < 1e9 => format!("{:.2} M", few / 1e6),
        many => format!("{:.2} B", many / 1e9),
    }
}

/// Measures one test.
///
/// # Errors
/// Where llama.cpp fails.
pub fn measure(
    speed: &mut SpeedTest<'_>,
    setting: &Setting,
    test: Test,
    repetitions: u32,
) -> Result<Line, RunnerError> {
    let depth = test.n_depth as usize;
    let go = |speed: &mut SpeedTest<'_>| {
        speed.read(test.n_prompt as usize)?;
        speed.generate(test.n_gen as usize)
    };
    // As llama-bench warms up: the prompt once, one token.
    speed.hold(depth)?;
    speed.read(test.n_prompt as usize)?;
    speed.generate(test.n_gen.min(1) as usize)?;
    let mut samples_ts = Vec::new();
    for _ in 0..repetitions {
        speed.hold(depth)?;
        let began = Instant::now();
        go(speed)?;
        let seconds = began.elapsed().as_secs_f64().max(1e-9);
        samples_ts.push(f64::from(test.tokens()) / seconds);
    }
    let (avg_ts, stddev_ts) = mean_and_deviation(&samples_ts);
    Ok(Line {
        setting: setting.clone(),
        test,
        avg_ts,
        stddev_ts,
        samples_ts,
    })
}

/// Mean and standard deviation of a sample, which is 0 of one.
fn mean_and_deviation(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count.max(1.0);
    if samples.len() < 2 {
        return (mean, 0.0);
    }
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_come_in_llama_benchs_order_and_words() {
        let tests = Test::all(&[512, 0], &[128], &[0, 2048]);
        let names: Vec<String> = tests.iter().map(Test::to_string).collect();
        assert_eq!(names, ["pp512", "tg128", "pp512 @ d2048", "tg128 @ d2048"]);
        assert_eq!(tests[2].context(), 2560);
    }

    #[test]
    fn spread_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[3.0]), (3.0, 0.0));
        let (mean, deviation) = mean_and_deviation(&[2.0, 4.0, 6.0]);
        assert_eq!((mean, deviation), (4.0, 2.0));
    }

    #[test]
    fn columns_stand_under_their_headings() {
        let line = Line {
            setting: Setting {
                model: "SmolLM2".into(),
                model_size: 96_577_000,
                model_n_params: 134_515_008,
                backend: "CPU".into(),
                n_threads: 2,
                n_ubatch: 128,
            },
            test: Test {
                n_prompt: 512,
                n_gen: 0,
                n_depth: 0,
            },
            avg_ts: 401.5,
            stddev_ts: 2.25,
            samples_ts: Vec::new(),
        };
        let widths =
            |line: &str| -> Vec<usize> { line.split('|').map(|c| c.chars().count()).collect() };
        let header = Line::HEADER.lines().next().unwrap();
        assert_eq!(widths(&line.to_string()), widths(header));
        assert!(line.to_string().contains("|   134.52 M |"), "{line}");
        assert!(line.to_string().ends_with("401.50 ± 2.25 |"), "{line}");
    }
}
