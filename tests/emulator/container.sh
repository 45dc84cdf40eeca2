#!/usr/bin/env bash
# Runs the worker's image as AWS Batch does: a read-only root, a uid of nobody's, no capabilities, a noexec /tmp of 2 GiB.
#   IMAGE_ROOT=FOLDER container.sh [argument...]
# FOLDER is the image's unpacked root. The environment is this process's own, as AWS Batch would set the job's; the network
# is this machine's, so that the emulator on the loopback is reached. Needs root on Linux. It never changes the image.
set -euo pipefail

fail() { echo "container: $*" >&2; exit 1; }

[ -x "${IMAGE_ROOT:-}/usr/local/bin/batch-worker" ] || fail "IMAGE_ROOT=${IMAGE_ROOT:-} holds no worker: give the unpacked image"
if [ "${1:-}" != --within ]; then
  # Namespaces of its own, which end with this process.
  exec unshare --mount --pid --fork --kill-child --ipc --uts "$0" --within "$@"
fi
shift
mount --bind "$IMAGE_ROOT" "$IMAGE_ROOT"
mount -t proc proc "$IMAGE_ROOT/proc"
mount -t tmpfs -o rw,nosuid,nodev,noexec,size=2048m,mode=1777 tmpfs "$IMAGE_ROOT/tmp"
mount -t tmpfs -o nosuid,mode=755 tmpfs "$IMAGE_ROOT/dev"
for device in null zero random urandom; do
  touch "$IMAGE_ROOT/dev/$device"
  mount --bind "/dev/$device" "$IMAGE_ROOT/dev/$device"
done
mount -o remount,bind,ro "$IMAGE_ROOT"
# As the template and the Dockerfile say: Docker gives a uid that /etc/passwd does not have the group 0.
export LD_LIBRARY_PATH=/opt/onnxruntime/lib:/opt/openvino/lib
exec chroot "$IMAGE_ROOT" /usr/bin/setpriv --reuid 65532 --regid 0 --clear-groups --bounding-set=-all --inh-caps=-all \
  --no-new-privs /usr/local/bin/batch-worker "$@"
