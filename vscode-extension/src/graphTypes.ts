/** What the extension and its map's webview tell each other. */

/** Who calls what, what refers to the symbol, or which files use which. */
export type Mode = "calls" | "references" | "files";

export interface MapNode {
  id: string;
  label: string;
  /** Path inside the workspace and line, such as `pkg/util.py:12`. */
  detail: string;
  kind: "function" | "class" | "module" | "other";
  /** The symbol the map was opened on. */
  root: boolean;
  /** Its neighbours are in the map. */
  expanded: boolean;
}

export interface MapEdge {
  id: string;
  from: string;
  to: string;
  /** How many places. */
  count: number;
}

export interface MapGraph {
  mode: Mode;
  title: string;
  nodes: MapNode[];
  edges: MapEdge[];
  /** What is missing and why; empty when nothing is. */
  note: string;
}

export type ToWebview = { type: "graph"; graph: MapGraph } | { type: "busy" };
export type FromWebview = { type: "ready" } | { type: "open" | "expand"; id: string } | { type: "mode"; mode: Mode };
