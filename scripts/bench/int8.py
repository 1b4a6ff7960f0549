"""What weights in bytes cost an ONNX export, beside ONNX Runtime's dynamic quantization: bytes, photos a second, CIDEr-D.

    scripts/bench/int8.py MODEL IMAGES REFERENCES [--only exact int8]

MODEL is a captioner's file, IMAGES a folder of photos, REFERENCES their captions in COCO's format, image_id the name of the file. Needs
onnx, onnxruntime, numpy and Pillow, and the release programs. Captions are those of the Python program in the export's README.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "target/release"
NETWORKS = ["encoder.onnx", "decoder.onnx"]


def export(model, folder, *options):
    command = [PROGRAMS / "export", model, "--onnx", folder, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def dynamic(model, folder, reduce_range):
    """Per channel, without depthwise convolutions, for which there is no fast kernel."""
    export(model, folder)
    for name in NETWORKS:
        network = onnx.load(folder / name)
        graph, held = network.graph, {tensor.name: tensor for tensor in network.graph.initializer}
        # The quantizer looks for weights in single precision.
        for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in held]:
            tensor = held[node.input[0]]
            wide = numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(numpy_helper.from_array(wide, node.output[0]))
            graph.node.remove(node)
        depthwise = [node.name for node in graph.node if any(a.name == "group" and a.i > 1 for a in node.attribute)]
        onnx.save(network, folder / "plain.onnx")
        quantize_dynamic(
            folder / "plain.onnx",
            folder / name,
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=depthwise,
            op_types_to_quantize=["Conv", "MatMul", "Gather"],
        )


KINDS = {
    "exact": export,
    "int8": lambda model, folder: export(model, folder, "--int8"),
    "dynamic, 8 bits": lambda model, folder: dynamic(model, folder, False),
    "dynamic, 7 bits": lambda model, folder: dynamic(model, folder, True),
}


def captions(folder, photos):
    """By the program of the README, whose networks are loaded once."""
    program = compile((folder / "README.md").read_text().split("```python\n")[1].split("```")[0], "caption.py", "exec")
    session, began, captions = onnxruntime.InferenceSession, time.time(), []
    load = functools.cache(lambda name: session(name, providers=["CPUExecutionProvider"]))
    onnxruntime.InferenceSession = lambda name, providers: load(name)
    os.chdir(folder)
    for photo in photos:
        sys.argv, printed = ["caption.py", str(photo)], io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        captions.append({"image_id": photo.name, "caption": printed.getvalue().strip()})
    os.chdir(ROOT)
    onnxruntime.InferenceSession = session
    return captions, len(photos) / (time.time() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    model, references = args.model.resolve(), args.references.resolve()
    wanted = {reference["image_id"] for reference in json.loads(references.read_text())["annotations"]}
    photos = [path.resolve() for path in sorted(args.images.iterdir()) if path.name in wanted]
    exact = None
    for kind in args.only:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder) / "export"
            KINDS[kind](model, folder)
            size = sum((folder / name).stat().st_size for name in NETWORKS)
            found, rate = captions(folder, photos)
            hypotheses = folder / "hypotheses.json"
            hypotheses.write_text(json.dumps(found))
            print(f"{kind}: {size / 1e6:.1f} MB, {rate:.1f} photos/s", flush=True)
            command = [PROGRAMS / "score", "--references", references, "--hypotheses", hypotheses]
            if exact:
                print(f"  {sum(a == b for a, b in zip(found, exact[1]))} of {len(found)} captions are the same")
                command += ["--against", exact[0]]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            # The names of the metrics, the scores, and what differs from the exact ones.
            said = [line for line in lines if line.startswith((" ", hypotheses.name)) or "p =" in line]
            print(*("  " + line for line in said), sep="\n", flush=True)
            if not exact:
                kept = tempfile.NamedTemporaryFile(suffix=".json")
                shutil.copy(hypotheses, kept.name)
                exact = (kept.name, found, kept)


if __name__ == "__main__":
    main()
