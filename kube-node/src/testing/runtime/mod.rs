//! What every runtime has to pass.

mod containers;
mod ends;
mod events;
mod harness;
mod sandboxes;
mod streams;

pub use harness::{RuntimeHarness, Workload};

/// Examines a runtime that holds no sandbox, and leaves it so.
///
/// # Panics
/// When the runtime breaks the contract of [`Runtime`](crate::seam::Runtime); the message says where.
pub async fn runtime_suite(harness: &RuntimeHarness) {
    sandboxes::the_runtime_is_ready(harness).await;
    sandboxes::are_listed_as_made(harness).await;
    sandboxes::are_selected(harness).await;
    sandboxes::unknown_handlers_are_invalid(harness).await;
    sandboxes::take_their_containers_along(harness).await;
    containers::are_listed_as_made(harness).await;
    containers::are_selected(harness).await;
    containers::have_one_name_each(harness).await;
    containers::need_a_ready_sandbox(harness).await;
    containers::start_once(harness).await;
    containers::print_into_their_log(harness).await;
    containers::are_measured_while_they_run(harness).await;
    ends::an_exit_is_kept(harness).await;
    ends::what_cannot_be_executed_is_a_start_error(harness).await;
    ends::stopping_asks_first(harness).await;
    ends::stopping_kills_after_the_grace(harness).await;
    ends::a_shorter_grace_shortens(harness).await;
    ends::removing_kills(harness).await;
    ends::what_is_not_there_is_gone(harness).await;
    streams::a_command_has_input_and_output(harness).await;
    streams::only_the_streams_asked_for_are_there(harness).await;
    streams::a_command_has_an_exit_code(harness).await;
    streams::a_command_has_a_deadline(harness).await;
    streams::need_a_running_container(harness).await;
    streams::attaching_lasts_as_long_as_the_container(harness).await;
    events::tell_a_container_s_life(harness).await;
    harness.is_empty().await;
}
