"""What is learnt from: the train images of a run, some of them, as arrays."""

import json

import numpy as np
import pyarrow.parquet as pq

BATCH_IMAGES = 16


def feature_set(run):
    """The folder of the run's one set of features, which is all that the PyTorch loops read."""
    sets = sorted(path for path in (run / "features").glob("*") if (path / "_manifest.json").exists())
    if len(sets) != 1:
        raise SystemExit(f"{run}/features holds {len(sets)} finished sets, and the PyTorch loops read one: choose another run")
    return sets[0]


def link(run, folder):
    """A run in `folder` with the dataset, text and features of another."""
    folder.mkdir()
    for stage in ["dataset", "text", "features"]:
        (folder / stage).symlink_to((run / stage).resolve())


def shorten(run, folder, images):
    """The run with the first parts of its features that hold so many train images, and one that validates."""
    link(run, folder)
    features = feature_set(run)
    (folder / "features").unlink()
    few = folder / "features" / features.name
    few.mkdir(parents=True)
    manifest = json.loads((features / "_manifest.json").read_text())
    kept, learn, validate = [], 0, 0
    for output in manifest["outputs"]:
        splits = pq.read_table(features / output["file"], columns=["split"])["split"].to_pylist()
        wanted = learn < images and "train" in splits or not validate and "val" in splits
        if wanted:
            (few / output["file"]).symlink_to((features / output["file"]).resolve())
            kept.append(output)
            learn, validate = learn + splits.count("train"), validate + splits.count("val")
    # A manifest without a checksum is one of another program, and passes.
    del manifest["checksum"]
    (few / "_manifest.json").write_text(json.dumps({**manifest, "outputs": kept}))


class Examples:
    """The train images of a run that have features: `grids` as `[images, regions, channels]`, f16, and the ids of each one's
    captions, longest first. Tokens are words and ends of captions."""

    def __init__(self, run):
        features = feature_set(run)
        names, grids = [], []
        for output in json.loads((features / "_manifest.json").read_text())["outputs"]:
            table = pq.read_table(features / output["file"], columns=["image_id", "split", "grid"])
            table = table.filter(np.array(table["split"].to_pylist()) == "train")
            if len(table):
                column = table["grid"].combine_chunks()
                regions, channels = column.type.list_size, column.type.value_type.list_size
                grids.append(column.flatten().flatten().to_numpy().reshape(-1, regions, channels))
                names += table["image_id"].to_pylist()
        captions = {name: [] for name in names}
        for row in pq.read_table(run / "text/tokens", columns=["image_id", "ids"]).to_pylist():
            if row["image_id"] in captions and row["ids"]:
                captions[row["image_id"]].append(row["ids"])
        self.grids = np.concatenate(grids)
        self.captions = [sorted(captions[name], key=len, reverse=True) for name in names]
        self.vocabulary = len(json.loads((run / "text/vocabulary.json").read_text())["words"])

    def __len__(self):
        return len(self.captions)

    def tokens(self):
        return sum(len(ids) - 1 for captions in self.captions for ids in captions)

    def batch(self, random):
        """Images drawn at random: grids `[images, regions, channels]`, f16, and for each its captions."""
        picks = random.choice(len(self), BATCH_IMAGES, replace=False)
        return self.grids[picks], [self.captions[pick] for pick in picks]
