"""Test vectors: the same bytes each time, complete, and read by a language that is not Python."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlcheck import registry
from dlcheck.cli import main

READER = Path(__file__).parent / "vectors" / "reader.mjs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("vectors")
    result = CliRunner().invoke(main, ["vectors", "adam", "softmax", "--out", str(made)])
    assert result.exit_code == 0, result.output
    return made


def read_by_javascript(folder: Path, *mistake: str) -> dict[str, int]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the reader with")
    run = subprocess.run([node, str(READER), str(folder), *mistake], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_a_reader_in_javascript_agrees(folder: Path) -> None:
    found = read_by_javascript(folder)
    assert found["checked"] > 10
    assert found["failed"] == 0


@pytest.mark.parametrize("mistake", ["unstable", "uncorrected"])
def test_a_mistake_in_javascript_is_rejected(folder: Path, mistake: str) -> None:
    assert read_by_javascript(folder, mistake)["failed"] > 0


def test_vectors_are_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["vectors", "softmax", "--out", str(tmp_path)])
    assert (tmp_path / "softmax.json").read_bytes() == (folder / "softmax.json").read_bytes()


def test_vectors_have_what_the_schema_asks_for(folder: Path) -> None:
    schema = json.loads((Path(registry.__file__).parent / "vectors.schema.json").read_text())
    made = json.loads((folder / "adam.json").read_text())
    assert made["schema"] == schema["properties"]["schema"]["const"]
    assert set(made) == set(schema["required"])
    assert all(set(vector) == set(schema["properties"]["vectors"]["items"]["required"]) for vector in made["vectors"])


def test_vectors_say_which_mistakes_they_kill(folder: Path) -> None:
    made = json.loads((folder / "adam.json").read_text())
    killed = {fault for vector in made["vectors"] for fault in vector["kills"]}
    known = {fault.id for fault in registry.faults().values() if fault.component == "adam"}
    assert killed <= known
    assert len(killed) > len(known) / 2


def test_floats_are_exact_in_both_notations(folder: Path) -> None:
    made = json.loads((folder / "softmax.json").read_text())
    for vector in made["vectors"]:
        for array in vector["outputs"].values():
            pairs = zip(array["hex"], array["decimal"], strict=True)
            assert all(h == d or float.fromhex(h) == float(d) for h, d in pairs)


def test_an_unknown_component_is_a_wrong_call(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["vectors", "adma", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "did you mean adam" in result.output
