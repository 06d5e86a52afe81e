from __future__ import annotations

import json

from acnorm.ranking.result import Candidate, Ranking, Score

SCORES = {"logme": Score(-0.5, -0.6, -0.4, place=1, tied=True), "knn": Score(reason="none")}
RANKING = Ranking(
    (Candidate("a.pth", size=8, model="tiny", scores=SCORES),),
    "one optimiser step",
    ("a.pth",),
    by="logme",
    baselines=(Candidate("random initialisation", model="tiny", scores={"logme": Score(-0.7)}),),
    agreement={("logme", "knn"): 0.5},
)


def test_measures_keep_their_order_the_one_that_decides_first():
    assert RANKING.measures == ("logme", "knn")


def test_json_holds_all_in_plain_values():
    told = json.loads(json.dumps(RANKING.to_dict()))
    assert told["agreement"] == [{"measures": ["logme", "knn"], "tau": 0.5}]
    assert told["candidates"][0]["scores"]["logme"] == {
        "value": -0.5,
        "low": -0.6,
        "high": -0.4,
        "reason": None,
        "place": 1,
        "tied": True,
        "above_random": None,
        "seconds": 0.0,
    }
    assert told["baselines"][0]["weights"] == "random initialisation"


def test_rows_are_flat_and_of_one_shape():
    rows = RANKING.rows()
    assert [(row["weights"], row["measure"], row["value"]) for row in rows] == [
        ("a.pth", "logme", -0.5),
        ("a.pth", "knn", None),
        ("random initialisation", "logme", -0.7),
    ]
    assert len({tuple(row) for row in rows}) == 1
