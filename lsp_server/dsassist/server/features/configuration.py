"""Settings: ``config.toml``, then ``initializationOptions``, then the client's ``workspace/configuration``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from dsassist.errors import SettingsError
from dsassist.server.app import Server
from dsassist.settings import load, read_file
from dsassist_model import paths

__all__ = ["register"]

logger = logging.getLogger(__name__)

SECTION = "dsassist"
ANSWER_SECONDS = 5.0
"""How long a client may take to say its configuration before we go on without it."""


class _Sources:
    """What each source last said."""

    def __init__(self) -> None:
        self.file: Mapping[str, Any] = {}
        self.options: Mapping[str, Any] = {}
        self.client: Mapping[str, Any] = {}


def register(server: Server) -> None:
    """Read settings before ``events.initialized`` and whenever the client changes them."""
    sources = _Sources()

    @server.feature(types.INITIALIZED)
    async def initialized(_: types.InitializedParams) -> None:
        try:
            sources.file = read_file(paths.config_dir() / "config.toml")
        except SettingsError as error:
            server.tell_once(str(error))
        options = server.initialization_options
        if isinstance(options, Mapping):
            sources.options = options
        elif options is not None:
            server.tell_once(f"initializationOptions: expected a group of settings, not {options!r}; it is ignored")
        sources.client = await _ask(server) or {}
        _apply(server, sources)
        await _watch(server)
        server.emit(server.events.initialized)

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def changed(params: types.DidChangeConfigurationParams) -> None:
        pushed = params.settings if isinstance(params.settings, Mapping) else None
        asked = await _ask(server)
        if asked is not None:
            sources.client = asked
        elif pushed is not None:
            section = pushed.get(SECTION, pushed)
            sources.client = section if isinstance(section, Mapping) else {}
        _apply(server, sources)


def _apply(server: Server, sources: _Sources) -> None:
    settings, problems = load(sources.file, sources.options, sources.client)
    for problem in problems:
        server.tell_once(f"dsassist setting {problem}")
    old, server.settings = server.settings, settings
    if old != settings:
        server.emit(server.events.settings, old, settings)


async def _ask(server: Server) -> Mapping[str, Any] | None:
    """The client's section, None if it cannot be asked or does not answer."""
    workspace = server.client_capabilities.workspace
    if workspace is None or not workspace.configuration:
        return None
    question = types.ConfigurationParams(items=[types.ConfigurationItem(section=SECTION)])
    try:
        answer = await asyncio.wait_for(server.workspace_configuration_async(question), ANSWER_SECONDS)
    except (TimeoutError, JsonRpcException) as error:
        logger.warning("the client did not say its configuration: %r", error)
        return None
    first = answer[0] if answer else None
    return first if isinstance(first, Mapping) else {}


async def _watch(server: Server) -> None:
    workspace = server.client_capabilities.workspace
    dynamic = (
        workspace and workspace.did_change_configuration and workspace.did_change_configuration.dynamic_registration
    )
    if not dynamic:
        return
    registration = types.Registration(
        id="dsassist-configuration",
        method=types.WORKSPACE_DID_CHANGE_CONFIGURATION,
        register_options=types.DidChangeConfigurationRegistrationOptions(section=SECTION),
    )
    try:
        await asyncio.wait_for(
            server.client_register_capability_async(types.RegistrationParams(registrations=[registration])),
            ANSWER_SECONDS,
        )
    except (TimeoutError, JsonRpcException) as error:
        logger.warning("the client did not register for changes of its configuration: %r", error)
