/** The interpreter that the Python extension uses for this workspace. */

import * as vscode from "vscode";

/** The part of the Python extension's API that we use. */
interface PythonApi {
  environments?: {
    getActiveEnvironmentPath(): { path: string };
    resolveEnvironment(path: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
  };
}

export async function interpreter(): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  if (!extension) return undefined;
  try {
    const api = await extension.activate();
    if (!api.environments) return undefined;
    const resolved = await api.environments.resolveEnvironment(api.environments.getActiveEnvironmentPath());
    return resolved?.executable.uri?.fsPath;
  } catch {
    return undefined; // it failed to start and says so itself
  }
}
