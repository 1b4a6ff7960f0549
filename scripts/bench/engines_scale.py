"""Features by Ray, a task of one core on each, beside one process on all cores, and beside the same parts started by xargs: same
photos, same machine, in turns.

    scripts/bench/engines_scale.py FOLDER_OF_IMAGES [--images 16384] [--part-images 2048]

Needs Ray (`SCALE_PACKAGES` of scripts/get-test-tools.sh will do), the release programs, and the weights of the backbone. Ray runs
already when the clock starts, as it does on a cluster; what its script adds (it connects, asks for the parts, starts a process for
each, and finishes the set) counts, and so does what Ray's own processes take of the same cores, which is told apart: the work of the
machine while Ray has nothing to do, less that without it. The best of the rounds counts, because a machine is never idle.
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
# Seconds in which Ray has nothing to do.
IDLE = 15


def prepare(args, folder):
    """The photos below a table, their dataset, and the config of it all."""
    found = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not found:
        sys.exit(f"{args.folder} holds no JPEG or PNG files")
    lines = []
    for number, path in enumerate((found * -(-args.images // len(found)))[: args.images]):
        name = f"{number}{path.suffix}"
        shutil.copy(path, folder / name)
        lines.append(json.dumps({"image": name, "caption": "a photo"}) + "\n")
    (folder / "captions.jsonl").write_text("".join(lines))
    config = folder / "bench.toml"
    config.write_text(
        f'[run]\nname = "bench"\nfolder = "{folder}/runs"\nweights = "{args.weights.resolve()}"\n'
        f'[dataset]\nlayout = "table"\nroot = "{folder}/captions.jsonl"\n'
        f'[preprocess]\nbackbone = "{args.backbone}"\npart_images = {args.part_images}\n'
    )
    subprocess.run([args.programs / "dataset", "--config", config, "-q"], check=True)
    return config


def one_process(args, config):
    subprocess.run([args.programs / "preprocess", "--config", config, "-q"], check=True)


def by_xargs(args, config):
    parts = -(-args.images // args.part_images)
    preprocess = [args.programs / "preprocess", "--config", config, "-q"]
    part = [*preprocess, "--set", "preprocess.workers=1", "--part"]
    numbers = "".join(f"{number}\n" for number in range(parts))
    subprocess.run(["xargs", "-n", "1", "-P", str(CORES), *part], input=numbers, text=True, check=True)
    subprocess.run(preprocess, check=True)


def by_ray(args, config, address):
    script = [sys.executable, ROOT / "scripts/scale/ray_features.py", config, "--cpus", "1", "--programs", args.programs]
    subprocess.run(script, check=True, capture_output=True, env=dict(os.environ, RAY_ADDRESS=address))


def busy_cores():
    """How many cores work, whoever they work for, over some seconds in which nothing is done here."""

    def busy():
        user, nice, system = Path("/proc/stat").read_text().split()[1:4]
        return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")

    before = busy()
    time.sleep(IDLE)
    return (busy() - before) / IDLE


def timed(work, features):
    """Seconds, and the names of the parts, which stand for settings and images."""
    shutil.rmtree(features, ignore_errors=True)
    start = time.time()
    work()
    return time.time() - start, sorted(path.name for path in features.rglob("part-*.parquet"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=16384)
    parser.add_argument("--part-images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, default=ROOT / "data/weights")
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release")
    args = parser.parse_args()
    import ray

    with tempfile.TemporaryDirectory() as folder:
        config = prepare(args, Path(folder))
        features = Path(folder) / "runs/bench/features"
        without = busy_cores()
        seconds = {"one process": [], "xargs": [], "Ray": []}
        for _ in range(args.rounds):
            taken, wanted = timed(lambda: one_process(args, config), features)
            seconds["one process"].append(taken)
            taken, by_loop = timed(lambda: by_xargs(args, config), features)
            seconds["xargs"].append(taken)
            address = ray.init(num_cpus=CORES, log_to_driver=False).address_info["address"]
            idle = busy_cores()
            taken, made = timed(lambda: by_ray(args, config, address), features)
            seconds["Ray"].append(taken)
            ray.shutdown()
            assert made == by_loop == wanted, "other parts"
    print(f"{args.images} images, {len(wanted)} parts, {args.backbone}, {CORES} cores, best of {args.rounds} rounds")
    for name, taken in seconds.items():
        rate, ratio = args.images / min(taken), min(seconds["one process"]) / min(taken)
        print(f"  {name:12} {rate:9.1f} images/s   {ratio:.2f}   ({', '.join(f'{second:.1f}' for second in taken)} s)")
    print(f"  Ray, idle, takes {idle - without:.2f} of a core")


if __name__ == "__main__":
    main()
