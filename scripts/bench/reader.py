"""The peers of the feature reader, in Python: HDF5 with a chunk per row, one .npy per row, one .npy for all.

    scripts/bench/reader.py FEATURE_FOLDER

Prints rows per second of random batches of 32, on one core, from a warm page cache. Needs pyarrow, numpy and h5py.
`just bench reader` runs it after the same measurement of our own reader.
"""

import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1000
BATCH = 32


def rate(name, read, rows):
    order = np.random.default_rng(1).permutation(rows)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for batch in np.array_split(order, max(1, rows // BATCH)):
            read(np.sort(batch))
        best = min(best, time.process_time() - start)
    print(f"{name:34} {rows / best:9.0f} rows/s")


def main():
    pa.set_cpu_count(1)
    parts = sorted(Path(sys.argv[1]).glob("part-*.parquet"))
    grids = pq.ParquetDataset(parts).read(columns=["grid"])["grid"].combine_chunks()[:ROWS]
    shape = (len(grids), grids.type.list_size, grids.type.value_type.list_size)
    grids = grids.flatten().flatten().to_numpy().reshape(shape)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, options in [("HDF5", {}), ("HDF5, gzip-1", {"compression": "gzip", "compression_opts": 1})]:
            path = folder / f"{name}.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset("grid", data=grids, chunks=(1, *shape[1:]), **options)
            with h5py.File(path) as file:
                rate(name, lambda rows, data=file["grid"]: data[rows], len(grids))
        for row, grid in enumerate(grids):
            np.save(folder / f"{row}.npy", grid)
        rate(".npy per row", lambda rows: np.stack([np.load(folder / f"{row}.npy") for row in rows]), len(grids))
        np.save(folder / "all.npy", grids)
        mapped = np.load(folder / "all.npy", mmap_mode="r")
        rate("one .npy, mapped, not compressed", lambda rows: mapped[rows].copy(), len(grids))
        with pq.ParquetFile(parts[0]) as file:
            rows = file.metadata.num_rows
            start = time.process_time()
            file.read(columns=["grid"])
            print(f"{'pyarrow, our Parquet, whole part':34} {rows / (time.process_time() - start):9.0f} rows/s")


if __name__ == "__main__":
    main()
