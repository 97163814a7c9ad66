//! One request: template, params, headers, body. No I/O.
