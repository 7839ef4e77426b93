//! `terraform destroy` of a run, tried again by the kind of its failure. It only helps: the proof
//! comes after it, by name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Teardown;
use cloud::channel;
use provision::journal::names::ResourceNames;
use provision::terraform::state::{Best, adopt};
use provision::terraform::{Terraform, TerraformError, has_module, session};

/// Limit for one terraform destroy. It takes seconds, but a security group whose interface hangs
/// holds it for as long as the provider waits.
const TERRAFORM: Duration = Duration::from_mins(6);

/// Runs `terraform destroy` where there is a binary and a state; otherwise says that there is none.
pub(crate) async fn terraform_destroy(teardown: &Teardown<'_>, until: Instant) {
    let (Some(binary), Some(folder)) = (teardown.terraform, &teardown.lock) else {
        return teardown
            .events
            .note("no terraform, or no state of this run here: deleting by name");
    };
    if !has_module(folder.path) {
        return;
    }
    // Made anew for each attempt: a session that has been renewed meanwhile is only in a new
    // environment.
    let new_session = || {
        session::in_folder(
            binary,
            &teardown.aws.aws,
            folder.path,
            Arc::clone(&folder.lock),
            teardown.events,
        )
    };
    let mut terraform = new_session().await;
    restore_state(teardown, folder.path, &terraform).await;
    let mut attempts = 0;
    while let Err(error) = destroy_once(&terraform, attempts > 0).await {
        attempts += 1;
        let failure = error.failure();
        // A terraform that hung has had its time: deleting by name needs the rest.
        let hung = matches!(error, TerraformError::Cancelled { .. });
        if hung || !failure.terraform_again(attempts) || Instant::now() + TERRAFORM >= until {
            return teardown.events.note(format!(
                "terraform destroy did not finish: {error}; deleting by name"
            ));
        }
        teardown.events.note(format!(
            "terraform destroy did not finish: {error}; trying again"
        ));
        sleep(failure.pause(attempts)).await;
        terraform = new_session().await;
    }
}

/// Ends, also when terraform hangs. The second time more gently: a terraform that died of load
/// should not meet it again.
async fn destroy_once(terraform: &Terraform, gently: bool) -> Result<(), TerraformError> {
    let patience = CancellationToken::new();
    let over = async {
        sleep(TERRAFORM).await;
        patience.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        finished = terraform.destroy(gently, &patience) => finished.map(|_| ()),
        () = over => Ok(()),
    }
}

/// Restores terraform's state. If no whole state is on this disk, it takes the copy in the run's
/// bucket.
async fn restore_state(teardown: &Teardown<'_>, folder: &Path, terraform: &Terraform) {
    match terraform.best_state() {
        Ok(Best::AsItIs) => {}
        Ok(Best::Restored { serial }) => teardown.events.note(format!(
            "terraform's state was damaged: copy {serial} restored"
        )),
        Ok(Best::None) => adopt_copy_in_bucket(teardown, folder).await,
        Err(error) => teardown.events.note(error.to_string()),
    }
}

async fn adopt_copy_in_bucket(teardown: &Teardown<'_>, folder: &Path) {
    let location = format!("s3://{}/run", ResourceNames::of(teardown.run).bucket);
    let Ok(channel) = channel::open(&location, Some(&teardown.aws.aws)) else {
        return;
    };
    if let Ok(Some(state)) = channel.state().await
        && adopt(folder, teardown.run, &state).unwrap_or(false)
    {
        teardown
            .events
            .note("terraform's state was lost: the copy in the run's bucket is used");
    }
}
