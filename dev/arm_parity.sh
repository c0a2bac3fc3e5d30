#!/usr/bin/env bash
# Run exported files on ARM, emulated: their results beside those of this machine.
#
#   dev/arm_parity.sh IMAGE exported/model.onnx exported/model.tflite exported/model.ncnn.param
#
# An aarch64 Python of Debian and the wheels of the runtimes run in QEMU as a Cortex-A76
# (Debian: apt-get install qemu-user-static). Numbers only: an emulator has no timings.
# PYTHON is a Python with the same runtimes, for the results of this machine.
set -euo pipefail

IMAGE=$(realpath "$1")
shift
ROOT=${ARM_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/mmghost-arm}
PYTHON=${PYTHON:-python}
TOOL=$(realpath "$(dirname "$0")/../tools/deployment/run_model.py")
DEBS='libc6 libgcc-s1 libstdc++6 libgomp1 zlib1g libbz2-1.0 liblzma5 libffi8 libssl3
  libexpat1 libuuid1 libcrypt1 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib'
WHEELS='numpy opencv-python-headless pillow onnxruntime ai-edge-litert ncnn'

# A private apt, so that this machine gets no foreign architecture.
arm_apt() {
  apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
    -o Dir::State="$ROOT/apt" -o Dir::State::status="$ROOT/apt/status" \
    -o Dir::Cache="$ROOT/apt" -o APT::Sandbox::User=root "$@"
}

if [ ! -e "$ROOT/ready" ]; then
  mkdir -p "$ROOT/apt/lists/partial" "$ROOT/apt/archives/partial" "$ROOT/debs" "$ROOT/wheels"
  touch "$ROOT/apt/status"
  arm_apt update
  (cd "$ROOT/debs" && arm_apt download $DEBS)
  for deb in "$ROOT"/debs/*.deb; do dpkg -x "$deb" "$ROOT/system"; done
  "$PYTHON" -m pip install -q --target "$ROOT/wheels" --python-version 3.11 \
    -c "$(dirname "$TOOL")/../../requirements/onedl.txt" --only-binary=:all: --implementation cp --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 --platform linux_aarch64 $WHEELS
  # XNNPACK and ONNX Runtime read it, and crash on that of x86.
  mkdir -p "$ROOT/system/proc"
  for i in 0 1; do
    printf '%s\n' "processor : $i" 'Features : fp asimd aes atomics fphp asimdhp asimddp' \
      'CPU implementer : 0x41' 'CPU architecture: 8' 'CPU part : 0xd0b' ''
  done >"$ROOT/system/proc/cpuinfo"
  touch "$ROOT/ready"
fi

arm_python() {
  PYTHONPATH="$ROOT/wheels" PYTHONHOME="$ROOT/system/usr" qemu-aarch64-static \
    -cpu cortex-a76 -L "$ROOT/system" "$ROOT/system/usr/bin/python3.11" "$@"
}

for file in "$@"; do
  "$PYTHON" "$TOOL" "$file" "$IMAGE" --threads 1 --json "$ROOT/here.json" >/dev/null
  arm_python "$TOOL" "$file" "$IMAGE" --threads 1 --json "$ROOT/arm.json" >/dev/null
  "$PYTHON" - "$file" "$ROOT/here.json" "$ROOT/arm.json" <<'END'
import json
import sys

import numpy as np

name, *paths = sys.argv[1:]
here, arm = (next(iter(json.load(open(path)).values())) for path in paths)
for key in ('scores', 'boxes', 'pixels'):
    if key in here:
        ours, theirs = (np.array(found[key], float) for found in (here, arm))
        same = ours.shape == theirs.shape and here['labels'] == arm['labels']
        worst = f'{np.abs(ours - theirs).max(initial=0):.1e}' if same else 'other labels'
        print(f'{name}: {key} of {len(ours)} differ by {worst}')
END
done
