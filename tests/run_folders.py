"""Run folders with invented numbers, in the form that training writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

GRADES = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
LAYERS = {
    "bn1": 16,
    **{f"layer{stage}.{block}.bn{norm}": 8 * 2**stage for stage in (1, 2, 3) for block in (0, 1) for norm in (1, 2)},
}
FILES = (
    *("metrics.csv", "metrics.json", "per_case.csv", "data.json", "load_report.json", "examples.json"),
    *("acnorm.json", "acnorm.safetensors"),
)
METRICS = (
    ("macro_auc", 0.78),
    ("accuracy", 0.61),
    ("balanced_accuracy", 0.52),
    ("quadratic_kappa", 0.64),
    ("macro_f1", 0.49),
    ("brier", 0.51),
    ("expected_calibration_error", 0.084),
)


def write_run(
    folder: Path,
    *,
    method: str = "acnorm",
    classes: Sequence[str] = GRADES,
    cases: int = 120,
    patients: bool = True,
    epochs: int = 12,
    seed: int = 0,
    skip: Sequence[str] = (),
) -> Path:
    """Write a whole run folder and give its path, without the files in `skip`, as after an interruption."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    table = _per_case(np.random.default_rng(cases), len(classes), cases, patients)
    table.to_csv(folder / "per_case.csv", index=False)
    _history(random, epochs).to_csv(folder / "metrics.csv", index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(folder, method, epochs, seed), sort_keys=False))
    write_json(folder / "metrics.json", _metrics(random, classes, cases, patients, epochs))
    write_json(folder / "data.json", _data(random, classes, cases, patients))
    write_json(folder / "load_report.json", _load_report())
    _examples(folder, table, random)
    if method == "acnorm":
        _acnorm(folder, seed)
    for name in skip:
        (folder / name).unlink()
    return folder


def write_begun(folder: Path) -> Path:
    """Write the folder of a run that has written nothing but its settings."""
    return write_run(folder, cases=10, skip=FILES)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, indent=2))


def change_json(path: Path, **changes: object) -> None:
    """Replace top keys of a JSON file."""
    write_json(path, json.loads(path.read_text()) | changes)


def _config(folder: Path, method: str, epochs: int, seed: int) -> dict[str, object]:
    flags = f"--data retinamnist.npz --model cifar/resnet20 --weights cifar10_resnet20.th --method {method}"
    return {
        "command": f"acnorm finetune {flags} --epochs {epochs} --seed {seed} --out {folder.name}",
        "version": "0.1.0",
        "data": "retinamnist.npz",
        "format": "medmnist",
        "model": "cifar/resnet20",
        "weights": "cifar10_resnet20.th",
        "method": method,
        "out": folder.name,
        "epochs": epochs,
        "batch_size": 32,
        "learning_rate": 0.01,
        "head_rate": 10.0,
        "weight_decay": 0.0001,
        "seed": seed,
    }


