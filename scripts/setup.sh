#!/usr/bin/env bash
# Installs missing requirements of building and running tagfleet. Prints one line for what it could not install.
# Everything but system packages and cargo's own tools goes into .venv. Doing it again costs a second.
#   scripts/setup.sh          to build and run
#   scripts/setup.sh openvino and OpenVINO, the engine for bf16 and int8
#   scripts/setup.sh gpu      and ONNX Runtime for NVIDIA GPUs with its CUDA libraries (2.2 GB, in .venv-gpu; the driver is yours)
#   scripts/setup.sh emulator and for `make demo-aws`
#   scripts/setup.sh test     and to test
#   scripts/setup.sh check    and for `make check`
#   scripts/setup.sh bench    for `make bench`: OpenVINO, and torch to export the models (4 GB, in .venv-bench)
#   scripts/setup.sh package  to build the Lambda functions
#   scripts/setup.sh wheel    to build the wheel
#   scripts/setup.sh fuzz     for `make fuzz`: a nightly compiler and cargo-fuzz
set -u
cd "$(dirname "$0")/.." || exit
wanted=${1:-run}
NEXTEST=0.9.143
DENY=0.20.2
FUZZ=0.13.2

say() { echo "setup: $*" >&2; }

system_install() {
  if command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq "$@"; } >/dev/null 2>&1 ||
      sudo -n sh -c "apt-get update -qq && apt-get install -y -qq $*" >/dev/null 2>&1
  elif command -v dnf >/dev/null; then
    dnf install -y -q "$@" >/dev/null 2>&1 || sudo -n dnf install -y -q "$@" >/dev/null 2>&1
  elif command -v brew >/dev/null; then
    brew install -q "$@" >/dev/null 2>&1
  else
    return 1
  fi
}

# libjpeg-turbo is built from source: cmake builds it, nasm assembles its SIMD code, and rav1d's, on x86-64.
build_tool() {
  PATH="$PWD/.venv/bin:$PATH" command -v "$1" >/dev/null && return
  system_install "$1" && return
  [ "$1" = cmake ] && wheels .venv cmake scripts/cmake.txt && return
  say "could not install $1: install it with your system's package manager, then run this again"
  failed=1
}

cargo_tool() {
  "cargo" "$1" --version >/dev/null 2>&1 && return
  say "installing cargo-$1 (some minutes, once)"
  cargo install --quiet --locked "cargo-$1@$2" && return
  say "could not install cargo-$1: run 'cargo install --locked cargo-$1@$2', then this again"
  failed=1
}

# The linters of the state machine and the workflows come from npm.
asl_validator() {
  command -v npm >/dev/null || system_install npm || return 1
  local stamp=infra/lint/node_modules/.installed
  cmp -s infra/lint/package-lock.json "$stamp" && return 0
  npm ci --prefix infra/lint --no-audit --no-fund --silent && cp infra/lint/package-lock.json "$stamp"
}

# A browser, and the packages that control it and check pages. Without them one test is skipped with a message.
browser() {
  local stamp=tests/browser/node_modules/.installed name
  command -v npm >/dev/null || system_install npm || return 1
  cmp -s tests/browser/package-lock.json "$stamp" ||
    { npm ci --prefix tests/browser --no-audit --no-fund --silent && cp tests/browser/package-lock.json "$stamp"; } || return 1
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && return 0
  done
  [ -d "/Applications/Google Chrome.app" ] || system_install chromium
}

# An environment of its own for the emulator and for the linters, whose versions others cannot share.
wheels() {
  local stamp="$1/.installed-$2"
  cmp -s "$3" "$stamp" && return 0
  [ -x "$1/bin/pip" ] || python3 -m venv "$1" || return 1
  "$1/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$3" && cp "$3" "$stamp"
}

failed=0
if ! command -v cargo >/dev/null; then
  say "no cargo: install Rust with rustup, then run this again"
  exit 1
fi
if [ ! -x .venv/bin/pip ]; then
  python3 -m venv .venv 2>/dev/null || { system_install python3-venv && python3 -m venv .venv; } ||
    say "could not make a Python environment: install python3 with venv, then run this again"
fi
build_tool cmake
case $(uname -m) in x86_64 | amd64) build_tool nasm ;; esac
wheels .venv engine requirements.txt || {
  [ "$wanted" = run ] || failed=1
  say "could not install ONNX Runtime ('pip install onnxruntime' does it): tagfleet will use tract, which is several times slower"
}
case $wanted in openvino | test | check | bench)
  wheels .venv openvino scripts/openvino.txt || {
    say "could not install OpenVINO ('pip install openvino' does it)"
    failed=1
  }
  ;;
esac
if [ "$wanted" = gpu ]; then
  wheels .venv-gpu gpu batch-worker/gpu.txt || {
    say "could not install ONNX Runtime for GPUs ('pip install onnxruntime-gpu[cuda,cudnn]' does it)"
    failed=1
  }
elif [ "$wanted" = bench ]; then
  [ -x .venv-bench/bin/pip ] || say "installing torch for the benchmark's models (some minutes, once)"
  wheels .venv-bench models bench/requirements.txt || {
    say "could not install torch, which exports the models of the benchmark: Python 3.11 or later and 4 GB of disk are needed"
    failed=1
  }
elif [ "$wanted" = package ]; then
  wheels .venv package scripts/package.txt || {
    say "could not install cargo-lambda ('pip install cargo-lambda' does it)"
    failed=1
  }
elif [ "$wanted" = wheel ]; then
  # zig, which links for older C libraries, comes with cargo-lambda.
  if ! wheels .venv maturin scripts/maturin.txt || ! wheels .venv package scripts/package.txt; then
    say "could not install maturin and zig, which build the wheel: Python 3.11 or later is needed"
    failed=1
  fi
elif [ "$wanted" = fuzz ]; then
  cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal || {
    say "could not install a nightly compiler: install Rust with rustup, then run this again"
    failed=1
  }
  cargo_tool fuzz "$FUZZ"
elif [ "$wanted" != run ] && [ "$wanted" != openvino ]; then
  wheels .venv-emulator emulator tests/emulator/requirements.txt || {
    say "could not install the AWS emulator: Python 3.11 or later is needed"
    failed=1
  }
fi
if [ "$wanted" = test ] || [ "$wanted" = check ]; then
  cargo_tool nextest "$NEXTEST"
  wheels .venv readers tests/requirements.txt || {
    say "could not install DuckDB, pandas and datasets for the tests: Python 3.11 or later is needed"
    failed=1
  }
  wheels .venv maturin scripts/maturin.txt || {
    say "could not install maturin, which gives a test the wheel's metadata: Python 3.11 or later is needed"
    failed=1
  }
  wheels .venv transformers tests/transformers.txt || {
    say "could not install transformers, whose image processors a test compares with: Python 3.11 or later is needed"
    failed=1
  }
fi
if [ "$wanted" = test ] || [ "$wanted" = check ]; then
  browser || say "could not install Chromium and what drives it (Node.js with npm): nobody will look at the report"
fi
if [ "$wanted" = check ]; then
  cargo_tool deny "$DENY"
  wheels .venv-lint lint scripts/lint.txt || {
    say "could not install the linters of infra/: Python 3.11 or later is needed"
    failed=1
  }
  asl_validator || {
    say "could not install the linters of the state machine and the workflows: install Node.js with npm, then run this again"
    failed=1
  }
fi
exit "$failed"
