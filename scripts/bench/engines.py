"""The networks alone in PyTorch, beside `cargo bench -p preprocess --bench engines`: f32, on one thread and on all cores.

    scripts/bench/engines.py [BACKBONE...]

Needs torch, torchvision and, for Lite, efficientnet-lite-pytorch. "eager" is what most people write; "tuned" has its batch
normalisations folded into the convolutions, the channels last, and inference mode. Weights are random.
"""

import os
import sys
import time

import torch
import torchvision
from torch.fx.experimental.optimization import fuse
from torch.nn.utils import fuse_conv_bn_eval

CORES = len(os.sched_getaffinity(0))
TURNS, BATCHES, AT_ONCE = 5, 6, 16
SIDES = {
    "efficientnet_lite1": 240,
    "efficientnet_lite2": 260,
    "efficientnet_lite3": 280,
    "efficientnet_lite4": 300,
    "efficientnet_b1": 240,
    "efficientnet_b2": 288,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
}


class Lite(torch.nn.Module):
    def __init__(self, name):
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        self.network = EfficientNet.from_name(name.replace("_", "-"))

    def forward(self, images):
        return self.network.extract_features(images)

    def fused(self):
        """By hand: `fuse` does not know its convolutions, which pad by themselves."""
        pairs = [(self.network, "_conv_stem", "_bn0"), (self.network, "_conv_head", "_bn1")]
        names = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        pairs += [(block, *pair) for block in self.network._blocks for pair in names if hasattr(block, pair[0])]
        for module, conv, norm in pairs:
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, torch.nn.Identity())
        return self


def trunk(name):
    if name.startswith("efficientnet_lite"):
        return Lite(name).eval()
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
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            continue
        images = torch.randn(AT_ONCE, 3, SIDES.get(name, 224), SIDES.get(name, 224))
        with torch.no_grad():
            eager = [images_per_second(trunk(name), images, threads) for threads in (1, CORES)]
        with torch.inference_mode():
            tuned = trunk(name)
            tuned = tuned.fused() if isinstance(tuned, Lite) else fuse(tuned)
            tuned = tuned.to(memory_format=torch.channels_last)
            images = images.to(memory_format=torch.channels_last)
            tuned = [images_per_second(tuned, images, threads) for threads in (1, CORES)]
        for kind, (one, every) in (("PyTorch eager", eager), ("PyTorch tuned", tuned)):
            print(f"{name:<20} {kind:<14} {one:>12.1f} {every:>14.1f}", flush=True)


ALL = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
ALL += [f"efficientnet_{family}{size}" for family in ("b", "lite") for size in range(5)]

if __name__ == "__main__":
    main()
