//! The image in its three forms: the OCI layout, the Dockerfile's folder, and a push to a slow ECR.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ecr::config::timeout::TimeoutConfig;
use aws_sdk_ecr::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use spikeproof::image::{Image, push};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BINARY: &str = env!("CARGO_BIN_EXE_spikeproof");

fn spikeproof(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).output().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Returns a blob of a layout, checked against its name and the size its referrer gave.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let name = descriptor["digest"].as_str().unwrap();
    let bytes = std::fs::read(
        layout
            .join("blobs/sha256")
            .join(name.trim_start_matches("sha256:")),
    )
    .unwrap();
    assert_eq!(digest(&bytes), name);
    assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
    bytes
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Packs this build into a layout, and returns the image's config and its one layer, unpacked.
fn packed(layout: &Path) -> (Value, Vec<u8>) {
    let output = spikeproof(&["image", "pack", layout.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let index = json(&std::fs::read(layout.join("index.json")).unwrap());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with(index["manifests"][0]["digest"].as_str().unwrap()),
        "{said}"
    );

    let manifest = json(&blob(layout, &index["manifests"][0]));
    let config = json(&blob(layout, &manifest["config"]));
    let mut tar = Vec::new();
    GzDecoder::new(&blob(layout, &manifest["layers"][0])[..])
        .read_to_end(&mut tar)
        .unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&tar)]));
    (config, tar)
}

/// Paths with mode and content's digest, folders without.
type Files = BTreeMap<String, (u32, Option<String>)>;

fn in_layer(tar: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mode = entry.header().mode().unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let content = entry
            .header()
            .entry_type()
            .is_file()
            .then(|| digest(&bytes));
        files.insert(path.trim_end_matches('/').to_owned(), (mode, content));
    }
    files
}

fn in_folder(root: &Path, folder: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        let content = metadata
            .is_file()
            .then(|| digest(&std::fs::read(&path).unwrap()));
        let name = path.strip_prefix(root).unwrap().display().to_string();
        files.insert(name, (metadata.permissions().mode() & 0o7777, content));
        if metadata.is_dir() {
            in_folder(root, &path, files);
        }
    }
}

#[test]
fn the_dockerfile_builds_the_image_that_is_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let (config, tar) = packed(&folder.path().join("layout"));
    let rootfs = folder.path().join("rootfs");
    let output = spikeproof(&["image", "rootfs", rootfs.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut files = Files::new();
    in_folder(&rootfs, &rootfs, &mut files);
    assert_eq!(files, in_layer(&tar));

    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/generator/Dockerfile");
    let dockerfile = std::fs::read_to_string(dockerfile).unwrap();
    let instruction = |word: &str| {
        let line = dockerfile.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("the Dockerfile has no {word}"))
            .trim()
    };
    let config = &config["config"];
    assert_eq!(config["User"], instruction("USER"));
    assert_eq!(config["WorkingDir"], instruction("WORKDIR"));
    assert_eq!(
        config["Entrypoint"],
        json(instruction("ENTRYPOINT").as_bytes())
    );
    let env: BTreeSet<&str> = instruction("ENV").split(' ').collect();
    assert_eq!(
        config["Env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable.as_str().unwrap())
            .collect::<BTreeSet<_>>(),
        env
    );
}

#[test]
fn a_binary_that_cannot_run_in_the_image_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("image");
    let target = target.to_str().unwrap();
    for (args, words) in [
        (
            ["image", "pack", target, "--binary", "/bin/sh"],
            "needs a C library",
        ),
        (
            ["image", "pack", target, "--generator-binary", "/bin/sh"],
            "--generator-binary",
        ),
        (
            ["image", "rootfs", target, "--binary", "/etc/passwd"],
            "not an executable",
        ),
        (
            ["image", "pack", target, "--binary", "/nowhere"],
            "/nowhere",
        ),
    ] {
        let output = spikeproof(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!Path::new(target).exists(), "{args:?} wrote something");
    }
}

/// ECR's four calls with its rules for parts, and failures on demand.
#[derive(Debug, Default)]
struct Registry {
    uploads: Vec<Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    parts: usize,
    /// The answer to the first part is lost, after ECR has taken it.
    lose_an_answer: bool,
    image: Option<Value>,
}

/// Duration of the first part: longer than the client waits for anything else.
const SLOW: Duration = Duration::from_secs(4);
const IMPATIENT: Duration = Duration::from_secs(2);
const SMALLEST: usize = 5 * 1024 * 1024;
const LARGEST: usize = 20 * 1024 * 1024;

