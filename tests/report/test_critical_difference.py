from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from acnorm.bench.over_tasks import OverTasks
from acnorm.report.critical_difference import critical_difference_diagram

OVER = OverTasks(
    names=("vanilla", "acnorm", "a very long name of a method that does not fit", "l2sp", "bss"),
    tasks=tuple("abcdef"),
    left_out=(),
    metrics=("dice",),
    ranks=(3.5, 1.5, 4.6, 2.0, 3.4),
    critical=2.49,
    groups=(("acnorm", "l2sp", "bss", "vanilla"), ("l2sp", "bss", "vanilla"), ("bss", "vanilla", "a")),
)
OVER = replace(OVER, groups=(("acnorm", "l2sp", "bss", "vanilla"), ("bss", "vanilla", OVER.names[2])))


def test_every_name_stands_with_its_rank():
    picture = critical_difference_diagram(OVER)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert {"acnorm  1.50", "3.50  vanilla", "l2sp  2.00", "bss  3.40"} <= set(texts)
    assert any(text.startswith("4.60  a very long name of a method") and text.endswith("…") for text in texts)
    assert "critical difference 2.49" in [text.strip() for text in texts]
    assert {"1", "2", "3", "4", "5"} <= set(texts)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_bar_for_each_group(count: int):
    picture = critical_difference_diagram(replace(OVER, groups=OVER.groups[:count]))
    assert len(re.findall(r"stroke-width: 4\.5", picture)) == count


def test_names_are_text_not_markup():
    picture = critical_difference_diagram(replace(OVER, names=("<b>", *OVER.names[1:]), groups=()))
    assert "3.50  &lt;b&gt;" in picture


def test_equal_ranks_fit():
    over = OverTasks(
        ("a", "b", "c"), tuple("xyz"), (), ("dice",), (2.0, 2.0, 2.0), critical=1.9, groups=(("a", "b", "c"),)
    )
    assert "2.00" in critical_difference_diagram(over)


def test_the_critical_difference_is_as_long_as_it_is_though_all_ranks_are_near_each_other():
    names = tuple("abcdefghi")
    over = OverTasks(
        names, tuple("xyz"), (), ("dice",), tuple(np.linspace(4.2, 5.8, 9)), critical=6.94, groups=(names,)
    )
    (axis,) = critical_difference_diagram.__wrapped__(over).axes
    (line,) = (line for line in axis.lines if line.get_marker() == "|")
    assert np.ptp(line.get_xdata()) == pytest.approx(6.94)
    assert axis.get_xlim()[1] > max(line.get_xdata())
