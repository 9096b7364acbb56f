/** Draws the reference map and makes it usable by mouse and keyboard. */

import cytoscape, { type Core, type NodeSingular, type StylesheetJson } from "cytoscape";
import dagre from "cytoscape-dagre";
import type { FromWebview, MapGraph, ToWebview } from "../src/graphTypes";
import { nearest, type Direction, type Point } from "./nearest";

declare function acquireVsCodeApi(): { postMessage(message: FromWebview): void };

const vscode = acquireVsCodeApi();
cytoscape.use(dagre);
// cytoscape would add a style element, which the content policy refuses: its one rule is in map.css
const placeholder = document.createElement("meta");
placeholder.id = "__________cytoscape_stylesheet";
document.head.append(placeholder);

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

const MODES = ["calls", "references", "files"] as const;
const map = element("map");
const cy: Core = cytoscape({ container: map, minZoom: 0.2, maxZoom: 2.5, boxSelectionEnabled: false, style: style() });

/** The theme's colours: read again whenever VS Code changes the theme. */
function style(): StylesheetJson {
  const theme = getComputedStyle(document.documentElement);
  const colour = (name: string, fallback: string) => theme.getPropertyValue(`--vscode-${name}`).trim() || fallback;
  const text = colour("editor-foreground", "#888888");
  const font = theme.getPropertyValue("--vscode-editor-font-family").trim() || "monospace";
  const border = (kind: string, name: string, fallback: string) => ({
    selector: `node[kind = "${kind}"]`,
    style: { "border-color": colour(name, fallback) },
  });
  return [
    {
      selector: "node",
      style: {
        shape: "round-rectangle", label: "data(text)", "text-wrap": "wrap", "text-valign": "center", "text-max-width": "260px",
        "font-family": font, "font-size": 12, "line-height": 1.35, color: text, width: "data(width)", height: 44,
        "background-color": colour("editorWidget-background", "#333333"), "border-width": 1.5, "border-color": colour("panel-border", "#777777"),
      },
    },
    border("function", "symbolIcon-functionForeground", "#b180d7"),
    border("class", "symbolIcon-classForeground", "#ee9d28"),
    border("module", "symbolIcon-moduleForeground", "#75beff"),
    { selector: "node[!expanded]", style: { "border-style": "dashed" } },
    {
      selector: "node[?root]",
      style: { "background-color": colour("button-background", "#0e639c"), color: colour("button-foreground", "#ffffff"), "border-width": 0 },
    },
    {
      selector: "edge",
      style: {
        width: 1.5, "curve-style": "bezier", "target-arrow-shape": "triangle", "arrow-scale": 0.9, label: "data(text)", "font-size": 10, color: text,
        "text-background-color": colour("editor-background", "#1e1e1e"), "text-background-opacity": 1, "text-background-padding": "2px",
        "line-color": colour("descriptionForeground", "#888888"), "target-arrow-color": colour("descriptionForeground", "#888888"),
      },
    },
    { selector: ":selected", style: { "outline-width": 3, "outline-color": colour("focusBorder", "#007fd4"), "outline-offset": 2 } as Record<string, string | number> },
    { selector: "edge:selected", style: { "line-color": colour("focusBorder", "#007fd4") } },
  ];
}

function draw(graph: MapGraph): void {
  const selected = cy.$("node:selected").id();
  element("title").textContent = [graph.title, graph.note].filter(Boolean).join(" · ");
  for (const mode of MODES) element(mode).setAttribute("aria-pressed", String(graph.mode === mode));
  cy.elements().remove();
  cy.add([
    ...graph.nodes.map((node) => ({
      group: "nodes" as const,
      data: { ...node, text: `${node.label}\n${node.detail}`, width: Math.min(280, 7.6 * Math.max(node.label.length, node.detail.length) + 24) },
    })),
    ...graph.edges.map((edge) => ({
      group: "edges" as const,
      data: { id: edge.id, source: edge.from, target: edge.to, text: edge.count > 1 ? `${edge.count}×` : "" },
    })),
  ]);
  arrange();
  const again = selected ? cy.getElementById(selected) : cy.collection();
  select((again.nonempty() ? again : cy.nodes("[?root]")).first());
  // for tests and for people who look: what is on the screen
  map.dataset.nodes = String(graph.nodes.length);
  map.dataset.edges = String(graph.edges.length);
}

