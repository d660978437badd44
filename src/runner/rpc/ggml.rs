//! llama.cpp's RPC backend, which the bindings do not name: found by its name, and its functions by theirs.
//!
//! The types of those functions, and the head of ggml's device, stand here as in the headers of the
//! llama.cpp that the bindings are pinned to; the tests below call them all.

use std::ffi::{CStr, CString, c_char};
use std::net::SocketAddrV4;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use llama_cpp_sys_2::{
    GGML_BACKEND_DEVICE_TYPE_CPU, GGML_BACKEND_DEVICE_TYPE_GPU, GGML_BACKEND_DEVICE_TYPE_IGPU,
    ggml_backend_dev_t, ggml_backend_reg_t,
};

use super::RpcError;
use crate::runner::backend;

type AddServer = unsafe extern "C" fn(endpoint: *const c_char) -> ggml_backend_reg_t;
type StartServer = unsafe extern "C" fn(
    endpoint: *const c_char,
    cache: *const c_char,
    threads: usize,
    n_devices: usize,
    devices: *mut ggml_backend_dev_t,
);
type GetMemory = unsafe extern "C" fn(ggml_backend_dev_t, free: *mut usize, total: *mut usize);

/// The backend, where the build has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rpc {
    add_server: AddServer,
    start_server: StartServer,
}

impl Rpc {
    /// Looks for it.
    pub(super) fn find() -> Result<Self, RpcError> {
        backend()?;
        // SAFETY: the name ends with a zero; the answer is null or a registry that lives for ever.
        let registry = unsafe { llama_cpp_sys_2::ggml_backend_reg_by_name(c"RPC".as_ptr()) };
        if registry.is_null() {
            return Err(RpcError::NotBuilt);
        }
        let function = |name: &CStr| {
            // SAFETY: the registry is ggml's own and the name ends with a zero.
            let address = unsafe {
                llama_cpp_sys_2::ggml_backend_reg_get_proc_address(registry, name.as_ptr())
            };
            (!address.is_null()).then_some(address)
        };
        let add_server = function(c"ggml_backend_rpc_add_server").ok_or(RpcError::NotBuilt)?;
        let start_server = function(c"ggml_backend_rpc_start_server").ok_or(RpcError::NotBuilt)?;
        // SAFETY: what ggml gives under these names are the functions that `ggml-rpc.h` declares with these types.
        unsafe {
            Ok(Self {
                add_server: std::mem::transmute::<*mut std::ffi::c_void, AddServer>(add_server),
                start_server: std::mem::transmute::<*mut std::ffi::c_void, StartServer>(
                    start_server,
                ),
            })
        }
    }

    /// Connects to a worker and adds its devices to llama.cpp's. Aborts where nobody is there.
    pub(super) fn add_worker(self, address: SocketAddrV4) -> Result<(), RpcError> {
        let endpoint = c_string(&address.to_string());
        // SAFETY: ggml copies the string; the answer is null or a registry that lives for ever.
        let registry = unsafe { (self.add_server)(endpoint.as_ptr()) };
        if registry.is_null() {
            return Err(RpcError::NoDevice { address });
        }
        // SAFETY: a registry of ggml's own; its devices are added once, because no worker is asked for twice.
        unsafe { llama_cpp_sys_2::ggml_backend_register(registry) };
        Ok(())
    }

    /// Serves `devices` at an address of this machine. Returns where it cannot.
    pub(super) fn serve(
        self,
        address: SocketAddrV4,
        cache: Option<&Path>,
        threads: u32,
        devices: &[Device],
    ) {
        let endpoint = c_string(&address.to_string());
        let cache = cache.and_then(path_string);
        let mut devices: Vec<ggml_backend_dev_t> =
            devices.iter().map(|device| device.raw).collect();
        // SAFETY: strings and devices live for the length of the call; a null cache means none.
        unsafe {
            (self.start_server)(
                endpoint.as_ptr(),
                cache.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
                threads as usize,
                devices.len(),
                devices.as_mut_ptr(),
            );
        }
    }
}

/// A device of this machine.
#[derive(Clone, Debug)]
pub(super) struct Device {
    raw: ggml_backend_dev_t,
    /// Its short name, for example `CPU`.
    pub(super) name: String,
    /// What it is.
    pub(super) description: String,
    /// Whether it is a GPU.
    pub(super) is_gpu: bool,
}

// SAFETY: ggml's devices live for ever, and their functions may be called on any thread.
unsafe impl Send for Device {}

