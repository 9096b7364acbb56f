"""``dsassist eval`` over a checkout whose benchmarks take no time."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from typer.testing import CliRunner

from dsassist.cli import build
from dsassist.cli.evaluate import SUITES, find_checkout
from dsassist.cli.trend import read_results
from dsassist.errors import DsassistError

SCRIPT = """
import json, sys
print("half way", file=sys.stderr)
figures = {"acceptance": 0.45, "acceptance_unfiltered": 0.3, "characters_saved_share": 0.2, "seen": sys.argv[1:]}
print(json.dumps({"name": "replay", "commit": "abc123+", "hardware": {"cpu": "A<B", "cores": 2},
                  "inputs": {"model": "small", "seed": 4}, "figures": figures, "ratios": {"acceptance": 1.5}}))
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'dsassist'\n")
    (tmp_path / "benchmarks" / "replay.py").write_text(SCRIPT)
    (tmp_path / "benchmarks" / "infill.py").write_text("import no_such_peer\n")
    return tmp_path


def evaluate(*arguments):
    return CliRunner().invoke(build(), ["eval", *map(str, arguments)])


def test_a_suite_is_run_shown_and_kept(checkout):
    done = evaluate("replay", "--checkout", checkout, "--seed", 4, "--limit", 9)
    assert done.exit_code == 0, done.output
    assert "45.0%" in done.output and "1.50×" in done.output
    [kept], problems = read_results(checkout / "benchmarks" / "results")
    assert not problems
    assert kept["suite"] == "replay" and kept["commit"] == "abc123+"
    assert kept["figures"]["seen"] == ["--seed", "4", "--limit", "9"]
    page = (checkout / "docs" / "quality.md").read_text()
    assert "| 45.0% | 30.0% | 20.0% |" in page and "images/quality-replay.svg" in page
    chart = ElementTree.parse(checkout / "docs" / "images" / "quality-replay.svg")
    assert len(chart.findall(".//{http://www.w3.org/2000/svg}polyline")) == len(SUITES["replay"].figures)


def test_the_trend_has_every_run_in_order(checkout):
    for number, date in enumerate(("2026-02-01", "2026-01-01")):
        folder = checkout / "benchmarks" / "results"
        folder.mkdir(exist_ok=True)
        result = {"suite": "replay", "date": f"{date}T00:00:00Z", "inputs": {}, "figures": {"acceptance": number / 2}}
        (folder / f"{number}.json").write_text(json.dumps(result))
    (checkout / "benchmarks" / "results" / "broken.json").write_text("{")
    done = evaluate("--trend", "--checkout", checkout)
    assert done.exit_code == 0, done.output
    page = (checkout / "docs" / "quality.md").read_text()
    assert page.index("2026-01-01") < page.index("2026-02-01")
    assert "50.0%" in page
    assert read_results(checkout / "benchmarks" / "results")[1] != []


def test_a_quick_run_is_not_kept(checkout):
    assert evaluate("replay", "--quick", "--checkout", checkout).exit_code == 0
    assert not (checkout / "benchmarks" / "results").exists()
    assert not (checkout / "docs").exists()


def test_a_suite_that_fails_is_named_and_the_others_go_on(checkout):
    done = evaluate("infill", "replay", "--checkout", checkout)
    assert done.exit_code == 1
    assert [result["suite"] for result in read_results(checkout / "benchmarks" / "results")[0]] == ["replay"]


def test_a_result_that_was_printed_before_is_added(checkout, tmp_path):
    printed = tmp_path / "printed.txt"
    result = {"name": "keystrokes", "commit": "abc", "inputs": {}, "figures": {"p50_ms": 120.0, "p95_ms": 400.0}}
    printed.write_text("a line of progress\n" + json.dumps(result) + "\n")
    assert evaluate("--add", printed, "--checkout", checkout).exit_code == 0
    assert "| 120 ms | – | 400 ms |" in (checkout / "docs" / "quality.md").read_text()
    printed.write_text("nothing of the kind\n")
    assert isinstance(evaluate("--add", printed, "--checkout", checkout).exception, DsassistError)


def test_no_checkout_says_where_the_benchmarks_are(tmp_path):
    with pytest.raises(DsassistError, match="not a checkout"):
        find_checkout(tmp_path)


def test_the_working_directory_is_enough(checkout, monkeypatch):
    inner = checkout / "benchmarks"
    monkeypatch.chdir(inner)
    assert find_checkout(None) == checkout


def test_what_the_last_run_says_besides_is_on_the_page(checkout, tmp_path):
    printed = tmp_path / "printed.txt"
    figures = {"acceptance": 0.4, "pauses": 127, "filter_unsure_dropped": 9, "filter_unsure_wrong_share": 1.0}
    result = {
        "name": "replay",
        "commit": "abc",
        "inputs": {"seed": 3},
        "figures": {**figures, "acceptance_ratio_low": 1.5},
    }
    printed.write_text(json.dumps(result))
    assert evaluate("--add", printed, "--note", "Beside a build.", "--checkout", checkout).exit_code == 0
    page = (checkout / "docs" / "quality.md").read_text()
    assert "`abc`: Beside a build." in page
    assert "| – | 127 pauses, draw 3 | ? × ? | 40.0% |" in page
    assert "| dropped by the accept model | 9 |\n| … rightly | 100.0% |" in page
    assert "give at least | 1.50× |" in page


def test_the_number_of_inputs_and_a_peer_that_is_not_there(checkout):
    script = "import sys\nprint('no llama-server', *sys.argv[1:], file=sys.stderr)\nsys.exit(3)\n"
    (checkout / "benchmarks" / "keystrokes.py").write_text(script)
    done = evaluate("latency", "--limit", 7, "--checkout", checkout)
    assert done.exit_code == 1
    assert "--pauses 7" in done.output and "benchmarks/README.md" in done.output


def test_every_suite_is_asked_for_what_its_script_takes():
    folder = find_checkout(None) / "benchmarks"
    for suite in SUITES.values():
        text = (folder / suite.script).read_text()
        assert f'"{suite.limit}"' in text
        assert ("source=" in text) is suite.takes_source
