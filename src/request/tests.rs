//! Tests of one request.
