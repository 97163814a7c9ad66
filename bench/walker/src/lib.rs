//! Merges pages: serde_json finds the items as they came, and they are copied one behind the other.

use std::ffi::c_char;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    next: Option<String>,
}

/// The items so far, and the address of the next page.
#[derive(Default)]
pub struct Walker {
    merged: Vec<u8>,
    next: Vec<u8>,
}

#[unsafe(no_mangle)]
pub extern "C" fn walker_new() -> *mut Walker {
    Box::into_raw(Box::default())
}

/// Takes a page; gives the next one's path, or NULL.
///
/// # Safety
/// The walker is alive, and the page has so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn walker_add(walker: *mut Walker, page: *const u8, len: usize) -> *const c_char {
    // SAFETY: the caller's promise.
    let (walker, page) = unsafe { (&mut *walker, std::slice::from_raw_parts(page, len)) };
    let Ok(page) = serde_json::from_slice::<Page<'_>>(page) else { std::process::abort() };
    for item in page.data {
        walker.merged.push(if walker.merged.is_empty() { b'[' } else { b',' });
        walker.merged.extend_from_slice(item.get().as_bytes());
    }
    let Some(next) = page.next else { return std::ptr::null() };
    walker.next = next.into_bytes();
    walker.next.push(0);
    walker.next.as_ptr().cast()
}

/// The length of the array, and the end of the walker.
///
/// # Safety
/// The walker is alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn walker_finish(walker: *mut Walker) -> usize {
    // SAFETY: the caller's promise.
    let mut walker = unsafe { Box::from_raw(walker) };
    walker.merged.push(b']');
    walker.merged.len()
}