def _history(random: np.random.Generator, epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    progress = 1 - np.exp(-epoch / max(epochs / 4, 1))
    return pd.DataFrame(
        {
            "epoch": epoch - 1,  # as in the files that acnorm writes, from 0
            "learning_rate": 0.01 * (1 + np.cos(np.pi * (epoch - 1) / epochs)) / 2,
            "train_loss": 1.6 - 1.1 * progress + random.normal(0, 0.02, epochs),
            "val_loss": 1.55 - 0.6 * progress + 0.015 * epoch + random.normal(0, 0.02, epochs),
            "val_macro_auc": 0.55 + 0.25 * progress - 0.002 * epoch + random.normal(0, 0.01, epochs),
            "val_accuracy": 0.40 + 0.22 * progress + random.normal(0, 0.015, epochs),
            "seconds": random.uniform(3.9, 4.4, epochs),
        }
    )


def _per_case(random: np.random.Generator, classes: int, cases: int, patients: bool) -> pd.DataFrame:
    frames = []
    for split in ("val", "test"):
        label = random.permutation(np.arange(cases) % classes)
        logits = random.normal(0, 1, (cases, classes))
        logits[np.arange(cases), label] += 1.3
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        frame = pd.DataFrame(
            {
                "split": split,
                "id": [f"{split}-{index:04d}" for index in range(cases)],
                "patient": [f"patient-{index // 2:03d}" if patients else "" for index in range(cases)],
                "label": label,
                "prediction": shares.argmax(1),
                "loss": -np.log(shares[np.arange(cases), label]),
            }
        )
        frames.append(frame.assign(**{f"probability_{index}": shares[:, index] for index in range(classes)}))
    return pd.concat(frames)


def _metrics(
    random: np.random.Generator, classes: Sequence[str], cases: int, patients: bool, epochs: int
) -> dict[str, object]:
    def split() -> dict[str, object]:
        metrics = {}
        for name, centre in METRICS:
            value = float(centre + random.normal(0, 0.02))
            metrics[name] = {"value": value, "low": max(0.0, value - 0.06), "high": value + 0.05}
        return {"cases": cases, "patients": (cases + 1) // 2 if patients else None, "metrics": metrics}

    return {
        "task": "classification",
        "classes": list(classes),
        "resampled": "patients" if patients else "cases",
        "monitor": "val_macro_auc",
        "best_epoch": max(1, epochs * 3 // 4) - 1,
        "epochs": epochs,
        "seconds": 50.25,
        "splits": {"val": split(), "test": split()},
        "parameters": {"trainable": 270_000, "total": 272_474},
        "model_size": 1_100_000,
    }


def _data(random: np.random.Generator, classes: Sequence[str], cases: int, patients: bool) -> dict[str, object]:
    even = {str(index): len(range(index, cases, len(classes))) for index in range(len(classes))}
    train = {str(index): int(random.integers(40, 500)) for index in range(len(classes))}
    return {
        "source": "retinamnist.npz",
        "format": "medmnist",
        "classes": list(classes),
        "origin": "given by the data",
        "counts": {"train": train, "val": even, "test": even},
        "patients": {"train": 540, "val": 60, "test": 60} if patients else None,
        "image": [3, 64, 64],
        "warnings": [],
    }


def _load_report() -> dict[str, object]:
    return {
        "file": "cifar10_resnet20.th",
        "sha256": "12fca82f" * 8,
        "loaded": {"count": 114, "names": ["conv1.weight", "bn1.weight", "bn1.bias"]},
        "adapted": {"count": 0, "names": []},
        "missing": {"count": 0, "names": []},
        "head": {"count": 2, "names": ["head.weight", "head.bias"]},
        "unexpected": {"count": 2, "names": ["linear.weight", "linear.bias"]},
        "parameter_share": 0.9976,
        "norm_share": 1.0,
    }


def _examples(folder: Path, table: pd.DataFrame, random: np.random.Generator) -> None:
    (folder / "examples").mkdir(exist_ok=True)
    ordered = table[table["split"] == "test"].sort_values("loss")
    entries = []
    for kind, rows in (("worst", ordered.iloc[::-1][:6]), ("best", ordered[:6])):
        for row in rows.to_dict("records"):
            name = f"examples/{row['id']}.png"
            _fundus(random).save(folder / name)
            entries.append(
                {
                    "id": row["id"],
                    "label": row["label"],
                    "prediction": row["prediction"],
                    "probability": float(np.exp(-row["loss"])),
                    "loss": row["loss"],
                    "kind": kind,
                    "image": name,
                }
            )
    write_json(folder / "examples.json", entries)


def _fundus(random: np.random.Generator, side: int = 64) -> Image.Image:
    down, right = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    disc = (down**2 + right**2 < 0.9).astype(float)
    spots = sum(np.exp(-((down - y) ** 2 + (right - x) ** 2) / 0.01) for y, x in random.uniform(-0.7, 0.7, (5, 2)))
    red = disc * (0.75 - 0.15 * down + random.normal(0, 0.02, disc.shape))
    picture = np.stack([red, disc * (0.35 + 0.4 * np.asarray(spots)), disc * 0.15], axis=-1)
    return Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8))


def _acnorm(folder: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers, tensors = [], {}
    for depth, (name, channels) in enumerate(LAYERS.items()):
        weight = torch.rand(channels, generator=generator) + 0.3
        bias = torch.randn(channels, generator=generator) * 0.4
        moved = 0.02 + 0.01 * depth
        tensors |= {
            f"{name}.source_weight": weight,
            f"{name}.source_bias": bias,
            f"{name}.weight": weight + moved * torch.randn(channels, generator=generator),
            f"{name}.bias": bias + moved * torch.randn(channels, generator=generator),
        }
        layers.append(
            {
                "name": name,
                "channels": channels,
                "gain": 1 + 1.5 / channels + moved,
                "sparsity": 0.9 - 0.03 * depth,
                "drift": moved,
            }
        )
    save_file(tensors, folder / "acnorm.safetensors")
    left_alone = [{"name": "head.norm", "type": "LayerNorm", "reason": "not from the checkpoint"}]
    write_json(folder / "acnorm.json", {"temperature": 1.0, "eps": 1e-5, "layers": layers, "left_alone": left_alone})
