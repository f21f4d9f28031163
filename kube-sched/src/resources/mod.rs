//! Resources as integers: quantities, amounts per node and the effective request of a pod.

mod amounts;
mod quantity;
mod requests;

pub use amounts::{Amounts, Resources};
pub(crate) use amounts::{add_extended, amount_of};
pub(crate) use quantity::nano_value;
pub use quantity::{milli_value, value};
pub(crate) use requests::nonzero_requests_of_containers;
pub use requests::{effective_requests, nonzero_requests};
