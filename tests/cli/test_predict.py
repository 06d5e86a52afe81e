"""`acnorm predict` on the command line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from acnorm.cli.main import main
from acnorm.data.preprocessing import Preprocessing
from acnorm.models.sources import build_network
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import ship
from tiny_runs import NETWORK, eyes


@pytest.fixture
def run(tmp_path: Path) -> Path:
    network = build_network(NETWORK, classes=2, channels=3)
    prepare = Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ship(RunFolder(tmp_path / "run"), network, network.module, ("0", "1"), prepare, "classification")
    eyes(tmp_path / "eyes.npz")
    return tmp_path / "run"


def test_the_path_of_the_table_is_printed(run: Path, capsys: pytest.CaptureFixture[str]):
    data = str(run.parent / "eyes.npz")
    assert main(["predict", str(run), data, "--model", NETWORK]) == 0
    assert capsys.readouterr().out == f"{run / 'predictions/eyes.csv'}\n"
    out = run.parent / "mine.csv"
    arguments = ["predict", str(run), data, "--model", NETWORK, "--out", str(out), "--format", "medmnist"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text() == (run / "predictions/eyes.csv").read_text()
    assert len(pd.read_csv(out)) == 40
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"acnorm: {out}: exists; give --out another file, or --overwrite.\n"
    assert main([*arguments, "--overwrite"]) == 0


def test_what_is_done_to_images_on_their_way_is_told(run: Path, caplog: pytest.LogCaptureFixture):
    folder = run.parent / "images"
    folder.mkdir()
    for name, mode, size in (("a", "L", (16, 16)), ("b", "RGB", (40, 40)), ("c", "RGB", (32, 20))):
        Image.new(mode, size).save(folder / f"{name}.png")
    assert main(["predict", str(run), str(folder), "--model", NETWORK]) == 0
    assert caplog.messages == [
        "2 of 3 images are brought to 16 px (longer sides 32 to 40)",
        "1 of 3 images are filled up to squares",
        "1 of 3 images are grey; they are repeated into 3 channels",
    ]


def test_what_is_no_run_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", str(tmp_path / "nowhere"), str(tmp_path)]) == 2
    told = (
        f"acnorm: {tmp_path}/nowhere: is not a finished run (no model/model.json); give the --out of acnorm finetune.\n"
    )
    assert capsys.readouterr().err == told
