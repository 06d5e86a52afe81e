"""A finished run on new images: the same probabilities as in the run, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from acnorm.data.preprocessing import Preprocessing
from acnorm.errors import UserError
from acnorm.models.sources import build_network
from acnorm.training.predict import predict
from acnorm.training.run_folder import RunFolder
from acnorm.training.shipping import load_shipped, ship
from tiny_runs import NETWORK, eyes
from volume_files import nifti

PROBABILITIES = ["probability_0", "probability_1"]


@pytest.fixture(scope="module")
def images(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test cases of the runs as a folder of images, named by their ids."""
    out = tmp_path_factory.mktemp("images") / "new eyes"
    out.mkdir()
    with np.load(folder / "eyes.npz") as arrays:
        for at, pixels in enumerate(arrays["test_images"]):
            Image.fromarray(pixels).save(out / f"test_{at:04}.png")
    return out


@pytest.fixture(scope="module")
def per_case(acnorm: Path) -> pd.DataFrame:
    return pd.read_csv(acnorm / "per_case.csv").query("split == 'test'").set_index("id").sort_index()


def by_class(images: Path, out: Path, names: dict[str, str]) -> Path:
    """Some images as a folder a class."""
    for file, name in names.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / file).write_bytes((images / file).read_bytes())
    return out


def test_labelled_data_get_the_probabilities_of_the_run(folder: Path, acnorm: Path, tmp_path: Path, per_case):
    file = predict(acnorm, folder / "eyes.npz", out=tmp_path / "found.csv", model=NETWORK)
    assert file == tmp_path / "found.csv"
    table = pd.read_csv(file).set_index("id")
    assert list(table.columns) == ["image", "label", "prediction", *PROBABILITIES]
    assert len(table) == 40
    table = table.loc[per_case.index]
    np.testing.assert_allclose(table[PROBABILITIES], per_case[PROBABILITIES], rtol=0, atol=1e-6)
    assert (table[["label", "prediction"]] == per_case[["label", "prediction"]]).all(axis=None)


def test_a_folder_of_images_gets_the_same_without_labels(acnorm: Path, images: Path, tmp_path: Path, per_case):
    (images / "notes.txt").write_text("no image")
    table = pd.read_csv(predict(acnorm, images, out=tmp_path / "found.csv", model=NETWORK))
    assert list(table.columns) == ["id", "image", "prediction", *PROBABILITIES]
    assert table["id"].tolist() == [f"{name}.png" for name in per_case.index]
    assert table["image"].tolist() == [str(images / name) for name in table["id"]]
    np.testing.assert_allclose(table[PROBABILITIES], per_case[PROBABILITIES], rtol=0, atol=1e-6)


def test_one_image_gets_one_row(acnorm: Path, images: Path, tmp_path: Path, per_case):
    table = pd.read_csv(predict(acnorm, images / "test_0003.png", out=tmp_path / "found.csv", model=NETWORK))
    assert table["id"].tolist() == ["test_0003.png"]
    np.testing.assert_allclose(table[PROBABILITIES], per_case.loc[["test_0003"], PROBABILITIES], rtol=0, atol=1e-6)


def test_an_image_of_another_size_is_brought_to_that_of_the_run(acnorm: Path, tmp_path: Path):
    Image.new("L", (40, 30), 99).save(tmp_path / "grey.png")
    table = pd.read_csv(predict(acnorm, tmp_path / "grey.png", model=NETWORK, out=tmp_path / "found.csv"))
    shipped = load_shipped(RunFolder(acnorm), NETWORK)
    with torch.no_grad():
        image = shipped.preprocessing(np.full((1, 30, 40), 99 / 255, dtype=np.float32))
        expected = shipped.network(image[None]).softmax(dim=1)
    np.testing.assert_allclose(table[PROBABILITIES], expected, rtol=0, atol=1e-6)


