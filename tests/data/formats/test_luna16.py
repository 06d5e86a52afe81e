from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acnorm.data.formats import read_cases
from acnorm.data.formats.luna16 import NEGATIVES
from acnorm.data.images import read_image
from acnorm.data.problems import DataError
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import run_finetune
from volume_files import luna16


def test_a_case_is_the_cube_around_a_candidate(tmp_path: Path):
    # voxel (30, 10, 4) of the scan lies at (5, −5, −2) mm of DICOM's world
    values = np.full((40, 40, 10), -1000, np.int16)
    values[29:32, 9:12, 4] = 400
    data = luna16(tmp_path, [("1.2.3", (5.0, -5.0, -2.0), 1), ("1.2.3", (0.0, 0.0, 0.0), 0)], values)
    found = read_cases(data)
    assert (found.classes, found.modality, [case.label for case in found.cases]) == (("other", "nodule"), "CT", [1, 0])
    assert {case.patient for case in found.cases} == {"1.2.3"}
    assert [case.id for case in found.cases] == ["1.2.3-2", "1.2.3-3"]
    cube = read_image(found.cases[0])
    assert cube.shape == (1, 50, 50, 50)
    bright = np.argwhere(cube[0] > -1000)
    np.testing.assert_allclose(bright.mean(axis=0), 24.5)
    assert len(bright) == 2 * 2 * 4  # voxels of 1 mm in 1.5 × 1.5 mm and, fading out, 4 mm
    assert cube.min() == -1000


def test_scans_in_the_folder_csvfiles_and_the_older_table(tmp_path: Path):
    data = luna16(tmp_path, [("1.2.3", (0, 0, 0), 0), ("1.2.3", (1, 1, 1), 1), ("9.9.9", (0, 0, 0), 1)])
    (data / "CSVFILES").mkdir()
    (data / "candidates_V2.csv").rename(data / "CSVFILES" / "candidates.csv")
    found = read_cases(data)
    assert (found.format, len(found)) == ("luna16", 2)
    assert [note.line() for note in found.notes] == [
        f"{data}/CSVFILES/candidates.csv: 1 of its scans are not there; add subsets to use them"
    ]


def test_of_many_others_three_a_nodule_are_kept_always_the_same(tmp_path: Path):
    others = [("1.2.3", (at / 10, 0, 0), 0) for at in range(20)]
    data = luna16(tmp_path, [*others, ("1.2.3", (1, 1, 1), 1)])
    found = read_cases(data)
    assert [case.label for case in found.cases].count(0) == NEGATIVES == 3
    assert found == read_cases(data)
    assert "17 of 21 candidates left out, 3 others kept for each nodule; shorten the table" in found.notes[0].line()


def test_rows_at_fault_are_told_together(tmp_path: Path):
    data = luna16(tmp_path, [("1.2.3", (0, 0, 0), 2), ("1.2.3", (0, 0, 0), 1)])
    table = data / "candidates_V2.csv"
    table.write_text(table.read_text() + "1.2.3,left,0,0,0\n")
    with pytest.raises(DataError) as caught:
        read_cases(data)
    assert [problem.line() for problem in caught.value.problems][:2] == [
        f"{table}: row 2 has the class '2'; allowed are 0 and 1",
        f"{table}: row 4 has no number for a coordinate; correct or remove it",
    ]


def test_a_table_of_other_scans(tmp_path: Path):
    data = luna16(tmp_path, [("9.9.9", (0, 0, 0), 1)])
    with pytest.raises(
        DataError, match="names none of the scans in the subsets; take table and subsets of one release"
    ):
        read_cases(data)


def test_a_candidate_outside_its_scan(tmp_path: Path):
    data = luna16(tmp_path, [("1.2.3", (500, 0, 0), 1), ("1.2.3", (0, 0, 0), 0)])
    with pytest.raises(
        DataError, match=r"1\.2\.3\.mhd: the point 500, 0, 0 \(x, y, z in mm\) lies outside; take coordi"
    ):
        read_image(read_cases(data).cases[0])


def test_a_header_without_its_voxels(tmp_path: Path):
    data = luna16(tmp_path, [("1.2.3", (0, 0, 0), 1)])
    (data / "subset0" / "1.2.3.raw").unlink()
    with pytest.raises(
        DataError, match=r"1\.2\.3\.mhd: its voxels are not there \(1\.2\.3\.raw\); put that file beside it"
    ):
        read_image(read_cases(data, "luna16").cases[0])


def test_a_run_on_candidates(tmp_path: Path):
    drawn = np.random.default_rng(0)
    candidates = [("1.2.3", tuple(drawn.uniform(-9, 7, 3)), at % 2) for at in range(12)]
    data = luna16(tmp_path, candidates, drawn.integers(-1000, 400, (40, 40, 10)).astype(np.int16))
    table = data / "candidates_V2.csv"
    scan = data / "subset0" / "1.2.3"
    for other in range(1, 6):  # a patient's scan stays in one split, so there must be several
        for suffix in (".mhd", ".raw"):
            text = (
                scan.with_suffix(".3.mhd").read_bytes() if suffix == ".mhd" else scan.with_suffix(".3.raw").read_bytes()
            )
            (data / "subset0" / f"{other}{suffix}").write_bytes(text.replace(b"1.2.3.raw", f"{other}.raw".encode()))
    rows = table.read_text().splitlines()
    table.write_text("\n".join([rows[0], *(row.replace("1.2.3", str(at // 2)) for at, row in enumerate(rows[3:], 2))]))
    config = FinetuneConfig(
        data=str(data), model="monai/resnet10", out=str(tmp_path / "run"), epochs=1, image_size=24, method="vanilla"
    )
    result = run_finetune(config)
    assert sum(part["cases"] for part in result.metrics["splits"].values()) > 0
