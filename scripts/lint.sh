#!/usr/bin/env bash
# Lints what no compiler checks: the templates, the state machine, the Dockerfile, the scripts. Needs no network.
# `scripts/setup.sh check` installs what it calls.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.venv-lint/bin
"$tools/cfn-lint" --non-zero-exit-code warning infra/template.yaml infra/artifacts.yaml
"$tools/checkov" --framework cloudformation --file infra/template.yaml infra/artifacts.yaml \
  --compact --quiet --skip-download
infra/lint/node_modules/.bin/asl-validator --json-path infra/state-machine.asl.json
"$tools/hadolint" --failure-threshold info batch-worker/Dockerfile
"$tools/shellcheck" scripts/*.sh tests/emulator/*.sh tests/suite/deploy/*.sh
