from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.training.export import export
from acnorm.training.predict import predict
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped, ship


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    network = build_network("cifar/resnet20", classes=2, channels=3)
    prepare = Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ship(RunFolder(folder), network, network.module, ("healthy", "ill"), prepare)
    return folder


@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_exported_file_gives_the_logits_of_the_run(run: Path, format: str):
    exported = export(run, format)
    assert exported.path.is_file()
    assert exported.difference <= 1e-4
    with pytest.raises(UserError, match="exists; give --out another file, or --overwrite"):
        export(run, format)


def test_predict_on_a_folder_of_images(run: Path, tmp_path: Path):
    (tmp_path / "eyes").mkdir()
    Image.new("RGB", (20, 16), (200, 10, 10)).save(tmp_path / "eyes" / "one.png")
    file = predict(run, tmp_path / "eyes")
    row = pd.read_csv(file).iloc[0]
    shipped = load_shipped(RunFolder(run))
    with torch.no_grad():
        pixels = torch.tensor([200, 10, 10]).div(255)[:, None, None].expand(3, 16, 20)
        logits = shipped.network(shipped.preprocessing(pixels.numpy())[None])
    assert row["probability_ill"] == pytest.approx(float(logits.softmax(1)[0, 1]), abs=1e-5)
    with pytest.raises(UserError, match="exists; give --out another file"):
        predict(run, tmp_path / "eyes")
