#!/usr/bin/env bash
# Measurements beside peers, in one run each. Python is $CAPTIONING_PYTHON or python3; a script names what it imports.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${CAPTIONING_PYTHON:-python3}"
what="${1:-}"
[ $# -gt 0 ] && shift
case "$what" in
    features) # FOLDER_OF_IMAGES: the feature stage against PyTorch and Pillow
        cargo build --release --locked --quiet -p imaging --example decode
        "$python" scripts/bench/features.py "$@" ;;
    fidelity) # FOLDER_OF_IMAGES: our features against those of a PyTorch pipeline
        "$python" scripts/bench/fidelity.py "$@" ;;
    reader) # FEATURE_FOLDER: the feature reader against HDF5 and .npy in Python
        cargo run --release --locked --quiet -p torch --example read_features -- "$@"
        "$python" scripts/bench/reader.py "$@" ;;
    train) # CONFIG [--only NAME...]: training against PyTorch, as people write it and tuned, on one core and two
        "$python" scripts/bench/train "$@" ;;
    data) # [--images 5000000] [--captions 1]: what training reads, over millions of captions, with peak memory
        cargo bench --locked --quiet -p train --bench data -- "$@" ;;
    tune) # CONFIG: tuning steps against an eager PyTorch loop
        "$python" scripts/bench/tune.py "$@" ;;
    serve) # MODEL PHOTOS [--export FILE] [--soak 10000]: the server against Flask with PyTorch, and among attacks
        "$python" scripts/bench/serve.py "$@" ;;
    scale) # [--photos N] [--shards N]: every stage on a million tiny photos in tar shards, with peak memory
        "$python" scripts/bench/scale.py "$@" ;;
    places) # FOLDER_OF_IMAGES: the feature stage on files, tar shards, Parquet files, and those in an object store on loopback
        "$python" scripts/bench/places.py "$@" ;;
    networks) # [BACKBONE...]: the networks alone, fp32 and bf16, on one thread
        OMP_NUM_THREADS=1 cargo bench --locked --quiet -p torch --bench backbones -- "$@" ;;
    engines) # [BACKBONE...]: the networks alone, fp32, on both engines and in PyTorch, on one thread and on all cores
        OMP_NUM_THREADS=1 cargo bench --locked --quiet -p preprocess --bench engines -- "$@"
        "$python" scripts/bench/engines.py "$@" ;;
    ray) # FOLDER_OF_IMAGES: the feature stage by Ray, a task on each core, against one process
        PYTHONPATH="${SCALE_PACKAGES:-}" "$python" scripts/bench/engines_scale.py "$@" ;;
    int8) # MODEL IMAGES REFERENCES: ONNX exports with weights in bytes against those without, and dynamic quantization
        "$python" scripts/bench/int8.py "$@" ;;
    metrics) # [--images N] [--captions FILE]: the native metrics against pycocoevalcap, which needs Java
        cargo build --release --locked --quiet -p metrics --example score
        "$python" scripts/bench/metrics.py "$@" ;;
    *)
        echo "just bench WHAT ARGUMENTS, where WHAT is:" >&2
        sed -n 's/^    \([a-z0-9]*\)) # /  \1  /p' "$0" >&2
        exit 2 ;;
esac