impl Registry {
    fn answer(&mut self, call: &str, question: &Value) -> (u16, Value) {
        let upload = || {
            question["uploadId"]
                .as_str()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        match call {
            "InitiateLayerUpload" => {
                self.uploads.push(Vec::new());
                (
                    200,
                    json!({ "uploadId": (self.uploads.len() - 1).to_string(), "partSize": LARGEST }),
                )
            }
            "UploadLayerPart" => self.part(upload(), question),
            "CompleteLayerUpload" => {
                let bytes = self.uploads[upload()].clone();
                let name = question["layerDigests"][0].as_str().unwrap();
                assert_eq!(digest(&bytes), name);
                if self.blobs.insert(name.to_owned(), bytes).is_some() {
                    return (
                        400,
                        json!({ "__type": "LayerAlreadyExistsException", "message": "it is there" }),
                    );
                }
                (200, json!({ "layerDigest": name }))
            }
            "PutImage" => {
                self.image = Some(question.clone());
                (200, json!({}))
            }
            other => panic!("{other} is not a call of a push"),
        }
    }

    fn part(&mut self, upload: usize, question: &Value) -> (u16, Value) {
        let bytes =
            aws_smithy_types::base64::decode(question["layerPartBlob"].as_str().unwrap()).unwrap();
        let (first, last) = (
            question["partFirstByte"].as_u64().unwrap(),
            question["partLastByte"].as_u64().unwrap(),
        );
        assert_eq!(last - first + 1, bytes.len() as u64);
        assert!(bytes.len() <= LARGEST);
        let at = self.uploads[upload].len();
        if first != at as u64 {
            let last = at as u64 - 1;
            let refused =
                json!({ "__type": "InvalidLayerPartException", "lastValidByteReceived": last });
            return (400, refused);
        }
        assert!(
            at.is_multiple_of(SMALLEST),
            "only the last part may be smaller than 5 MiB"
        );
        self.uploads[upload].extend(bytes);
        self.parts += 1;
        if std::mem::take(&mut self.lose_an_answer) {
            return (
                500,
                json!({ "__type": "ServerException", "message": "lost" }),
            );
        }
        (200, json!({ "lastByteReceived": last }))
    }
}

async fn serve(listener: TcpListener, registry: Arc<Mutex<Registry>>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let registry = Arc::clone(&registry);
        let service =
            service_fn(move |request: Request<Incoming>| answer(request, Arc::clone(&registry)));
        open.spawn(async move {
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    registry: Arc<Mutex<Registry>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let target = request.headers()["x-amz-target"]
        .to_str()
        .unwrap()
        .to_owned();
    let call = target.rsplit('.').next().unwrap().to_owned();
    let question = json(&request.into_body().collect().await?.to_bytes());
    let first_part = call == "UploadLayerPart" && registry.lock().unwrap().parts == 0;
    if first_part {
        tokio::time::sleep(SLOW).await;
    }
    let (status, body) = registry.lock().unwrap().answer(&call, &question);
    let answer = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1");
    Ok(answer.body(Full::new(body.to_string().into())).unwrap())
}

fn client(listener: &TcpListener) -> aws_sdk_ecr::Client {
    let config = aws_sdk_ecr::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("TEST", "test", None, None, "test"))
        .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(IMPATIENT)
                .build(),
        );
    aws_sdk_ecr::Client::from_conf(config.build())
}

/// Returns an image whose layer is three parts long, the last a short one.
fn image(folder: &Path) -> Image {
    let bytes: Vec<u8> = (0..21 * 1024 * 1024_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let layer = folder.join("layer.tar.gz");
    std::fs::write(&layer, &bytes).unwrap();
    let (manifest, config) = (b"{\"manifest\":1}".to_vec(), b"{\"config\":1}".to_vec());
    Image {
        manifest_digest: digest(&manifest),
        config_digest: digest(&config),
        layer_digest: digest(&bytes),
        layer_size: bytes.len() as u64,
        unpacked_size: 0,
        manifest,
        config,
        layer,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_a_slow_connection_and_a_lost_answer_and_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    let registry = Arc::new(Mutex::new(Registry {
        lose_an_answer: true,
        ..Registry::default()
    }));
    let mut server = JoinSet::new();
    server.spawn(serve(listener, Arc::clone(&registry)));

    for _ in 0..2 {
        let pushed = push(&client, "spikeproof/sp-01j9z3k4m5", "generator", &image)
            .await
            .unwrap();
        assert_eq!(pushed, image.manifest_digest);
    }
    let registry = registry.lock().unwrap();
    assert_eq!(
        registry.blobs[&image.layer_digest],
        std::fs::read(&image.layer).unwrap()
    );
    assert_eq!(registry.blobs[&image.config_digest], image.config);
    assert_eq!(registry.parts, 8, "three parts and the config, twice");
    let put = registry.image.as_ref().unwrap();
    assert_eq!(
        put["imageManifest"].as_str().unwrap().as_bytes(),
        image.manifest
    );
    assert_eq!(
        (&put["imageTag"], &put["imageDigest"]),
        (&json!("generator"), &json!(image.manifest_digest))
    );
}
