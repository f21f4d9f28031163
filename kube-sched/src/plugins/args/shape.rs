//! The shape of a function from utilization to score.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::complaint::Complaints;

/// A point of such a function. Upstream prints it with capitals.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plugins) struct ShapePoint {
    /// Percent of what there is.
    #[serde(default, rename(serialize = "Utilization"))]
    pub(in crate::plugins) utilization: i64,
    /// From 0 to 10.
    #[serde(default, rename(serialize = "Score"))]
    pub(in crate::plugins) score: i64,
}

/// Complains about points that make no function.
pub(in crate::plugins) fn check_shape(path: impl Display, shape: &[ShapePoint], it: &mut Complaints) {
    if shape.is_empty() {
        return it.required(path, "at least one point must be specified");
    }
    let falls = shape.windows(2).position(|pair| pair[0].utilization >= pair[1].utilization);
    if let Some((index, point)) = falls.and_then(|before| Some((before + 1, shape.get(before + 1)?))) {
        let field = format!("{path}[{index}].utilization");
        it.invalid(field, point.utilization, "values must be sorted in increasing order");
    }
    for (index, ShapePoint { utilization, score }) in shape.iter().enumerate() {
        for (name, value, most) in [("utilization", *utilization, 100), ("score", *score, 10)] {
            let reason = format_args!("not in valid range [0, {most}]");
            let wrong = !(0..=most).contains(&value);
            it.invalid_if(wrong, format_args!("{path}[{index}].{name}"), value, reason);
        }
    }
}