impl Device {
    /// All that compute: the CPU, and the GPUs.
    pub(super) fn all() -> Vec<Self> {
        // SAFETY: counts and indices of ggml's own list, whose devices live for ever; names and descriptions
        // are strings that live as long.
        unsafe {
            (0..llama_cpp_sys_2::ggml_backend_dev_count())
                .map(|i| llama_cpp_sys_2::ggml_backend_dev_get(i))
                .filter_map(|raw| {
                    let is_gpu = match llama_cpp_sys_2::ggml_backend_dev_type(raw) {
                        GGML_BACKEND_DEVICE_TYPE_CPU => false,
                        GGML_BACKEND_DEVICE_TYPE_GPU | GGML_BACKEND_DEVICE_TYPE_IGPU => true,
                        _ => return None,
                    };
                    Some(Self {
                        raw,
                        name: string(llama_cpp_sys_2::ggml_backend_dev_name(raw)),
                        description: string(llama_cpp_sys_2::ggml_backend_dev_description(raw)),
                        is_gpu,
                    })
                })
                .collect()
        }
    }

    /// Bytes that are free, as ggml tells its clients.
    pub(super) fn free_memory(&self) -> u64 {
        let (mut free, mut total) = (0, 0);
        // SAFETY: a device of ggml's, and two numbers to write to.
        unsafe { llama_cpp_sys_2::ggml_backend_dev_memory(self.raw, &mut free, &mut total) };
        free as u64
    }

    /// From now on no more than `most` bytes are told, and no more than `free` finds at the time. ggml takes all
    /// the memory of a machine for free where the device is its CPU, and has no limit of its own.
    pub(super) fn limit_memory(&self, most: u64, free: Option<fn() -> u64>) {
        // SAFETY: a `ggml_backend_device` begins with its table of functions, whose head is `DeviceHead`. ggml
        // makes its devices in writable memory. Nobody else reads the table meanwhile: no server runs yet,
        // and no model is loaded in a program that is a worker.
        let original = unsafe {
            let get_memory = &raw mut (*self.raw.cast::<DeviceHead>()).get_memory;
            let original = *get_memory;
            *get_memory = limited_memory;
            original
        };
        let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
        limits.push(Limit {
            device: self.raw as usize,
            original,
            most,
            free,
        });
    }
}

/// The beginning of ggml's table of a device's functions.
#[repr(C)]
struct DeviceHead {
    get_name: unsafe extern "C" fn(ggml_backend_dev_t) -> *const c_char,
    get_description: unsafe extern "C" fn(ggml_backend_dev_t) -> *const c_char,
    get_memory: GetMemory,
}

/// What a device may tell.
struct Limit {
    device: usize,
    original: GetMemory,
    most: u64,
    free: Option<fn() -> u64>,
}

static LIMITS: Mutex<Vec<Limit>> = Mutex::new(Vec::new());

unsafe extern "C" fn limited_memory(
    device: ggml_backend_dev_t,
    free: *mut usize,
    total: *mut usize,
) {
    let limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    // The first one has ggml's own function, should a device be limited twice; the last one holds.
    let mut of_device = limits
        .iter()
        .filter(|limit| limit.device == device as usize);
    let Some(first) = of_device.next() else {
        return;
    };
    let last = of_device.next_back().unwrap_or(first);
    // SAFETY: this is what ggml would have called with the same arguments, two numbers to write to.
    unsafe {
        (first.original)(device, free, total);
        let most = usize::try_from(last.most).unwrap_or(usize::MAX);
        *total = (*total).min(most);
        *free = (*free).min(most);
        if let Some(now) = last.free {
            *free = (*free).min(usize::try_from(now()).unwrap_or(usize::MAX));
        }
    }
}

/// Calls `on_abort` with ggml's message before ggml aborts the program.
pub(super) fn before_abort(on_abort: unsafe extern "C" fn(*const c_char)) {
    // SAFETY: the callback is a function that lives as long as the program.
    unsafe { llama_cpp_sys_2::ggml_set_abort_callback(Some(on_abort)) };
}

fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: ggml's strings end with a zero.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// Addresses have no zeros.
fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(unix)]
fn path_string(path: &Path) -> Option<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes()).ok()
}

#[cfg(not(unix))]
fn path_string(path: &Path) -> Option<CString> {
    CString::new(path.to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_has_the_backend() {
        Rpc::find().unwrap();
    }

    #[test]
    fn a_device_tells_no_more_than_it_may() {
        Rpc::find().unwrap();
        let devices = Device::all();
        let cpu = devices.iter().find(|device| !device.is_gpu).unwrap();
        let all = cpu.free_memory();
        cpu.limit_memory(1 << 20, None);
        assert_eq!(cpu.free_memory(), 1 << 20);
        cpu.limit_memory(u64::MAX, Some(|| 5000));
        assert_eq!(cpu.free_memory(), 5000);
        cpu.limit_memory(u64::MAX, None);
        assert_eq!(cpu.free_memory(), all);
    }
}
