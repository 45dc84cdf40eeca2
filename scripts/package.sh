#!/usr/bin/env bash
# Builds the Lambda functions for arm64: target/package/splitter.zip and target/package/reducer.zip.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh package
export PATH="$PWD/.venv/bin:$PATH"
# The target's standard library: rustup has it, a distribution's own Rust has it in a package of its own.
if command -v rustup >/dev/null; then
  rustup target add --toolchain "$(rustup show active-toolchain | cut -d' ' -f1)" aarch64-unknown-linux-gnu
fi
cargo lambda build --release --locked --arm64 --output-format zip --bin splitter --bin reducer
mkdir -p target/package
for function in splitter reducer; do
  cp "target/lambda/$function/bootstrap.zip" "target/package/$function.zip"
done
ls -l target/package/*.zip
