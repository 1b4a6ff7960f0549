"""Training beside PyTorch, in one run: same images, same sizes, same batches, on one core and on two.

    scripts/bench/train CONFIG [--only NAME...] [--rounds 1] [--images 800] [--steps 40]

CONFIG names a run with one set of features and tokens (`just pipeline` made the demo's). Needs torch, numpy and pyarrow, and the
release programs (`just bench train` builds them). The loops in PyTorch are those of peers.py, over random batches; ours is the
`train` stage for one epoch over a part of the images, and its rate that of the whole epoch. Tokens are words and ends of
captions. NAME is a decoder, `self_critical`, one of the PyTorch loops, or `scaling`. Self-critical training has no peer here.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path

import machine
import report
from examples import Examples, shorten
from ours import ROOT, Training, confined, environment
from report import plural, unit_of

HERE = Path(__file__).resolve().parent
DECODERS = ["lstm", "soft_attention", "hard_attention", "up_down", "transformer"]
PEERS = ["plain", "tuned_lstm", "compiled_lstm", "tuned_soft_attention", "compiled_soft_attention"]
NAMES = [*DECODERS, "self_critical", *PEERS, "scaling"]
BUSY = 8


class Bench:
    """Rates by what was measured: the best of all rounds."""

    def __init__(self, config, run, examples, steps):
        self.config, self.run, self.examples, self.steps = config, run, examples, steps
        self.cores = sorted(os.sched_getaffinity(0))[:2]
        self.rates, self.peaks = {}, {}

    def places(self):
        """On how many cores."""
        return range(1, len(self.cores) + 1)

    def script(self, cores, name, *arguments):
        command = confined([sys.executable, HERE / name, *arguments], self.cores[:cores])
        return float(subprocess.run(command, check=True, env=environment(), stdout=subprocess.PIPE, text=True).stdout)

    def training(self, decoder, precision, cores, **how):
        return Training(self.config, self.run, decoder, precision, cores, **how)

    def say(self, what, rate, unit):
        print(f"  {what:58} {rate:8.0f} {unit}", flush=True)
        return rate

    def measure_peaks(self):
        for cores in self.places():
            for precision in machine.precisions():
                peak = self.script(cores, "machine.py", precision)
                self.peaks[cores, precision] = peak
                self.say(f"peak of a matrix product, {plural(cores)}, {precision}", peak / 1e9, "GFLOP/s")

    def measure(self, name):
        if name == "scaling":
            return self.scaling()
        for cores in self.places():
            if name.startswith("compiled") and cores < len(self.cores):
                continue  # Compiling takes longer than measuring.
            for precision in machine.precisions():
                rate, unit = self.rate(name, precision, cores), unit_of(name)
                self.say(f"{name}, {plural(cores)}, {precision}", rate, unit)
                self.keep((name, cores, precision), rate)

    def keep(self, what, rate):
        self.rates[what] = max(rate, self.rates.get(what, 0.0))

    def rate(self, name, precision, cores):
        if name in PEERS:
            return self.script(cores, "peers.py", name, self.run, precision, self.steps)
        if name == "self_critical":
            training = self.training("soft_attention", precision, self.cores[:cores], self_critical=True)
            return len(self.examples) / training.seconds()
        return self.examples.tokens() / self.training(name, precision, self.cores[:cores]).seconds()

    def scaling(self):
        """Soft attention in f32, in each of the ways to use two cores, and among busy processes."""
        if len(self.cores) < 2:
            return print("  scaling: there is one core only", flush=True)
        soft, tokens = ("soft_attention", "f32"), self.examples.tokens()
        for cores in self.places():
            alone = self.say(f"soft_attention, f32, alone, {plural(cores)}", self.rate(*soft, cores), "tokens/s")
            self.keep(("alone", cores), alone)
        pair = [self.training(*soft, [core]) for core in self.cores]
        together = sum(tokens / training.seconds() for training in pair)
        self.keep("pair", self.say("two trainings side by side, one core each, together", together, "tokens/s"))
        shared = tokens / self.training(*soft, self.cores, processes=2).seconds()
        self.keep("shared", self.say("one training, two processes of one thread under torchrun", shared, "tokens/s"))
        with busy(self.cores):
            among = tokens / self.training(*soft, self.cores).seconds()
        self.keep("among", self.say(f"one training, two threads among {BUSY} busy processes", among, "tokens/s"))


@contextmanager
def busy(cores):
    """Processes that want the cores all the time, of the same session, so that the system gives each thread as much."""
    command = confined([sys.executable, "-c", "while True: pass"], cores)
    processes = [subprocess.Popen(command) for _ in range(BUSY)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(prog="train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--run", type=Path, help="its folder, data/runs/<run.name> by default")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many counts")
    parser.add_argument("--images", type=int, default=800, help="train images of ours, at least")
    parser.add_argument("--steps", type=int, default=40, help="steps of the PyTorch loops that count")
    args = parser.parse_args()
    run = args.run or ROOT / "data/runs" / tomllib.loads(args.config.read_text())["run"]["name"]
    name, flags = machine.processor()
    print(f"{name}, {plural(machine.threads())}\n  {' '.join(sorted(flags))}", flush=True)
    if "bf16" not in machine.precisions():
        print("  bf16 is left out: the processor would emulate it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "short"
        shorten(run, short, args.images)
        examples = Examples(short)
        print(f"{len(examples)} train images with {examples.tokens()} tokens; self-critical training: ours alone", flush=True)
        bench = Bench(args.config.resolve(), short, examples, args.steps)
        bench.measure_peaks()
        try:
            for number in range(args.rounds):
                print(f"round {number + 1} of {args.rounds}", flush=True)
                for name in filter(args.only.__contains__, NAMES):
                    bench.measure(name)
        finally:  # What was measured is worth telling, whatever fails later.
            report.table(bench, NAMES)
            report.scaling(bench.rates, BUSY)


if __name__ == "__main__":
    main()
