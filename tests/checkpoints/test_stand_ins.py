from __future__ import annotations

import io
import pickle
from argparse import Namespace
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch

from acnorm.checkpoints.stand_ins import NAMES, StandIn, stand_ins


def kept(value: object, *, zipped: bool = True) -> io.BytesIO:
    file = io.BytesIO()
    torch.save({"value": value, "weight": torch.ones(2)}, file, _use_new_zipfile_serialization=zipped)
    return io.BytesIO(file.getvalue())


VALUES = [
    Namespace(lr=0.1),
    Namespace(inner=Namespace(best=np.float32(1))),
    np.float64(0.5),
    np.int64(3),
    np.arange(6).reshape(2, 3),
    np.array([{"a": 1}], dtype=object),
    PurePosixPath("runs/1"),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_as_nothing_and_only_where_it_is_asked_for(value: object, zipped: bool):
    with stand_ins():
        content = torch.load(kept(value, zipped=zipped), weights_only=True)
    assert type(content["value"]) is StandIn
    assert vars(content["value"]) == {}
    assert torch.equal(content["weight"], torch.ones(2))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(kept(value, zipped=zipped), weights_only=True)


class Sly:
    """Asks NumPy's and argparse's names to be given code."""

    def __reduce__(self):
        return (Namespace, (), {"x": print})


def test_code_inside_such_a_value_is_refused_all_the_same():
    with stand_ins(), pytest.raises(pickle.UnpicklingError, match="print"):
        torch.load(kept(Sly()), weights_only=True)


def test_no_name_is_that_of_code_that_does_something():
    assert not [name for name in NAMES if name.startswith(("builtins", "os", "torch", "subprocess"))]
