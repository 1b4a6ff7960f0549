#!/usr/bin/env bash
# Runs a program on a config, on the built-in demo's if none is named.
#
#   scripts/with-config.sh PROGRAM [COMMAND…] -- [CONFIG] [ARGUMENT]…
set -euo pipefail

command=()
while [ "$1" != -- ]; do
    command+=("$1")
    shift
done
shift
config=configs/demo.toml
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    config=$1
    shift
fi
exec "${command[@]}" --config "$config" "$@"
