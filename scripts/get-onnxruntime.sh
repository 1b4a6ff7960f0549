#!/usr/bin/env bash
# Makes .onnxruntime at the repository root: the ONNX Runtime that programs load as they run.
#
#   scripts/get-onnxruntime.sh        the CPU library out of PyPI's wheel (19 MB to load, 30 MB at most to keep)
#
# Does nothing when .onnxruntime is complete, or when ORT_DYLIB_PATH names a library of your own. Writes nothing outside
# the repository.
set -euo pipefail

# The last without telemetry: from 1.29 on, PyPI's library writes an identity of the machine into the home folder before
# a program can forbid it.
version=1.28.0

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
own=$root/.onnxruntime

say() { echo "onnxruntime: $*" >&2; }
fail() { say "$@"; exit 1; }

# Inside a cargo command ORT_DYLIB_PATH is our own library.
if [ -n "${ORT_DYLIB_PATH:-}" ] && [ "$ORT_DYLIB_PATH" != "$own/lib/libonnxruntime.so" ]; then
  [ -e "$ORT_DYLIB_PATH" ] || fail "ORT_DYLIB_PATH names $ORT_DYLIB_PATH, which is not there"
  exit 0
fi

library=libonnxruntime.so
system=$(uname -s)-$(uname -m)
case $system in
  Linux-x86_64)
    platform=manylinux_2_28_x86_64
    sha256=a166b78ee04f3a37fa1ef82034b6a3ce96d9684e582d4d30b296de83e9998bb5
    ;;
  Linux-aarch64)
    platform=manylinux_2_28_aarch64
    sha256=8d66f9ceb29909c70839e4e4fb3435c7b490050d8f162bd5f3aba4ca01ee517f
    ;;
  Darwin-arm64)
    platform=macosx_14_0_arm64
    sha256=f5c5daabd28aad610f83fdcf32acec8fb57e6adc6c6a39fe2a3c755db957b410
    library=libonnxruntime.dylib
    ;;
  Darwin-x86_64)
    version=1.23.2 # the last that is made for it
    platform=macosx_13_0_x86_64
    sha256=87d8b6eaf0fbeb6835a60a4265fde7a3b60157cf1b2764773ac47237b4d48612
    library=libonnxruntime.dylib
    ;;
  *) fail "ready-made only for Linux and macOS on x86-64 and arm64, not for $system: set ORT_DYLIB_PATH to an ONNX Runtime $version" ;;
esac
[ "$(cat "$own/build-version" 2>/dev/null || true)" != "$version" ] || exit 0

command -v python3 >/dev/null || fail "python3 is missing: install it, or set ORT_DYLIB_PATH to an ONNX Runtime $version"
python3 -m pip --version >/dev/null 2>&1 ||
  fail "pip is missing: install it (python3 -m ensurepip, or your system's python3-pip), or set ORT_DYLIB_PATH to an ONNX Runtime $version"

mkdir -p "$root/target"
work=$(mktemp -d "$root/target/onnxruntime-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp # pip keeps its partial downloads there

say "loading the wheel of onnxruntime $version"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary=:all: \
  --python-version 3.11 --implementation cp --platform "$platform" --dest "$work/wheels" "onnxruntime==$version" ||
  fail "the download failed: see above, or set ORT_DYLIB_PATH to an ONNX Runtime $version"

python3 - "$work" "$sha256" "$library" <<'PY' || fail "set ORT_DYLIB_PATH to an ONNX Runtime $version, or try again"
import hashlib, pathlib, re, shutil, sys, zipfile

work, wanted, library = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
(wheel,) = (work / "wheels").iterdir()
found = hashlib.sha256(wheel.read_bytes()).hexdigest()
if found != wanted:
    sys.exit(f"onnxruntime: {wheel.name} is not the file that it should be: its SHA-256 is {found}, not {wanted}")
places = {
    r"onnxruntime/capi/libonnxruntime\.(so\.[\d.]+|[\d.]+\.dylib)": f"lib/{library}",
    r"onnxruntime/LICENSE": "LICENSE",
    r"onnxruntime/ThirdPartyNotices\.txt": "ThirdPartyNotices.txt",
}
with zipfile.ZipFile(wheel) as archive:
    for member in archive.namelist():
        for pattern, place in places.items():
            if re.fullmatch(pattern, member):
                target = work / "onnxruntime" / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
PY
for file in "lib/$library" LICENSE ThirdPartyNotices.txt; do
  [ -s "$work/onnxruntime/$file" ] || fail "the wheel holds no $file: set ORT_DYLIB_PATH to an ONNX Runtime $version"
done

# The one name that .cargo/config.toml knows on every system.
[ "$library" = libonnxruntime.so ] || ln -s "$library" "$work/onnxruntime/lib/libonnxruntime.so"

rm -rf "$own"
mv "$work/onnxruntime" "$own"
echo "$version" >"$own/build-version" # last: says that all the rest is there
say "ready: $own"
