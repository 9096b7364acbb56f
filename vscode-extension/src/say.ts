/** Messages that need no answer. */

import * as vscode from "vscode";

/** VS Code cuts a message without buttons after its first line, of about so many characters. */
const ONE_LINE = 50;

/** A button where the message would be cut, so that all of it is shown. */
function buttons(message: string): string[] {
  return message.length > ONE_LINE ? ["OK"] : [];
}

export function inform(message: string): void {
  void vscode.window.showInformationMessage(message, ...buttons(message));
}

export function warn(message: string): void {
  void vscode.window.showWarningMessage(message, ...buttons(message));
}
