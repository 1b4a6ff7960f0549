"""The networks alone in PyTorch, beside `cargo bench -p preprocess --bench engines`: f32, on one thread and on all cores.

    scripts/bench/engines.py [BACKBONE...]

Needs torch and torchvision. "eager" is what most people write; "tuned" has its batch normalisations folded into the convolutions, the
channels last, and inference mode. Weights are random. EfficientNet-Lite is not in torchvision, and is left out.
"""

import os
import sys
import time

import torch
import torchvision
from torch.fx.experimental.optimization import fuse

CORES = len(os.sched_getaffinity(0))
TURNS, BATCHES, AT_ONCE = 5, 6, 16
SIDES = {"efficientnet_b1": 240, "efficientnet_b2": 288, "efficientnet_b3": 300, "efficientnet_b4": 380}


def trunk(name):
    network = getattr(torchvision.models, name)().eval()
    if name.startswith("efficientnet"):
        return network.features
    return torch.nn.Sequential(*list(network.children())[:-2])


def images_per_second(network, images, threads):
    torch.set_num_threads(threads)
    network(images)
    best = 0.0
    for _ in range(TURNS):
        start = time.time()
        for _ in range(BATCHES):
            network(images)
        best = max(best, BATCHES * len(images) / (time.time() - start))
    return best


def main():
    known = [name for name in torchvision.models.list_models() if name in ALL]
    for name in sys.argv[1:] or known:
        if name not in ALL:
            continue
        images = torch.randn(AT_ONCE, 3, SIDES.get(name, 224), SIDES.get(name, 224))
        with torch.no_grad():
            eager = [images_per_second(trunk(name), images, threads) for threads in (1, CORES)]
        with torch.inference_mode():
            tuned = fuse(trunk(name)).to(memory_format=torch.channels_last)
            images = images.to(memory_format=torch.channels_last)
            tuned = [images_per_second(tuned, images, threads) for threads in (1, CORES)]
        for kind, (one, every) in (("PyTorch eager", eager), ("PyTorch tuned", tuned)):
            print(f"{name:<20} {kind:<14} {one:>12.1f} {every:>14.1f}", flush=True)


ALL = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)] + [f"efficientnet_b{size}" for size in range(5)]

if __name__ == "__main__":
    main()
