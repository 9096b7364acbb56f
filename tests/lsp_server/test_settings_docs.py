"""package.json and docs/settings.md say what settings.py says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_settings", ROOT / "tools" / "generate_settings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_has_drifted(generator: ModuleType) -> None:
    assert generator.main(["--check"]) == 0


def test_every_setting_has_a_description_and_a_default(generator: ModuleType) -> None:
    names = []
    for block in generator.configuration():
        for name, entry in block["properties"].items():
            names.append(name)
            assert len(entry["markdownDescription"]) > 10, name
            assert "default" in entry, name
    assert "dsassist.completion.maxTokens" in names
    assert len(names) == len(set(names))


def test_what_runs_programs_or_sends_code_needs_trust(generator: ModuleType) -> None:
    package = json.loads((ROOT / "vscode-extension" / "package.json").read_text(encoding="utf-8"))
    restricted = package["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"]
    assert {"dsassist.backend.url", "dsassist.testgen.python", "dsassist.extension.python"} <= set(restricted)
    known = {key for block in package["contributes"]["configuration"] for key in block["properties"]}
    assert set(restricted) <= known


def test_drift_is_named(generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = ROOT / "docs" / "settings.md"
    changed = tmp_path / "settings.md"
    changed.write_text(stale.read_text(encoding="utf-8").replace("64", "65"), encoding="utf-8")
    generator.PAGE, generator.ROOT = changed, tmp_path
    generator.PACKAGE = tmp_path / "package.json"
    generator.PACKAGE.write_text(
        (ROOT / "vscode-extension" / "package.json").read_text(encoding="utf-8"), encoding="utf-8"
    )
    assert generator.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("settings.md is out of date")