def test_classes_are_told_by_name_whatever_their_number_in_the_data(images: Path, tmp_path: Path):
    network = build_network(NETWORK, classes=3, channels=3)
    prepare = Preprocessing(size=16, channels=3, mean=(0.5,) * 3, deviation=(0.2,) * 3)
    ship(RunFolder(tmp_path / "run"), network, network.module, ("severe", "mild", "none"), prepare, "classification")
    names = {"test_0000.png": "mild", "test_0001.png": "none", "test_0002.png": "mild"}
    data = by_class(images, tmp_path / "data", names)
    table = pd.read_csv(predict(tmp_path / "run", data, model=NETWORK), keep_default_na=False)
    assert {Path(name).name: label for name, label in zip(table["image"], table["label"], strict=True)} == names
    columns = [f"probability_{name}" for name in ("severe", "mild", "none")]
    assert list(table.columns)[-3:] == columns
    assert (table["prediction"] == table[columns].idxmax(axis=1).str.removeprefix("probability_")).all()


def test_a_class_that_the_run_does_not_know_is_refused(acnorm: Path, images: Path, tmp_path: Path):
    names = {"test_0000.png": "0", "test_0001.png": "mild", "test_0002.png": "severe"}
    data = by_class(images, tmp_path / "data", names)
    told = r"data: has class mild, severe, which the run does not know \(0, 1\); give the images alone to predict them"
    with pytest.raises(UserError, match=told):
        predict(acnorm, data, out=tmp_path / "found.csv", model=NETWORK)
    assert not (tmp_path / "found.csv").exists()


def test_a_volume_for_a_run_on_images_is_refused(acnorm: Path, tmp_path: Path):
    nifti(tmp_path / "v.nii", np.ones((8, 8, 8)))
    with pytest.raises(UserError, match=r"v\.nii: has 3 axes, 2 are needed; give 2D images$"):
        predict(acnorm, tmp_path / "v.nii", out=tmp_path / "found.csv", model=NETWORK)
    assert not (tmp_path / "found.csv").exists()


def test_nothing_but_a_table_is_overwritten(acnorm: Path, images: Path):
    model = acnorm / "model" / "model.safetensors"
    before = model.read_bytes()
    with pytest.raises(UserError, match=r"model\.safetensors: predictions are a table; give a name that ends in \.csv"):
        predict(acnorm, images, out=model, model=NETWORK, overwrite=True)
    assert model.read_bytes() == before


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_without_out_the_table_is_in_the_run_under_the_name_of_the_data(
    acnorm: Path, images: Path, tmp_path: Path, kind: str
):
    data = images if kind == "folder" else eyes(tmp_path / "others.v2.npz", seed=5)
    file = predict(acnorm, data, model=NETWORK, overwrite=True)
    assert file == acnorm / "predictions" / ("new eyes.csv" if kind == "folder" else "others.v2.csv")
    before = file.read_bytes()
    told = rf"{file.name}: exists; give --out another file, or --overwrite\.$"
    with pytest.raises(UserError, match=told):
        predict(acnorm, data, model=NETWORK)
    file.write_text("older")
    predict(acnorm, data, model=NETWORK, overwrite=True)
    assert file.read_bytes() == before
    file.unlink()
    file.parent.rmdir()


def test_what_is_no_finished_run_is_refused(images: Path, tmp_path: Path):
    told = r"nowhere: is not a finished run \(no model/model\.json\); give the --out of acnorm finetune\.$"
    with pytest.raises(UserError, match=told):
        predict(tmp_path / "nowhere", images)


def test_a_network_of_ones_own_must_be_named(acnorm: Path, images: Path):
    told = rf"was trained with the network {NETWORK}; to import that code give --model {NETWORK}\.$"
    with pytest.raises(UserError, match=told):
        predict(acnorm, images)


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("nowhere", None, r"nowhere: no such file or folder"),
        ("empty", None, r"empty: "),
        ("empty", "medmnst", r"unknown format 'medmnst'; allowed are medmnist"),
    ],
)
def test_data_that_cannot_be_read_are_refused(
    acnorm: Path, tmp_path: Path, name: str, format: str | None, message: str
):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        predict(acnorm, tmp_path / name, format=format, model=NETWORK)
    assert not (acnorm / "predictions").exists()


