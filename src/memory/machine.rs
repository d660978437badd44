//! What the machine has.

use super::Demand;

/// Memory that the system could give now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Bytes that could be taken: unused ones, and files in the cache that give way. In a container
    /// at most what its limit leaves.
    pub free: u64,
    /// Bytes that there are, or that a container may have.
    pub total: u64,
    /// Devices that layers can go to.
    pub devices: Vec<DeviceMemory>,
}

/// Memory of a device of llama.cpp's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Its name, for example `Vulkan0`.
    pub name: String,
    /// Bytes that could be taken.
    pub free: u64,
    /// Bytes that there are.
    pub total: u64,
    /// Whether that memory is the machine's own.
    pub shared: bool,
}

/// How a model fits into the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Everything is there at once.
    Resident,
    /// The weights fit only as mapped pages that the system throws out and reads again.
    Paged,
    /// What must be there at once does not fit.
    Refused,
}

impl Machine {
    /// This machine, now. What `devices` have is the caller's to know.
    pub fn now(devices: Vec<DeviceMemory>) -> Self {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let (mut free, mut total) = (system.available_memory(), system.total_memory());
        if let Some(limits) = system.cgroup_limits() {
            total = total.min(limits.total_memory);
            // Cached files count as taken in a container, though they give way.
            free = free.min(limits.total_memory.saturating_sub(limits.rss));
        }
        Self {
            free,
            total,
            devices,
        }
    }

    /// Bytes free on all devices.
    pub fn free_on_devices(&self) -> u64 {
        self.devices
            .iter()
            .fold(0, |sum, device| sum.saturating_add(device.free))
    }

    /// How `demand` fits, devices included.
    pub fn fit(&self, demand: &Demand) -> Fit {
        let on_devices = demand.on_devices.total();
        let shared = self.devices.iter().any(|device| device.shared);
        let free = match shared {
            true => self.free.saturating_sub(on_devices),
            false => self.free,
        };
        if demand.held() > free || on_devices > self.free_on_devices() {
            return Fit::Refused;
        }
        // What is repacked is read once; its mapped pages may go.
        let weights = demand.on_host().weights.saturating_sub(demand.repacked);
        let mapped = if demand.mapped { weights } else { 0 };
        match demand.held().saturating_add(mapped) <= free {
            true => Fit::Resident,
            false => Fit::Paged,
        }
    }
}
