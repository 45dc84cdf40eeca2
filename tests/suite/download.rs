//! `--download` from a hub, from the server of its large files, and from a web server, all on this machine.
//! Without the option, no request is sent.

mod address;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tagfleet_tests::command::{Ran, run, tagfleet};
use tagfleet_tests::fake_server::{FakeServer, Reply, Request};
use tagfleet_tests::project;
use tagfleet_tests::store::Store;
use tempfile::TempDir;

const COMMIT: &str = "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3";
const PICTURE: &str = "demo/photos/autumn/sku-0000.jpg";
const TOKEN: &str = "hf_only_for_the_hub";
/// Nothing listens on this port.
const CLOSED: &str = "http://127.0.0.1:1";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash by which Git names a file.
fn git(bytes: &[u8]) -> String {
    hex(&Sha1::digest([format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()))
}

fn demo(name: &str) -> Vec<u8> {
    fs::read(project("demo/model").join(name)).unwrap()
}

type Files = BTreeMap<&'static str, Vec<u8>>;

/// The demo's model as a repository of the hub, with the other files that such repositories have.
fn export() -> Files {
    let files = [
        ("README.md", b"# A model".to_vec()),
        ("pytorch_model.bin", b"weights".to_vec()),
        ("config.json", demo("config.json")),
        ("preprocessor_config.json", demo("preprocessor_config.json")),
        ("onnx/model.onnx", demo("model.onnx")),
        ("onnx/model_fp16.onnx", b"another".to_vec()),
    ];
    files.into_iter().collect()
}

/// A hub with one repository, acme/tagger. It redirects to another server for files in Git LFS.
struct Hub {
    hub: FakeServer,
    large: FakeServer,
    home: TempDir,
}

impl Hub {
    fn new(files: Files) -> Self {
        Self::with_etags(files, sha256)
    }

    /// A hub that announces these hashes for files in Git LFS.
    fn with_etags(files: Files, etag: fn(&[u8]) -> String) -> Self {
        let files = Arc::new(files);
        let served = files.clone();
        let large = FakeServer::start(move |request| {
            let name = request.path.strip_prefix("/large/")?;
            Some(Reply { status: 200, file: served.get(name)?.clone(), ..Reply::default() })
        });
        let to = large.url();
        let hub = FakeServer::start(move |request| answer(request, &files, &to, etag));
        Self { hub, large, home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tagfleet(arguments);
        for name in
            ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"]
        {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.home.path()).env("HF_ENDPOINT", self.hub.url()).env("HF_TOKEN", TOKEN);
        command.env("HOME", self.home.path());
        command
    }

    fn inspect(&self, more: &[&str]) -> Ran {
        run(&mut self.command(&[&["inspect", "acme/tagger", PICTURE, "--engine", "tract"], more].concat()))
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("hub/models--acme--tagger")
    }

    fn requests(&self) -> usize {
        self.hub.requests().len() + self.large.requests().len()
    }
}

fn answer(request: &Request, files: &Files, large: &str, etag: fn(&[u8]) -> String) -> Option<Reply> {
    if request.path == "/api/models/acme/tagger/revision/main" {
        let names = files.keys().copied().chain(["../../evil.onnx", "/etc/evil.onnx"]);
        let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
        return Some(Reply::ok(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string()));
    }
    let name = request.path.strip_prefix(&format!("/acme/tagger/resolve/{COMMIT}/"))?;
    let bytes = files.get(name)?.clone();
    if name.ends_with(".onnx") || name.ends_with(".bin") {
        let headers = vec![
            ("Location", format!("{large}/large/{name}")),
            ("X-Linked-Etag", format!("\"{}\"", etag(&bytes))),
            ("X-Linked-Size", bytes.len().to_string()),
        ];
        return Some(Reply { status: 302, headers, ..Reply::default() });
    }
    let headers = vec![("ETag", format!("\"{}\"", git(&bytes)))];
    Some(Reply { status: 200, headers, file: bytes, ..Reply::default() })
}

fn tags_of(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (_, tags) = ran.stdout.split_once("\n\n").unwrap();
    tags.to_owned()
}

/// All files below, links not followed.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn a_model_of_the_hub_is_downloaded_once_and_found_again_without_it() {
    let hub = Hub::new(export());
    let expected = tags_of(&run(&mut tagfleet(["inspect", "demo/model", PICTURE, "--engine", "tract"])));
    let first = hub.inspect(&["--download"]);
    assert_eq!(tags_of(&first), expected);
    assert!(
        first.stderr.contains("downloading acme/tagger: onnx/model.onnx (798 kB) from http://127.0.0.1:"),
        "{first:?}"
    );
    // The layout of `hf download`, and only the files that the model needs.
    let snapshot = hub.folder().join("snapshots").join(COMMIT);
    let names: Vec<String> = files_below(&snapshot)
        .iter()
        .map(|path| path.strip_prefix(&format!("{}/", snapshot.display())).unwrap().to_owned())
        .collect();
    assert_eq!(names, ["config.json", "onnx/model.onnx", "preprocessor_config.json"]);
    let link = fs::read_link(snapshot.join("onnx/model.onnx")).unwrap();
    assert_eq!(link, PathBuf::from(format!("../../../blobs/{}", sha256(&demo("model.onnx")))));
    assert_eq!(fs::read_to_string(hub.folder().join("refs/main")).unwrap(), COMMIT);

    let before = hub.requests();
    for more in [&[][..], &["--download"]] {
        assert_eq!(tags_of(&hub.inspect(more)), expected, "{more:?}");
    }
    assert_eq!(hub.requests(), before, "no file is requested again");
    assert_eq!(files_below(hub.home.path()).len(), 7, "three links, three files, one reference to a commit");
}

#[test]
fn a_run_downloads_its_model_and_is_named_after_it() {
    let hub = Hub::new(export());
    let out = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "demo/photos",
        "--model",
        "hf://acme/tagger",
        "--download",
        "--engine",
        "tract",
        "--include",
        "home/*",
    ];
    let ran = run(hub.command(&arguments).arg("--out").arg(out.path()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("tagger"), "{ran:?}");
    let quiet = Hub::new(export());
    let again = run(quiet.command(&arguments).arg("--out").arg(out.path()).args(["--quiet", "--new"]));
    assert!(!again.stderr.contains("downloading"), "{again:?}");
}

#[test]
fn without_the_option_no_connection_is_opened() {
    let hub = Hub::new(export());
    let ran = hub.inspect(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("`hf download acme/tagger` puts it there, or add --download"), "{ran:?}");
    let address = format!("{}/model.onnx", hub.hub.url());
    let ran = run(&mut hub.command(&["inspect", &address]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("model.onnx is not on this machine: add --download, or run `curl"),
        "{ran:?}"
    );
    assert_eq!(hub.requests(), 0);
    assert_eq!(files_below(hub.home.path()), [] as [String; 0]);
}

#[test]
fn a_token_reaches_the_hub_and_no_other_host() {
    let hub = Hub::new(export());
    assert_eq!(hub.inspect(&["--download"]).code, Some(0));
    assert!(
        hub.hub.requests().iter().all(|request| request.header("authorization") == format!("Bearer {TOKEN}"))
    );
    assert!(hub.large.requests().iter().all(|request| request.header("authorization").is_empty()));
    assert_eq!(hub.large.requests().len(), 1, "the model alone is large");
}

#[test]
fn a_file_with_another_hash_is_refused_and_leaves_nothing() {
    let hub = Hub::with_etags(export(), |_| "0".repeat(64));
    let ran = hub.inspect(&["--download"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("acme/tagger: onnx/model.onnx is not the file that was asked for: its hash is "),
        "{ran:?}"
    );
    let left = files_below(hub.home.path());
    assert!(left.iter().all(|path| !path.contains(".onnx") && !path.contains("incomplete")), "{left:?}");
    assert!(!hub.folder().join("refs/main").exists(), "no revision is stored");
    let again = hub.inspect(&[]);
    assert!(again.stderr.contains("without revision main"), "{again:?}");
}

#[test]
fn a_file_without_a_hash_is_not_downloaded() {
    let hub = Hub::with_etags(export(), |_| "latest".to_owned());
    let ran = hub.inspect(&["--download"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the hub names no hash of it"), "{ran:?}");
}

#[test]
fn an_absent_model_or_file_of_the_hub_names_the_remedy() {
    let weights = Hub::new([("pytorch_model.bin", b"weights".to_vec())].into_iter().collect());
    let ran = weights.inspect(&["--download"]);
    // Names that lead out of the folder are ignored.
    assert!(
        ran.stderr.contains("acme/tagger on the hub: it has no .onnx file: `optimum-cli export onnx"),
        "{ran:?}"
    );
    assert_eq!(files_below(weights.home.path()), [] as [String; 0]);
    let hub = Hub::new(export());
    let other = run(&mut hub.command(&["inspect", "acme/other", "--download"]));
    assert!(
        other.stderr.contains("the hub has no model acme/other with revision main: check both"),
        "{other:?}"
    );
    let private = FakeServer::start(|_| Some(Reply { status: 401, ..Reply::default() }));
    let ran = run(hub.command(&["inspect", "acme/tagger", "--download"]).env("HF_ENDPOINT", private.url()));
    assert!(ran.stderr.contains("ask for access on its page and set HF_TOKEN"), "{ran:?}");
    assert!(!ran.stderr.contains(TOKEN), "{ran:?}");
    let missing = hub.inspect(&["--download", "--model-file", "model_int8.onnx"]);
    assert!(missing.stderr.contains("it has onnx/model.onnx, onnx/model_fp16.onnx"), "{missing:?}");
}

#[test]
fn settings_of_hugging_faces_tools_are_obeyed() {
    let hub = Hub::new(export());
    let ran = run(hub.command(&["inspect", "acme/tagger", "--download"]).env("HF_HUB_OFFLINE", "1"));
    assert!(ran.code == Some(2) && ran.stderr.contains("HF_HUB_OFFLINE is set"), "{ran:?}");
    let ran =
        run(hub.command(&["inspect", "acme/tagger", "--download"]).env("HF_ENDPOINT", "http://hub.example"));
    assert!(
        ran.code == Some(2) && ran.stderr.contains("HF_ENDPOINT: http://hub.example is not protected"),
        "{ran:?}"
    );
    assert_eq!(hub.requests(), 0);
    let ran = run(hub.command(&["inspect", "acme/tagger", "--download"]).env("HF_ENDPOINT", CLOSED));
    assert!(ran.code == Some(1) && ran.stderr.contains("check the network"), "{ran:?}");
    // What `hf auth login` stores.
    fs::write(hub.home.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let ran = run(hub.command(&["inspect", "acme/tagger", "--download"]).env_remove("HF_TOKEN"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        hub.hub.requests().iter().all(|request| request.header("authorization") == format!("Bearer {TOKEN}"))
    );
}

#[test]
fn a_folder_of_a_bucket_is_read_without_the_option() {
    let hub = Hub::new(Files::new());
    let mut objects = vec![
        ("models/tagger/README.md".to_owned(), b"x".to_vec()),
        ("models/tagger/config.json".to_owned(), demo("config.json")),
        ("models/tagger/model.onnx".to_owned(), demo("model.onnx")),
        ("models/tagger/preprocessor_config.json".to_owned(), demo("preprocessor_config.json")),
        ("models/tagger/pytorch_model.bin".to_owned(), b"x".to_vec()),
        ("models/weights/pytorch_model.bin".to_owned(), b"x".to_vec()),
    ];
    objects.sort();
    let store = Store::start(objects, 1000);
    let inspect = |model: &str| {
        let mut command =
            hub.command(&["inspect", model, PICTURE, "--engine", "tract", "--region", "us-east-1"]);
        command
            .args(["--endpoint-url", store.url()])
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b");
        run(&mut command)
    };
    let expected = tags_of(&run(&mut tagfleet(["inspect", "demo/model", PICTURE, "--engine", "tract"])));
    let first = inspect("s3://shop/models/tagger/");
    assert_eq!(tags_of(&first), expected);
    assert!(first.stderr.contains("reading the model from s3://shop/models/tagger/"), "{first:?}");
    let names = files_below(hub.home.path());
    assert_eq!(names.len(), 3, "only what the model needs: {names:?}");
    let again = inspect("s3://shop/models/tagger");
    assert_eq!((tags_of(&again), again.stderr.as_str()), (expected, ""), "it is in the cache");
    let none = inspect("s3://shop/models/weights/");
    assert!(none.stderr.contains("s3://shop/models/weights/: there is no .onnx file"), "{none:?}");
    let file = inspect("s3://shop/models/tagger/model.onnx");
    assert!(file.stderr.contains("is a file: give its folder"), "{file:?}");
}
