//! Terraform in a run's folder, with the caller's AWS session and its resources told as events.

use std::path::Path;
use std::sync::Arc;

use super::{Binary, Message, Terraform};
use crate::journal::locks::WorkLock;
use cloud::aws::Aws;
use model::events::{Event, Events};

/// Returns terraform for one command. Call it anew for each attempt: only a new environment has a
/// renewed session.
pub async fn in_folder(
    binary: &Binary,
    aws: &Aws,
    folder: &Path,
    lock: Arc<WorkLock>,
    events: &Events,
) -> Terraform {
    let events = events.clone();
    // The later of two values of a name counts.
    let renewed = aws.renewed_keys().await;
    let environment = std::env::vars_os().chain(renewed);
    Terraform::new(binary.clone(), folder, lock, environment, move |message| {
        if let Some(event) = event(message) {
            events.say(event);
        }
    })
}

fn event(message: Message) -> Option<Event> {
    let Message::ApplyComplete(step) = message else {
        return None;
    };
    let action = match step.action.as_str() {
        "create" => "created",
        "delete" => "deleted",
        _ => "changed",
    };
    Some(Event::Resource {
        action,
        address: step.address,
        took: Some(step.elapsed),
    })
}
