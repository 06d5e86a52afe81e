"""Fine-tune one source on three domains with plain BatchNorm and AC-Norm, and inspect what became of the affine.

    python benchmarks/affine.py --data ../shared/data --runs runs/affine --seeds 3

Domains get as many cases each (400 to train, 100 to validate, 300 to test, at 32 px), so that the number of steps is
the same. Finished runs are kept. Pages and tables are written to RUNS/inspect.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

DOMAINS = {
    "retina": "dr_grading/retinamnist.npz",
    "nodules": "nodules/luna16_patches_50.npz",
    "brain": "source/brain_mri_64.npz",
}
SIZES = {"train": 400, "val": 100, "test": 300}
WEIGHTS = "weights/resnet20-12fca82f.th"
METHODS = ("vanilla", "acnorm")


def subset(file: Path, out: Path) -> Path:
    """Write a MedMNIST archive of a few cases, drawn once; of data without splits, from the training cases."""
    if out.is_file():
        return out
    arrays = np.load(file)
    draw = np.random.default_rng(0)
    left = draw.permutation(len(arrays["train_images"]))
    kept = {}
    for split, size in SIZES.items():
        if split == "train" or "test_images" not in arrays:
            source, rows, left = "train", left[:size], left[size:]
        else:
            source, rows = split, draw.permutation(len(arrays[f"{split}_images"]))[:size]
        for part in ("images", "labels"):
            kept[f"{split}_{part}"] = arrays[f"{source}_{part}"][np.sort(rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out, **kept)
    return out


def main() -> None:
    """Run what is not finished, then inspect all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    acnorm = [sys.executable, "-m", "acnorm.cli.main"]
    folders = []
    for seed in range(options.seeds):
        for domain, file in DOMAINS.items():
            data = subset(options.data / file, options.runs / "data" / f"{domain}.npz")
            for method in METHODS:
                out = options.runs / f"{domain}-{method}-{seed}"
                folders.append(str(out))
                if (out / "metrics.json").is_file():
                    continue
                flags = ["--data", str(data), "--image-size", "32", "--model", "cifar/resnet20", "--method", method]
                flags += ["--weights", str(options.data / WEIGHTS), "--epochs", str(options.epochs)]
                flags += ["--optimizer", "sgd", "--seed", str(seed), "--out", str(out)]
                again = ["--resume"] if (out / "config.yaml").is_file() else []
                subprocess.run([*acnorm, "finetune", *flags, *again], env=environment, check=True)
    subprocess.run([*acnorm, "inspect", *folders, "--out", str(options.runs / "inspect")], env=environment, check=True)


if __name__ == "__main__":
    main()
