/** The graph of a reference map, apart from where its facts come from. */

import type { FileGraph } from "./protocol";
import type { MapEdge, MapGraph, MapNode, Mode } from "./graphTypes";

/** More nodes than this cannot be read: the rest is counted in a note. */
export const MOST_NODES = 150;

export class MapModel {
  readonly nodes = new Map<string, MapNode>();
  private readonly edges = new Map<string, MapEdge>();
  private left = 0;
  private missing = "";

  constructor(
    readonly mode: Mode,
    private readonly title: string,
  ) {}

  /** Adds a node unless it is there or there is no room; says whether it is in the graph. */
  add(node: MapNode): boolean {
    if (this.nodes.has(node.id)) return true;
    if (this.nodes.size >= MOST_NODES) {
      this.left++;
      return false;
    }
    this.nodes.set(node.id, node);
    return true;
  }

  /** Sets the number of places on an edge whose ends are in the graph. */
  connect(from: string, to: string, count: number): void {
    if (this.nodes.has(from) && this.nodes.has(to)) {
      const id = `${from} -> ${to}`;
      this.edges.set(id, { id, from, to, count });
    }
  }

  /** Adds what the server knows about files: `around` is in the map already, or is its root. */
  addFiles(found: FileGraph, around: string, root: boolean): void {
    for (const { uri, path } of found.nodes) {
      const slash = path.lastIndexOf("/");
      const detail = slash < 0 ? "." : path.slice(0, slash);
      this.add({ id: uri, label: path.slice(slash + 1), detail, kind: "module", root: root && uri === around, expanded: false });
    }
    for (const { source, target, count } of found.edges) this.connect(source, target, count);
    this.left += found.dropped;
    if (found.dropped === 0) this.expanded(around);
  }

  /** Says what is missing, where it is not only that there is too much. */
  remark(note: string): void {
    this.missing = note;
  }

  expanded(id: string): void {
    const node = this.nodes.get(id);
    if (node) this.nodes.set(id, { ...node, expanded: true });
  }

  graph(): MapGraph {
    const note = this.missing || (this.left > 0 ? `${this.left} more are left out to keep the map readable` : "");
    return { mode: this.mode, title: this.title, nodes: [...this.nodes.values()], edges: [...this.edges.values()], note };
  }
}
