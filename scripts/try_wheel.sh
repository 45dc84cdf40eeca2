#!/usr/bin/env bash
# Installs the wheel of target/wheels into an empty environment, with its dependencies from PyPI, and tags the demo's
# pictures, as a new user would: no environment is activated. Prints the seconds that it took.
set -euo pipefail

fail() { echo "try_wheel: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
wheels=(target/wheels/tagfleet-*.whl)
[ -f "${wheels[0]}" ] && [ ${#wheels[@]} = 1 ] || fail "target/wheels must hold one wheel: remove all, then run 'make wheel'"
folder=$(mktemp -d) || fail "could not create a folder"
trap 'rm -rf "$folder"' EXIT
unset VIRTUAL_ENV CONDA_PREFIX ORT_DYLIB_PATH
python3 -m venv "$folder/env" || fail "could not create a Python environment"
started=$SECONDS
"$folder/env/bin/pip" install -q --disable-pip-version-check "${wheels[0]}" || fail "could not install ${wheels[0]}"
"$folder/env/bin/tagfleet" run demo/photos --model demo/model --out "$folder/tags" || fail "the run failed"
echo "try_wheel: from pip install to rows in $((SECONDS - started)) s"
"$folder/env/bin/tagfleet" --version
