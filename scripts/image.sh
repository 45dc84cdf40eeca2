#!/usr/bin/env bash
# Builds the worker's images on a Debian machine that reaches no container registry, and runs the CPU image as AWS Batch
# would, against the emulator. Needs root, and Debian's packages buildah and mmdebstrap. Takes half an hour and 16 GB.
#   scripts/image.sh bases       the images that the Dockerfile starts from: Debian bookworm from its packages, with this
#                                machine's Rust, and with Debian's Python 3.11, under the names that the Dockerfile uses
#   scripts/image.sh build cpu   an image of the Dockerfile, from its build context: cpu, gpu or cli
#   scripts/image.sh demo        `make demo-aws` with the worker of the CPU image: a read-only root, uid 65532, a noexec /tmp
#   scripts/image.sh clean       removes all of it
# What it builds is not what `make deploy` pushes: those images start from the registry's. The Dockerfile and all that it
# does are the same. `make image` does all but the last.
set -euo pipefail

fail() { echo "image: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
store=$PWD/target/image
export TMPDIR=$store/tmp
mkdir -p "$TMPDIR" || fail "could not create $TMPDIR"
debian=docker.io/library/debian:bookworm-slim
rust=docker.io/library/$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' batch-worker/Dockerfile)
python=docker.io/library/$(sed -n 's/^FROM \(python:[^ ]*\).*/\1/p' batch-worker/Dockerfile | head -1)

b() { buildah --root "$store/storage" --runroot "$store/run" --storage-driver overlay "$@"; }

within() { b run --isolation chroot "$1" -- sh -ec "$2"; }

packages() { within "$1" "apt-get update && apt-get install -y --no-install-recommends $2 && rm -rf /var/lib/apt/lists/*"; }

commit() { b commit --format docker --rm "$1" "$2" && echo "image: $2"; }

# With this machine's package sources and certificates, which a network may demand.
debian_base() {
  local container
  mmdebstrap --variant=minbase --include=ca-certificates bookworm "$TMPDIR/base.tar" || return
  container=$(b from scratch) && b add "$container" "$TMPDIR/base.tar" / && rm "$TMPDIR/base.tar" || return
  b copy "$container" /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ || return
  b copy "$container" /usr/local/share/ca-certificates /usr/local/share/ca-certificates || return
  within "$container" "rm -f /etc/apt/sources.list && update-ca-certificates" || return
  commit "$container" "$debian"
}

rust_base() {
  local container toolchain
  toolchain=$(rustc --print sysroot) && container=$(b from --pull-never "$debian") || return
  packages "$container" "gcc g++ libc6-dev make pkg-config git" || return
  b copy "$container" "$toolchain/bin" /usr/local/cargo/bin && b copy "$container" "$toolchain/lib" /usr/local/cargo/lib || return
  b config --env PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/bin:/bin --env CARGO_HOME=/usr/local/cargo "$container" || return
  commit "$container" "$rust"
}

python_base() {
  local container
  container=$(b from --pull-never "$debian") || return
  packages "$container" "python3 python3-pip" || return
  within "$container" "rm -f /usr/lib/python3*/EXTERNALLY-MANAGED" || return
  b config --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$container" || return
  commit "$container" "$python"
}

build() {
  b bud --layers --isolation chroot --pull-never --ignorefile batch-worker/Dockerfile.dockerignore \
    --file batch-worker/Dockerfile --target "$1" --build-arg TARGETARCH=amd64 --tag "tagfleet:$1" .
}

demo() {
  local container root
  container=$(b from --pull-never tagfleet:cpu) && root=$(b mount "$container") || return
  IMAGE_ROOT=$root make demo-aws || return
  b rm "$container"
}

for tool in buildah mmdebstrap; do
  command -v "$tool" >/dev/null || fail "$tool is missing: run 'apt-get install buildah mmdebstrap', then this again"
done
case ${1:-} in
bases)
  debian_base || fail "could not make $debian"
  rust_base || fail "could not make $rust"
  python_base || fail "could not make $python"
  ;;
build) build "${2:-cpu}" || fail "could not build the ${2:-cpu} image" ;;
demo) demo || fail "the demo failed with the image's worker" ;;
clean)
  b rm --all || fail "could not remove the containers"
  b rmi --all --force || fail "could not remove the images"
  rm -rf "$store"
  ;;
*) fail "give bases, build, demo or clean; the script's first lines say what they do" ;;
esac
