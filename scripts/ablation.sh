#!/usr/bin/env bash
# Trains and evaluates the decoders of a config on the same features, and prints them in one table.
#
#   scripts/ablation.sh [CONFIG] [--seeds 1,2,3] [--split val] [--set SECTION.KEY=VALUE]…
#
# With --seeds every decoder is trained once per seed. The seeds share dataset, text, tuned backbones and features, so that
# nothing but the training differs: the run of seed 2 is the folder <run>-seed2, where these are links.
set -euo pipefail

bin="${BIN:-$(dirname "$0")/../target/release}"
config=configs/demo.toml
if [ $# -gt 0 ] && [[ $1 != -* ]]; then config=$1 && shift; fi
seeds="" settings=() split=val
while [ $# -gt 0 ]; do
    case "$1" in
        --seeds) seeds="${2:?--seeds needs numbers, such as 1,2,3}" && shift 2 ;;
        --split) split="${2:?--split needs train, val or test}" && shift 2 ;;
        --set) settings+=(--set "${2:?--set needs SECTION.KEY=VALUE}") && shift 2 ;;
        *) echo "ablation: unknown argument $1" >&2 && exit 2 ;;
    esac
done
if [ -n "$seeds" ] && ! [[ "$seeds" =~ ^[0-9]+(,[0-9]+)*$ ]]; then
    echo "ablation: --seeds needs numbers, such as 1,2,3, not $seeds" >&2
    exit 2
fi

stage() { "$bin/$1" --config "$config" --set evaluate.split="$split" "${settings[@]}" "${@:2}"; }
for name in dataset text train evaluate; do stage "$name" --check; done
for name in tune preprocess; do "$bin/$name" weights --config "$config" "${settings[@]}" > /dev/null; done
for name in dataset text tune preprocess; do stage "$name"; done
run=$("$bin/artifacts" status --config "$config" "${settings[@]}" | sed -n 's#^\(.*\)/dataset .*#\1#p')

runs=()
# The tables of single runs go to stderr: stdout is for the one of all.
if [ -z "$seeds" ]; then
    stage train
    stage evaluate >&2
    runs=("$run")
fi
for seed in ${seeds//,/ }; do
    name=$(basename "$run")-seed$seed
    mkdir -p "$run-seed$seed"
    for shared in dataset features text tune; do ln -sfn "../$(basename "$run")/$shared" "$run-seed$seed/$shared"; done
    stage train --set run.name="$name" --set run.seed="$seed"
    stage evaluate --set run.name="$name" --set run.seed="$seed" >&2
    runs+=("$run-seed$seed")
done
"$bin/evaluate" compare --split "$split" "${runs[@]}"
