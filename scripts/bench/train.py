"""Training of soft attention beside a straightforward PyTorch loop, in one run: same data, same sizes, same batches.

    scripts/bench/train.py CONFIG [--steps 60]

CONFIG names a run whose features and tokens exist (`just pipeline` made the demo's). Needs torch, numpy and pyarrow, and
the release programs (`just bench train` builds them). The PyTorch loop is the one most people write: every caption has
its own copy of the image's features and projects it itself, one LSTMCell step follows another, rows that have ended drop
out. Ours is the `train` stage for one epoch; its rate is that of the whole epoch. Tokens are words and ends of captions.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = dict(embedding_size=256, feature_size=384, hidden_size=384, attention_size=128, dropout=0.5)
IMAGES = 16


def load(run, feature_set):
    import numpy as np
    import pyarrow.parquet as pq

    grids = {}
    for path in sorted(glob.glob(str(run / "features" / feature_set / "*.parquet"))):
        table = pq.read_table(path, columns=["image_id", "split", "grid"])
        values = table["grid"].combine_chunks().flatten().flatten().to_numpy(zero_copy_only=False)
        values = values.astype(np.float16).reshape(len(table), -1, len(table["grid"][0][0]))
        for number, (image, split) in enumerate(zip(table["image_id"].to_pylist(), table["split"].to_pylist())):
            if split == "train":
                grids[image] = values[number]
    captions = {}
    for row in pq.read_table(run / "text/tokens").to_pylist():
        if row["image_id"] in grids:
            captions.setdefault(row["image_id"], []).append(row["ids"])
    words = len(json.loads((run / "text/vocabulary.json").read_text())["words"])
    return grids, captions, words


def plain(run, feature_set, steps, threads):
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    grids, captions, vocabulary = load(run, feature_set)
    channels = next(iter(grids.values())).shape[1]
    e, f, h, a, drop = SIZES.values()

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.feature, self.key, self.query = nn.Linear(channels, f), nn.Linear(f, a), nn.Linear(h, a)
            self.energy, self.gate = nn.Linear(a, 1), nn.Linear(h, 1)
            self.initial_hidden, self.initial_cell = nn.Linear(f, h), nn.Linear(f, h)
            self.embedding, self.cell = nn.Embedding(vocabulary, e), nn.LSTMCell(e + f, h)
            self.output_hidden, self.output_context = nn.Linear(h, e), nn.Linear(f, e)
            self.output, self.dropout = nn.Linear(e, vocabulary), nn.Dropout(drop)

        def forward(self, grid, words, lengths):
            regions = self.dropout(torch.relu(self.feature(grid)))
            words = self.dropout(self.embedding(words))
            mean = regions.mean(1)
            hidden, cell = torch.tanh(self.initial_hidden(mean)), torch.tanh(self.initial_cell(mean))
            scores = torch.zeros(len(grid), max(lengths), vocabulary)
            for step in range(max(lengths)):
                rows = sum(length > step for length in lengths)
                hidden, cell = hidden[:rows], cell[:rows]
                keys = self.key(regions[:rows])
                energy = self.energy(torch.tanh(keys + self.query(hidden).unsqueeze(1))).squeeze(2)
                context = (regions[:rows] * torch.softmax(energy, 1).unsqueeze(2)).sum(1)
                context = torch.sigmoid(self.gate(hidden)) * context
                word = words[:rows, step]
                hidden, cell = self.cell(torch.cat([word, context], 1), (hidden, cell))
                joined = torch.tanh(word + self.output_hidden(self.dropout(hidden)) + self.output_context(context))
                scores[:rows, step] = self.output(self.dropout(joined))
            return scores

    decoder = Decoder()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    random = np.random.default_rng(1)
    names = sorted(captions)
    start, done = time.time(), 0
    for number in range(steps):
        if number == 5:  # the first steps warm up
            start, done = time.time(), 0
        images = random.choice(names, IMAGES, replace=False)
        rows = sorted(((ids, image) for image in images for ids in captions[image]), key=lambda row: -len(row[0]))
        lengths = [len(ids) - 1 for ids, _ in rows]
        grid = torch.from_numpy(np.stack([grids[image] for _, image in rows])).float()
        words = torch.zeros(len(rows), max(lengths), dtype=torch.long)
        target = torch.zeros_like(words)
        for place, (ids, _) in enumerate(rows):
            words[place, : len(ids) - 1] = torch.tensor(ids[:-1])
            target[place, : len(ids) - 1] = torch.tensor(ids[1:])
        scores = decoder(grid, words, lengths)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        done += sum(lengths)
    return done / (time.time() - start)


def ours(config, run, feature_set, threads, *settings):
    _, captions, _ = load(run, feature_set)
    tokens = sum(len(ids) - 1 for image in captions.values() for ids in image)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / run.name
        copy.mkdir()
        for stage in ["dataset", "text", "features"]:
            (copy / stage).symlink_to((run / stage).resolve())
        sizes = [f"train.soft_attention.{key}={value}" for key, value in SIZES.items()]
        settings = [f"run.folder={folder}", "train.epochs=1", f"train.batch_images={IMAGES}", *sizes, *settings]
        settings += ['train.decoders=["soft_attention"]', "train.validation_images=1"]
        command = [ROOT / "target/release/train", "--config", config, "-q"]
        command += [part for setting in settings for part in ("--set", setting)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        log = next(copy.glob("train/*/metrics.jsonl")).read_text().splitlines()
        return tokens / json.loads(log[-1])["train/epoch_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--run", type=Path, help="its folder, data/runs/<run.name> by default")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    settings = tomllib.loads(args.config.read_text())
    run = args.run or ROOT / "data/runs" / settings["run"]["name"]
    feature_set = settings.get("preprocess", {}).get("backbone", "efficientnet_lite0")
    if not isinstance(feature_set, str) or "views" in settings.get("preprocess", {}):
        sys.exit("the PyTorch loop reads one set of features: choose a config with one backbone and view")
    threads = len(os.sched_getaffinity(0))
    contenders = {
        "plain": lambda: plain(run, feature_set, args.steps, threads),
        "ours": lambda: ours(args.config, run, feature_set, threads),
        "ours_bf16": lambda: ours(args.config, run, feature_set, threads, 'train.precision="bf16"'),
    }
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(args.rounds):
        for name, measure in contenders.items():
            best[name] = max(best[name], measure())
    print(f"soft_attention, batches of {IMAGES} images, {threads} threads, best of {args.rounds} rounds; tokens/s")
    for name, rate in best.items():
        print(f"  {name:10} {rate:8.0f}")
    for name in ["ours", "ours_bf16"]:
        print(f"  {name} / plain: {best[name] / best['plain']:.2f}")


if __name__ == "__main__":
    main()
