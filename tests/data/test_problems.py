from __future__ import annotations

import pickle

from acnorm.data.problems import DataError, Problem, fault, faults
from acnorm.errors import UserError


def test_a_problem_is_one_line_even_if_the_file_name_is_not():
    assert Problem("a\nb.png", "is empty", "remove it").line() == "a b.png: is empty; remove it"


def test_a_data_error_is_a_user_error_and_survives_the_way_out_of_a_worker_process():
    error = fault("a.png", "is empty", "remove it")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, UserError)
    assert str(copy) == "a.png: is empty; remove it"
    assert copy.problems == error.problems
    assert DataError("text alone").problems == ()


def test_many_problems_are_counted_after_the_first():
    problems = [Problem(name, "is empty", "remove it") for name in "abc"]
    assert str(faults(problems)) == "a: is empty; remove it (and 2 more: run `acnorm check` to see all)"
    assert faults(problems).problems == tuple(problems)
