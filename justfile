# Image captioning with visual attention. `just` alone lists the recipes.

export PATH := env("HOME", "") / ".cargo/bin:" + env("PATH")

bin := "target/release"

set positional-arguments

[private]
default:
    @just --list --unsorted

# All stages on a config, the built-in demo by default: just pipeline configs/flickr8k.toml --set dataset.root=…
[group('pipeline')]
pipeline *args: build
    @scripts/pipeline.sh "$@"

# Raw images and captions → images/part-*.parquet, captions/part-*.parquet
[group('pipeline')]
dataset *args: build
    @scripts/with-config.sh {{bin}}/dataset -- "$@"

# Captions → vocabulary.json, tokens/part-*.parquet
[group('pipeline')]
text *args: build
    @scripts/with-config.sh {{bin}}/text -- "$@"

# Images and words → tune/<backbone>/weights.safetensors, for backbones whose preprocess.weights are "tuned"
[group('pipeline')]
tune *args: build
    @scripts/with-config.sh {{bin}}/tune weights -- "$@" > /dev/null
    @scripts/with-config.sh {{bin}}/tune -- "$@"

# Images → features/<backbone>/part-*.parquet
[group('pipeline')]
features *args: build
    @scripts/with-config.sh {{bin}}/preprocess weights -- "$@" > /dev/null
    @scripts/with-config.sh {{bin}}/preprocess -- "$@"

# Features and tokens → model.safetensors
[group('pipeline')]
train *args: build
    @scripts/with-config.sh {{bin}}/train -- "$@"

# Model and features → captions.json, scores.json, report.html, attention/*.png
[group('pipeline')]
evaluate *args: build
    @scripts/with-config.sh {{bin}}/evaluate -- "$@"

# The config's decoders on the same features, in one table: just ablation configs/flickr8k.toml --seeds 1,2,3
[group('pipeline')]
ablation *args: build
    @scripts/ablation.sh "$@"

# Captions of your own photos, folders and videos: just caption photo.jpg (docs/caption.md)
[group('use it')]
caption *args: programs
    @{{bin}}/caption "$@"

# An evaluated model, the ensemble or the best, as one file that captions anywhere: just export data/runs/demo
[group('use it')]
export *args: build
    @{{bin}}/export "$@"

# Captions over HTTP and gRPC, and a page to try it: just serve --model models/caption (docs/serve.md)
[group('use it')]
serve *args: programs
    @exec {{bin}}/serve "$@"

# What a run has made so far
[group('look')]
status *args: build
    @scripts/with-config.sh {{bin}}/artifacts status -- "$@"

# What a file or a folder knows of itself: Parquet, safetensors, artifacts
[group('look')]
show path: build
    @{{bin}}/artifacts show "$1"

# The backbones that there are
[group('look')]
backbones: build
    {{bin}}/preprocess backbones

# What a folder of features holds, and the images most like one: just inspect FOLDER --like ID --sheet like.png
[group('look')]
inspect folder *args: build
    @{{bin}}/preprocess inspect "$@"

# Public captioning sets: lists them, or fetches one into data/raw: just data flickr8k (docs/datasets.md)
[group('set-up')]
data *args: build
    @{{bin}}/dataset fetch "$@"

# Fetches and checks the weights of a backbone into data/weights
[group('set-up')]
weights backbone: build
    @{{bin}}/preprocess weights "$1"

# Everything that a fresh machine lacks: libtorch, ONNX Runtime, the programs, the demo's weights (a dependency of the others)
[group('set-up')]
setup: build
    @test -f data/weights/efficientnet_lite0.safetensors || {{bin}}/preprocess weights efficientnet_lite0

# Compiles the programs
[group('set-up')]
build: libtorch onnxruntime
    @test -x {{bin}}/evaluate || echo "compiling the programs: five to ten minutes the first time" >&2
    @if [ -t 2 ]; then quiet=; else quiet=--quiet; fi; cargo build --release --locked $quiet --workspace --bins

# `caption` and `serve` alone, which need no libtorch; with the others where those are there, so that nothing is compiled twice
[private]
programs: onnxruntime
    @test -x {{bin}}/caption || echo "compiling the programs: about three minutes the first time" >&2
    @if [ -t 2 ]; then quiet=; else quiet=--quiet; fi; \
        if [ -x {{bin}}/evaluate ]; then {{just_executable()}} build; \
        else cargo build --release --locked $quiet -p caption -p serve --bins; fi

# Puts a CPU libtorch into .libtorch, or links your own LIBTORCH there
[group('set-up')]
libtorch:
    @scripts/get-libtorch.sh

# Puts ONNX Runtime into .onnxruntime, where programs find it unless ORT_DYLIB_PATH names another
[group('set-up')]
onnxruntime:
    @scripts/get-onnxruntime.sh

# Formatting, lints, documentation and all tests, with the tools that they need (CONTRIBUTING.md)
[group('work on it')]
test: libtorch onnxruntime
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
    eval "$(scripts/get-test-tools.sh)" && cargo test --workspace --locked --quiet

# Runs the demo and prints its scores into README.md: after a change of what a stage computes
[group('work on it')]
figures: build
    @scripts/pipeline.sh configs/demo.toml
    {{bin}}/evaluate figures data/runs/demo --record docs/figures/demo.json --into README.md
    RECORD_FIGURES=1 cargo test --workspace --locked --quiet --test tests figures::a_change

# Measures beside peers in one run; without a name it lists what there is: just bench features photos/
[group('work on it')]
bench *what: build
    @scripts/bench/run.sh "$@"

# Removes the artifacts of a run
[group('work on it')]
[confirm("Remove all artifacts of this run?")]
clean run:
    rm -rf data/runs/{{run}}
