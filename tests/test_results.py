"""The result model: plain data, written whole, compared by verdict."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcheck import results
from dlcheck.component import Source


def some_results(**changes: Any) -> dict[str, Any]:
    claim = {"id": "act.tanh-of-sigmoid", "verdict": "holds"}
    check = {"id": "activations.tanh.values", "outcomes": [{"implementation": "torch", "status": "pass"}]}
    fault = {"id": "tanh.sign", "killed_by": ["activations.tanh.values"]}
    found = {"schema": results.SCHEMA, "claims": [claim], "components": [{"checks": [check], "faults": [fault]}]}
    return {**found, **changes}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),
        (np.inf, "inf"),
        (-np.float32(np.inf), "-inf"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan]]), [[1.0, "nan"]]),
        (np.array(2.0), 2.0),
        ({1: (2, {"a": np.float64(-np.inf)})}, {"1": [2, {"a": "-inf"}]}),
        (Source("A", "eq. 1"), {"title": "A", "locator": "eq. 1", "url": ""}),
        (Path("a"), "a"),
        (None, None),
    ],
)
def test_plain_values(value: Any, expected: Any) -> None:
    assert results.plain(value) == expected
    assert json.loads(results.dumps(value)) == expected


def test_plain_gives_exact_python_types() -> None:
    assert type(results.plain(np.float64(0.1))) is float
    assert type(results.plain(np.bool_(False))) is bool


def test_dumps_is_strict_json() -> None:
    assert "NaN" not in results.dumps({"a": [math.nan, math.inf]})


def test_write_makes_folders_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    results.write(path, results.dumps(some_results()))
    assert results.read(path) == some_results()


def test_write_leaves_the_old_file_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    results.write(path, "old")

    def disk_full(descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="no space"):
        results.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "dlcheck.results/0"}', "no json"])
def test_read_refuses_other_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"schema|Expecting value"):
        results.read(path)


def test_diff_names_what_changed() -> None:
    refuted = some_results(claims=[{"id": "act.tanh-of-sigmoid", "verdict": "refuted"}, {"id": "new", "verdict": None}])
    assert results.diff(some_results(), refuted) == [  # type: ignore[arg-type]
        ("claim act.tanh-of-sigmoid", "holds", "refuted"),
        ("claim new", "absent", "failed"),
    ]


def test_diff_sees_checks_and_faults() -> None:
    gone = results.diff(some_results(), some_results(components=[]))  # type: ignore[arg-type]
    assert [change.what for change in gone] == ["check activations.tanh.values on torch", "fault tanh.sign"]
    assert {change.after for change in gone} == {"absent"}


def test_diff_of_equal_results_is_empty() -> None:
    assert results.diff(some_results(), some_results()) == []  # type: ignore[arg-type]


def test_what_is_no_file_stays_what_it_is(tmp_path):
    results.write("/dev/null", "text")
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    results.write(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
