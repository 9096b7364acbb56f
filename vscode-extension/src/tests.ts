/** "Generate tests": asks the server about the function at the cursor. The server shows progress; the edit comes back as a preview. */

import * as vscode from "vscode";
import { GENERATE_TESTS_COMMAND, STOP_TESTS_COMMAND } from "./protocol";
import { inform } from "./say";
import type { Server } from "./server";

export async function generateTests(server: Server): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (!editor) {
    inform("Open a file and put the cursor in a function to generate tests for it.");
    return;
  }
  if (!mayRun()) return;
  if (!server.running) {
    void vscode.window.showWarningMessage("The language server does not run, so no tests can be generated.", "Show Log").then((choice) => {
      if (choice) void vscode.commands.executeCommand("dsassist.showLog");
    });
    return;
  }
  const actions = await vscode.commands.executeCommand<(vscode.CodeAction | vscode.Command)[]>(
    "vscode.executeCodeActionProvider",
    editor.document.uri,
    editor.selection,
  );
  const action = actions.find((candidate) => commandOf(candidate)?.command === GENERATE_TESTS_COMMAND);
  const command = action && commandOf(action);
  if (!command) {
    inform("There is no function here that dsassist can test: put the cursor in a function or class of a Python, JavaScript or TypeScript file that parses.");
    return;
  }
  await vscode.commands.executeCommand(command.command, ...((command.arguments ?? []) as unknown[]));
}

/** Generating runs the project's code: never without trust. The server asks once a workspace on top of that. */
export function mayRun(): boolean {
  if (vscode.workspace.isTrusted) return true;
  void vscode.window.showWarningMessage("Generating tests runs the code of this workspace. Trust the workspace first.", "Manage Trust").then((choice) => {
    if (choice) void vscode.commands.executeCommand("workbench.trust.manage");
  });
  return false;
}

/** Stops what runs for the file in front. */
export async function stopGenerating(server: Server): Promise<void> {
  const uri = vscode.window.activeTextEditor?.document.uri.toString();
  if (uri && server.hasCommand(STOP_TESTS_COMMAND)) await vscode.commands.executeCommand(STOP_TESTS_COMMAND, uri);
}

function commandOf(action: vscode.CodeAction | vscode.Command): vscode.Command | undefined {
  return typeof action.command === "string" ? (action as vscode.Command) : action.command;
}
