from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.check import check
from acnorm.data.formats import read_cases
from acnorm.data.segmentation_phantoms import segmentation_phantoms
from acnorm.data.volumes import read_labelled
from acnorm.errors import UserError
from acnorm.training.segmentation_metrics import ejection_fraction

TASKS = {"vessel": 2, "nodule": 2, "liver": 3, "cardiac": 4}
every = pytest.mark.parametrize("task", TASKS)


def made(folder: Path, task: str, **changes: object) -> Path:
    options = {"task": task, "domain": "source", "cases": 8, "size": 24, "seed": 0} | changes
    return segmentation_phantoms(folder, **options)


def cases_of(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    collection = read_cases(folder)
    found = {case.id: read_labelled(case, len(collection.classes)) for case in collection.cases}
    return {name: (read.image.values, read.mask) for name, read in found.items()}


@every
def test_phantoms_are_a_sound_data_set_with_every_class(tmp_path: Path, task: str):
    report = check(made(tmp_path / "a", task, cases=12))
    assert [problem.line() for problem in report.problems if problem.fatal] == []
    assert (report.task, len(report.classes)) == ("segmentation", TASKS[task])
    frames = 2 if task == "cardiac" else 1
    assert report.counts["train"]["background"] == 9 * frames
    assert report.counts["test"]["background"] == 3 * frames
    assert all(report.counts["train"][name] > 0 for name in report.classes)


@every
def test_a_seed_repeats_and_a_case_does_not_depend_on_how_many_there_are(tmp_path: Path, task: str):
    first, again, more, other = (
        cases_of(made(tmp_path / str(at), task, **changes))
        for at, changes in enumerate(({}, {}, {"cases": 9}, {"seed": 1}))
    )
    for name, (image, mask) in first.items():
        for others in (again, more):
            same = others.get(name) or others[name.replace("_test", "_training")]
            np.testing.assert_array_equal(image, same[0])
            np.testing.assert_array_equal(mask, same[1])
    assert any(not np.array_equal(image, other[name][0]) for name, (image, _) in first.items())


@every
def test_both_domains_show_the_same_anatomy_in_other_greys(tmp_path: Path, task: str):
    source, target = (cases_of(made(tmp_path / domain, task, domain=domain)) for domain in ("source", "target"))
    for name, (image, mask) in source.items():
        np.testing.assert_array_equal(mask, target[name][1])
        seen = np.ones(mask.shape, bool) if task != "vessel" else (image[0] > 0) & (target[name][0][0] > 0)
        contrast = [
            values[0][seen & (mask == 1)].mean() - values[0][seen & (mask == 0)].mean()
            for values in (image, target[name][0])
        ]
        assert 0.3 < contrast[1] / contrast[0] < 0.9


def test_some_livers_have_no_tumour_and_hearts_contract(tmp_path: Path):
    livers = cases_of(made(tmp_path / "liver", "liver", cases=12))
    assert 0 < sum(int(mask.max()) == 1 for _, mask in livers.values()) < 12
    hearts = cases_of(made(tmp_path / "cardiac", "cardiac"))
    for number in range(8):
        blood = [int((hearts[f"patient{number:03}_frame{frame:02}"][1] == 3).sum()) for frame in (1, 2)]
        assert 0.05 < ejection_fraction(*blood) < 0.85


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "brain"}, "unknown phantom task 'brain'; allowed are vessel, nodule, liver, cardiac"),
        ({"domain": "mars"}, "unknown phantom domain 'mars'; allowed are source and target"),
        ({"cases": 3}, "3 phantoms of 24 voxels; ask for 4 or more of 24 or more"),
        ({"size": 8}, "8 phantoms of 8 voxels; ask for 4 or more of 24 or more"),
    ],
)
def test_what_cannot_be_painted(tmp_path: Path, changes: dict[str, object], message: str):
    with pytest.raises(UserError) as refused:
        made(tmp_path / "a", **({"task": "liver"} | changes))
    assert str(refused.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path):
    with pytest.raises(UserError, match=r"exists; give a new folder$"):
        made(tmp_path, "liver")
