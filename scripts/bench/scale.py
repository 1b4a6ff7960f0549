"""Stages on a generated set of tiny photos in tar shards: images per second and the peak memory of each.

    just bench scale [--photos 1000000] [--shards 100] [--work /tmp/scale] [--threads 1]
    just bench scale --predict --features-per-s 150 --dataset-per-s 3000 --cores 2 [--core-hour 0.05]

Makes the shards once (they stay in --work), then runs `dataset`, `text`, `preprocess` (a convolution of one layer, run by
ONNX Runtime: what is measured is the way there and back) and an epoch of `train`, each as its own process. Needs NumPy, Pillow and
onnx. `--predict` makes the table of docs/scale.md out of the rates of one machine: nothing is run."""

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image

BIN = Path("target/release")
SIDE = 32
NOUNS = ["dog", "cat", "boat", "child", "tree", "ball", "house", "horse", "bird", "man", "woman", "car"]
VERBS = ["runs", "sits", "stands", "waits", "plays", "sleeps", "looks", "moves"]
PLACES = ["on the beach", "in the snow", "near a lake", "in a park", "on a street", "under a bridge"]


def photo(random_bytes):
    pixels = np.frombuffer(random_bytes, np.uint8).reshape(4, 4, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.BILINEAR).save(out, "JPEG", quality=80)
    return out.getvalue()


def shard(task):
    folder, number, photos = task
    path = folder / f"{number:05}.tar"
    if path.exists():
        return
    draw = random.Random(number)
    beside = path.with_suffix(".making")
    with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as tar:
        for index in range(photos):
            key = f"{number * 10**4 + index:09}"
            caption = f"a {draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(PLACES)} with a {draw.choice(NOUNS)}"
            for ending, content in [("jpg", photo(draw.randbytes(48))), ("txt", caption.encode())]:
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    beside.rename(path)


def network(path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(1).standard_normal((8, 3, 8, 8), np.float32)
    shape = lambda *sides: ["batch", *sides]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["grid"], strides=[8, 8])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape(3, SIDE, SIDE))],
        [helper.make_tensor_value_info("grid", TensorProto.FLOAT, shape(8, SIDE // 8, SIDE // 8))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def config(work):
    path = work / "scale.toml"
    path.write_text(
        f"""
[run]
name = "scale"
folder = "{work}/runs"
[dataset]
layout = "webdataset"
root = "{work}/shards"
val_fraction = 0.001
test_fraction = 0.001
[preprocess]
backbone = "onnx"
part_images = 4096
[preprocess.onnx]
name = "tiny"
file = "{work}/tiny.onnx"
output = "grid"
resize = {SIDE}
crop = {SIDE}
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[train]
decoders = ["lstm"]
epochs = 1
batch_images = 256
validation_images = 100
[train.lstm]
embedding_size = 16
feature_size = 16
hidden_size = 16
"""
    )
    return path


def run(program, config, extra, threads):
    environment = dict(os.environ)
    if threads:
        environment["RAYON_NUM_THREADS"] = str(threads)
    started = time.monotonic()
    process = subprocess.Popen(
        [BIN / program, "--config", config, *extra], env=environment, stderr=subprocess.PIPE, text=True
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        sys.exit(f"{program} failed:\n{errors}")
    return seconds, usage.ru_maxrss / 1e3, usage.ru_utime + usage.ru_stime


def killed(config, photos):
    """Kills `dataset` in the middle; how many shards are read again, and how many were there."""
    shutil.rmtree(config.parent / "runs", ignore_errors=True)
    process = subprocess.Popen([BIN / "dataset", "--config", config], stderr=subprocess.DEVNULL)
    tables = config.parent / "runs/scale/dataset/images"
    while not tables.is_dir() or len(list(tables.glob("part-*"))) < 10:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list(tables.glob("part-*")))
    again = subprocess.run([BIN / "dataset", "--config", config], stderr=subprocess.PIPE, text=True, check=True).stderr
    kept = next(line.strip() for line in again.splitlines() if "read already" in line)
    print(f"killed when {before} parts were there: {kept}")


SETS = [("CC3M", 2.9e6), ("CC12M", 10e6), ("100 M photos", 100e6)]
PHOTO_KB, GRID_KB = 45, 25  # a photo of 384 pixels, img2dataset's JPEG; a grid of EfficientNet-Lite0 as it is cached


def predict(args):
    print("| | photos | shards | features | 1 machine | 8 | 64 | cost |")
    print("|---|---|---|---|---|---|---|---|")
    for name, photos in SETS:
        hours = photos / 3600 * (1 / args.features_per_s + 1 / args.dataset_per_s)
        spans = [f"{hours / machines:.1f} h" if hours / machines < 48 else f"{hours / machines / 24:.1f} days" for machines in (1, 8, 64)]
        sizes = [f"{photos * size / 1e9:.2f} TB" if photos * size > 1e9 else f"{photos * size / 1e6:.0f} GB" for size in (PHOTO_KB, GRID_KB)]
        cost = hours * args.cores * args.core_hour
        print(f"| {name} | {photos / 1e6:g} M | {' | '.join([*sizes, *spans])} | ${cost:,.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path("/tmp/captioning-scale"))
    parser.add_argument("--threads", type=int, default=0, help="of dataset; all cores unless set")
    parser.add_argument("--stages", default="dataset,text,preprocess,train")
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--features-per-s", type=float, default=150, help="photos a second of one machine")
    parser.add_argument("--dataset-per-s", type=float, default=3000)
    parser.add_argument("--cores", type=int, default=2, help="of that machine")
    parser.add_argument("--core-hour", type=float, default=0.05, help="dollars")
    args = parser.parse_args()
    if args.predict:
        return predict(args)
    work = args.work.resolve()
    shards = work / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    with Pool() as pool:
        pool.map(shard, [(shards, number, args.photos // args.shards) for number in range(args.shards)], 1)
    network(work / "tiny.onnx")
    path = config(work)
    size = sum(file.stat().st_size for file in shards.glob("*.tar"))
    print(f"{args.photos} photos in {args.shards} shards, {size / 1e6:.0f} MB")
    stages = args.stages.split(",")
    if "dataset" in stages:
        killed(path, args.photos)
    for stage in stages:
        threads = args.threads if stage == "dataset" else 0
        seconds, peak, cpu = run(stage, path, ["--force", "-q"], threads)
        rate, per_core = args.photos / seconds, args.photos / cpu
        print(f"{stage:<11}{seconds:8.1f} s {rate:9.0f} images/s {per_core:9.0f} a second of a core {peak:7.0f} MB at most")


main()
