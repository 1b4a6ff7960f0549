#!/usr/bin/env python3
"""Time the native metrics beside pycocoevalcap 1.2, on the same captions in one run, and compare every score.

    pip install pycocoevalcap==1.2        # and a Java runtime on the path
    cargo build --release -p metrics --example score
    python scripts/bench/metrics.py [--images 5000] [--captions FILE]

Captions are put together from the lines of FILE (one caption per line; by default from a small grammar): five references
and one hypothesis per image. Both sides run on one core.
"""

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "target/release/examples/score"
KEYS = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]
PARTS = [
    ["A", "The", "One", "Some", "This"],
    ["small", "black", "brown and white", "wet", "young", "old", "smiling", "running", "long-haired"],
    ["dog", "man in a red T-shirt", "girl", "boy", "woman", "cat", "cyclist", "surfer", "player's friend"],
    ["jumps over", "sits on", "can't see", "stands near", "plays with", "is walking through", "looks at"],
    ["a bench", "the water", "a wooden fence", "the snow", "tall grass", "a crowd of 1,000 people", "a ball"],
    [".", ", waiting.", " at 3:30 p.m.", " while others watch!", " (outside)", ""],
]


def sentence(rng):
    words = [rng.choice(part) for part in PARTS]
    return " ".join(words[:-1]) + words[-1]


def write_captions(folder, images, lines, rng):
    draw = (lambda: rng.choice(lines)) if lines else (lambda: sentence(rng))
    annotations = [
        {"image_id": image, "id": image * 5 + k, "caption": draw()} for image in range(images) for k in range(5)
    ]
    # A hypothesis shares words with a reference, as a real one does.
    results = []
    for image in range(images):
        words = annotations[image * 5]["caption"].split()
        cut = rng.randrange(1, len(words) + 1)
        results.append({"image_id": image, "caption": " ".join(words[:cut] + draw().split()[cut:])})
    references = {"images": [{"id": image} for image in range(images)], "annotations": annotations}
    (folder / "references.json").write_text(json.dumps(references))
    (folder / "hypotheses.json").write_text(json.dumps(results))
    return annotations, results


def reference_scores(annotations, results):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    seconds = {}

    @contextlib.contextmanager
    def timed(step):
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
        seconds[step] = seconds.get(step, 0) + time.perf_counter() - start

    with timed("tokenize"):
        tokenizer = PTBTokenizer()
        references, hypotheses = {}, {}
        for annotation in annotations:
            references.setdefault(annotation["image_id"], []).append(annotation)
        references = tokenizer.tokenize(references)
        hypotheses = tokenizer.tokenize({r["image_id"]: [r] for r in results})
    with timed("score"):
        bleu, bleu_images = Bleu(4).compute_score(references, hypotheses, verbose=0)
        rouge, rouge_images = Rouge().compute_score(references, hypotheses)
        cider, cider_images = Cider().compute_score(references, hypotheses)
    corpus = dict(zip(KEYS, [*bleu, rouge, cider]))
    per_image = [dict(zip(KEYS, scores)) for scores in zip(*bleu_images, rouge_images, cider_images)]
    return corpus, per_image, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=Path)
    arguments = parser.parse_args()
    lines = arguments.captions and [line for line in arguments.captions.read_text().splitlines() if line.strip()]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        annotations, results = write_captions(folder, arguments.images, lines, random.Random(1))
        command = [EXAMPLE, folder / "references.json", folder / "hypotheses.json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    corpus, per_image, seconds = reference_scores(annotations, results)
    pairs = [(ours["corpus"], corpus), *zip(ours["images"], per_image)]
    differences = [abs(mine[key] - theirs[key]) for mine, theirs in pairs for key in KEYS]
    print(f"{arguments.images} images x 5 references, one core; largest difference of any score {max(differences):.1e}")
    print(f"{'seconds':<12} {'metrics':>8} {'pycocoevalcap':>14} {'ratio':>6}")
    for step in ("tokenize", "score"):
        mine, theirs = ours["seconds"][step], seconds[step]
        print(f"{step:<12} {mine:8.2f} {theirs:14.2f} {theirs / mine:6.1f}")
    mine, theirs = (sum(s[step] for step in ("tokenize", "score")) for s in (ours["seconds"], seconds))
    print(f"{'both':<12} {mine:8.2f} {theirs:14.2f} {theirs / mine:6.1f}")
    print(f"{'intervals':<12} {ours['seconds']['intervals']:8.2f} {'none':>14}")


if __name__ == "__main__":
    main()
