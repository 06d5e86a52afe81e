"""In which precision values are taken, and when they can be looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter


def exact(values: Tensor) -> Tensor:
    """Return values in the dtype in which C is computed: float64 wherever the device has it.

    C is not continuous in the ratios: rounded to float32 they keep other channels now and then than exact ones do.

    Examples:
        >>> exact(torch.ones(2)).dtype
        torch.float64
    """
    return values.to(torch.float32 if values.device.type == "mps" else torch.float64)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which results of a dtype are given: float32, or itself where it is wider.

    Examples:
        >>> wide(torch.float16), wide(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype, torch.float32)


def has_values(tensor: Tensor) -> bool:
    """Whether the values can be looked at without waiting for them.

    Not those on a GPU, nor those of a tensor that stands for others while a compiler or a transform traces it.

    Examples:
        >>> has_values(torch.ones(2)), has_values(torch.ones(2, device="meta"))
        (True, False)
    """
    # in this order: a compiler may not see the calls that follow
    return not (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._is_tracing()
        or type(tensor) not in (Tensor, Parameter)
        or not tensor.is_cpu
    )
