"""The public names: all there, documented with an example, and loaded only when used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import acnorm

NAMES = [name for name in acnorm.__all__ if name != "__version__"]
RETURNED = ("Census",)  # what a function gives, whose own example shows it


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_with_a_docstring_and_an_example(name: str):
    found = getattr(acnorm, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)
    assert name in RETURNED or ">>> " in inspect.getdoc(found)


def test_every_name_is_listed_once_and_found_by_dir():
    assert len(set(acnorm.__all__)) == len(acnorm.__all__)
    assert dir(acnorm) == sorted(acnorm.__all__)
    assert {"convert", "fold", "revert", "finetune", "rank", "UserError", "__version__"} <= set(acnorm.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'acnorm' has no attribute 'fine_tune'$"):
        acnorm.fine_tune  # noqa: B018
    assert not hasattr(acnorm, "unfold")


def test_a_star_import_brings_all_names():
    found: dict[str, object] = {}
    exec("from acnorm import *", found)
    assert set(acnorm.__all__) <= found.keys()


def test_importing_the_package_is_quick_and_its_names_load_what_they_need_alone():
    code = """
import sys
import acnorm
heavy = {'torch', 'lightning', 'monai', 'numpy', 'pandas', 'jsonargparse'}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
acnorm.UserError, acnorm.__version__, dir(acnorm)
assert not heavy & set(sys.modules)
acnorm.convert, acnorm.fold, acnorm.census, acnorm.summary
assert 'torch' in sys.modules
assert not {'lightning', 'monai', 'pandas'} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
