/** The settings as VS Code has them. */

import * as vscode from "vscode";

export const SECTION = "dsassist";

/** Of the extension alone: the server does not know them. */
const OWN = new Set(["extension", "trace"]);

type Tree = { [key: string]: unknown };

/**
 * The settings that someone has set, as a tree: what VS Code fills in from package.json would hide `config.toml` from the server.
 */
export function explicitSettings(packageJson: unknown): Tree {
  const configuration = vscode.workspace.getConfiguration(SECTION);
  const tree: Tree = {};
  for (const name of names(packageJson)) {
    const parts = name.split(".").slice(1);
    if (OWN.has(parts[0] ?? "")) continue;
    const value = effective(configuration, parts.join("."));
    if (value === undefined) continue;
    let node = tree;
    for (const part of parts.slice(0, -1)) node = (node[part] ??= {}) as Tree;
    node[parts.at(-1) ?? ""] = value;
  }
  return tree;
}

function effective(configuration: vscode.WorkspaceConfiguration, name: string): unknown {
  const found = configuration.inspect(name);
  if (!found) return undefined;
  const set = [found.globalValue, found.workspaceValue, found.workspaceFolderValue].some((value) => value !== undefined);
  // get() and not the values themselves: it leaves out what an untrusted workspace may not set
  return set ? configuration.get(name) : undefined;
}

function names(packageJson: unknown): string[] {
  const blocks = (packageJson as { contributes: { configuration: { properties: Tree }[] } }).contributes.configuration;
  return blocks.flatMap((block) => Object.keys(block.properties));
}

export function get<T>(name: string, fallback: T): T {
  return vscode.workspace.getConfiguration(SECTION).get<T>(name, fallback);
}
