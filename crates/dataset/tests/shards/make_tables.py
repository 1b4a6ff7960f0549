"""Tables as the hub has them, by PyArrow: FOLDER holds 0.png … 5.png; each case becomes a folder below it."""
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(sys.argv[1])
pictures = [(folder / f"{number}.png").read_bytes() for number in range(6)]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def images(numbers, kind=IMAGE, path="{}.png"):
    rows = [None if n is None else {"bytes": pictures[n], "path": path and path.format(n)} for n in numbers]
    return pa.array(rows, kind)


def write(case, columns, name="train-00000-of-00001.parquet", **options):
    (folder / case).mkdir(exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), folder / case / name, **options)


# The column sets of the hub.
write("jxie", {"image": images([0, 1]), **{f"caption_{n}": [f"a{n}", f"b{n}"] for n in range(5)}})
flickr = {
    "image": images([0, 1, 2]),
    "caption": pa.array([["one", "two"], ["three"], ["four"]]),
    "sentids": pa.array([["0", "1"], ["2"], ["3"]]),
    "split": ["train", "val", "test"],
    "img_id": ["0", "1", "2"],
    "filename": ["0.jpg", "1.jpg", "2.jpg"],
}
write("nlphuji", flickr, "TEST-00000-of-00001.parquet")
write("lmms", {name: column for name, column in flickr.items() if name != "split"}, "test-00000.parquet")
sentence = pa.struct([("tokens", pa.list_(pa.string())), ("raw", pa.string()), ("imgid", pa.int32()), ("sentid", pa.int32())])
sentences = [{"tokens": [text], "raw": text, "imgid": 0, "sentid": 0} for text in ["one", "two", "three"]]
write("karpathy", {
    "image": images([0, 0, 1]), "filepath": ["0.jpg", "0.jpg", "1.jpg"], "sentids": pa.array([[0], [0], [1]], pa.list_(pa.int32())),
    "filename": ["0.jpg", "0.jpg", "1.jpg"], "imgid": pa.array([0, 0, 1], pa.int32()), "split": ["train", "train", "restval"],
    "sentences": pa.array(sentences, sentence), "cocoid": pa.array([9, 9, 8], pa.int32()),
})
write("coco2014", {
    "image": images([0, 1]), "sentences_tokens": pa.array([[["one"], ["two"]], [["three"]]]),
    "sentences_raw": pa.array([["one", "two"], ["three"]]), "sentences_sentid": pa.array([[1, 2], [3]]),
})
write("coco2017", {
    "question_id": ["a", "b"], "image": images([0, 1]), "question": ["Please caption.", "Please caption."],
    "answer": pa.array([["one", "two"], ["three"]]), "id": [1, 2], "file_name": ["a", "b"], "height": [1, 2],
})
write("text", {"image": images([0, 0, 1]), "text": ["one", "two", "three"]})
write("labels", {"image": images([0, 1]), "caption": ["one", "two"], "split": pa.array([0, 1])})
write("unlabelled", {"image": images([0, 1]), "caption": ["one", "two"], "split": pa.nulls(2)})
write("urls", {"sentences": pa.array([["one"]]), "url": ["http://x/"], "filepath": ["x"]})
write("conceptual", {"image_url": ["http://x/"], "caption": ["one"]})

# Arrow's forms of text and bytes, which are one in Parquet.
for form, text, data in [
    ("large", pa.large_string(), pa.large_binary()),
    ("view", pa.string_view(), pa.binary_view()),
    ("dictionary", pa.dictionary(pa.int32(), pa.string()), pa.binary()),
]:
    kind = pa.struct([("bytes", data), ("path", pa.large_string() if form == "large" else pa.string())])
    split = pa.dictionary(pa.int8(), pa.string())
    write(form, {
        "image": images([0, 1], kind), "caption": pa.array(["one", "two"]).cast(text), "split": pa.array(["train", "val"]).cast(split),
    })
write("binary", {"jpg": pa.array(pictures[:2]), "caption": ["one", "two"], "key": ["a", "b"]})

# What is missing.
write("nulls", {
    "image": pa.array([
        {"bytes": pictures[0], "path": None}, None, {"bytes": None, "path": "beside.png"}, {"bytes": None, "path": None},
        {"bytes": None, "path": "../5.png"}, {"bytes": None, "path": str(folder / "5.png")}, {"bytes": pictures[1], "path": "b/y.png"},
        {"bytes": pictures[2], "path": "z.png"},
    ], IMAGE),
    "caption": pa.array([["one", None, " "], ["x"], ["two"], ["x"], ["x"], ["x"], None, ["three"]]),
})
(folder / "nulls/beside.png").write_bytes(pictures[3])
write("statuses", {
    "jpg": pa.array([pictures[0], None, None, None]), "caption": ["one", "x", "y", "z"],
    "status": ["success", "failed_to_download", "failed_to_resize", "failed_to_download"],
})
write("paths", {"image": ["p/0.png", "p/1.png"], "caption": ["one", "two"]})
(folder / "paths/p").mkdir(exist_ok=True)
for number in [0, 1]:
    (folder / f"paths/p/{number}.png").write_bytes(pictures[number])

# Shapes.
write("nested", {"sample": pa.array([{"inner": {"bytes": pictures[0], "path": "n.png"}}], pa.struct([("inner", IMAGE)])), "caption": ["one"]})
write("mask", {"mask": images([5, 4]), "image": images([0, 1]), "caption": ["one", "two"]})
write("dots", {"a.b": images([0]), "the.caption": ["one"], "caption": ["not this"]})
write("list", {"images": pa.array([[{"bytes": pictures[0], "path": "a"}]], pa.list_(IMAGE)), "caption": ["one"]})
write("none", {"image": images([], IMAGE), "caption": pa.array([], pa.string())}, "b.parquet")
write("none", {"image": images([0]), "caption": ["one"]}, "a.parquet")
write("schemas", {"image": images([0]), "caption": ["one"]}, "a.parquet")
write("schemas", {"image_url": ["x"], "caption": ["one"]}, "b.parquet")
write("two", {"image": images([0]), "text": ["one"], "description": ["two"]})
write("number", {"image": images([0]), "caption": [7]})
metadata = {"huggingface": '{"info": {"features": {"image": {"_type": "Image"}, "caption": {"dtype": "string", "_type": "Value"}}}}'}
write("described", pa.table({"image": images([0]), "caption": ["one"]}).replace_schema_metadata(metadata))

# How the bytes are packed.
rows = {"image": images([0, 1, 2, 3, 4, 5]), "caption": [f"picture {number}" for number in range(6)]}
for codec in ["snappy", "zstd", "lz4", "none", "gzip", "brotli"]:
    write(f"packed-{codec}", rows, compression=codec, row_group_size=4, write_page_index=codec != "snappy")
write("packed-v2", rows, data_page_version="2.0", use_dictionary=False, row_group_size=1)
