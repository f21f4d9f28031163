//! Tables for the plans.
