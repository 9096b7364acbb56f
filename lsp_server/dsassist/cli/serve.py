"""``dsassist serve``: the engine that editors and terminals share."""

from __future__ import annotations

from typing import Annotated

import typer

from dsassist.cli.common import console, user_settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""

    @app.command(help="Run the engine. Editors start and share it by themselves; run it by hand to see its log.")
    def serve(
        model: Annotated[str | None, typer.Option(help="Catalog name, GGUF file or Hugging Face folder.")] = None,
        device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
        threads: Annotated[int | None, typer.Option(min=0, help="CPU threads; 0 is one a physical core.")] = None,
        idle_minutes: Annotated[
            float | None, typer.Option(min=0, help="Leave after so long without a request; 0 never.")
        ] = None,
        cache_megabytes: Annotated[int | None, typer.Option(min=1, help="Memory of the KV cache.")] = None,
        cache_type: Annotated[str | None, typer.Option(help="float or int8 keys and values.")] = None,
        tcp: Annotated[
            bool, typer.Option("--tcp", help="Listen on loopback TCP with a token, not a Unix socket.")
        ] = False,
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --tcp; 0 takes a free one.")] = 0,
    ) -> None:
        # torch comes with it, so it is imported only here
        from dsassist_model.serve import ServeOptions, run
        from dsassist_model.serve.state import EngineOptions

        engine = user_settings().engine
        options = ServeOptions(
            engine=EngineOptions(
                model=model or engine.model,
                device=device or engine.device,
                threads=engine.threads if threads is None else threads,
                cache_megabytes=cache_megabytes or engine.cache_megabytes,
                cache_type=cache_type or engine.cache_type,
            ),
            tcp=tcp,
            port=port,
            idle_minutes=engine.idle_minutes if idle_minutes is None else idle_minutes,
        )
        run(options, lambda address: console.print(f"listening on {address}"))
