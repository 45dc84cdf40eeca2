#!/usr/bin/env bash
# Builds the Lambda functions for arm64: target/package/splitter.zip and target/package/reducer.zip.
set -euo pipefail

fail() { echo "package: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
scripts/setup.sh package || fail "could not install what builds the functions"
export PATH="$PWD/.venv/bin:$PATH"
# The target's standard library: rustup has it, a distribution's own Rust has it in a package of its own.
if command -v rustup >/dev/null; then
  toolchain=$(rustup show active-toolchain) || fail "rustup does not say which toolchain is used here"
  rustup target add --toolchain "${toolchain%% *}" aarch64-unknown-linux-gnu ||
    fail "could not install Rust's standard library for aarch64-unknown-linux-gnu"
fi
cargo lambda build --release --locked --arm64 --output-format zip --bin splitter --bin reducer ||
  fail "could not build the functions for arm64"
mkdir -p target/package || fail "could not create the folder target/package"
for function in splitter reducer; do
  cp "target/lambda/$function/bootstrap.zip" "target/package/$function.zip" ||
    fail "could not copy the function $function into target/package"
done
ls -l target/package/*.zip
