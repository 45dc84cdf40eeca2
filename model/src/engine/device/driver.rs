//! NVIDIA's driver, called for one thing: that a thread which waits for the GPU sleeps.
//!
//! By itself CUDA lets a waiting thread spin wherever there are fewer contexts than processors, and ONNX
//! Runtime leaves it at that. So each lane would take a processor away from decoding, which is what binds.
//! The driver keeps the setting with the device's primary context, the one that CUDA's runtime, and with it
//! ONNX Runtime, works in; selecting a device leaves it as it is. Waits for an event are not covered:
//! operators that ONNX Runtime left to the processor may have those, and `placement` names them. No context
//! is made here and nothing runs on the GPU.
//!
//! This is one of two modules with `unsafe` (the other is `decode/turbo.rs`): it hands out no pointer and
//! none of the library's functions, and keeps the library loaded for as long as it may call it.

#![expect(
    unsafe_code,
    reason = "the driver has a C interface only, and is there on machines with a GPU only"
)]

#[cfg(test)]
mod tests;

use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::Path;

use libloading::Library;
use thiserror::Error;

/// The driver's library by the name that every program of CUDA loads it by.
pub(super) const LIBRARY: &str = "libcuda.so.1";

/// The bits of a context's flags that define how its threads wait.
const SCHEDULING: c_uint = 0x07;
/// They block until the driver wakes them (`CU_CTX_SCHED_BLOCKING_SYNC`).
const BLOCKING: c_uint = 0x04;

/// What the driver's functions return; 0 is success.
type Status = c_int;
type Init = unsafe extern "C" fn(c_uint) -> Status;
type DeviceGet = unsafe extern "C" fn(*mut c_int, c_int) -> Status;
type GetState = unsafe extern "C" fn(c_int, *mut c_uint, *mut c_int) -> Status;
type SetFlags = unsafe extern "C" fn(c_int, c_uint) -> Status;
type ErrorString = unsafe extern "C" fn(Status, *mut *const c_char) -> Status;

/// Why the driver does not do what it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(super) struct DriverError(String);

/// The driver and one of its GPUs.
pub(super) struct Driver {
    device: c_int,
    get_state: GetState,
    set_flags: SetFlags,
    error_string: ErrorString,
    /// Last, and so dropped last: the functions are in it.
    _library: Library,
}

/// A primary context, made or not yet.
struct State {
    flags: c_uint,
    is_active: bool,
}

impl Driver {
    /// Opens the driver's library at `path` and finds GPU number `ordinal`.
    ///
    /// # Errors
    /// If there is no driver, one that is too old, or no such GPU.
    pub(super) fn open(path: &Path, ordinal: i32) -> Result<Self, DriverError> {
        // SAFETY: loading runs the library's initialisers: those of NVIDIA's driver, which ONNX Runtime loads
        // as well.
        let library = unsafe { Library::new(path) }.map_err(|error| match error.source() {
            Some(source) => DriverError(source.to_string()),
            None => DriverError(format!("{}: {error}", path.display())),
        })?;
        // SAFETY: these are the functions' types in CUDA's `cuda.h`.
        let (init, device_get, get_state, set_flags, error_string) = unsafe {
            (
                function::<Init>(&library, "cuInit")?,
                function::<DeviceGet>(&library, "cuDeviceGet")?,
                function::<GetState>(&library, "cuDevicePrimaryCtxGetState")?,
                function::<SetFlags>(&library, "cuDevicePrimaryCtxSetFlags_v2")?,
                function::<ErrorString>(&library, "cuGetErrorString")?,
            )
        };
        let mut driver = Self { device: 0, get_state, set_flags, error_string, _library: library };
        // SAFETY: it takes a number, and must be called before all others; it may be called again.
        driver.check("cuInit", unsafe { init(0) })?;
        // SAFETY: the pointer is to a number of ours that outlives the call.
        let status = unsafe { device_get(&raw mut driver.device, ordinal) };
        driver.check("cuDeviceGet", status)?;
        Ok(driver)
    }

    /// Lets threads sleep while they wait for the GPU, in a primary context that is there or yet to be made.
    ///
    /// # Errors
    /// If the driver refuses it, or a context that is there keeps another setting.
    pub(super) fn block_while_waiting(&self) -> Result<(), DriverError> {
        let before = self.state()?;
        if before.flags & SCHEDULING == BLOCKING {
            return Ok(());
        }
        let flags = before.flags & !SCHEDULING | BLOCKING;
        // SAFETY: it takes numbers: a device that the driver gave, and flags that it documents.
        let set =
            |flags| self.check("cuDevicePrimaryCtxSetFlags", unsafe { (self.set_flags)(self.device, flags) });
        // Some drivers report flags that they do not take.
        set(flags).or_else(|_| set(BLOCKING))?;
        let after = self.state()?;
        if after.is_active && after.flags & SCHEDULING != BLOCKING {
            let flags = after.flags;
            return Err(DriverError(format!(
                "the driver accepted the setting, but its flags are {flags:#x}"
            )));
        }
        Ok(())
    }

    fn state(&self) -> Result<State, DriverError> {
        let (mut flags, mut active) = (0, 0);
        // SAFETY: the pointers are to numbers of ours that outlive the call.
        let status = unsafe { (self.get_state)(self.device, &raw mut flags, &raw mut active) };
        self.check("cuDevicePrimaryCtxGetState", status)?;
        Ok(State { flags, is_active: active != 0 })
    }

    /// An error in the driver's words, if `function` returned one.
    fn check(&self, function: &str, status: Status) -> Result<(), DriverError> {
        if status == 0 {
            return Ok(());
        }
        let mut words = std::ptr::null();
        // SAFETY: the pointer is to one of ours that outlives the call.
        let is_known = unsafe { (self.error_string)(status, &raw mut words) } == 0 && !words.is_null();
        let words = if is_known {
            // SAFETY: the driver gave a string of its own, which ends with a null byte and lives as long as
            // the library.
            unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
        } else {
            "an error without a name".to_owned()
        };
        Err(DriverError(format!("{function} of the NVIDIA driver gave {status} ({words})")))
    }
}

/// A function of `library`.
///
/// # Safety
/// `F` must be its type, and it may be called only while the library is loaded.
unsafe fn function<F: Copy>(library: &Library, name: &str) -> Result<F, DriverError> {
    // SAFETY: the caller's promise.
    let found = unsafe { library.get::<F>(name) };
    let function = found
        .map_err(|_| DriverError(format!("this NVIDIA driver has no {name}: it is too old for CUDA 13")))?;
    Ok(*function)
}
