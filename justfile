# Image captioning with visual attention. `just` alone lists the recipes.

export PATH := env("HOME", "") / ".cargo/bin:" + env("PATH")

bin := "target/release"

[private]
default:
    @just --list --unsorted

# All stages on a config, the built-in demo by default: just pipeline configs/flickr8k.toml --set dataset.root=…
[group('pipeline')]
pipeline config="configs/demo.toml" *args: (_check config args)
    {{bin}}/dataset --config {{config}} {{args}}
    {{bin}}/preprocess --config {{config}} {{args}}
    {{bin}}/text --config {{config}} {{args}}
    {{bin}}/train --config {{config}} {{args}}
    {{bin}}/evaluate --config {{config}} {{args}}

# Raw images and captions → images.parquet, captions.parquet
[group('pipeline')]
dataset config="configs/demo.toml" *args: build
    {{bin}}/dataset --config {{config}} {{args}}

# Images → features/<backbone>/part-*.parquet
[group('pipeline')]
features config="configs/demo.toml" *args: build
    @{{bin}}/preprocess weights --config {{config}} {{args}} > /dev/null
    {{bin}}/preprocess --config {{config}} {{args}}

# Captions → vocabulary.json, tokens.parquet
[group('pipeline')]
text config="configs/demo.toml" *args: build
    {{bin}}/text --config {{config}} {{args}}

# Features and tokens → model.safetensors
[group('pipeline')]
train config="configs/demo.toml" *args: build
    {{bin}}/train --config {{config}} {{args}}

# Model and features → captions.json, scores.json, report.html, attention/*.png
[group('pipeline')]
evaluate config="configs/demo.toml" *args: build
    {{bin}}/evaluate --config {{config}} {{args}}

# The config's decoders on the same features, in one table: just ablation configs/flickr8k.toml --seeds 1,2,3
[group('pipeline')]
ablation config="configs/demo.toml" *args: build
    @scripts/ablation.sh {{config}} {{args}}

# Captions of your own photos, folders and videos: just caption photo.jpg (docs/caption.md)
[group('use it')]
[positional-arguments]
caption *args: build
    @{{bin}}/caption "$@"

# Captions over HTTP and gRPC, and a page to try it: just serve --model models/caption (docs/serve.md)
[group('use it')]
[positional-arguments]
serve *args: build
    @exec {{bin}}/serve "$@"

# What a run has made so far
[group('look')]
status config="configs/demo.toml" *args: build
    {{bin}}/artifacts status --config {{config}} {{args}}

# What a Parquet file or an artifact folder knows of itself
[group('look')]
show path: build
    {{bin}}/artifacts show {{path}}

# The backbones that there are
[group('look')]
backbones: build
    {{bin}}/preprocess backbones

# What a folder of features holds, and the images most like one: just inspect FOLDER --like ID --sheet like.png
[group('look')]
inspect folder *args: build
    {{bin}}/preprocess inspect {{folder}} {{args}}

# Fetches and checks the weights of a backbone into data/weights
[group('set-up')]
weights backbone: build
    {{bin}}/preprocess weights {{backbone}}

# Everything that a fresh machine lacks: libtorch, the programs, the demo's weights (a dependency of the others)
[group('set-up')]
setup: build
    @test -f data/weights/efficientnet_lite0.safetensors || {{bin}}/preprocess weights efficientnet_lite0

# Compiles the programs
[group('set-up')]
build: libtorch
    @test -x {{bin}}/evaluate || echo "compiling the programs: about ten minutes the first time" >&2
    @if [ -t 2 ]; then quiet=; else quiet=--quiet; fi; cargo build --release --locked $quiet --workspace --bins

# Puts a CPU libtorch into .libtorch, or links your own LIBTORCH there
[group('set-up')]
libtorch:
    @scripts/get-libtorch.sh

# Formatting, lints, documentation and all tests, with the tools that they need (CONTRIBUTING.md)
[group('work on it')]
test: libtorch
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
    eval "$(scripts/get-test-tools.sh)" && cargo test --workspace --locked --quiet

# Measures beside peers in one run; without a name it lists what there is: just bench features photos/
[group('work on it')]
bench *what: build
    @scripts/bench/run.sh {{what}}

# Removes the artifacts of a run
[group('work on it')]
[confirm("Remove all artifacts of this run?")]
clean run:
    rm -rf data/runs/{{run}}

[private]
_check config *args: build
    @for stage in dataset preprocess text train evaluate; do {{bin}}/$stage --config {{config}} {{args}} --check || exit $?; done
    @{{bin}}/preprocess weights --config {{config}} {{args}} > /dev/null
