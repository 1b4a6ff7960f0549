#!/usr/bin/env bash
# Makes .libtorch at the repository root: the libtorch that .cargo/config.toml builds and runs with.
#
#   scripts/get-libtorch.sh                          CPU libtorch out of PyPI's wheels (530 MB to load, 400 MB to keep)
#   LIBTORCH=/opt/libtorch scripts/get-libtorch.sh   a link to your own libtorch
#   LIBTORCH_USE_PYTORCH=1 scripts/get-libtorch.sh   a link to the PyTorch of your Python, for CUDA
#
# Does nothing when .libtorch is complete; remove it to choose anew. Writes nothing outside the repository.
set -euo pipefail

torch=2.11.0 # what tch 0.24 is made for
# The wheel is a CUDA 13 build. Its CPU library wants these two small libraries of CUDA, and nothing else of it.
cuda_runtime=13.0.96
cuda_cupti=13.0.85

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
libtorch=$root/.libtorch

say() { echo "libtorch: $*" >&2; }
fail() { say "$@"; exit 1; }

usable() { [ -d "$1/include/torch" ] && [ -e "$1/lib/libtorch_cpu.so" ] && [ -e "$1/lib/libtorch.so" ]; }

# Points .libtorch at an installation of the user's, so that the run path in .cargo/config.toml finds it.
link_to() {
  [ "$(readlink "$libtorch" || true)" != "$1" ] || exit 0
  usable "$1" || fail "$1 is no libtorch: it needs include/torch, lib/libtorch.so and lib/libtorch_cpu.so"
  [ -L "$libtorch" ] || rm -rf "$libtorch"
  ln -sfn "$1" "$libtorch"
  say "using $1; if you have built with another before: cargo clean -p torch-sys"
  exit 0
}

if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
  python=python3
  [ -z "${VIRTUAL_ENV:-}" ] || python=python # as torch-sys chooses it
  own=$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))') ||
    fail "LIBTORCH_USE_PYTORCH is set, but $python cannot import torch: pip install torch==$torch"
  link_to "$own"
fi
# Inside a cargo command LIBTORCH is .libtorch itself.
if [ -n "${LIBTORCH:-}" ] && [ "$(realpath -m "$LIBTORCH")" != "$(realpath -m "$libtorch")" ]; then
  link_to "$(realpath -m "$LIBTORCH")"
fi
if [ -L "$libtorch" ] && usable "$libtorch"; then
  say "using $(readlink -f "$libtorch"); remove .libtorch to load the CPU one"
  exit 0
fi
[ "$(cat "$libtorch/build-version" 2>/dev/null || true)" != "$torch" ] || exit 0

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  fail "ready-made only for Linux on x86_64. Here: pip install torch==$torch, then set LIBTORCH_USE_PYTORCH=1, or set LIBTORCH"
command -v python3 >/dev/null || fail "python3 is missing: install it, or set LIBTORCH to a libtorch $torch"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: install it (python3 -m ensurepip, or your system's python3-pip)"

mkdir -p "$root/target"
work=$(mktemp -d "$root/target/libtorch-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp # pip keeps its partial downloads there

say "loading the wheels of torch $torch"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary=:all: \
  --python-version 3.11 --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
  --platform manylinux2014_x86_64 --dest "$work/wheels" \
  "torch==$torch" "nvidia-cuda-runtime==$cuda_runtime" "nvidia-cuda-cupti==$cuda_cupti" ||
  fail "the download failed: see above, or set LIBTORCH to a libtorch $torch"

say "unpacking"
python3 - "$work" <<'PY'
import pathlib, re, shutil, sys, zipfile

work = pathlib.Path(sys.argv[1])
wanted = re.compile(
    r"torch/(include/.+|lib/(?:libtorch_cpu\.so|libc10\.so|libgomp\.so\.1))"
    r"|nvidia/cu13/(lib/(?:libcudart|libcupti)\.so\.13)"
)
for wheel in (work / "wheels").iterdir():
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            match = wanted.fullmatch(member)
            if match is None or member.endswith("/"):
                continue
            target = work / "libtorch" / (match[1] or match[2])
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    wheel.unlink()
PY
lib=$work/libtorch/lib
for file in libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13; do
  [ -s "$lib/$file" ] || fail "the wheels hold no $file: were they built otherwise? Set LIBTORCH to a libtorch $torch"
done
ln -s libtorch_cpu.so "$lib/libtorch.so" # torch-sys links -ltorch
if command -v strip >/dev/null; then
  strip --strip-unneeded "$lib/libtorch_cpu.so" "$lib/libc10.so"
else
  say "strip (binutils) is missing: .libtorch stays 90 MB larger than it need be"
fi

rm -rf "$libtorch"
mv "$work/libtorch" "$libtorch"
echo "$torch" >"$libtorch/build-version" # last: says that all the rest is there
say "ready: $libtorch"
