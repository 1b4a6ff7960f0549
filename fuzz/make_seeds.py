"""Makes the seeds from the fixtures of the `model` crate: the small weight files, and the pickles inside of them.

    python fuzz/make_seeds.py

The seed of `manifest` is a manifest that the stage `text` wrote, with a warning added.
"""

import shutil
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE / "../crates/model/tests/fixtures"

for target, names in {
    "safetensors": ["tiny.safetensors"],
    "torch_zip": ["tiny-zip.pth", "tiny-nested.pth"],
    "torch_legacy": ["tiny-legacy.pth"],
}.items():
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(FIXTURES / name, folder / name)

folder = HERE / "seeds/torch_pickle"
folder.mkdir(parents=True, exist_ok=True)
for name in ["tiny-zip", "tiny-nested"]:
    with zipfile.ZipFile(FIXTURES / f"{name}.pth") as archive:
        (folder / f"{name}.pkl").write_bytes(archive.read(f"{name}/data.pkl"))