/** Lays the graph out left to right or top down, whichever can be shown larger. */
function arrange(): void {
  const lay = (rankDir: "LR" | "TB") => {
    const layout = { name: "dagre", rankDir, nodeSep: 18, rankSep: rankDir === "LR" ? 70 : 48, animate: false, fit: true, padding: 28 };
    cy.layout(layout).run();
    return cy.zoom();
  };
  if (lay("TB") > lay("LR")) lay("TB");
  fit();
}

/** Zooms between which the whole map is shown; below, letters cannot be read, and the map is centred on its symbol instead. */
const [READABLE, LARGEST] = [0.6, 1.15];

function fit(): void {
  cy.fit(undefined, 28);
  if (cy.zoom() > LARGEST) {
    cy.zoom(LARGEST);
    cy.center();
  } else if (cy.zoom() < READABLE) {
    cy.zoom(READABLE);
    cy.center(cy.nodes("[?root]"));
  }
}

function select(node: NodeSingular): void {
  if (node.empty()) return;
  cy.elements().unselect();
  node.select();
  const box = node.renderedBoundingBox();
  if (box.x1 < 0 || box.y1 < 0 || box.x2 > map.clientWidth || box.y2 > map.clientHeight) cy.center(node);
  const [inward, outward] = [node.incomers("edge").length, node.outgoers("edge").length];
  element("selected").textContent = `${String(node.data("label"))}, ${String(node.data("detail"))}: ${inward} in, ${outward} out`;
}

const ARROWS: Record<string, Direction> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

map.addEventListener("keydown", (event) => {
  const node = cy.$("node:selected").first() as NodeSingular;
  const direction = ARROWS[event.key];
  if (direction && node.nonempty()) {
    const points = cy.nodes().map((other): Point => ({ id: other.id(), x: other.position("x"), y: other.position("y") }));
    const next = nearest(points, node.id(), direction);
    if (next) select(cy.getElementById(next));
  } else if (event.key === "Enter" && node.nonempty()) vscode.postMessage({ type: "open", id: node.id() });
  else if (event.key.toLowerCase() === "e" && node.nonempty()) vscode.postMessage({ type: "expand", id: node.id() });
  else if (event.key === "+" || event.key === "=") zoom(1.2);
  else if (event.key === "-") zoom(1 / 1.2);
  else if (event.key === "0") fit();
  else {
    const mode = MODES.find((name) => name.startsWith(event.key.toLowerCase()) && event.key.length === 1);
    if (!mode || event.ctrlKey || event.metaKey || event.altKey) return;
    vscode.postMessage({ type: "mode", mode });
  }
  event.preventDefault();
});

function zoom(factor: number): void {
  cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: map.clientWidth / 2, y: map.clientHeight / 2 } });
}

cy.on("tap", "node", (event) => {
  const node = event.target as NodeSingular;
  select(node);
  vscode.postMessage({ type: "open", id: node.id() });
});
cy.on("cxttap", "node", (event) => vscode.postMessage({ type: "expand", id: (event.target as NodeSingular).id() }));
element("fit").addEventListener("click", fit);
for (const mode of MODES) element(mode).addEventListener("click", () => vscode.postMessage({ type: "mode", mode }));

new MutationObserver(() => cy.style(style())).observe(document.body, { attributes: true, attributeFilter: ["class"] });
new ResizeObserver(() => {
  cy.resize();
  fit();
}).observe(map);

window.addEventListener("message", (event: MessageEvent<ToWebview>) => {
  if (event.data.type === "graph") {
    draw(event.data.graph);
    map.setAttribute("aria-busy", "false");
  } else {
    map.setAttribute("aria-busy", "true");
    element("title").textContent = "Looking…";
  }
});
map.focus();
vscode.postMessage({ type: "ready" });
