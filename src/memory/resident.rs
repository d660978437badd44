//! What this program has of the memory now.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Bytes of memory that this program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub now: u64,
    /// Of these, pages of files, which the system can take back. Where it says.
    pub mapped: Option<u64>,
    /// The most there have been. Where the system says.
    pub peak: Option<u64>,
}

impl Resident {
    /// This program's, if the system says anything of it.
    pub fn measure() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::from_status(&status).or_else(Self::from_system)
    }

    /// From what Linux says in `/proc/self/status`.
    fn from_status(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes = line.trim_start_matches(':').trim().strip_suffix("kB")?;
            kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self {
            now: field("VmRSS")?,
            mapped: field("RssFile"),
            peak: field("VmHWM"),
        })
    }

    fn from_system() -> Option<Self> {
        let pid = sysinfo::get_current_pid().ok()?;
        let mut system = System::new();
        let what = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        Some(Self {
            now: system.process(pid)?.memory(),
            mapped: None,
            peak: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_it_in_kilobytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssFile:\t     512 kB\n";
        let expected = Resident {
            now: 1 << 20,
            mapped: Some(512 << 10),
            peak: Some(2 << 20),
        };
        assert_eq!(Resident::from_status(status), Some(expected));
        assert_eq!(Resident::from_status("Name:\tx\n"), None);
    }

    #[test]
    fn this_program_has_some() {
        assert!(Resident::measure().is_some_and(|resident| resident.now > 0));
        assert!(Resident::from_system().is_some_and(|resident| resident.now > 0));
    }
}
