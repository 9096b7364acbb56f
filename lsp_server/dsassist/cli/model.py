"""``dsassist model``: list, pull, verify, info and rm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from dsassist.cli.common import console, error_console, print_note, user_settings
from dsassist_model import catalog, paths, pull, store
from dsassist_model.errors import BadModelFile
from dsassist_model.store import ModelPlace

__all__ = ["register"]

Model = Annotated[
    str | None,
    typer.Argument(help="A name from `dsassist model list`, or a path. The model of your settings by default."),
]
_STAGES = {"waiting": "waiting", "download": "downloading", "verify": "checking", "convert": "converting"}
_GOES_ON = "Trying the next source."


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Get, check and remove models.", no_args_is_help=True)
    app.add_typer(group, name="model")

    @group.command("list")
    def list_models(
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    ) -> None:
        """Show the models that can be pulled, and what is on this machine."""
        _list(as_json)

    @group.command("pull")
    def pull_model(model: Model = None) -> None:
        """Download a model, check it and convert it. Continues where an earlier pull stopped."""
        _pull(model or _default())

    @group.command("verify")
    def verify_model(model: Model = None) -> None:
        """Compare every file of a model with its hash."""
        _verify(model or _default())

    @group.command("info")
    def show_model(
        model: Model = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    ) -> None:
        """Show what is known of a model and where it lies."""
        _info(model or _default(), as_json)

    @group.command("rm")
    def remove_model(
        model: Annotated[
            str, typer.Argument(help="A name from `dsassist model list`, or the path of a converted model.")
        ],
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Delete a model from this machine. A file of your own that was given by path is left alone."""
        _remove(model, yes)


def _default() -> str:
    return user_settings().engine.model


