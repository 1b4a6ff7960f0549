"""Tuning of EfficientNet-Lite0 beside PyTorch, in one run: same blocks, same batches, same number of threads.

    scripts/bench/tune.py CONFIG [--steps 40]

CONFIG names a run of one tuned backbone whose dataset and text exist (`just pipeline` with preprocess.weights = "tuned" made
them). Needs torch and efficientnet-lite-pytorch, and the release programs (`just bench tune` builds them). The PyTorch loop is eager,
channels last, its batch normalisation in inference mode, and the blocks before tune.from_block without gradients; its images are random
numbers that lie in memory. Ours is the `tune` stage for one epoch, whose time holds reading, decoding and changing the images.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BATCH, WORDS, FROM_BLOCK = 32, 1000, 6


def plain(steps, threads):
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = EfficientNet.from_name("efficientnet-lite0").to(memory_format=torch.channels_last).eval()
    learning = [module for module in model._blocks[FROM_BLOCK:]] + [model._conv_head, model._bn1]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for module in learning:
        for parameter in module.parameters():
            parameter.requires_grad_(True)
    head = torch.nn.Linear(1280, WORDS)
    parameters = [p for p in model.parameters() if p.requires_grad] + list(head.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)
    images = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
    shares = torch.rand(BATCH, WORDS)
    warm = max(steps // 8, 1)
    for step in range(steps + warm):
        if step == warm:
            start = time.time()
        scores = head(model.extract_features(images).mean((2, 3)))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, shares, reduction="sum") / BATCH
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return steps * BATCH / (time.time() - start)


def ours(config, run):
    """A folder of its own with links to the run's dataset and text."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bench"
        copy.mkdir()
        for part in ["dataset", "text"]:
            (copy / part).symlink_to((run / part).resolve())
        settings = [f'run.folder="{folder}"', 'run.name="bench"', "tune.epochs=1", f"tune.batch_images={BATCH}"]
        settings += [f"tune.words={WORDS}", f"tune.from_block={FROM_BLOCK}"]
        command = [ROOT / "target/release/tune", "--config", config, "-q"]
        subprocess.run([*command, *(part for setting in settings for part in ("--set", setting))], check=True)
        (tuned,) = (copy / "tune").glob("*/metrics.jsonl")
        lines = [json.loads(line) for line in tuned.read_text().splitlines()]
        last = next(line for line in reversed(lines) if "train/epoch_seconds" in line)
        import pyarrow.parquet as pq

        images = pq.read_table(run / "dataset/images", columns=["split"])["split"].to_pylist().count("train")
        return images / last["train/epoch_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--run", type=Path, help="its folder, data/runs/<run.name> by default")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    settings = tomllib.loads(args.config.read_text())
    if settings["preprocess"].get("backbone", "efficientnet_lite0") != "efficientnet_lite0":
        sys.exit("the PyTorch loop is that of efficientnet_lite0")
    run = args.run or ROOT / "data/runs" / settings["run"]["name"]
    threads = len(os.sched_getaffinity(0))
    contenders = {"plain": lambda: plain(args.steps, threads), "ours": lambda: ours(args.config, run)}
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(args.rounds):
        for name, measure in contenders.items():
            best[name] = max(best[name], measure())
    print(f"blocks from {FROM_BLOCK} on, batches of {BATCH} images, {threads} threads, best of {args.rounds} rounds; images/s")
    for name, rate in best.items():
        print(f"  {name:6} {rate:6.1f}")
    print(f"  ours / plain: {best['ours'] / best['plain']:.2f}")


if __name__ == "__main__":
    main()
