#!/usr/bin/env python3
"""Features by Spark: one task a part, each of which runs the program `preprocess` for its part.

    pip install pyspark                    # needs Java 17 or later
    scripts/scale/spark_features.py configs/flickr8k.toml --master 'local[2,4]'
    spark-submit scripts/scale/spark_features.py configs/flickr8k.toml --cpus 4

As scripts/scale/ray_features.py, which says what all machines must reach. Spark tries a task as often as spark.task.maxFailures
says, which is four times (on one machine only `local[CORES,TRIES]` tries again), and gives GPUs by spark.task.resource.gpu.amount.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("config", type=Path)
parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for the program")
parser.add_argument("--cpus", type=int, default=1, help="spark.task.cpus, which become preprocess.workers")
parser.add_argument("--master", help="where spark-submit does not say it")
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


def make(part):
    subprocess.run([program, "--part", str(part), *settings], check=True, cwd=folder)


builder = SparkSession.builder.appName("features").config("spark.task.cpus", args.cpus)
spark = (builder.master(args.master) if args.master else builder).getOrCreate()
if parts := missing():
    spark.sparkContext.parallelize(parts, len(parts)).foreach(make)
spark.stop()
if left := missing():
    sys.exit(f"parts {left} are not complete, by the settings as they are on this machine")
subprocess.run([program, *settings], check=True)
