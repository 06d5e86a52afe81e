"""The table of measures: what each asks, what it needs, and what its scores may be compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from acnorm.ranking.auc import macro_auc
from acnorm.ranking.cc_fv import cc_fv
from acnorm.ranking.etran import etran
from acnorm.ranking.gbc import gbc
from acnorm.ranking.h_score import h_score, shrunk_h_score
from acnorm.ranking.inputs import NotDefined
from acnorm.ranking.knn import knn_votes
from acnorm.ranking.leep import leep
from acnorm.ranking.linear_probe import probe_answers
from acnorm.ranking.logme import logme
from acnorm.ranking.n_leep import n_leep
from acnorm.ranking.nce import nce
from acnorm.ranking.parc import parc
from acnorm.ranking.sfda import sfda
from acnorm.ranking.trans_rate import trans_rate

Held = tuple[Bool[NDArray[np.bool_], "case class"], Float[NDArray[np.float64], "case class"]]
NEEDS = {
    "features": "features (the input of the head in eval mode; of label maps those of voxels)",
    "voxels": "features of voxels with their cases, of label maps alone",
    "source classes": "the checkpoint's own head, for its classes' probabilities",
    "gradients": "a batch of images forward and backward",
    "probe": "a short fine-tune of the converted network",
}


@dataclass(frozen=True)
class Evidence:
    """What one pass over the cases gives for one candidate.

    features: [case, feature]. labels: the class of each case, or [case, class] of 0 and 1. groups: the patient of each
    case. source: probabilities of the source's classes, where the checkpoint brings its own head.

    Examples:
        >>> evidence = Evidence(np.eye(3), np.array([0, 1, 1]), np.array(["a", "b", "b"]))
        >>> evidence.of(np.array([0, 2])).groups.tolist()
        ['a', 'b']
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    groups: NDArray[np.str_]
    source: NDArray[Any] | None = None

    def of(self, rows: NDArray[np.intp]) -> Evidence:
        """The same of some cases only."""
        source = None if self.source is None else self.source[rows]
        return replace(
            self, features=self.features[rows], labels=self.labels[rows], groups=self.groups[rows], source=source
        )


@dataclass(frozen=True)
class VoxelEvidence(Evidence):
    """The same of voxels of label maps: every row is a voxel, its label a class of the map.

    cases: the case of each voxel. widths: number of features of each stage, which stand side by side.

    Examples:
        >>> names = np.array(["a", "b", "b"])
        >>> evidence = VoxelEvidence(np.eye(3), np.array([0, 1, 1]), names, cases=names, widths=(1, 2))
        >>> evidence.of(np.array([0, 2])).cases.tolist()
        ['a', 'b']
    """

    cases: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=str))
    widths: tuple[int, ...] = ()

    def of(self, rows: NDArray[np.intp]) -> Evidence:
        """The same of some voxels only."""
        return replace(cast(VoxelEvidence, super().of(rows)), cases=self.cases[rows])


@dataclass(frozen=True)
class Measure:
    """A transferability measure; of two candidates the one with the higher score should be the better start.

    name: in flags and tables. about: one line. paper: where it is from. needs: a key of ``NEEDS``. comparable: whether
    scores of features of different sizes (of different networks, for those of the network itself) may be compared.
    several: whether cases may show several classes. score: from the evidence; None for those of the network itself.
    held: for measures that are the macro AUC of answers to each case, these answers, of which an interval takes no new
    fits.
    """

    name: str
    about: str
    paper: str
    needs: Literal["features", "voxels", "source classes", "gradients", "probe"]
    comparable: bool
    several: bool = False
    score: Callable[[Evidence], float] | None = None
    held: Callable[[Evidence], Held] | None = None

    @property
    def of_network(self) -> bool:
        """Whether it is read off the network itself, and not off what one pass gives."""
        return self.needs in ("gradients", "probe")

    def of(self, evidence: Evidence) -> float:
        """Return the score.

        Raises:
            NotDefined: the measure says nothing about this evidence; the message is why.

        Examples:
            >>> cases = Evidence(np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1]), np.array(list("abcd")))
            >>> MEASURES["knn"].of(cases)
            1.0
        """
        if self.held is not None:
            return macro_auc(*self.held(evidence))
        if self.score is None:
            raise ValueError(f"{self.name} is read off the network, not off its features.")
        return self.score(evidence)


def _of_features(measure: Callable[[NDArray[Any], NDArray[Any]], float]) -> Callable[[Evidence], float]:
    return lambda evidence: measure(evidence.features, evidence.labels)


