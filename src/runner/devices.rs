//! What llama.cpp can compute with: the CPU, and GPUs where the build has a backend for them.

use std::ffi::CString;

use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType, list_llama_ggml_backend_devices};
use llama_cpp_sys_2::ggml_backend_dev_t;

use super::{RunnerError, backend};
use crate::{
    memory::{DeviceMemory, Repacking},
    nearest,
};

/// Something that llama.cpp computes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Short name, for example `Vulkan0`.
    pub name: String,
    /// What it is, for example `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub description: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// llama.cpp's backend for it, for example `Vulkan`.
    pub backend: String,
    /// Bytes of its memory that are free; 0 where it does not say.
    pub free: u64,
    /// Bytes of its memory; 0 where it does not say.
    pub total: u64,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The CPU.
    Cpu,
    /// A GPU with memory of its own, or one behind a network.
    Gpu,
    /// A GPU that shares the machine's memory.
    IntegratedGpu,
    /// Something that helps the CPU with its own memory.
    Accelerator,
    /// Another kind.
    Unknown,
}

impl DeviceKind {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Gpu => "GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::Accelerator => "accelerator",
            Self::Unknown => "unknown",
        }
    }

    /// Whether layers can go there.
    pub fn takes_layers(self) -> bool {
        matches!(self, Self::Gpu | Self::IntegratedGpu)
    }
}

impl Device {
    /// Its memory, as a part of the machine's.
    pub fn memory(&self) -> DeviceMemory {
        DeviceMemory {
            name: self.name.clone(),
            free: self.free,
            total: self.total,
            shared: self.kind == DeviceKind::IntegratedGpu,
        }
    }
}

impl From<LlamaBackendDevice> for Device {
    fn from(device: LlamaBackendDevice) -> Self {
        Self {
            name: device.name,
            description: device.description,
            kind: match device.device_type {
                LlamaBackendDeviceType::Cpu => DeviceKind::Cpu,
                LlamaBackendDeviceType::Gpu => DeviceKind::Gpu,
                LlamaBackendDeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
                LlamaBackendDeviceType::Accelerator => DeviceKind::Accelerator,
                LlamaBackendDeviceType::Unknown => DeviceKind::Unknown,
            },
            backend: device.backend,
            free: device.memory_free as u64,
            total: device.memory_total as u64,
        }
    }
}

/// All devices, in ggml's order. They are asked anew each time: what a backend has registered since the
/// last call (a machine behind a network, say) is among them.
///
/// # Errors
/// Where llama.cpp cannot be set up.
pub fn devices() -> Result<Vec<Device>, RunnerError> {
    super::log::install(super::log::is_verbose());
    backend()?;
    let devices = list_llama_ggml_backend_devices();
    Ok(devices.into_iter().map(Device::from).collect())
}

/// The devices that layers go to unasked: as llama.cpp takes them, GPUs with memory of their own, and
/// else the first that shares the machine's.
///
/// # Errors
/// Where llama.cpp cannot be set up.
pub fn gpus() -> Result<Vec<Device>, RunnerError> {
    let mut gpus = devices()?;
    gpus.retain(|device| device.kind.takes_layers());
    if gpus.iter().any(|device| device.kind == DeviceKind::Gpu) {
        gpus.retain(|device| device.kind == DeviceKind::Gpu);
    } else {
        gpus.truncate(1);
    }
    Ok(gpus)
}

/// The devices of these names.
///
/// # Errors
/// Where there is none of a name, or it takes no layers, or llama.cpp cannot be set up.
pub fn named(names: &[String]) -> Result<Vec<Device>, RunnerError> {
    let all = devices()?;
    let mut found: Vec<Device> = Vec::new();
    for name in names {
        let device = find(&all, name, |kind| kind.takes_layers())?;
        if !found.contains(device) {
            found.push(device.clone());
        }
    }
    Ok(found)
}

/// The device of a name among those of some kinds.
pub(super) fn find<'d>(
    devices: &'d [Device],
    name: &str,
    wanted: impl Fn(DeviceKind) -> bool,
) -> Result<&'d Device, RunnerError> {
    let known = || devices.iter().filter(|device| wanted(device.kind));
    let same = |device: &&Device| device.name.eq_ignore_ascii_case(name);
    known().find(same).ok_or_else(|| {
        let names = known().map(|device| device.name.as_str());
        RunnerError::UnknownDevice {
            name: name.to_owned(),
            meant: nearest::of(name, names.clone()).map(str::to_owned),
            known: names.map(str::to_owned).collect(),
        }
    })
}

/// ggml's handle of a device.
pub(super) fn handle(device: &Device) -> Option<ggml_backend_dev_t> {
    let name = CString::new(device.name.as_str()).ok()?;
    // SAFETY: the name ends with a NUL and outlives the call.
    let handle = unsafe { llama_cpp_sys_2::ggml_backend_dev_by_name(name.as_ptr()) };
    (!handle.is_null()).then_some(handle)
}

/// The kernels for repacked weights that this build has for this CPU.
pub fn repacking() -> Repacking {
    // SAFETY: they take nothing and read what the compiler and the processor say.
    let (avx2, avx512, neon, dotprod, i8mm) = unsafe {
        (
            llama_cpp_sys_2::ggml_cpu_has_avx2() != 0,
            llama_cpp_sys_2::ggml_cpu_has_avx512() != 0,
            llama_cpp_sys_2::ggml_cpu_has_neon() != 0,
            llama_cpp_sys_2::ggml_cpu_has_dotprod() != 0,
            llama_cpp_sys_2::ggml_cpu_has_matmul_int8() != 0,
        )
    };
    Repacking {
        avx2,
        avx512,
        neon_dotprod: neon && dotprod,
        neon_i8mm: neon && i8mm,
    }
}

/// The features that give a build its GPU, as Cargo knows them.
pub const GPU_FEATURES: &[&str] = &["cuda", "vulkan", "metal", "rocm"];

/// Whether this build has a backend for GPUs.
pub const HAS_GPU_BACKEND: bool = cfg!(any(
    feature = "cuda",
    feature = "vulkan",
    feature = "metal",
    feature = "rocm"
));

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, kind: DeviceKind) -> Device {
        Device {
            name: name.to_owned(),
            description: String::new(),
            kind,
            backend: String::new(),
            free: 1,
            total: 1,
        }
    }

    #[test]
    fn a_device_is_found_by_name_and_else_the_nearest_is_named() {
        let devices = [
            device("CPU", DeviceKind::Cpu),
            device("Vulkan0", DeviceKind::Gpu),
        ];
        let gpu = |name| find(&devices, name, DeviceKind::takes_layers);
        assert_eq!(gpu("vulkan0").unwrap().name, "Vulkan0");
        let error = gpu("Vulcan0").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no device `Vulcan0`; `Vulkan0` was probably meant, of Vulkan0"
        );
        assert!(gpu("CPU").is_err());
        let error = find(&devices[..1], "x", DeviceKind::takes_layers).unwrap_err();
        assert!(error.to_string().ends_with("that takes layers"), "{error}");
    }

    #[test]
    fn the_cpu_is_among_the_devices() {
        let all = devices().unwrap();
        let cpu = all.iter().find(|device| device.kind == DeviceKind::Cpu);
        let cpu = cpu.unwrap();
        assert!(cpu.total > 0 && cpu.free <= cpu.total, "{cpu:?}");
        assert!(named(&[cpu.name.clone()]).is_err());
    }
}
