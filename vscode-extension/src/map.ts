/** The reference map: who calls what around a symbol, where it is used, or which files use which around its own. */

import * as vscode from "vscode";
import type { FromWebview, MapNode, Mode, ToWebview } from "./graphTypes";
import { html } from "./html";
import { MapModel } from "./mapModel";
import { GRAPH, type FileGraph } from "./protocol";
import { inform } from "./say";
import type { Server } from "./server";

/** How far around the symbol the map reaches when it opens. */
const DEPTH = 2;
const FILES_AT_ONCE = 40;

interface Place {
  uri: vscode.Uri;
  range: vscode.Range;
  item?: vscode.CallHierarchyItem;
}

let current: ReferenceMap | undefined;

/** True when there was something to draw a map of. */
export async function showMap(context: vscode.ExtensionContext, server: Server): Promise<boolean> {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    inform("Open a file and put the cursor on a function or class to see its reference map.");
    return false;
  }
  current?.dispose();
  current = new ReferenceMap(context, server, editor.document.uri, editor.selection.active);
  await current.load("calls");
  return true;
}

class ReferenceMap {
  private readonly panel: vscode.WebviewPanel;
  private readonly places = new Map<string, Place>();
  private model = new MapModel("calls", "");
  private readonly ready: Promise<void>;

  constructor(
    context: vscode.ExtensionContext,
    private readonly server: Server,
    private readonly uri: vscode.Uri,
    private readonly position: vscode.Position,
  ) {
    const media = vscode.Uri.joinPath(context.extensionUri, "media");
    const dist = vscode.Uri.joinPath(context.extensionUri, "dist");
    this.panel = vscode.window.createWebviewPanel("dsassist.map", "Reference map", { viewColumn: vscode.ViewColumn.Beside }, {
      enableScripts: true,
      retainContextWhenHidden: true,
      localResourceRoots: [media, dist],
    });
    this.panel.onDidDispose(() => {
      if (current === this) current = undefined;
    });
    this.ready = new Promise((resolve) => {
      this.panel.webview.onDidReceiveMessage((message: FromWebview) => {
        if (message.type === "ready") resolve();
        else void this.receive(message);
      });
    });
    this.panel.webview.html = html(this.panel.webview, {
      title: "Reference map",
      body: BODY,
      styles: [vscode.Uri.joinPath(media, "map.css")],
      scripts: [vscode.Uri.joinPath(dist, "map.js")],
    });
  }

  private async receive(message: Exclude<FromWebview, { type: "ready" }>): Promise<void> {
    if (message.type === "mode") await this.load(message.mode);
    else if (message.type === "open") await this.open(message.id);
    else {
      if (this.model.mode === "files") await this.expandFile(message.id);
      else await this.expand(message.id, 1);
      await this.send({ type: "graph", graph: this.model.graph() });
    }
  }

  async load(mode: Mode): Promise<void> {
    await this.send({ type: "busy" });
    this.places.clear();
    if (mode === "calls") await this.calls();
    else if (mode === "references") await this.references();
    else await this.files();
    this.panel.title = `Map: ${this.model.graph().title}`;
    await this.send({ type: "graph", graph: this.model.graph() });
  }

  private async calls(): Promise<void> {
    const items = await ask<vscode.CallHierarchyItem[]>("vscode.prepareCallHierarchy", this.uri, this.position);
    const root = items?.[0];
    if (!root) {
      // not a function: what uses it is the better map, and with nothing at the cursor, what the file is for
      const document = await vscode.workspace.openTextDocument(this.uri);
      if (document.getWordRangeAtPosition(this.position)) await this.references();
      else await this.files();
      return;
    }
    this.model = new MapModel("calls", root.name);
    const id = this.addItem(root, true);
    if (id) await this.expand(id, DEPTH);
  }

  /** Adds callers and callees of a node, to `depth` steps. */
  private async expand(id: string, depth: number): Promise<void> {
    const item = this.places.get(id)?.item;
    if (!item) return;
    const [incoming, outgoing] = await Promise.all([
      ask<vscode.CallHierarchyIncomingCall[]>("vscode.provideIncomingCalls", item),
      ask<vscode.CallHierarchyOutgoingCall[]>("vscode.provideOutgoingCalls", item),
    ]);
    const found: string[] = [];
    for (const call of incoming ?? []) {
      const from = this.addItem(call.from, false);
      if (from) this.model.connect(from, id, call.fromRanges.length);
      if (from && from !== id) found.push(from);
    }
    for (const call of outgoing ?? []) {
      const to = this.addItem(call.to, false);
      if (to) this.model.connect(id, to, call.fromRanges.length);
      if (to && to !== id) found.push(to);
    }
    this.model.expanded(id);
    if (depth > 1) await Promise.all(found.filter((other) => !this.model.nodes.get(other)?.expanded).map((other) => this.expand(other, depth - 1)));
  }

  private addItem(item: vscode.CallHierarchyItem, root: boolean): string | undefined {
    return this.addNode({ uri: item.uri, range: item.selectionRange, item }, item.name, kindOf(item.kind), root);
  }

  private addNode(place: Place, label: string, kind: MapNode["kind"], root: boolean): string | undefined {
    const id = `${place.uri.toString()}#${place.range.start.line}:${place.range.start.character}`;
    const detail = `${vscode.workspace.asRelativePath(place.uri)}:${place.range.start.line + 1}`;
    if (!this.model.add({ id, label, detail, kind, root, expanded: !place.item })) return undefined;
    if (!this.places.has(id)) this.places.set(id, place);
    return id;
  }

