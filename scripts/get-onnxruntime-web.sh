#!/usr/bin/env bash
# Puts ONNX Runtime Web beside the page of an exported folder, which then captions in any browser:
#
#   scripts/get-onnxruntime-web.sh FOLDER              out of npm's package (31 MB to load, 14 MB to keep)
#   scripts/get-onnxruntime-web.sh FOLDER PACKAGE.tgz  the same package, loaded by hand
#
# Writes FOLDER/ort alone, and does nothing where that is complete. The files come as they were published and are used so;
# nothing is installed or run.
set -euo pipefail

# The last before 1.29, from which on ONNX Runtime's packages hold telemetry; this one has none.
version=1.27.0
sha512=a200cbb2a228cc767089f3ee377ecea6ba00a346f25fab78dff6cff06cde6560560fa30e184c6cc05031deea78352fefbd604e836bb63d7a260eddeb3267504a

say() { echo "onnxruntime-web: $*" >&2; }
fail() { say "$@"; exit 1; }

[ $# = 1 ] || [ $# = 2 ] || fail "usage: $0 FOLDER [PACKAGE.tgz]"
folder=$1
[ -d "$folder" ] || fail "$folder is no folder: name the one that export --onnx wrote"
folder=$(cd "$folder" && pwd)
[ "$(cat "$folder/ort/build-version" 2>/dev/null || true)" != "$version" ] || exit 0

work=$(mktemp -d "$folder/ort-XXXXXX")
trap 'rm -rf "$work"' EXIT

package=${2:-}
if [ -z "$package" ]; then
  command -v npm >/dev/null ||
    fail "npm is missing: install it (it comes with Node.js), or name the package of onnxruntime-web $version as the second argument"
  say "loading the package of onnxruntime-web $version"
  # A cache of its own: what is kept elsewhere is not needed again.
  (cd "$work" && npm pack --loglevel error --cache "$work/cache" "onnxruntime-web@$version" >/dev/null) ||
    fail "the download failed: see above, or name the package as the second argument"
  package=$work/onnxruntime-web-$version.tgz
fi
found=$(python3 -c 'import hashlib, sys; print(hashlib.sha512(open(sys.argv[1], "rb").read()).hexdigest())' "$package") ||
  fail "$package cannot be read"
[ "$found" = "$sha512" ] || fail "$package is not the file that it should be: its SHA-512 is $found, not $sha512"

mkdir "$work/ort"
tar -xzf "$package" -C "$work/ort" --strip-components 2 \
  package/dist/ort.wasm.min.mjs package/dist/ort-wasm-simd-threaded.mjs package/dist/ort-wasm-simd-threaded.wasm ||
  fail "$package does not hold the files that the page loads"
# The package names its licence without its text.
cat >"$work/ort/LICENSE" <<'END'
MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
END
rm -rf "$folder/ort"
mv "$work/ort" "$folder/ort"
echo "$version" >"$folder/ort/build-version" # last: says that all the rest is there
say "ready: $folder/ort"
