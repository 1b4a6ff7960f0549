"""Our `train` program, as people start it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from examples import BATCH_IMAGES, link
from sizes import of_decoder

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "target/release/train"


def confined(command, cores):
    """The command on some cores, which say how many threads it has."""
    return ["taskset", "-c", ",".join(map(str, cores)), *map(str, command)]


def environment():
    """Ours, without a limit of threads below the cores."""
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


class Training:
    """One epoch that has begun, in a folder of its own; `processes` of one thread share it under torchrun."""

    def __init__(self, config, run, decoder, precision, cores, processes=1, self_critical=False):
        self.folder = tempfile.TemporaryDirectory()
        link(run, Path(self.folder.name) / "bench")
        settings = {
            "run.folder": self.folder.name,
            "run.name": "bench",
            "train.decoders": [decoder],
            "train.start_from": "",
            "train.epochs": 1,
            "train.batch_images": BATCH_IMAGES,
            "train.precision": precision,
            "train.validation_images": 1,
            "train.self_critical.epochs": int(self_critical),
            "train.self_critical.batch_images": BATCH_IMAGES,
            **{f"train.{decoder}.{key}": value for key, value in of_decoder(decoder).items()},
        }
        command = [PROGRAM, "--config", config, "-q"]
        for key, value in settings.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        threads = environment()
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node", processes]
            command = [sys.executable, *launcher, *command]
            threads["OMP_NUM_THREADS"] = "1"
        self.process = subprocess.Popen(confined(command, cores), env=threads)

    def seconds(self):
        """Waits for the end; what the last epoch took, without validation."""
        with self.folder:
            if self.process.wait() != 0:
                raise SystemExit(f"`train` failed: {' '.join(map(str, self.process.args))}")
            (log,) = Path(self.folder.name).glob("bench/train/*/metrics.jsonl")
            return json.loads(log.read_text().splitlines()[-1])["train/epoch_seconds"]