def _of_source(measure: Callable[[NDArray[Any], NDArray[Any]], float]) -> Callable[[Evidence], float]:
    def score(evidence: Evidence) -> float:
        if np.asarray(evidence.labels).ndim != 1:
            raise NotDefined("a case may show several classes")
        if evidence.source is None:
            raise NotDefined("the file holds no head of its own that fits the features")
        return measure(evidence.source, evidence.labels)

    return score


def _of_voxels(evidence: Evidence) -> float:
    if not isinstance(evidence, VoxelEvidence):
        raise NotDefined("it is for label maps")
    return cc_fv(evidence.features, evidence.labels, list(evidence.cases), widths=evidence.widths)


_ROWS = (
    Measure(
        "ac-corr",
        "how strongly the channels of the probed network match their source's",
        "Zhang et al., arXiv 2307.15282",
        "probe",
        comparable=False,
        several=True,
    ),
    Measure(
        "affine-drift",
        "how far the affine moved in the probe: what AC-Corr has to beat",
        "none",
        "probe",
        comparable=False,
        several=True,
    ),
    Measure(
        "knn",
        "macro AUC of leave-one-patient-out nearest neighbours",
        "Sorkhei et al., arXiv 2503.18528",
        "features",
        comparable=True,
        several=True,
        held=lambda evidence: knn_votes(evidence.features, evidence.labels, list(evidence.groups)),
    ),
    Measure(
        "linear-probe",
        "macro AUC of a penalised linear classifier, patients held out",
        "Alain and Bengio, arXiv 1610.01644",
        "features",
        comparable=True,
        several=True,
        held=lambda evidence: probe_answers(evidence.features, evidence.labels, list(evidence.groups)),
    ),
    Measure(
        "logme",
        "evidence of a Bayesian linear regression",
        "You et al., ICML 2021",
        "features",
        comparable=True,
        several=True,
        score=_of_features(logme),
    ),
    Measure(
        "leep",
        "how well the source's classes foretell the target's",
        "Nguyen et al., ICML 2020",
        "source classes",
        comparable=True,
        score=_of_source(leep),
    ),
    Measure(
        "nce",
        "what is left unknown of the class once the source's class is known",
        "Tran et al., ICCV 2019",
        "source classes",
        comparable=True,
        score=_of_source(nce),
    ),
    Measure(
        "shrunk-h-score",
        "spread between classes over the whole spread, covariance shrunk",
        "Ibrahim et al., ECML PKDD 2022",
        "features",
        comparable=False,
        score=_of_features(shrunk_h_score),
    ),
    Measure(
        "h-score",
        "spread between classes over the whole spread",
        "Bao et al., ICIP 2019",
        "features",
        comparable=False,
        score=_of_features(h_score),
    ),
    Measure(
        "n-leep",
        "how well clusters of the features foretell the class",
        "Li et al., CVPR 2021",
        "features",
        comparable=True,
        score=_of_features(n_leep),
    ),
    Measure(
        "transrate",
        "coding rate of all features less that within classes",
        "Huang et al., ICML 2022",
        "features",
        comparable=False,
        score=_of_features(trans_rate),
    ),
    Measure(
        "gbc",
        "how little the classes overlap as Gaussians",
        "Pándy et al., CVPR 2022",
        "features",
        comparable=False,
        score=_of_features(gbc),
    ),
    Measure(
        "gradient-ratio",
        "how much of a triplet loss's gradient lies beyond the first convolution",
        "Juodelyte et al., arXiv 2412.20172",
        "gradients",
        comparable=False,
    ),
    Measure(
        "parc",
        "whether cases of different classes are far apart in the features",
        "Bolya et al., NeurIPS 2021",
        "features",
        comparable=True,
        score=_of_features(parc),
    ),
    Measure(
        "sfda",
        "how sure a Fisher discriminant is of cases moved towards other classes",
        "Shao et al., ECCV 2022",
        "features",
        comparable=False,
        score=_of_features(sfda),
    ),
    Measure(
        "etran",
        "how well the data fit the network, and a linear discriminant their classes",
        "Gholami et al., ICCV 2023",
        "features",
        comparable=False,
        score=_of_features(etran),
    ),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ROWS}
# Those that only label maps can be scored by.
LABEL_MAP_MEASURES: dict[str, Measure] = {
    "cc-fv": Measure(
        "cc-fv",
        "whether classes look alike from case to case while cases differ",
        "Yang et al., arXiv 2307.11958",
        "voxels",
        comparable=False,
        score=_of_voxels,
    )
}
