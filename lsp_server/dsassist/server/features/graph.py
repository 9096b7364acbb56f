"""The request ``dsassist/graph``: which files use which, around one. Calls have LSP's own call hierarchy."""

from __future__ import annotations

from typing import Any

from dsassist.server.app import Server
from dsassist.server.protocol import GRAPH, GraphAround

__all__ = ["register"]

FARTHEST, LARGEST = 4, 200


def register(server: Server) -> None:
    """Attach the handler."""

    @server.feature(GRAPH)
    async def graph(params: GraphAround) -> dict[str, Any] | None:
        found = await server.indexes.find(params.uri) if server.settings.navigation.references else None
        if found is None or not found[0].index.languages_path(found[1]):
            return None
        folder, path = found
        depth, most = max(1, min(params.depth, FARTHEST)), max(2, min(params.most, LARGEST))
        made = await folder.ask(folder.index.files_around, path, depth, most)
        uris = {node: (folder.root / node).as_uri() for node in made.nodes}
        return {
            "root": uris[path],
            "nodes": [{"uri": uris[node], "path": node} for node in made.nodes],
            "edges": [
                {"source": uris[source], "target": uris[sink], "count": count} for source, sink, count in made.edges
            ],
            "dropped": made.dropped,
        }
