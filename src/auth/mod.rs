//! Credentials on a request; secrets and their redaction.
/// x
#[derive(Debug)]
pub struct Redactor;
impl Redactor {
    /// x
    pub fn redact<'a>(&self, t: &'a str) -> std::borrow::Cow<'a, str> {
        t.into()
    }
}
