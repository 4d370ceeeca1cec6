"""Answers as people and programs read them."""

import numpy as np
import pandas as pd
import pytest

from clip_lib.retrieval.answers import answer_lines, answer_records
from clip_lib.retrieval.index import Index


@pytest.fixture
def answers():
    """Answers to [1, 0], whose cosines with the rows are 0.6, 1, -1, 0."""
    embeds = np.array([[0.6, 0.8], [1, 0], [-1, 0], [0, 1]], "float32")
    paths = ["a b.jpg", "été.jpg", "c.jpg", "d.jpg"]
    items = {"paths": paths, "size": 7, "mtime_ns": 7, "labels": "dog"}
    return Index(embeds, pd.DataFrame(items)).search([1, 0], 4, temperature=0.5)


def test_answers_for_programs_have_keys_in_the_singular(answers):
    records = answer_records(answers)
    keys = ["rank", "score", "margin", "probability", "path", "label"]
    assert [list(record) for record in records] == [keys] * 4
    assert records[0]["path"] == "été.jpg" and records[0]["rank"] == 1
    assert records[3]["margin"] is None


def test_answers_for_people_are_lines_of_rounded_numbers(answers):
    lines = answer_lines(answers).splitlines()
    names = ["rank", "score", "margin", "probability", "path", "label"]
    assert lines[0].split() == names
    assert lines[1].split() == ["1", "1.000", "0.400", "62.4%", "été.jpg", "dog"]
    assert "28.0% a b.jpg" in lines[2]
    assert lines[4].split() == ["4", "-1.000", "1.1%", "c.jpg", "dog"]
    start = lines[0].index("path")
    assert lines[1].index("été") == lines[2].index("a b") == start
