//! The embedded module against the real terraform: well formatted, and valid for the pinned provider.
//!
//! Nothing is skipped quietly: without terraform or the provider these tests fail and say what to install.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use spikeproof::terraform::{Binary, Terraform, Variables, locate};
use tokio_util::sync::CancellationToken;

#[expect(clippy::panic, reason = "a test that cannot run must fail, with the sentence that says why")]
fn binary() -> Binary {
    locate(None, |name| std::env::var_os(name)).unwrap_or_else(|error| panic!("this test needs terraform: {error}"))
}

#[test]
fn the_module_is_formatted() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform");
    let output = Command::new(binary().path).args(["fmt", "-check", "-diff"]).arg(module).output().unwrap();
    assert!(output.status.success(), "run `terraform fmt terraform`:\n{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn the_module_is_valid_for_the_pinned_provider() {
    let run = tempfile::tempdir().unwrap();
    let binary = binary();
    let path: PathBuf = binary.path.clone();
    let terraform = Terraform::new(binary, run.path(), std::env::vars_os(), |_| {});
    let variables = Variables {
        run: "sp-0000000001".into(),
        region: "us-east-1".into(),
        vpc_id: "vpc-1".into(),
        cpu: 1024,
        memory: 2048,
        arch: "X86_64".into(),
        image: String::new(),
        image_digest: format!("sha256:{}", "a".repeat(64)),
        tags: BTreeMap::new(),
    };
    if let Err(error) = terraform.init(&variables, &CancellationToken::new()).await {
        panic!(
            "this test needs the AWS provider 5.100.0, from the registry or from the folder that SPIKEPROOF_PLUGIN_DIR \
             names: {error}"
        );
    }
    let output =
        Command::new(path).args(["validate", "-no-color"]).current_dir(run.path().join("module")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
