"""Inert objects for values that many checkpoints hold beside their weights, so that none of their code runs.

Training scripts save their arguments, the best score as a NumPy number, or the folder they wrote to. ``torch.load``
with ``weights_only=True`` takes none of these, and the weights beside them would be lost. Here their names stand for a
class that takes whatever it is given and keeps nothing: no code of NumPy, ``argparse`` or ``pathlib`` is run.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

# What is known to be a value and no behaviour; all other code is refused by its name.
NAMES = (
    *(f"numpy.{core}.multiarray.{part}" for core in ("core", "_core") for part in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    "argparse.Namespace",
    *(f"pathlib.{kind}" for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{kind}" for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
)


class StandIn:
    """Takes any arguments and any state, and is nothing.

    Examples:
        >>> vars(StandIn(1, folder="x"))
        {}
    """

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        """Nothing of what is given."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def __setstate__(self, _: Any) -> None:
        """Nothing of the state."""


def stand_ins() -> AbstractContextManager[None]:
    """Let ``torch.load(weights_only=True)`` take the names in ``NAMES``, as nothing.

    Examples:
        >>> import argparse, io
        >>> file = io.BytesIO()
        >>> torch.save({"args": argparse.Namespace(lr=0.1), "w": torch.ones(1)}, file)
        >>> with stand_ins():
        ...     content = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        >>> type(content["args"]).__name__, content["w"]
        ('StandIn', tensor([1.]))
    """
    return torch.serialization.safe_globals([(StandIn, name) for name in NAMES])
