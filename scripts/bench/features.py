"""Feature extraction beside PyTorch, in one run: same images, same weights, same number of cores.

    scripts/bench/features.py FOLDER_OF_IMAGES [--images 256]

Needs torch, torchvision, Pillow, numpy and safetensors, and the release programs (`just bench features` builds them).
Weights are random but the same for all: ResNet-50 as torchvision seeds it. Every contender reads the files, extracts
the 7x7x2048 grid and stores it in half precision. Each runs in a process of its own; the order is repeated, and the
best of the rounds counts, because a machine is never idle.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))


def dataset(paths):
    from PIL import Image
    from torchvision.models import ResNet50_Weights

    transform = ResNet50_Weights.IMAGENET1K_V1.transforms()

    class Photos:
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            return transform(Image.open(paths[index]).convert("RGB"))

    return Photos()


def network(weights):
    import torch
    from safetensors.torch import load_file
    from torchvision.models import resnet50

    model = resnet50()
    model.load_state_dict(load_file(weights), strict=False)  # the classifier is not used
    trunk = torch.nn.Sequential(*list(model.children())[:-2])
    return trunk.eval()


def plain(paths, weights, out):
    """What most people write: eager fp32, a DataLoader with a worker per core."""
    import numpy as np
    import torch

    trunk = network(weights)
    loader = torch.utils.data.DataLoader(dataset(paths), batch_size=32, num_workers=CORES)
    start = time.time()
    done = 0
    for batch in loader:
        with torch.no_grad():
            grid = trunk(batch)
        np.save(out / f"{done}.npy", grid.flatten(2).transpose(1, 2).half().numpy())
        done += len(batch)
    return len(paths) / (time.time() - start)


def tuned(paths, weights, out):
    """What an expert would write: folded batch norm, channels-last, inference mode, one decoding worker."""
    import numpy as np
    import torch
    from torch.fx.experimental.optimization import fuse

    trunk = fuse(network(weights)).to(memory_format=torch.channels_last)
    loader = torch.utils.data.DataLoader(dataset(paths), batch_size=8, num_workers=1, prefetch_factor=4)
    start = time.time()
    done = 0
    with torch.inference_mode():
        for batch in loader:
            grid = trunk(batch.to(memory_format=torch.channels_last))
            np.save(out / f"{done}.npy", grid.flatten(2).transpose(1, 2).half().contiguous().numpy())
            done += len(batch)
    return len(paths) / (time.time() - start)


def matmul(paths, weights, out):
    """The machine's matrix-product peak in fp32, GFLOP/s, by the 1x1 convolutions that oneDNN is best at."""
    import torch

    side, channels = 14, 1024  # small enough that no time goes into memory
    grid = torch.randn(8, channels, side, side).to(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 1, 1).to(memory_format=torch.channels_last)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(50):
            start = time.time()
            torch.nn.functional.conv2d(grid, kernel)
            best = min(best, time.time() - start)
    return 2 * 8 * side * side * channels * channels / best / 1e9


def pillow_one(path):
    import numpy as np
    from PIL import Image

    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = min(width, height)
    image = image.resize((256 * width // short, 256 * height // short), Image.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    return ((pixels - mean) / std).transpose(2, 0, 1).copy().shape


def pillow(paths, weights, out):
    """Decode, resize, crop and normalise alone, a process per core."""
    from multiprocessing import Pool

    with Pool(CORES) as pool:
        pool.map(pillow_one, paths[: 4 * CORES])
        start = time.time()
        pool.map(pillow_one, paths, chunksize=16)
        return len(paths) / (time.time() - start)


def ours(paths, weights, out, *settings):
    """The stage as a user starts it; its time is that of the whole process."""
    config = out / "bench.toml"
    config.write_text(
        f'[run]\nname = "bench"\nfolder = "{out}/runs"\nweights = "{Path(weights).parent}"\n'
        f'[dataset]\nlayout = "table"\nroot = "{out}/captions.jsonl"\n[preprocess]\nbackbone = "resnet50"\n'
    )
    # A dataset's images lie below its table.
    names = [f"{number}{Path(path).suffix}" for number, path in enumerate(paths)]
    for path, name in zip(paths, names):
        shutil.copy(path, out / name)
    lines = (json.dumps({"image": name, "caption": "a photo"}) for name in names)
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n")
    program = ROOT / "target/release"
    subprocess.run([program / "dataset", "--config", config, "-q"], check=True)
    start = time.time()
    command = [program / "preprocess", "--config", config, "-q", "--force"]
    subprocess.run([*command, *(part for setting in settings for part in ("--set", setting))], check=True)
    return len(paths) / (time.time() - start)


def ours_bf16(paths, weights, out):
    return ours(paths, weights, out, "preprocess.precision=bf16")


def ours_decode(paths, weights, out):
    """Decode, resize, crop and normalise alone, a thread per core."""
    command = [ROOT / "target/release/examples/decode", *paths]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


CONTENDERS = {
    "matmul": matmul,
    "pillow": pillow,
    "ours_decode": ours_decode,
    "plain": plain,
    "tuned": tuned,
    "ours": ours,
    "ours_bf16": ours_bf16,
}
# Multiply-adds of ResNet-50 without its classifier, at 224 pixels, times two.
GFLOP_AN_IMAGE = 2 * 4.087


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    args = parser.parse_args()
    found = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not found:
        sys.exit(f"{args.folder} holds no JPEG or PNG files")
    paths = [str(path.resolve()) for path in (found * -(-args.images // len(found)))[: args.images]]
    if args.only:
        with tempfile.TemporaryDirectory() as out:
            print(CONTENDERS[args.only](paths, args.weights, Path(out)))
        return
    import torch
    from safetensors.torch import save_file
    from torchvision.models import resnet50

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(1)
        weights = Path(folder) / "resnet50.safetensors"
        state = resnet50().state_dict()
        save_file({name: value for name, value in state.items() if not name.startswith("fc.")}, weights)
        best = dict.fromkeys(CONTENDERS, 0.0)
        for _ in range(args.rounds):
            for name in CONTENDERS:
                command = [sys.executable, __file__, str(args.folder), "--images", str(args.images)]
                command += ["--only", name, "--weights", str(weights)]
                run = subprocess.run(command, capture_output=True, text=True)
                if run.returncode:
                    print(f"{name} failed: {run.stderr[-500:]}", file=sys.stderr)
                    continue
                best[name] = max(best[name], float(run.stdout.split()[-1]))
    rates = {name: rate for name, rate in best.items() if rate}
    print(f"{len(paths)} images ({len(set(paths))} different), {CORES} cores, best of {args.rounds} rounds; images/s")
    for name, rate in rates.items():
        print(f"  {name:12} {rate:9.1f}" + ("  GFLOP/s" if name == "matmul" else ""))
    for a, b in [("ours_decode", "pillow"), ("ours", "plain"), ("ours", "tuned"), ("ours_bf16", "tuned")]:
        if a in rates and b in rates:
            print(f"  {a} / {b}: {rates[a] / rates[b]:.2f}")
    if {"ours", "matmul"} <= rates.keys():
        share = rates["ours"] * GFLOP_AN_IMAGE / rates["matmul"]
        print(f"  ours uses {100 * share:.0f} % of the matrix-product peak")


if __name__ == "__main__":
    main()
