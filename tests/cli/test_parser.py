"""What is wrong with flags is one line and exit code 2, for every verb."""

from __future__ import annotations

import pytest

from acnorm.cli.main import main

RANK = ["rank", "--data", "a", "--model", "b", "--weights", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank", "--dta", "x"], "no flag --dta; did you mean --data?"),
        (["rank", "--dta=x", "--zzzz", "1"], "no flag --dta; did you mean --data?; no flag --zzzz; see acnorm rank --help."),
        (["rank", "--weights", "c"], "missing: --data, --model; see acnorm rank --help."),
        ([*RANK, "--probe-seeds", "x"], "--probe-seeds is 'x', must be a whole number; see acnorm rank --help."),
        ([*RANK, "--probe_seeds", "x"], "--probe-seeds is 'x', must be a whole number; see acnorm rank --help."),
        ([*RANK, "--minimum-share", "all"], "--minimum-share is 'all', must be a number; see acnorm rank --help."),
        ([*RANK, "--seed"], "--seed: expected one argument; see acnorm rank --help."),
        ([*RANK, "--probe-seed", "3"], "no flag --probe-seed; did you mean --probe-seeds?"),
        (["rank", "-x", "--seed", "1"], "no flag -x; see acnorm rank --help."),
        ([*RANK, "-seed", "3"], "no flag -seed; did you mean --seed?"),
        ([*RANK, "--seed", ""], "--seed is empty, must be given a value; see acnorm rank --help."),
        ([*RANK, "--data="], "--data is empty, must be given a value; see acnorm rank --help."),
        ([*RANK, ""], "an argument is empty, must be given a value; see acnorm rank --help."),
        ([*RANK, "--json=yes"], "--json is 'yes', must be given without a value; see acnorm rank --help."),
        (["check"], "missing: DATA; see acnorm check --help."),
        (["check", "a", "b"], "unexpected: b; see acnorm check --help."),
        (["check", "a", "--jsn"], "no flag --jsn; did you mean --json?"),
        (["predict"], "missing: RUN, DATA; see acnorm predict --help."),
        (["predict", "", "data"], "an argument is empty, must be given a value; see acnorm predict --help."),
        (["predict", "run", "data", "--overwrit"], "no flag --overwrit; did you mean --overwrite?"),
        (["export", "run"], "missing: --format; see acnorm export --help."),
        (["export", "run", "--format", "onnx", "--owerwrite"], "no flag --owerwrite; did you mean --overwrite?"),
        (["report"], "missing: RUN; see acnorm report --help."),
        (["demo", "--out", ""], "--out is empty, must be given a value; see acnorm demo --help."),
        (["demo", "--output", "a"], "no flag --output; did you mean --out?"),
    ],
)  # fmt: skip
def test_wrong_flags_are_told_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err == f"acnorm: {message}\n"
    assert told.out == ""


@pytest.mark.parametrize("verb", ["check", "rank", "report", "predict", "export", "demo"])
def test_help_tells_the_verb_and_ends_well(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: acnorm {verb} ")


def test_a_value_may_look_like_a_word_with_underscores(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "no_such_data.npz"]) == 2
    assert "no_such_data.npz: no such file or folder" in capsys.readouterr().out


def test_what_follows_a_double_dash_is_no_flag(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "--", "--eyes.npz"]) == 2
    assert "--eyes.npz: no such file or folder" in capsys.readouterr().out
