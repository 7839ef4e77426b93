//! The driver against a fake terraform: a shell script that records what it was given and
//! misbehaves on cue.

use std::sync::{Arc, Mutex};

use super::super::locate::Flavour;
use super::*;

struct FakeTerraform {
    home: tempfile::TempDir,
    heard: Arc<Mutex<Vec<Message>>>,
    terraform: Terraform,
}

/// Returns a run folder and a fake terraform that records argv, environment and process group, then
/// runs `script`.
fn stage(script: &str) -> FakeTerraform {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("terraform");
    let record = home.path().display();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = probe ] && exit\nR='{record}'\necho \"$@\" > $R/argv\nenv > $R/env\ncut -d' ' -f1,5 /proc/$$/stat > $R/group\n\
         F=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$F\" > $R/files\n{script}\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    // A test beside this one may hold the script open for writing between its fork and exec.
    while std::process::Command::new(&path)
        .arg("probe")
        .status()
        .is_err()
    {}
    let folder = home.path().join("run");
    std::fs::create_dir_all(folder.join("module")).unwrap();
    let binary = Binary {
        path,
        flavour: Flavour::Terraform,
        version: "1.11.4".into(),
        platform: "linux_amd64".into(),
    };
    let user = [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/nonexistent"),
        ("https_proxy", "http://proxy"),
        ("AWS_REGION", "us-east-1"),
        ("SPIKEPROOF_PLUGIN_DIR", "/mirror"),
        ("TF_VAR_run", "evil"),
        ("TF_CLI_ARGS", "-lock=false"),
        ("TF_CLI_ARGS_apply", "-target=x"),
        ("TF_WORKSPACE", "evil"),
        ("TF_LOG", "trace"),
        ("TF_DATA_DIR", "/evil"),
        ("TF_REATTACH_PROVIDERS", "{}"),
        ("SECRET_TOKEN", "evil"),
    ];
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let lock = Arc::new(WorkLock::take(&folder).unwrap().unwrap());
    let terraform = Terraform::new(
        binary,
        &folder,
        lock,
        user.map(|(name, value)| (name.into(), value.into())),
        move |message| ear.lock().unwrap().push(message),
    );
    FakeTerraform {
        home,
        heard,
        terraform,
    }
}

impl FakeTerraform {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default()
    }

    /// Runs an apply, and cancels it once the script has made the file `ready`.
    async fn cancelled_apply(&self) -> TerraformResult<Outputs> {
        let cancel = CancellationToken::new();
        let ready = self.home.path().join("ready");
        let waiting = async {
            while !ready.exists() {
                sleep(Duration::from_millis(10)).await;
            }
            cancel.cancel();
        };
        tokio::join!(self.terraform.apply(&cancel), waiting).0
    }
}

const OUTPUTS: &str = r#"echo '{"type":"outputs","outputs":{"cluster":{"value":"c"},"task_definition":{"value":"t"},"security_group":{"value":"s"},"bucket":{"value":"b"},"repository_url":{"value":"r"},"log_group":{"value":"l"}}}'"#;

fn variables() -> Variables {
    Variables {
        run: "sp-0000000001".into(),
        region: "us-east-1".into(),
        vpc_id: "vpc-1".into(),
        cpu: 1024,
        memory: 2048,
        arch: "X86_64".into(),
        image: String::new(),
        image_digest: format!("sha256:{}", "a".repeat(64)),
        permissions_boundary: String::new(),
        execution_role: String::new(),
        task_role: String::new(),
        tags: BTreeMap::new(),
    }
}

