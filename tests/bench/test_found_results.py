"""Results of the candidates of a ranking, from a bench or a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from acnorm.bench import cells
from acnorm.bench.found_results import read_results
from acnorm.errors import UserError
from study_tools import study_bench, tiny
from tiny_runs import checkpoint


def test_a_bench_gives_the_runs_on_these_data_of_these_files(monkeypatch: pytest.MonkeyPatch):
    bench = tiny()[0]
    folder = bench.parent
    weights = [str(folder / f"{name}.pth") for name in "dab"]
    vanilla, acnorm = read_results(bench, folder / "odd.npz", weights)
    assert (vanilla.name, vanilla.metric, acnorm.name) == ("vanilla", "macro_auc", "acnorm")
    truth = tiny()[1].judgements[0].truth.results["odd"]
    assert vanilla.by_weights == {str(folder / f"{name}.pth"): truth[name] for name in "abd"}
    monkeypatch.chdir(folder)  # the same files, named as seen from there
    assert read_results(bench, Path("odd.npz"), ["a.pth", "b.pth"])[0].by_weights.keys() == {"a.pth", "b.pth"}


def test_results_of_a_file_that_has_changed_since_are_refused(tmp_path: Path):
    bench = study_bench(tmp_path, targets=("left",), seeds=(0,))
    checkpoint(tmp_path / "a.pth", seed=9)
    cells._weights.cache_clear()  # of one process, in which no file changes
    with pytest.raises(UserError, match=r"a\.pth: has changed since the bench ran; put back what it was, or run the b"):
        read_results(bench, tmp_path / "left.npz", [str(tmp_path / f"{name}.pth") for name in "ab"])


@pytest.mark.parametrize("names", [("zoo/a.pth", "zoo/b.pth"), ("a.pth", "b.pth"), ("a", "b")])
@pytest.mark.parametrize("head", ["weights", "candidate"])
def test_a_table_names_files_by_path_or_name(tmp_path: Path, names: tuple[str, str], head: str):
    file = tmp_path / "r.csv"
    file.write_text(f"{head},note,vanilla,brier\n{names[1]},x,0.8,0.2\n{names[0]},y,0.6,\n")
    (vanilla,) = read_results(file, Path("eyes.npz"), ["zoo/a.pth", "zoo/b.pth", "zoo/c.pth"])
    assert vanilla.by_weights == {"zoo/a.pth": 0.6, "zoo/b.pth": 0.8}
    assert vanilla.better == vanilla.by_weights  # brier has one result only


def test_of_errors_less_is_better(tmp_path: Path):
    file = tmp_path / "r.csv"
    file.write_text("weights,brier\na,0.2\nb,0.3\n")
    (found,) = read_results(file, Path("eyes.npz"), ["a.pth", "b.pth"])
    assert found.better == {"a.pth": -0.2, "b.pth": -0.3}


def test_checkpoints_may_be_called_by_numbers(tmp_path: Path):
    file = tmp_path / "r.csv"
    file.write_text("weights,vanilla\n01,0.2\n2,0.3\n")
    (found,) = read_results(file, Path("eyes.npz"), ["01.pth", "2.pth"])
    assert (found.name, found.by_weights) == ("vanilla", {"01.pth": 0.2, "2.pth": 0.3})


def test_refusals(tmp_path: Path):
    file, data = tmp_path / "r.csv", Path("eyes.npz")

    def told(text: str, content: str | None = None, source: Path = file) -> None:
        if content is not None:
            file.write_text(content)
        with pytest.raises(UserError, match=text):
            read_results(source, data, ["a.pth", "b.pth"])

    told(r"r\.csv: no such file or folder; give a folder of acnorm bench or a CSV file\.$")
    told(r"r\.csv: needs a column weights and one or more columns of numbers\.$", "name,x\na,1\n")
    told(r"r\.csv: needs a column weights and one or more columns of numbers\.$", "weights,x\na,high\n")
    told(r"r\.csv: a has 2 rows; give one for each checkpoint\.$", "weights,x\na,1\na,2\n")
    told(r"r\.csv: holds no results of two of these checkpoints; give other results\.$", "weights,x\na,1\nq,2\n")
    told(r"r\.csv: is no CSV file \(", "")
    told(r"r\.csv: x holds an infinite number; leave that row's result empty\.$", "weights,x\na,inf\nb,1\n")
    file.write_text("weights,x\nbest,1\nq,2\n")
    with pytest.raises(UserError) as error:
        read_results(file, data, ["q", "a/best.pth", "b/best.pth"])
    assert str(error.value) == (
        f"--results {file}: a/best.pth and b/best.pth are both best; name them by their paths as in --weights."
    )
    told(r"holds no bench \(no bench\.sqlite\); give the --out of acnorm bench\.$", source=tmp_path)
    told("holds no results of two of these checkpoints on eyes.npz; give other results", source=tiny()[0])
