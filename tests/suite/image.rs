//! The worker images, checked without building them: the files of the build context, and the CUDA version
//! that the hosts can run.
//!
//! The context is laid out as `Dockerfile.dockerignore` defines it. No image is built and nothing is
//! downloaded.

mod context;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tagfleet_tests::photos::files;
use tagfleet_tests::project;

use context::Context;

const WORKER: &str = "tagfleet-batch-worker";

fn read(path: &str) -> String {
    fs::read_to_string(project(path)).unwrap()
}

/// The output of `cargo metadata` for the workspace in the context, with these arguments.
fn metadata(context: &Context, arguments: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--offline", "--format-version", "1"]).args(arguments);
    let ran = command.current_dir(context.root()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn package<'a>(workspace: &'a Value, name: &str) -> &'a Value {
    let packages = workspace["packages"].as_array().unwrap();
    packages.iter().find(|package| package["name"] == name).unwrap()
}

/// The package of the worker, and the packages of the workspace that it depends on.
fn built_from(workspace: &Value) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![WORKER.to_owned()]);
    while let Some(name) = open.pop() {
        let dependencies = package(workspace, &name)["dependencies"].as_array().unwrap();
        let needed = dependencies.iter().filter(|it| it["path"].is_string() && it["kind"] != "dev");
        open.extend(
            needed.map(|it| it["name"].as_str().unwrap().to_owned()).filter(|it| !found.contains(it)),
        );
        found.insert(name);
    }
    found
}

/// The files that a source file includes in a release build.
fn included(source: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(source).unwrap();
    let released = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let includes = ["include_str!(\"", "include_bytes!(\"", "include!(\"", "#[path = \""];
    let texts = includes.iter().flat_map(|include| released.split(include).skip(1));
    texts.map(|rest| source.with_file_name(rest.split('"').next().unwrap())).collect()
}

fn is_test(source: &Path) -> bool {
    ["/tests/", "/tests.rs", "/samples.rs"].iter().any(|part| source.to_str().unwrap().contains(part))
}

#[test]
fn the_workspace_is_complete_in_the_context() {
    let context = Context::lay_out();
    let workspace = metadata(&context, &["--no-deps"]);
    let targets = package(&workspace, WORKER)["targets"].as_array().unwrap();
    assert!(targets.iter().any(|target| target["name"] == "batch-worker"), "{targets:?}");
    let built_from = built_from(&workspace);
    assert!(
        built_from.contains("tagfleet-model") && !built_from.contains("tagfleet-bench"),
        "{built_from:?}"
    );
    for name in built_from {
        for target in package(&workspace, &name)["targets"].as_array().unwrap() {
            let source = Path::new(target["src_path"].as_str().unwrap());
            assert!(source.exists(), "{} is not in the build's context", source.display());
        }
    }
}

#[test]
fn files_that_the_workers_sources_include_are_in_the_context() {
    let context = Context::lay_out();
    let workspace = metadata(&context, &["--no-deps"]);
    let mut seen = 0;
    for name in built_from(&workspace) {
        let manifest = Path::new(package(&workspace, &name)["manifest_path"].as_str().unwrap());
        let sources = files(&manifest.with_file_name("src"));
        for source in sources.iter().filter(|it| it.extension().is_some_and(|it| it == "rs") && !is_test(it))
        {
            for include in included(source) {
                assert!(include.exists(), "{} includes {}", source.display(), include.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "the price book, the page's style and the processors' table: {seen}");
}

#[test]
fn files_that_the_dockerfile_copies_are_in_the_context() {
    let context = Context::lay_out();
    let dockerfile = read("batch-worker/Dockerfile");
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut seen = 0;
    for copy in copies.filter(|copy| !copy.starts_with("--from=")) {
        let words: Vec<_> = copy.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(context.root().join(source).exists(), "COPY {copy}");
            seen += 1;
        }
    }
    assert!(seen >= 4, "the workspace and three lists of wheels: {seen}");
}

#[test]
fn the_context_has_no_built_files() {
    let context = Context::lay_out();
    let names = ["target", "node_modules", ".git", ".venv", "__pycache__"];
    let of_context = files(context.root());
    let built =
        |file: &&PathBuf| file.components().any(|part| names.iter().any(|name| part.as_os_str() == *name));
    assert_eq!(of_context.iter().find(built), None);
    let bytes: u64 = of_context.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < 32 << 20, "{bytes} bytes are sent to each build");
}

#[test]
fn the_image_is_built_by_the_compiler_of_the_workspace() {
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert!(read("batch-worker/Dockerfile").contains(&format!("FROM rust:{channel}-bookworm AS build")));
}

/// The requirement of NVIDIA's package `cuda-toolkit` 13.0.2: CUDA 13.0, update 2. The AMI of the GPU hosts
/// (ECS_AL2023_NVIDIA) has driver 580.159.03 (`NVIDIA_DRIVER_VERSION` in github.com/aws/amazon-ecs-ami). R580
/// is the driver of CUDA 13.0 (docs.nvidia.com/cuda/archive/13.0.0/cuda-toolkit-release-notes). A driver runs
/// machine code of its whole CUDA major version, but compiles PTX only up to its own CUDA version
/// (docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
const CUDA_13_0: [(&str, &str); 5] = [
    ("nvidia-cublas", "13.1.0.3"),
    ("nvidia-cuda-nvrtc", "13.0.88"),
    ("nvidia-cuda-runtime", "13.0.96"),
    ("nvidia-curand", "10.4.0.35"),
    ("nvidia-nvjitlink", "13.0.88"),
];

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap()).collect()
}

/// The wheels of the GPU image that are too new for a driver of CUDA 13.0.
fn too_new(list: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in list.lines().filter(|line| line.starts_with("nvidia-")) {
        let (name, version) = line.split_whitespace().next().unwrap().split_once("==").unwrap();
        let known = CUDA_13_0.iter().find(|(known, _)| *known == name);
        let is_fit = match known {
            Some((_, newest)) => numbers(version) <= numbers(newest),
            // cuDNN 9 for CUDA 13 supports every CUDA 13 on R580 (its support matrix).
            None => name == "nvidia-cudnn-cu13",
        };
        if !is_fit {
            wrong.push(format!("{name} {version}"));
        }
    }
    wrong
}

#[test]
fn the_gpu_image_has_no_newer_cuda_than_its_machines_driver() {
    let list = read("batch-worker/gpu.txt");
    assert_eq!(too_new(&list), Vec::<String>::new());
    for (name, _) in CUDA_13_0 {
        assert!(list.contains(&format!("\n{name}==")), "{name} is not pinned");
    }
    let newer = "nvidia-cuda-nvrtc==13.5.37 \\\nnvidia-cublas==13.10.0.20 \\\nnvidia-cufft==12.0.0.61";
    assert_eq!(
        too_new(newer),
        ["nvidia-cuda-nvrtc 13.5.37", "nvidia-cublas 13.10.0.20", "nvidia-cufft 12.0.0.61"]
    );
    // The driver comes with the AMI.
    let template = read("infra/template.yaml");
    let types: BTreeSet<_> =
        template.lines().filter_map(|line| line.trim().strip_prefix("- ImageType: ")).collect();
    assert_eq!(
        types.into_iter().filter(|it| it.contains("NVIDIA")).collect::<Vec<_>>(),
        ["ECS_AL2023_NVIDIA"]
    );
}
