//! How far a conversion is: a bar on a terminal, a line for every tenth elsewhere.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::convert::{Conversion, Progress};

/// The last line shown.
pub(super) struct Shown {
    tenth: u64,
    at: Instant,
}

/// Lines come no faster than this: a log of a small model is not worth ten of them.
const LINE_PAUSE: Duration = Duration::from_secs(1);

/// What is shown while a conversion runs; gone from a terminal when dropped.
pub(super) enum Display {
    Quiet,
    Bar(ProgressBar),
    Lines {
        start: Instant,
        total: u64,
        /// Where it began.
        resumed: AtomicU64,
        shown: Mutex<Shown>,
    },
}

impl Display {
    /// Announces the conversion on standard error.
    pub(super) fn start(conversion: &Conversion, output: &Path, quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        let plan = &conversion.plan;
        let total = plan.source_bytes();
        eprintln!(
            "converting {} ({} in {} tensors) to `{}` ({}, {})",
            conversion.name,
            DecimalBytes(total),
            plan.tensors.len(),
            output.display(),
            plan.file_type,
            DecimalBytes(plan.file_bytes()),
        );
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            let template = "{bar:24} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(250));
            Self::Bar(bar)
        } else {
            let start = Instant::now();
            Self::Lines {
                start,
                total,
                resumed: AtomicU64::new(0),
                shown: Mutex::new(Shown {
                    tenth: 0,
                    at: start,
                }),
            }
        }
    }

    /// Shows where the conversion is now.
    pub(super) fn update(&self, progress: Progress<'_>) {
        match progress {
            Progress::Resumed {
                output_bytes,
                source_bytes,
            } => {
                self.say(&format!(
                    "going on where an earlier conversion was ended: {} are there",
                    DecimalBytes(output_bytes)
                ));
                self.resume_at(source_bytes);
            }
            Progress::Written {
                tensor,
                source_bytes,
            } => self.advance(tensor, source_bytes),
        }
    }

    /// Shows a line that stays.
    fn say(&self, line: &str) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => bar.println(line),
            Self::Lines { .. } => eprintln!("{line}"),
        }
    }

    /// Begins at so many bytes of weights: rates and times are those of what follows.
    fn resume_at(&self, source_bytes: u64) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_position(source_bytes);
                bar.reset_eta();
            }
            Self::Lines { resumed, .. } => resumed.store(source_bytes, Ordering::Relaxed),
        }
    }

    fn advance(&self, tensor: &str, done: u64) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                if bar.message() != tensor {
                    bar.set_message(tensor.to_owned());
                }
                bar.set_position(done);
            }
            Self::Lines {
                start,
                total,
                resumed,
                shown,
            } => {
                let tenth = 10 * done / total.max(&1);
                let Ok(mut shown) = shown.lock() else { return };
                // The last tenth is followed by the summary, which says more.
                if tenth <= shown.tenth || tenth == 10 || shown.at.elapsed() < LINE_PAUSE {
                    return;
                }
                *shown = Shown {
                    tenth,
                    at: Instant::now(),
                };
                let own = done - resumed.load(Ordering::Relaxed);
                let rate = own as f64 / start.elapsed().as_secs_f64();
                let left = Duration::from_secs_f64((total - done) as f64 / rate.max(1.0));
                eprintln!(
                    "{:>3} %  {} of {}  {}/s  {} left  {}",
                    10 * tenth,
                    DecimalBytes(done),
                    DecimalBytes(*total),
                    DecimalBytes(rate as u64),
                    HumanDuration(left),
                    tensor,
                );
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
