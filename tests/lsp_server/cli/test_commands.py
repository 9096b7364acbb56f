"""The command line as a stranger meets it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dsassist.cli.complete import read_place
from dsassist.cli.demo import SCENES
from dsassist.errors import PositionError, WorkspaceError
from dsassist_model.paths import engine_files


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-I", "-m", "dsassist", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_is_quick_to_load_and_names_every_command():
    code = "import sys; from dsassist.cli import build; build();"
    code += "print([m for m in ('torch', 'pygls') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    done = run("--help")
    assert done.returncode == 0
    for command in ("complete", "doctor", "demo", "model", "serve", "lsp", "index"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("where", "kind", "words"),
    [
        ("nowhere", PositionError, "FILE:LINE:COLUMN"),
        ("{file}:0:1", PositionError, "no line 0"),
        ("{file}:3:1", PositionError, "2 lines"),
        ("{file}:1:7", PositionError, "5 characters"),
        ("{folder}/gone.py:1:1", WorkspaceError, "gone.py"),
        ("{folder}:1:1", WorkspaceError, "cannot be read"),
    ],
)
def test_places_that_are_none(tmp_path, where, kind, words):
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    with pytest.raises(kind, match=words):
        read_place(where.format(file=file, folder=tmp_path))


def test_places_count_characters_from_one(tmp_path):
    file = tmp_path / "a.py"
    file.write_bytes("a\r\n🐍b\rc".encode())
    assert [read_place(f"{file}:{p}").offset for p in ("1:1", "1:2", "2:2", "2:3", "3:2")] == [0, 1, 4, 5, 7]


def test_without_a_model_it_says_what_to_run(home, tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    done = run("complete", f"{tmp_path}/a.py:1:6")
    assert done.returncode == 3
    assert "error: The model qwen2.5-coder-0.5b is not on this machine." in done.stderr
    assert "dsassist model pull" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_completion_as_json_and_as_text(home, tmp_path, new_engine):
    import asyncio

    engine = await new_engine().listen(engine_files("qwen2.5-coder-0.5b", "auto").socket)
    (tmp_path / "a.py").write_text("x = \n")
    engine.answer("41 + 1")
    done = await asyncio.to_thread(run, "complete", f"{tmp_path}/a.py:1:5", "--json")
    answer = json.loads(done.stdout)
    assert [s["text"] for s in answer["suggestions"]] == ["41 + 1"]
    engine.answer("41 + 1")
    assert (await asyncio.to_thread(run, "complete", f"{tmp_path}/a.py:1:5")).stdout == "41 + 1\n"
    engine.answer("")
    done = await asyncio.to_thread(run, "complete", f"{tmp_path}/a.py:1:5")
    assert (done.returncode, done.stdout) == (1, "The model had nothing to add.\n")
    await engine.close()


def test_the_doctor_finds_what_is_wrong(home):
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("[completion]\nmaxTokens = 'many'\n")
    done = run("doctor", "--json")
    findings = {finding["topic"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["settings"]["state"] == findings["model"]["state"] == "bad"
    assert "completion.maxTokens" in findings["settings"]["message"]
    assert "dsassist model pull" in findings["model"]["remedy"]
    assert findings["torch"]["state"] == "good"
    assert {"CPU", "GPU", "memory", "disk", "engine"} <= set(findings)


def test_settings_that_are_no_toml(home):
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("[completion\n")
    done = run("complete", f"{__file__}:1:1")
    assert done.returncode == 2
    assert "is not valid TOML" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_has_its_project():
    from importlib import resources

    for scene in SCENES:
        text = (resources.files("dsassist.cli") / "demo_project" / scene.file).read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines() if line.strip().startswith(scene.line)]
        assert len(lines) == 1
        assert lines[0].startswith(scene.typed.strip())


async def test_the_demo_plays_without_a_terminal(home, new_engine):
    import asyncio

    engine = await new_engine().listen(engine_files("qwen2.5-coder-0.5b", "auto").socket)

    def answer(payload):
        scene = next(scene for scene in reversed(SCENES) if payload["dsassist"]["path"].endswith(scene.file))
        typed = payload["prompt"].rpartition("\n")[2].strip()
        return kind([scene.typed[len(typed) :] + "the_rest" if scene.typed.startswith(typed) else ""])

    kind, engine.default = type(engine.default), answer
    done = await asyncio.to_thread(run, "demo")
    await engine.close()
    assert done.returncode == 0
    assert "inventory.py" in done.stdout
    assert "the_rest" in done.stdout
    assert "Traceback" not in done.stderr
