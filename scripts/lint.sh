#!/usr/bin/env bash
# Lints what no compiler checks: the templates, the state machine, the workflows, the Dockerfile, the scripts. Needs no network.
# `scripts/setup.sh check` installs what it calls.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.venv-lint/bin
"$tools/cfn-lint" --non-zero-exit-code warning infra/template.yaml infra/artifacts.yaml
"$tools/checkov" --framework cloudformation --file infra/template.yaml infra/artifacts.yaml \
  --compact --quiet --skip-download
"$tools/checkov" --framework terraform --directory infra/terraform --compact --quiet --skip-download
# The validator knows the ARNs of one partition.
mkdir -p target
# shellcheck disable=SC2016
sed 's/\${Partition}/aws/g' infra/state-machine.asl.json >target/state-machine.asl.json
infra/lint/node_modules/.bin/asl-validator --json-path target/state-machine.asl.json
node infra/lint/workflows.mjs .github/workflows
"$tools/hadolint" --failure-threshold info batch-worker/Dockerfile
"$tools/shellcheck" scripts/*.sh tests/emulator/*.sh tests/suite/deploy/*.sh
