"""acnorm: pick the right pretrained checkpoint and fine-tune it well on a few hundred medical images.

    model = acnorm.convert(model)      # after the pretrained weights are in
    ...train as always...
    model = acnorm.fold(model)         # plain BatchNorm again, same outputs, no overhead

The public names load when they are first used, so importing acnorm is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from acnorm._version import __version__ as __version__
from acnorm.errors import UserError as UserError

if TYPE_CHECKING:
    from acnorm.core.census import Census as Census
    from acnorm.core.census import census as census
    from acnorm.core.convert import convert as convert
    from acnorm.core.convert import revert as revert
    from acnorm.core.fold import fold as fold
    from acnorm.core.layer import ACNorm as ACNorm
    from acnorm.core.layer import without_recalibration as without_recalibration
    from acnorm.core.summary import summary as summary
    from acnorm.data.check import check as check
    from acnorm.models.checkpoint import checkpoint as checkpoint
    from acnorm.ranking.rank import rank as rank
    from acnorm.report.inspection import inspect as inspect
    from acnorm.report.write import write_report as write_report
    from acnorm.training.export import export as export
    from acnorm.training.predict import predict as predict
    from acnorm.workflows import compare as compare
    from acnorm.workflows import finetune as finetune
    from acnorm.workflows import pretrain as pretrain

_HOMES = {
    "ACNorm": "acnorm.core.layer",
    "Census": "acnorm.core.census",
    "census": "acnorm.core.census",
    "check": "acnorm.data.check",
    "checkpoint": "acnorm.models.checkpoint",
    "compare": "acnorm.workflows",
    "convert": "acnorm.core.convert",
    "export": "acnorm.training.export",
    "finetune": "acnorm.workflows",
    "fold": "acnorm.core.fold",
    "predict": "acnorm.training.predict",
    "inspect": "acnorm.report.inspection",
    "pretrain": "acnorm.workflows",
    "rank": "acnorm.ranking.rank",
    "revert": "acnorm.core.convert",
    "summary": "acnorm.core.summary",
    "without_recalibration": "acnorm.core.layer",
    "write_report": "acnorm.report.write",
}
__all__ = [*sorted(_HOMES), "UserError", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'acnorm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
