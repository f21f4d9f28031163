//! Container logs: files in the CRI format.

mod line;
mod words;

pub(crate) use words::last_words;
