//! Tables for the plan.
