//! The library stays once it is loaded: the panic hook and the ends of threads point into it.
#![allow(unsafe_code)]

use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};

/// From now on, no FreeLibrary unloads this library.
pub(super) fn loaded() {
    let here = loaded as fn();
    let how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut module = std::ptr::null_mut();
    // SAFETY: with FROM_ADDRESS the name is any address within the module, and is not read; the handle that is
    // written needs no release.
    unsafe { GetModuleHandleExW(how, here as *const u16, &mut module) };
}
