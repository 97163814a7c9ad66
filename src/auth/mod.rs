//! Credentials on a request; secrets and their redaction.
