//! YAML through the same visitor as JSON, within budgets.

use serde_saphyr::options::DuplicateKeyPolicy;

use super::json::Found;
use super::{DecodeError, Decoded};

/// Aliases may repeat at most this many parser events, so that a small body cannot become a large value.
const MAX_REPLAYED_EVENTS: usize = 100_000;

pub(super) fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: 128 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED_EVENTS },
    };
    let found = Found::default();
    let value =
        serde_saphyr::with_deserializer_from_slice_with_options(body, options, |reader| found.value(reader))
            .map_err(|e| DecodeError::Yaml(e.to_string()))?;
    Ok(Decoded { value, duplicates: found.duplicates.into_inner() })
}
