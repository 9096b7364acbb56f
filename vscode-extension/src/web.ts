/** Where no process can start, such as vscode.dev: says so, and what to do. */

import * as vscode from "vscode";
import { inform } from "./say";

const MESSAGE =
  "dsassist runs a language server and a model on a computer, and this editor runs in a browser alone. " +
  "Open the folder in VS Code on your machine, or connect to one (Remote - SSH, a dev container, code-server).";

export function activate(context: vscode.ExtensionContext): void {
  const item = vscode.window.createStatusBarItem("dsassist.status", vscode.StatusBarAlignment.Right, 100);
  item.name = "dsassist";
  item.text = "$(circle-slash) dsassist";
  item.tooltip = MESSAGE;
  item.accessibilityInformation = { label: MESSAGE, role: "button" };
  item.command = "dsassist.menu";
  item.show();
  const explain = () => inform(MESSAGE);
  const packageJson = context.extension.packageJSON as { contributes: { commands: { command: string }[] } };
  const commands = packageJson.contributes.commands.map(({ command }) => vscode.commands.registerCommand(command, explain));
  context.subscriptions.push(item, ...commands);
}
