#!/usr/bin/env python3
"""Features by Ray: one task a part, each of which runs the program `preprocess` for its part.

    pip install ray
    scripts/scale/ray_features.py configs/flickr8k.toml --cpus 4 --set preprocess.part_images=2000

Nothing goes through Ray but numbers of parts: the programs read the images and write the parts where the config says, which all
machines must reach by the same paths. A task that fails, or whose machine is lost, is done again, three times; a part that is
complete costs nothing. At the end the driver runs `preprocess` once more, which finds all parts complete and finishes the set.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import ray

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("config", type=Path)
parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for the program")
parser.add_argument("--cpus", type=int, default=1, help="cores of a task, which become preprocess.workers")
parser.add_argument("--gpus", type=float, default=0, help="GPUs of a task; name preprocess.engine in the config then")
programs = Path(__file__).resolve().parents[2] / "target/release"
parser.add_argument("--programs", type=Path, default=programs, help="the folder of `preprocess`, on every machine")
args = parser.parse_args()

program, folder = str(args.programs.resolve() / "preprocess"), os.getcwd()
settings = ["--config", str(args.config.resolve())]
for setting in [*args.set, f"preprocess.workers={args.cpus}"]:
    settings += ["--set", setting]


def missing():
    listed = subprocess.run([program, "parts", "--json", *settings], check=True, stdout=subprocess.PIPE)
    report = json.loads(listed.stdout)
    return sorted(set(range(report["parts"])) - set(report["complete"]))


@ray.remote(max_retries=3, retry_exceptions=True, num_cpus=args.cpus, num_gpus=args.gpus)
def make(part):
    subprocess.run([program, "--part", str(part), *settings], check=True, cwd=folder)


ray.init()
tasks = [make.remote(part) for part in missing()]
while tasks:
    # A part that cannot be made does not keep the others from it.
    (done,), tasks = ray.wait(tasks)
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        print(error, file=sys.stderr)
if left := missing():
    sys.exit(f"parts {left} are not complete, by the settings as they are on this machine: see above, and run it again")
subprocess.run([program, *settings], check=True)
