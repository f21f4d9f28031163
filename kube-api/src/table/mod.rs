//! Objects as `meta.k8s.io/v1` tables and as metadata only: what kubectl prints and what controllers that need only metadata ask for.

mod age;
mod cells;
mod output;
mod pod;
mod printer;
mod words;

#[cfg(test)]
mod tests;

pub use age::{human_duration, since};
pub use output::{IncludeObject, partial_list, partial_object, table};
pub use printer::{Column, Printer};
