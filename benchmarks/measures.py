"""How long the transferability measures take on features, beside the steps of their authors' code, and a whole ranking.

    OMP_NUM_THREADS=1 python benchmarks/measures.py --data ../shared/data/dr_grading/idrid

The steps of the authors' code are written anew from their formulas, with the same calls of numpy, scipy and
scikit-learn where it makes them. Times are of the processor, medians over turns of both. The whole ranking, on all
cores, is ``acnorm rank`` of eight ResNet-18 checkpoints with random weights and spread norms at 64 px, every measure,
no cache.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import scipy.linalg
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import spearmanr
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from acnorm.models.sources import build_network
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.measures import MEASURES, Evidence

SIZES = ((331, 512), (1200, 512), (331, 2048))
CLASSES, SOURCE_CLASSES, TURNS = 5, 100, 9
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def knn(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Votes of five neighbours of each case, itself left out."""
    KNeighborsClassifier(6).fit(features, labels).kneighbors()


def logme(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """A singular value decomposition, then up to eleven steps for each class."""
    cases, size = features.shape
    if cases > size:
        squares, right = np.linalg.svd(features.T @ features)[1:]
        left = features @ right.T / np.sqrt(squares)
    else:
        left, spread, _ = np.linalg.svd(features, full_matrices=False)
        squares = spread**2
    for label in range(CLASSES):
        target = (labels == label).astype(float)
        along = (left.T @ target) ** 2
        beside, alpha, beta = target.sum() - along.sum(), 1.0, 1.0
        for _ in range(11):
            ratio = alpha / beta
            gamma = (squares / (squares + ratio)).sum()
            alpha = gamma / ((squares * along / (ratio + squares) ** 2).sum() + 1e-5)
            beta = (cases - gamma) / ((along / (1 + squares / ratio) ** 2).sum() + beside + 1e-5)
            if abs(alpha / beta - ratio) / ratio <= 1e-3:
                break


def leep(_: np.ndarray, labels: np.ndarray, source: np.ndarray) -> None:
    """Joint, conditional and expected probabilities."""
    joint = np.stack([source[labels == label].sum(axis=0) for label in range(CLASSES)]) / len(labels)
    np.log((source @ (joint / joint.sum(axis=0)).T)[np.arange(len(labels)), labels]).mean()


def nce(_: np.ndarray, labels: np.ndarray, source: np.ndarray) -> None:
    """A table of counts, cell by cell."""
    answers = source.argmax(axis=1)
    table = np.array([[((labels == y) & (answers == z)).mean() for z in range(SOURCE_CLASSES)] for y in range(CLASSES)])
    np.log(table / (table.sum(axis=0) + 1e-20) + 1e-20)


def between(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The covariance of the class means."""
    means = np.empty_like(features)
    for label in range(CLASSES):
        means[labels == label] = features[labels == label].mean(axis=0)
    return np.cov(means, rowvar=False)


def h_score(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """A pseudoinverse of the covariance."""
    np.trace(np.linalg.pinv(np.cov(features, rowvar=False), rcond=1e-15) @ between(features, labels))


def shrunk_h_score(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Scikit-learn's shrinkage and a pseudoinverse."""
    np.trace(np.linalg.pinv(LedoitWolf().fit(features).covariance_, rcond=1e-15) @ between(features, labels))


def n_leep(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Principal axes, one mixture with full covariances, LEEP."""
    reduced = PCA(0.8).fit_transform(features)
    mixture = GaussianMixture(5 * CLASSES, random_state=0).fit(reduced)
    leep(features, labels, mixture.predict_proba(reduced))


def trans_rate(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Log determinants of matrices of all features."""
    for rows in (features, *(features[labels == label] for label in range(CLASSES))):
        np.linalg.slogdet(np.eye(features.shape[1]) + rows.T @ rows / (len(rows) * 1e-4))


def gbc(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Sixty-four principal axes, means and variances."""
    reduced = PCA(min(64, len(features))).fit_transform(features)
    for label in range(CLASSES):
        reduced[labels == label].var(axis=0)


def parc(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Two matrices of correlations, and Spearman's of their upper halves."""
    reduced = PCA(32, svd_solver="randomized", random_state=0, iterated_power=1).fit_transform(features)
    pairs = np.triu_indices(len(labels), 1)
    rows = StandardScaler().fit_transform(reduced)
    spearmanr(1 - np.corrcoef(rows)[pairs], 1 - np.corrcoef(np.eye(CLASSES)[labels])[pairs])


def sfda(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """Two generalised eigenvalue problems of all features."""
    size = features.shape[1]
    for _ in range(2):
        scatter = sum(
            (labels == label).mean() * np.cov(features[labels == label].T, bias=True) for label in range(CLASSES)
        )
        shrunk = 0.9 * scatter + 0.1 * np.trace(scatter) / size * np.eye(size)
        vectors = scipy.linalg.eigh(np.cov(features.T, bias=True) - shrunk, shrunk)[1]
        means = np.stack([features[labels == label].mean(axis=0) for label in range(CLASSES)])
        softmax(features @ (means @ vectors @ vectors.T).T, axis=1)


def etran(features: np.ndarray, labels: np.ndarray, _: np.ndarray) -> None:
    """An eigenvalue problem of all features, and the energy of each case."""
    size = features.shape[1]
    within = sum((labels == label).mean() * np.cov(features[labels == label].T, bias=True) for label in range(CLASSES))
    inverse = np.linalg.inv(within + 1e-6 * np.eye(size))
    vectors = scipy.linalg.eigh(inverse @ (np.cov(features.T, bias=True) - within))[1]
    means = np.stack([features[labels == label].mean(axis=0) for label in range(CLASSES)])
    softmax(features @ (means @ vectors @ vectors.T).T, axis=1)
    np.sort(logsumexp(features, axis=1))


AUTHORS: dict[str, Callable[..., None]] = {
    "knn": knn,
    "logme": logme,
    "leep": leep,
    "nce": nce,
    "h-score": h_score,
    "shrunk-h-score": shrunk_h_score,
    "n-leep": n_leep,
    "transrate": trans_rate,
    "gbc": gbc,
    "parc": parc,
    "sfda": sfda,
    "etran": etran,
}


def drawn(cases: int, size: int) -> Arrays:
    """Features after a ReLU with a spectrum that falls off, classes that lie apart a little, and source answers."""
    draw = np.random.default_rng(0)
    labels = draw.permutation(np.arange(cases) % CLASSES)
    hidden = (
        draw.normal(size=(cases, size)) * np.exp(-np.arange(size) / 40) + draw.normal(size=(CLASSES, size))[labels] / 9
    )
    features = np.maximum(hidden @ draw.normal(size=(size, size)) / 9, 0)
    return features, labels, draw.dirichlet(np.ones(SOURCE_CLASSES), cases)


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of the processor that one call takes."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def row(name: str, cases: int, size: int) -> str:
    """One row of the table."""
    arrays = drawn(cases, size)
    features, labels, source = arrays
    evidence = Evidence(features, labels, np.array([f"{at:05}" for at in range(cases)]), source)
    own, authors, refused = [], [], False

    def call() -> None:
        nonlocal refused
        try:
            MEASURES[name].of(evidence)
        except NotDefined:
            refused = True

    for _ in range(TURNS):
        own.append(timed(call))
        if name in AUTHORS:
            authors.append(timed(lambda: AUTHORS[name](*arrays)))
    there = f"{median(authors):.1f}" if authors else ""
    return f"| {name} | {cases} × {size} | {median(own):.1f}{' (refused)' * refused} | {there} |"


def ranking(data: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processors, of a whole ranking of eight ResNet-18 checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for seed in range(8):
            torch.manual_seed(seed)
            module = build_network("monai/resnet18", classes=10, channels=3).module
            for layer in module.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    torch.nn.init.normal_(layer.bias, std=0.5)
            files.append(f"{folder}/{seed}.pth")
            torch.save(module.state_dict(), files[-1])
        command = [sys.executable, "-m", "acnorm.cli.main", "rank", "--data", str(data), "--model", "monai/resnet18"]
        command += ["--weights", *files, "--image-size", "64", "--measures", "all"]
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="IDRiD, for the whole ranking; left out where not given")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/measures.md"))
    options = parser.parse_args()
    load = os.getloadavg()[0]
    lines = [
        "# What the measures take",
        "",
        "    OMP_NUM_THREADS=1 python benchmarks/measures.py --data ../shared/data/dr_grading/idrid",
        "",
    ]
    lines += [
        f"- {os.cpu_count()} cores, {platform.machine()}, {torch.get_num_threads()} threads of torch, "
        f"Python {platform.python_version()}; load average at the start {load:.1f}",
        f"- {CLASSES} classes, {SOURCE_CLASSES} source classes; medians of {TURNS} turns, processor milliseconds",
        "- not the same work: knn leaves out a patient's other cases and shares places among ties, n-leep fits three",
        "  mixtures where its authors fit one, parc takes exact principal axes where its authors draw some at random,",
        "  and all look their input through (0.1 to 0.3 ms, most of what leep takes)",
        "",
        "| measure | cases × features | acnorm, ms | steps of the authors' code, ms |",
        "|---|---|---|---|",
    ]
    for size in SIZES:
        for name, measure in MEASURES.items():
            if not measure.of_network:
                lines.append(row(name, *size))
                print(lines[-1], flush=True)
    if options.data is not None:
        seconds, used = ranking(options.data)
        lines += [
            "",
            "`acnorm rank` of eight ResNet-18 checkpoints on IDRiD at 64 px, every measure:",
            f"{seconds:.0f} s on the clock, {used:.0f} s of processors (load average after {os.getloadavg()[0]:.1f}).",
        ]
        print(*lines[-2:])
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
