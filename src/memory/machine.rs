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
        match demand.on_devices.total() > self.free_on_devices() {
            true => Fit::Refused,
            false => self.fit_on_host(demand),
        }
    }

    /// How `demand` fits into the machine's own memory, with that of devices that share it.
    pub fn fit_on_host(&self, demand: &Demand) -> Fit {
        let free = self.free_on_host(demand);
        if demand.held() > free {
            return Fit::Refused;
        }
        match demand.held().saturating_add(demand.mapped_only()) <= free {
            true => Fit::Resident,
            false => Fit::Paged,
        }
    }

    /// Bytes free for what does not lie on a device.
    pub fn free_on_host(&self, demand: &Demand) -> u64 {
        match self.devices.iter().any(|device| device.shared) {
            true => self.free.saturating_sub(demand.on_devices.total()),
            false => self.free,
        }
    }
}