def test_an_image_that_cannot_be_read_is_named(acnorm: Path, tmp_path: Path):
    (tmp_path / "eye.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(UserError, match=r"eye\.png: "):
        predict(acnorm, tmp_path / "eye.png", model=NETWORK)
    assert not (acnorm / "predictions").exists()


def test_images_in_folders_below_are_predicted_and_what_is_none_is_told(
    acnorm: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    data = by_class(images, tmp_path / "data", {"test_0000.png": "monday", "test_0001.png": "tuesday/left"})
    (data / "test_0002.png").write_bytes((images / "test_0002.png").read_bytes())
    (data / "monday" / "notes.txt").write_text("no image")
    (data / ".hidden").mkdir()
    (data / ".hidden" / "eye.png").write_text("no image")
    table = pd.read_csv(predict(acnorm, data, out=tmp_path / "found.csv", model=NETWORK))
    assert table["id"].tolist() == ["monday/test_0000.png", "test_0002.png", "tuesday/left/test_0001.png"]
    assert "label" not in table
    assert f"{data}: left out 1 that are no images (monday/notes.txt)" in caplog.text


def test_folders_that_are_not_named_as_classes_have_no_labels(acnorm: Path, images: Path, tmp_path: Path):
    data = by_class(images, tmp_path / "data", {"test_0000.png": "monday", "test_0001.png": "tuesday"})
    assert "label" not in pd.read_csv(predict(acnorm, data, out=tmp_path / "found.csv", model=NETWORK))
    named = by_class(images, tmp_path / "named", {"test_0000.png": "train/0", "test_0001.png": "test/1"})
    assert "label" in pd.read_csv(predict(acnorm, named, out=tmp_path / "named.csv", model=NETWORK))


def test_folders_without_images_are_refused(acnorm: Path, tmp_path: Path):
    (tmp_path / "data" / "monday").mkdir(parents=True)
    told = r"data: holds no image and no volume; give a folder that does\.$"
    with pytest.raises(UserError, match=told):
        predict(acnorm, tmp_path / "data", out=tmp_path / "found.csv", model=NETWORK)


@pytest.mark.parametrize("header", ["image,patient", "image,label"])
def test_a_table_without_labels_is_predicted(acnorm: Path, images: Path, tmp_path: Path, header: str, per_case):
    rows = [f"{images / 'test_0000.png'},", f"{images / 'test_0001.png'},"]
    (tmp_path / "new.csv").write_text("\n".join([header, *rows]) + "\n")
    table = pd.read_csv(predict(acnorm, tmp_path / "new.csv", out=tmp_path / "found.csv", model=NETWORK))
    assert list(table.columns) == ["id", "image", "prediction", *PROBABILITIES]
    np.testing.assert_allclose(table[PROBABILITIES], per_case[PROBABILITIES][:2], rtol=0, atol=1e-6)
    (tmp_path / "new.csv").write_text(
        "\n".join(["image,label", rows[0], f"{images / 'test_0001.png'},1", f"{images / 'test_0002.png'},0"])
    )
    with pytest.raises(UserError, match=r"new\.csv: row \d has no label; fill it in or remove the row"):
        predict(acnorm, tmp_path / "new.csv", out=tmp_path / "again.csv", model=NETWORK)
    (tmp_path / "new.csv").write_text("image\nnowhere.png\n")
    with pytest.raises(UserError, match=r"nowhere\.png: no such file; correct row 2 of new\.csv"):
        predict(acnorm, tmp_path / "new.csv", out=tmp_path / "again.csv", model=NETWORK)


def test_where_the_table_cannot_be_written_is_told(acnorm: Path, images: Path):
    with pytest.raises(UserError, match=r"^/proc/none/x\.csv: cannot be written \(.+\); give another place\.$"):
        predict(acnorm, images, out="/proc/none/x.csv", model=NETWORK)
