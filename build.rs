//! Generates the C and C++ headers into OUT_DIR, and tells the linker what the shared library is called.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cbindgen::{Config, DocumentationStyle, EnumConfig, ExportConfig, ItemType, Language, RenameRule, Style};

/// The number of the binary interface: the SONAME's, and APL_ABI_VERSION.
const ABI: u32 = 1;

const ENUMS: [&str; 3] = ["apl_status", "apl_log_level", "apl_kind"];
const RAII: &str = "bindings/cpp/apl_raii.inc";
const WARNING: &str = "/* Generated from src/ffi: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */";

fn main() {
    for path in ["build.rs", "src/ffi", RAII] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rustc-env=APL_ABI_VERSION={ABI}");
    headers();
    link();
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn headers() {
    let out = PathBuf::from(variable("OUT_DIR"));
    write(&out.join("apl.h"), c_header(true));
    write(&out.join("apl_go.h"), c_header(false));
    write(&out.join("apl.hpp"), cpp_header());
}

/// The declarations. For Go without C++ and without import macros: cgo needs neither.
fn c_header(full: bool) -> Config {
    let mut config = common(Language::C);
    config.cpp_compat = full;
    config.include_guard = Some("APL_H".into());
    config.sys_includes = vec!["stddef.h".into(), "stdint.h".into()];
    config.usize_is_size_t = true;
    config.style = Style::Both;
    config.after_includes = Some(macros(full));
    config.function.prefix = full.then(|| "APL_API".into());
    config.enumeration = EnumConfig {
        prefix_with_name: true,
        rename_variants: RenameRule::ScreamingSnakeCase,
        ..EnumConfig::default()
    };
    config
}

fn macros(full: bool) -> String {
    let version = variable("CARGO_PKG_VERSION");
    let part = |name: &str| variable(name).parse::<u32>().unwrap_or_default();
    let number = part("CARGO_PKG_VERSION_MAJOR") << 16
        | part("CARGO_PKG_VERSION_MINOR") << 8
        | part("CARGO_PKG_VERSION_PATCH");
    let mut text = format!(
        "
/** The number of the binary interface this header describes. @since 0.1.0 */
#define APL_ABI_VERSION {ABI}u
/** The version of this header: (major << 16) | (minor << 8) | patch. @since 0.1.0 */
#define APL_VERSION_NUMBER 0x{number:06x}u
/** The version of this header as text. @since 0.1.0 */
#define APL_VERSION \"{version}\"
"
    );
    if full {
        text.push_str(
            "
/** Stands before every declaration. Define APL_STATIC to link the static library on Windows. @since 0.1.0 */
#ifndef APL_API
#  if defined(_WIN32) && !defined(APL_STATIC)
#    define APL_API __declspec(dllimport)
#  else
#    define APL_API
#  endif
#endif
",
        );
    }
    text
}

/// The enums as C++ knows them, and the classes of `bindings/cpp`. The functions are declared once, in C.
fn cpp_header() -> Config {
    let mut config = common(Language::Cxx);
    // Not an include guard: the classes land behind its end.
    config.pragma_once = true;
    config.includes = vec!["apl.h".into()];
    config.namespace = Some("apl".into());
    config.export.item_types = vec![ItemType::Enums];
    let renames = [("apl_status", "Status"), ("apl_log_level", "LogLevel"), ("apl_kind", "Kind")];
    config.export.rename = renames.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
    config.trailer = fs::read_to_string(RAII).ok();
    config
}

fn common(language: Language) -> Config {
    Config {
        language,
        header: Some(WARNING.into()),
        no_includes: true,
        documentation_style: DocumentationStyle::Doxy,
        export: ExportConfig { include: ENUMS.map(str::to_owned).into(), ..ExportConfig::default() },
        ..Config::default()
    }
}

fn write(path: &Path, config: Config) {
    // Not `with_crate`: that runs cargo inside the build.
    match cbindgen::Builder::new().with_config(config).with_src("src/ffi/mod.rs").generate() {
        Ok(bindings) => drop(bindings.write_to_file(path)),
        // The compiler says it better; the test of the headers sees that the file is missing.
        Err(error) => {
            let _ = fs::remove_file(path);
            println!("cargo:warning=no {}: {error}", path.display());
        }
    }
}

fn link() {
    let soname = format!("libapl.so.{ABI}");
    match variable("CARGO_CFG_TARGET_OS").as_str() {
        "linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly" => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
            // Thread-locals and the panic hook point into the library: it stays once it is loaded.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
            soname_beside_the_library(&soname);
        }
        "macos" => println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libapl.dylib"),
        _ => {}
    }
}

/// A program linked against the SONAME needs it beside the build output. Where that cannot be made, only
/// running from the build directory suffers.
fn soname_beside_the_library(soname: &str) {
    let out = PathBuf::from(variable("OUT_DIR"));
    // target/<profile>/build/<package>/out
    if let Some(build) = out.ancestors().nth(2).filter(|d| d.file_name().is_some_and(|n| n == "build")) {
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink("libapl.so", build.with_file_name(soname));
        #[cfg(not(unix))]
        let _ = (build, soname);
    }
}
