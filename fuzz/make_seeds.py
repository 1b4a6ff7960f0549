"""Makes the seeds from the fixtures of the crates `model`, the small weight files and the pickles inside of them, `imaging`, a
photo of every kind, `xmp`, sidecars of several programs, and `dataset`, an archive and a table.

    python fuzz/make_seeds.py

Those of `table`, `caption_json` and `score_files` are small files as several programs write them. The seed of `manifest` is a manifest that the stage `text` wrote, with a warning added.
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


for target, file in {"archive": "webdataset/pax.tar", "image_rows": "huggingface/TEST-00000-of-00001.parquet"}.items():
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "../crates/dataset/tests/fixtures" / file, folder)

folder = HERE / "seeds/xmp"
folder.mkdir(parents=True, exist_ok=True)
for file in (HERE / "../crates/xmp/tests/fixtures").iterdir():
    shutil.copy(file, folder / file.name)

CAPTION_FILES = {
    "table": {
        "comma.csv": "image,caption,split\r\na.jpg,\"A cat, asleep\",train\r\n\"b.jpg\" , \"A \"\"big\"\" dog\",val\r\n",
        "index.csv": ",file_name,text,license\n0,a.jpg,\"A\ncat\",3\n1,b.jpg,A dog\n",
        "hint.csv": "sep=;\nImage;caption_1;caption_2\na.jpg;A cat;It sleeps\nb.jpg;A dog;\n",
        "bars.csv": "image_name| comment_number| comment\n1.jpg| 0| A dog .\n1.jpg| 1   Two dogs .\n",
        "rows.jsonl": '{"image": "a.jpg", "captions": ["A cat", null]}\n\n{"file_name": "b.jpg", "text": "A dog"}\n',
        "list.json": '[{"image": "a.jpg", "caption": "A cat", "split": "dev"}]',
        "tabs16.txt": "image\tcaption\r\na.jpg\tA caf\u00e9\r\n".encode("utf-16"),
    },
    "caption_json": {
        "coco.json": '{"images": [{"id": 1.0, "file_name": "a.jpg"}], "annotations": [{"image_id": "1", "caption": null}]}',
        "karpathy.json": '{"images": [{"filepath": "val2014", "filename": "a.jpg", "cocoid": 7, "split": "dev", "sentences": '
        '[{"raw": "A cat."}, {"tokens": ["a", "dog"]}, "it runs"]}]}',
    },
    "score_files": {
        "coco": '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "a cat"}]}'
        '\0[{"image_id": 1.0, "caption": "a dog"}]',
        "dictionaries": '{"1": ["a cat", "it sleeps"], "2": [{"caption": "a dog"}]}\0{"1": ["a cat"], "2": "a dog"}',
        "files": '{"images": [{"filename": "a.jpg", "imgid": 0, "sentences": ["a cat"]}]}\0{"a": "a cat"}',
    },
}
for target, files in CAPTION_FILES.items():
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

folder = HERE / "seeds/image"
folder.mkdir(parents=True, exist_ok=True)
for file in (HERE / "../crates/imaging/tests/fixtures/decode").iterdir():
    if not file.name.endswith(".rgb.png"):
        shutil.copy(file, folder / file.name)
