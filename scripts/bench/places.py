"""Features of the same photos as they lie in files, in tar shards, in Parquet files, and in those of an object store on loopback.

    scripts/bench/places.py FOLDER_OF_IMAGES [--images 1000] [--rounds 3]

Needs PyArrow, the release programs, and the weights of the backbone; for the object store moto (`S3_SERVER` of
scripts/get-test-tools.sh), whose server works on the same cores. What counts is the time of the whole stage, and the best of the
rounds, which take all places in turn, because a machine is never idle. The grids of all places must be equal to the bit.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))
SHARDS = 4


def shards(folder, photos):
    """The photos in a folder, in tar files and in Parquet files, under names that give them one order."""
    for place in ("files", "tar", "parquet"):
        (folder / place).mkdir()
    captions = ["image,caption\n"]
    for shard in range(SHARDS):
        rows = []
        with tarfile.open(folder / f"tar/{shard:05}.tar", "w") as tar:
            for number in range(shard, len(photos), SHARDS):
                content, key = photos[number].read_bytes(), f"{shard}-{number:06}"
                (folder / f"files/{key}.jpg").write_bytes(content)
                captions.append(f"{key}.jpg,photo {number}\n")
                for ending, member in (("jpg", content), ("txt", f"photo {number}".encode())):
                    header = tarfile.TarInfo(f"{key}.{ending}")
                    header.size = len(member)
                    tar.addfile(header, io.BytesIO(member))
                rows.append({"image": {"bytes": content, "path": f"{key}.jpg"}, "caption": f"photo {number}"})
        pq.write_table(pa.Table.from_pylist(rows), folder / f"parquet/{shard:05}.parquet", row_group_size=100)
    (folder / "files/captions.csv").write_text("".join(captions))


def object_store(folder):
    """A server with what lies in the folder as s3://bucket/set, and the environment that finds it."""
    packages = os.environ.get("S3_SERVER")
    if not packages:
        print("S3_SERVER names no folder: without an object store", file=sys.stderr)
        return None, {}
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests/needs/s3_server.py", folder],
        env=dict(os.environ, PYTHONPATH=packages),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    found = {"AWS_ENDPOINT": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    return server, {**os.environ, **found}


def grids(folder):
    """The bytes of all grids, in an order that is theirs."""
    found = []
    for part in folder.rglob("part-*.parquet"):
        column = pq.read_table(part, columns=["grid"])["grid"].combine_chunks()
        rows = column.flatten().flatten().to_numpy().reshape(len(column), -1)
        found.extend(row.tobytes() for row in rows)
    return sorted(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", type=Path, default=ROOT / "data/weights")
    args = parser.parse_args()
    found = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})[: args.images]
    if not found:
        sys.exit(f"{args.folder} holds no JPEG files")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shards(folder, found)
        server, environment = object_store(folder)
        places = {
            "files": ("table", folder / "files/captions.csv"),
            "tar": ("webdataset", folder / "tar"),
            "parquet": ("parquet", folder / "parquet"),
        }
        if server:
            places |= {"tar in S3": ("webdataset", "s3://bucket/set/tar"), "parquet in S3": ("parquet", "s3://bucket/set/parquet")}
        seconds = {place: [] for place in places}
        commands = {}
        for number, (place, (layout, root)) in enumerate(places.items()):
            config = folder / f"{number}.toml"
            config.write_text(
                f'[run]\nname = "{number}"\nfolder = "{folder}/runs"\nweights = "{args.weights.resolve()}"\n'
                f'[dataset]\nlayout = "{layout}"\nroot = "{root}"\n[preprocess]\nbackbone = "{args.backbone}"\n'
            )
            program = ROOT / "target/release"
            subprocess.run([program / "dataset", "--config", config, "-q"], check=True, env=environment or None)
            commands[place] = [program / "preprocess", "--config", config, "-q"]
        wanted = None
        for _ in range(args.rounds):
            for number, (place, command) in enumerate(commands.items()):
                made = folder / f"runs/{number}/features"
                shutil.rmtree(made, ignore_errors=True)
                start = time.time()
                subprocess.run(command, check=True, env=environment or None)
                seconds[place].append(time.time() - start)
                wanted = wanted or grids(made)
                assert grids(made) == wanted, f"{place}: other features"
        if server:
            server.kill()
    print(f"{len(found)} photos, {args.backbone}, {CORES} cores, best of {args.rounds} rounds")
    for place, taken in seconds.items():
        rate, ratio = len(found) / min(taken), min(seconds["files"]) / min(taken)
        print(f"  {place:14} {rate:7.1f} images/s   {ratio:.2f}   ({', '.join(f'{second:.1f}' for second in taken)} s)")


if __name__ == "__main__":
    main()
