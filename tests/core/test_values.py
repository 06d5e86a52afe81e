"""In which precision values are taken, and when they can be looked at."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from acnorm.core.values import exact, has_values, wide


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_results_are_in_float32_or_wider_and_work_is_in_float64(dtype: torch.dtype):
    assert wide(dtype) == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert exact(torch.ones(2, dtype=dtype)).dtype == torch.float64


def test_only_plain_tensors_outside_of_transforms_have_values():
    found = []

    def look(values: torch.Tensor) -> torch.Tensor:
        found.append(has_values(values))
        return values

    plain = torch.ones(2)
    look(plain)
    look(nn.Parameter(plain))
    look(plain.to("meta"))
    torch.func.vmap(look)(plain)
    with FakeTensorMode():
        look(torch.ones(2))
    assert found == [True, True, False, False, False]
