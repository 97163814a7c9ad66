//! Which library this is. Usable at any time, from static constructors too.

use std::ffi::{CStr, c_char};

const ABI: u32 = number(env!("APL_ABI_VERSION"));
const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
    | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
    | number(env!("CARGO_PKG_VERSION_PATCH"));
const TEXT: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("the version has a NUL"),
};

/// A decimal number, at compile time.
const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("not a number"),
    }
}

/// The number of the binary interface of the loaded library.
///
/// Compare it with APL_ABI_VERSION, which is the header's. Thread-safe.
///
/// @return APL_ABI_VERSION, where library and header belong together
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn apl_abi_version() -> u32 {
    ABI
}

/// The version of the loaded library, as "major.minor.patch".
///
/// Thread-safe.
///
/// @return a static string, never NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn apl_version() -> *const c_char {
    TEXT.as_ptr()
}

/// The version of the loaded library as a number: (major << 16) | (minor << 8) | patch.
///
/// Compare it with APL_VERSION_NUMBER, which is the header's. Thread-safe.
///
/// @return APL_VERSION_NUMBER, where library and header are of one version
/// @since 0.1.0
#[unsafe(no_mangle)]
pub extern "C" fn apl_version_number() -> u32 {
    NUMBER
}
