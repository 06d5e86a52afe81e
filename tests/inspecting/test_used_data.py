"""Which runs used the same data, and what the data are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from acnorm.errors import UserError
from acnorm.inspecting.used_data import UsedData, names_of, same_data, used_data
from acnorm.training.run_folder import RunFolder

IDS = dict.fromkeys("abc", "train")


def used(path: str, fingerprint: str = "", **splits: str) -> UsedData:
    return UsedData(Path(path), fingerprint, splits)


def test_a_run_tells_its_data_by_content_and_by_ids(runs: dict[str, Path]):
    folder = RunFolder(runs["near vanilla 0"])
    found = used_data(folder, "near.npz")
    assert found.path == Path.cwd() / "near.npz"
    assert (
        found.fingerprint
        == folder.read_json("data.json")["fingerprint"]
        == used_data(RunFolder(runs["near vanilla 1"]), "near.npz").fingerprint
    )
    assert len(found.splits) == 20
    assert set(found.splits.values()) == {"train", "val", "test"}
    assert found.whole


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (used("/a/x.npz", "12fc"), used("/b/y.npz", "12fc"), True),
        (used("/a/x.npz", "12fc"), used("/a/x.npz", "82fc"), False),
        (used("/a/x.npz", "12fc", **IDS), used("/a/x.npz", "82fc", **(IDS | {"a": "unused"})), True),
        (used("/a/x.npz", "12fc", **IDS), used("/b/x.npz", "82fc", **(IDS | {"a": "unused"})), False),
        (used("/a/x.npz", "12fc", **IDS), used("/a/x.npz", "82fc", a="unused", b="train"), False),
        (used("/a/x.npz", **IDS), used("/a/x.npz", "82fc", **IDS), True),
        (used("/a/x.npz"), used("/a/x.npz", "82fc", **IDS), True),
        (used("/a/x.npz"), used("/b/x.npz"), False),
    ],
)
def test_data_are_the_same_by_content_or_else_by_path_and_ids(first: UsedData, second: UsedData, expected: bool):
    assert same_data(first, second) is same_data(second, first) is expected


def test_a_link_leads_to_the_same_data_and_keeps_its_name(tmp_path: Path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "store.npz")
    linked, stored = UsedData(tmp_path / "link.npz"), UsedData(tmp_path / "store.npz")
    assert names_of([linked, stored]) == ["link", "link"]
    assert names_of([linked]) == ["link"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/w/A/images.npz", "/w/B/images.npz", "/w/near.npz"], ["A/images", "B/images", "near"]),
        (["/w/site.A", "/w/site.B"], ["site.A", "site.B"]),
        (["/w/eyes.npz", "/w/eyes.csv", "/w/eyes.npz"], ["eyes.npz", "eyes.csv", "eyes.npz"]),
        (["/w/A/site.1", "/w/B/site.1", "/w/A/site.2"], ["A/site.1", "B/site", "site.2"]),
        (["/eyes.npz", "/w/eyes.npz"], ["/eyes.npz", "w/eyes"]),
    ],
)
def test_names_have_as_few_words_as_tell_data_apart(paths: list[str], names: list[str]):
    assert names_of([used(path) for path in paths]) == names


def test_data_that_changed_under_their_path_are_told_apart_by_content():
    before, after = used("/w/eyes.npz", "12fca82f0beb"), used("/w/eyes.npz", "82fca82f0beb")
    assert names_of([before, after, before]) == ["eyes (12fca82f)", "eyes (82fca82f)", "eyes (12fca82f)"]
    first, second = names_of([used("/w/eyes.npz", a="train"), used("/w/eyes.npz", b="train")])
    assert first != second


def test_damaged_splits_are_refused(runs: dict[str, Path], tmp_path: Path):
    folder = RunFolder(Path(shutil.copytree(runs["near vanilla 0"], tmp_path / "run")))
    for content in ("[]", '{"cases": 3}'):
        folder.splits.write_text(content)
        with pytest.raises(
            UserError,
            match=r"splits\.json: is damaged \(no 'cases' from id to split\); run acnorm finetune again\.$",
        ):
            used_data(folder, "near.npz")
