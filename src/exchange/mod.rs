//! The one pipeline that every request takes, and what each failure means.