#[tokio::test]
async fn apply_is_isolated_from_the_user_and_from_us() {
    let stage = stage(OUTPUTS);
    let outputs = stage
        .terraform
        .apply(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(outputs.bucket, "b");
    assert_eq!(
        stage.read("argv").trim(),
        "apply -json -auto-approve -input=false -lock-timeout=60s"
    );
    let environment = stage.read("env");
    assert!(
        !environment.contains("evil") && !environment.contains("TF_CLI_ARGS"),
        "{environment}"
    );
    assert!(
        !environment.contains("TF_LOG") && !environment.contains("TF_REATTACH"),
        "{environment}"
    );
    for kept in [
        "https_proxy=http://proxy",
        "AWS_REGION=us-east-1",
        "TF_IN_AUTOMATION=1",
        "TF_INPUT=0",
    ] {
        assert!(environment.contains(kept), "{kept} in {environment}");
    }
    let group = stage.read("group");
    let (pid, group) = group.trim().split_once(' ').unwrap();
    assert_eq!(pid, group, "terraform leads its own process group");
    let files = stage.read("files");
    let log = stage
        .terraform
        .folder
        .join("terraform-1.jsonl")
        .canonicalize()
        .unwrap();
    assert_eq!(
        files.lines().collect::<Vec<_>>(),
        ["/dev/null", log.to_str().unwrap(), log.to_str().unwrap()]
    );
}

#[tokio::test]
async fn init_unpacks_the_module_and_hides_its_variables() {
    let stage = stage("exit 0");
    stage
        .terraform
        .init(&variables(), &CancellationToken::new())
        .await
        .unwrap();
    let module = stage.terraform.module();
    assert!(module.join("roles.tf").is_file());
    let mode = std::fs::metadata(module.join("run.auto.tfvars.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!stage.read("argv").contains("sp-0000000001"));
    assert!(stage.read("run/terraform.rc").contains("\"/mirror\""));
}

#[tokio::test]
async fn a_failure_carries_the_first_error_and_the_log() {
    let stage = stage(
        r#"echo 'not json'
echo '{"type":"diagnostic","diagnostic":{"severity":"warning","summary":"meh"}}'
echo '{"type":"diagnostic","diagnostic":{"severity":"error","summary":"no vpc","detail":"vpc-1","address":"a.b"}}'
exit 1"#,
    );
    let error = stage
        .terraform
        .apply(&CancellationToken::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("terraform apply failed: no vpc (a.b): vpc-1; everything"),
        "{error}"
    );
    assert!(error.ends_with("terraform-1.jsonl"), "{error}");
    assert_eq!(
        stage.heard.lock().unwrap()[0],
        Message::Text("not json".into())
    );
}

#[tokio::test]
async fn a_terraform_that_is_killed_or_stops_without_an_error_is_told_of_in_a_sentence() {
    let progress = r#"echo '{"@level":"info","@message":"aws_ecs_cluster.run: Creating...","type":"apply_start","hook":{}}'"#;
    let killed = stage_failure(&format!("{progress}\nkill -9 $$")).await;
    assert!(
        killed.starts_with(
            "terraform apply failed: it did not end by itself: signal: 9 (SIGKILL), which the system sends when memory runs \
             out; everything it said is in "
        ),
        "{killed}"
    );
    let stopped = stage_failure(&format!("{progress}\necho '{{\"hook\":1}}'\nexit 3")).await;
    assert!(
        stopped.starts_with("terraform apply failed: aws_ecs_cluster.run: Creating...; everything"),
        "{stopped}"
    );
    let silent = stage_failure("exit 3").await;
    assert!(
        silent.contains("exit status: 3 and said nothing"),
        "{silent}"
    );
}

async fn stage_failure(script: &str) -> String {
    stage(script)
        .terraform
        .apply(&CancellationToken::new())
        .await
        .unwrap_err()
        .to_string()
}

/// Counts SIGINTs in `signals` and ends at the `n`-th, or never.
fn ends_at(n: u32) -> String {
    format!(
        "N=0; trap 'N=$((N+1)); echo INT >> $R/signals; [ $N -ge {n} ] && exit 1' INT; trap 'echo TERM >> $R/signals' \
         TERM\n: > $R/ready\nwhile :; do sleep 0.05; done"
    )
}

#[tokio::test]
async fn a_cancel_is_one_interrupt_and_a_wait() {
    let stage = stage(&ends_at(1).replace("exit 1", "{ sleep 0.5; exit 1; }"));
    let error = stage.cancelled_apply().await.unwrap_err();
    assert!(
        matches!(
            error,
            TerraformError::Cancelled {
                command: "apply",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(stage.read("signals"), "INT\n");
}

#[tokio::test]
async fn a_second_interrupt_and_then_a_kill_follow_only_when_patience_ends() {
    for (n, signals) in [(2, "INT\nINT\n"), (99, "INT\nINT\n")] {
        let mut stage = stage(&ends_at(n));
        stage.terraform.after_first_sigint = Duration::from_millis(400);
        stage.terraform.after_second_sigint = Duration::from_millis(400);
        stage.cancelled_apply().await.unwrap_err();
        assert_eq!(stage.read("signals"), signals);
    }
}

#[tokio::test]
async fn a_flood_is_read_to_its_end() {
    let stage = stage(&format!("yes 'no json at all' | head -n 200000\n{OUTPUTS}"));
    stage
        .terraform
        .apply(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(stage.heard.lock().unwrap().len(), 200_001);
}

#[tokio::test]
async fn states_are_copied_during_apply_and_restored_before_destroy() {
    let stage = stage(&format!(
        "[ $1 = destroy ] && cp ../terraform.tfstate $R/found && exit 0\n\
         echo '{{\"serial\":4}}' > ../terraform.tfstate; sleep 0.5; : > ../terraform.tfstate\n{OUTPUTS}"
    ));
    stage
        .terraform
        .apply(&CancellationToken::new())
        .await
        .unwrap();
    assert!(stage.read("run/terraform.tfstate").is_empty());
    stage
        .terraform
        .destroy(false, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(stage.read("found"), "{\"serial\":4}\n");
    assert!(stage.terraform.folder.join("terraform-2.jsonl").is_file());
}

#[tokio::test]
async fn it_gave_up_unless_an_error_hides_what_was_made() {
    let failed = async |errors: &[&str], code: u32| {
        let told = |error: &&str| {
            format!(
                "echo '{{\"type\":\"diagnostic\",\"diagnostic\":{{\"severity\":\"error\",\"summary\":\"{error}\"}}}}'\n"
            )
        };
        let script = errors.iter().map(told).collect::<String>() + &format!("exit {code}");
        stage(&script)
            .terraform
            .apply(&CancellationToken::new())
            .await
            .unwrap_err()
            .gave_up()
    };
    let denied = "AccessDenied: not authorized to perform iam:CreateRole";
    for (errors, code, gave_up) in [
        (&[denied][..], 1, true),
        (&[denied][..], 2, false),
        (&[][..], 1, false),
        (&["Plugin did not respond"][..], 1, false),
        (
            &["creating ECS Cluster: read tcp: connection reset by peer"][..],
            1,
            false,
        ),
        (
            &["creating Security Group: RequestLimitExceeded"][..],
            1,
            false,
        ),
        // One unclear error of several is enough.
        (&[denied, "rpc error: code = Unavailable"][..], 1, false),
    ] {
        assert_eq!(failed(errors, code).await, gave_up, "{errors:?} {code}");
    }
}