def _list(as_json: bool) -> None:
    rows = [_facts(store.resolve(model.name)) for model in catalog.models()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("Model", "State", "Download", ""):
        table.add_column(title, justify="right" if title == "Download" else "left", no_wrap=bool(title))
    default = _default()
    for row, model in zip(rows, catalog.models(), strict=True):
        name = f"[bold]{model.name}[/] *" if model.name == default else model.name
        state = {"ready": "[green]ready[/]", "pulled": "[yellow]pulled[/]"}.get(row["state"], f"[dim]{row['state']}[/]")
        table.add_row(name, state, _size(model.bytes), f"[dim]{model.note}[/]")
    console.print(table)
    console.print(
        f"[dim]* the model of your settings. Models lie in {escape(str(paths.models_dir()))}[/]", soft_wrap=True
    )


def _pull(name: str) -> None:
    place = store.resolve(name)
    if _facts(place)["state"] == "ready":
        console.print(f"[green]{escape(place.name)}[/] is ready.", soft_wrap=True)
        return
    with _progress() as report:
        pull.prepare(name, report)
    facts = _facts(place)
    console.print(
        f"[green]{escape(place.name)}[/] is ready ({_size(facts['bytes_on_disk'])} in {escape(str(place.folder))}).",
        soft_wrap=True,
    )


def _verify(name: str) -> None:
    place = store.resolve(name)
    with _progress() as report:
        problems = pull.verify(place, report)
    if problems:
        again = "Convert it again" if place.entry is None else f"Run: dsassist model pull {place.name}"
        raise BadModelFile(
            f"{place.name} is damaged. {' '.join(problems)}",
            remedy=f"Run: dsassist model rm {place.name}. {again}",
        )
    console.print(f"[green]{escape(place.name)}[/]: every file has the right hash.", soft_wrap=True)


def _info(name: str, as_json: bool) -> None:
    place = store.resolve(name)
    facts = _facts(place)
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        if value not in (None, ""):
            shown = (
                _size(value)
                if key.startswith("bytes")
                else "yes"
                if value is True
                else "no"
                if value is False
                else value
            )
            table.add_row(key.replace("_", " "), escape(str(shown)))
    console.print(table)


def _remove(name: str, yes: bool) -> None:
    place = store.resolve(name)
    if not place.folder.exists():
        console.print(f"Nothing of {escape(place.name)} is on this machine.", soft_wrap=True)
        return
    size = _size(_facts(place)["bytes_on_disk"])
    if not yes and not typer.confirm(f"Delete {place.folder} ({size})?"):
        raise typer.Exit(1)
    console.print(f"Freed {_size(store.remove(place))}.")


def _facts(place: ModelPlace) -> dict[str, Any]:
    """What is known of a model, for people and for ``--json``."""
    entry, manifest = place.entry, store.converted_manifest(place)
    files = [f for f in place.folder.rglob("*") if f.is_file()] if place.folder.exists() else []
    if manifest is not None and place.pulled:
        state = "ready"
    elif place.pulled:
        state = "pulled"
    else:
        state = "partly downloaded" if any(f.suffix == ".part" for f in files) else "not pulled"
    facts: dict[str, Any] = {"name": place.name, "state": state}
    if entry is not None:
        facts |= {"title": entry.title, "note": entry.note, "fills_in_the_middle": entry.fim}
        facts |= {"licence": entry.licence, "licence_text": entry.licence_url}
        facts |= {"bytes_to_download": entry.bytes, "sha256": entry.sha256, "parameters": entry.parameters}
        facts |= {"source": f"https://huggingface.co/{entry.hub}", "file": entry.file}
    facts |= {"path": str(place.source) if place.pulled else None}
    if manifest is not None:
        config = json.loads(manifest["config"])
        facts |= {
            "converted": str(store.converted_dir(place, manifest["quantization"])),
            "quantization": manifest["quantization"],
        }
        facts |= {"architecture": config["architecture"], "layers": config["num_layers"]}
        facts |= {"longest_context": config["max_context"]}
    return facts | {"bytes_on_disk": sum(f.stat().st_size for f in files)}


@contextmanager
def _progress() -> Iterator[Callable[[pull.Progress], None]]:
    """A progress bar on stderr, or a plain line a tenth where that is no terminal."""
    if not error_console.is_terminal:
        yield _plain_reporter()
        return
    columns = (
        TextColumn("[bold]{task.description:<12}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[source]}"),
    )
    with Progress(*columns, console=error_console) as bars:
        tasks: dict[str, Any] = {}

        def report(now: pull.Progress) -> None:
            if now.stage == "waiting":
                bars.console.print("[dim]another dsassist works on this model; waiting for it[/]")
                return
            if now.stage == "failed":
                print_note(f"{now.source} {_GOES_ON}")
                return
            key = f"{now.stage} {now.source}"
            if key not in tasks:
                for task in tasks.values():
                    bars.stop_task(task)
                tasks[key] = bars.add_task(_STAGES[now.stage], source=now.source, total=now.total or None)
            bars.update(tasks[key], completed=now.done, total=now.total or None)

        yield report


def _plain_reporter() -> Callable[[pull.Progress], None]:
    last = ("", -1)

    def report(now: pull.Progress) -> None:
        nonlocal last
        if now.stage == "waiting":
            print_note("another dsassist works on this model; waiting for it")
            return
        if now.stage == "failed":
            print_note(f"{now.source} {_GOES_ON}")
            return
        # Only the download takes long enough for more than one line.
        tenth = now.done * 10 // now.total if now.total and now.stage == "download" else 0
        key = (f"{now.stage} {now.source}", tenth)
        if key != last:
            last = key
            source = f" from {now.source}: {tenth * 10}% of {_size(now.total)}" if now.source else ""
            error_console.print(f"{_STAGES[now.stage]}{source}", soft_wrap=True)

    return report


def _size(count: int) -> str:
    return (
        f"{count / 1e9:.2f} GB"
        if count >= 1e9
        else f"{count / 1e6:.0f} MB"
        if count >= 1e6
        else f"{count / 1e3:.0f} kB"
    )