  private async references(): Promise<void> {
    const document = await vscode.workspace.openTextDocument(this.uri);
    const word = document.getWordRangeAtPosition(this.position);
    const name = word ? document.getText(word) : vscode.workspace.asRelativePath(this.uri);
    this.model = new MapModel("references", name);
    const definitions = await ask<(vscode.Location | vscode.LocationLink)[]>("vscode.executeDefinitionProvider", this.uri, this.position);
    const definition = definitions?.[0];
    const target: Place = definition
      ? "targetUri" in definition
        ? { uri: definition.targetUri, range: definition.targetSelectionRange ?? definition.targetRange }
        : { uri: definition.uri, range: definition.range }
      : { uri: this.uri, range: word ?? new vscode.Range(this.position, this.position) };
    const root = this.addNode(target, name, "class", true);
    const locations = (await ask<vscode.Location[]>("vscode.executeReferenceProvider", this.uri, this.position)) ?? [];
    const symbols = new Map<string, vscode.DocumentSymbol[]>();
    const counts = new Map<string, number>();
    for (const location of locations) {
      const key = location.uri.toString();
      if (!symbols.has(key)) symbols.set(key, (await ask<vscode.DocumentSymbol[]>("vscode.executeDocumentSymbolProvider", location.uri)) ?? []);
      const around = enclosing(symbols.get(key) ?? [], location.range.start);
      const file = vscode.workspace.asRelativePath(location.uri).split("/").pop() ?? "";
      const place: Place = { uri: location.uri, range: around?.selectionRange ?? location.range.with({ start: new vscode.Position(0, 0), end: new vscode.Position(0, 0) }) };
      const id = this.addNode(place, around?.name ?? file, around ? kindOf(around.kind) : "module", false);
      if (id && id !== root) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, count] of counts) if (root) this.model.connect(id, root, count);
  }

  private async files(): Promise<void> {
    const path = vscode.workspace.asRelativePath(this.uri);
    this.model = new MapModel("files", path);
    const found = await this.askForFiles(this.uri.toString(), DEPTH);
    if (!found) {
      this.model.remark(this.server.running ? "is not in dsassist's index: it may be ignored, too large, or in another language" : "the language server does not run");
      return;
    }
    this.addFiles(found, found.root, true);
    // at two steps, everything around the neighbours is there as well
    if (found.dropped > 0) return;
    for (const { source, target } of found.edges) {
      if (source === found.root) this.model.expanded(target);
      else if (target === found.root) this.model.expanded(source);
    }
  }

  private async expandFile(id: string): Promise<void> {
    const found = await this.askForFiles(id, 1);
    if (found) this.addFiles(found, id, false);
  }

  private addFiles(found: FileGraph, around: string, root: boolean): void {
    this.model.addFiles(found, around, root);
    for (const { uri } of found.nodes) if (!this.places.has(uri)) this.places.set(uri, { uri: vscode.Uri.parse(uri), range: new vscode.Range(0, 0, 0, 0) });
  }

  private async askForFiles(uri: string, depth: number): Promise<FileGraph | undefined> {
    const found = await this.server.running?.sendRequest<FileGraph | null>(GRAPH, { uri, depth, most: FILES_AT_ONCE });
    return found ?? undefined;
  }

  private async open(id: string): Promise<void> {
    const place = this.places.get(id);
    if (!place) return;
    const column = vscode.window.visibleTextEditors.find((editor) => editor.viewColumn !== this.panel.viewColumn)?.viewColumn;
    await vscode.window.showTextDocument(place.uri, { selection: place.range, viewColumn: column ?? vscode.ViewColumn.One });
  }

  private async send(message: ToWebview): Promise<void> {
    await this.ready;
    await this.panel.webview.postMessage(message);
  }

  dispose(): void {
    this.panel.dispose();
  }
}

const BODY = `<header>
<div class="modes" role="group" aria-label="What to show"><button id="calls" aria-pressed="true" title="Who calls what (C)">Calls</button><button id="references" aria-pressed="false" title="Where it is used (R)">References</button><button id="files" aria-pressed="false" title="Which files use which (F)">Files</button></div>
<h1 id="title"></h1>
<button id="fit" title="Fit (0)">Fit</button>
</header>
<div id="map" tabindex="0" role="application" aria-roledescription="graph" aria-label="Reference map" aria-describedby="keys"></div>
<footer><span id="selected" aria-live="polite"></span><span id="keys">Arrows move · Enter opens · E expands · C R F switch · + − 0 zoom</span></footer>`;

function kindOf(kind: vscode.SymbolKind): MapNode["kind"] {
  switch (kind) {
    case vscode.SymbolKind.Function:
    case vscode.SymbolKind.Method:
    case vscode.SymbolKind.Constructor:
      return "function";
    case vscode.SymbolKind.Class:
    case vscode.SymbolKind.Interface:
    case vscode.SymbolKind.Struct:
    case vscode.SymbolKind.Enum:
      return "class";
    case vscode.SymbolKind.Module:
    case vscode.SymbolKind.File:
    case vscode.SymbolKind.Namespace:
    case vscode.SymbolKind.Package:
      return "module";
    default:
      return "other";
  }
}

const HOLDERS = new Set([vscode.SymbolKind.Function, vscode.SymbolKind.Method, vscode.SymbolKind.Constructor, vscode.SymbolKind.Class]);

/** The innermost function or class around a position. */
function enclosing(symbols: readonly vscode.DocumentSymbol[], position: vscode.Position): vscode.DocumentSymbol | undefined {
  for (const symbol of symbols) {
    if (symbol.range.contains(position)) {
      return enclosing(symbol.children, position) ?? (HOLDERS.has(symbol.kind) ? symbol : undefined);
    }
  }
  return undefined;
}

async function ask<T>(command: string, ...args: unknown[]): Promise<T | undefined> {
  return vscode.commands.executeCommand<T | undefined>(command, ...args);
}
