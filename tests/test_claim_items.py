"""Claims of other repositories: collected from their test files, judged and reported with their figures and tables."""

import json
from pathlib import Path

import pytest

FILE = """
import pytest
from dlcheck import claim
from dlcheck.component import Source
from dlcheck.judgement import Counterexample, Evidence, Judgement

BOOK = (Source("A book", "chapter 1"),)

@claim("mine.squares-grow", says="Squares grow.", sources=BOOK, evidence="exhaustive", verdict="conditional")
def squares_grow(figure, table, counterexample):
    xs = [0.5, 1.5, 2.5]
    figure("Squares", "x", "x^2", {"square": (xs, [x * x for x in xs])})
    table("Squares", ["x", "x squared"], [[x, x * x] for x in xs])
    counterexample("below 1 they shrink", {"x": 0.5}, "x * x > x", 0.25, 0.5 * 0.5 <= 0.5)
    grow = all(x * x > x for x in xs[1:])
    return Judgement(Evidence("exhaustive", "three numbers", {"cases": 3}), grow, conditions="x > 1")

@claim(
    "mine.relu-positive", says="ReLU is never negative.", sources=BOOK,
    evidence="property", verdict="holds", component="relu",
)
def relu_positive(relu):
    import numpy as np
    return Judgement(Evidence("property", "a few numbers"), bool((relu.forward(np.linspace(-2, 2, 9)) >= 0).all()))

@claim("mine.wrong", says="Two is odd.", sources=BOOK, evidence="exhaustive", verdict="holds")
def wrong():
    example = Counterexample("two", {"n": 2}, 1, 0, True)
    return Judgement(Evidence("exhaustive", "one case"), False, counterexample=example, correction="Two is even.")
"""


@pytest.fixture
def repository(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_mine=FILE)
    return pytester


def test_claims_of_a_repository_are_items_and_reported(repository: pytest.Pytester) -> None:
    run = repository.runpytest_subprocess(
        "--dlcheck-json=r.json", "--dlcheck-html=r.html", "-v", "-p", "no:cacheprovider"
    )
    run.assert_outcomes(passed=3, failed=1)
    run.stdout.fnmatch_lines(["*test_mine.py::squares_grow PASSED*", "*test_mine.py::relu_positive[[]torch] PASSED*"])
    run.stdout.fnmatch_lines(["*mine.wrong: declared holds, but the evidence of this run says refuted*"])
    found = {claim["id"]: claim for claim in json.loads(Path("r.json").read_text())["claims"]}
    assert {id: claim["verdict"] for id, claim in found.items()} == {
        "mine.squares-grow": "conditional",
        "mine.relu-positive": "holds",
        "mine.wrong": None,
    }
    squares = found["mine.squares-grow"]
    assert squares["family"] == "test_mine"
    assert squares["figures"][0]["series"] == {"square": [[0.5, 1.5, 2.5], [0.25, 2.25, 6.25]]}
    assert squares["tables"] == [
        {"title": "Squares", "columns": ["x", "x squared"], "rows": [[0.5, 0.25], [1.5, 2.25], [2.5, 6.25]]}
    ]
    assert squares["counterexample"]["actual"] == 0.25
    assert [outcome["implementation"] for outcome in found["mine.relu-positive"]["outcomes"]] == ["reference", "torch"]
    page = Path("r.html").read_text()
    assert "Squares grow." in page
    assert '<th scope="col">x squared</th>' in page


def test_claims_of_a_repository_run_under_xdist(repository: pytest.Pytester) -> None:
    run = repository.runpytest_subprocess("-n", "2", "--dlcheck-json=r.json", "-p", "no:cacheprovider")
    run.assert_outcomes(passed=3, failed=1)
    assert len(json.loads(Path("r.json").read_text())["claims"]) == 3


def test_imported_claims_are_not_collected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=FILE, test_other="from mine import squares_grow\ndef test_one(): pass\n")
    pytester.syspathinsert()
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_evidence_fixtures_serve_claims_only(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(figure): pass")
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    run.stdout.fnmatch_lines(["*figure, table and counterexample serve functions under @dlcheck.claim only*"])
