"""What a study says, and what it warns of."""

from __future__ import annotations

from dataclasses import replace

from acnorm.bench.judging import Judged
from acnorm.bench.study import Study
from acnorm.bench.study_words import basis, cautions, sentences
from study_tools import foretold, row, study_of_many, tiny


def test_few_targets_conclude_nothing():
    judgement = tiny()[1].judgements[0]
    first, second = sentences(judgement)
    assert first.startswith("Of 8 measures ")
    assert "; a random pick loses 0." in first
    assert second == (
        "With 2 targets nothing can be concluded beyond chance: even being right on all of them is, with fewer than 6, "
        "not rarer than once in twenty."
    )


def test_many_targets_say_what_is_beyond_chance():
    told = sentences(study_of_many().judgements[0])
    assert told[0].startswith("Of 2 measures good loses least on average by the candidate it picks: 0.004 [")
    assert told[1:] == [
        "good loses less than a random pick beyond chance over the targets.",
        "good loses less than the candidate that is best on the other targets beyond chance over the targets.",
        "Measures whose direction is beyond chance: good (higher is better), wrong (lower is better).",
        "No correction is made for the number of measures (2): of several, chance alone may make one stand out.",
    ]


def test_measures_that_say_nothing():
    judgement = study_of_many().judgements[0]
    wrong = replace(judgement, measures=(replace(judgement.measures[1], spearman=judgement.measures[2].spearman),))
    told = sentences(wrong)
    assert "No measure loses less than a random pick beyond chance over the targets." in told
    assert told[-1] == "Of no measure is the direction known: the intervals of all rank correlations hold 0."
    assert sentences(replace(judgement, measures=judgement.measures[2:])) == [
        "No measure has scores of two candidates with results: nothing can be said."
    ]


def test_a_measure_with_scores_on_few_targets_is_not_the_one_that_loses_least():
    judgement = study_of_many().judgements[0]
    few = {name: one if name == "t0" else Judged(candidates=4) for name, one in foretold(8, 0.0).items()}
    told = sentences(replace(judgement, measures=(row("few", few), *judgement.measures[:2])))
    assert told[0].startswith("Of 2 measures with scores on most targets (8) good loses least on average")


def test_of_one_target_there_is_no_other():
    judgement = study_of_many(1).judgements[0]
    mute = judgement.measures[2]
    alone = replace(judgement, rules=(replace(judgement.rules[0], regret=mute.regret), *judgement.rules[1:]))
    assert sentences(alone)[0].endswith("; a random pick loses 0.200.")
    assert sentences(alone)[1].startswith("With 1 target nothing can be concluded")
    assert cautions(study_of_many(1))[0].startswith("There is 1 target: intervals take three, and there are none")


def test_cautions():
    study = tiny()[1]
    assert cautions(study) == [
        "There are 2 targets: intervals take three, and there are none, and figures say nothing about other kinds of data.",
        'All candidates have as many parameters: the rule "largest" says nothing here.',
    ]
    assert cautions(study_of_many())[0] == (
        "There are 8 targets: intervals are too narrow with so few, and figures say nothing about other kinds of data."
    )
    judgement = study.judgements[0]
    metrics = {"left": "dice", "odd": "macro_auc"}
    truth = replace(judgement.truth, metrics=metrics, uneven=("odd",), runs={"left": {"a": 1}})
    odd = Study((replace(judgement, truth=truth),), (), (), 3, False, False, 4, 20)
    assert cautions(odd)[0] == "4 of 20 cells are not finished: the figures are of the others."
    assert cautions(odd)[2:] == [
        "Targets have different metrics (dice, macro_auc): regret is a mean over these as they are.",
        "odd: no seed is finished for all candidates; means are of different runs.",
        "vanilla: some results are of one run; chance in training alone can order candidates.",
    ]


def test_what_figures_are_made_of():
    study = tiny()[1]
    assert "mean over 2 probe seeds a division." in basis(study)
    assert basis(study).endswith("Random initialisation is no candidate, but a rule.")
    assert basis(replace(study, with_random=True, lengths=())).endswith(
        "Random initialisation is one of the candidates."
    )
    assert "AC-Corr" not in basis(replace(study, lengths=()))
