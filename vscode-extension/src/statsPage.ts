/** The page that draws the local statistics. */

import * as vscode from "vscode";
import { html } from "./html";
import { drawStatistics } from "./statsDrawing";
import type { Statistics } from "./stats";

let panel: vscode.WebviewPanel | undefined;

const SCRIPT = `
const vscode = acquireVsCodeApi();
document.getElementById("delete").addEventListener("click", () => vscode.postMessage("delete"));
document.getElementById("refresh").addEventListener("click", () => vscode.postMessage("refresh"));`;

export function showStatistics(context: vscode.ExtensionContext, statistics: Statistics): void {
  if (panel) {
    panel.reveal();
    draw(context, panel.webview, statistics);
    return;
  }
  const media = vscode.Uri.joinPath(context.extensionUri, "media");
  const opened = vscode.window.createWebviewPanel("dsassist.statistics", "dsassist statistics", vscode.ViewColumn.Active, {
    enableScripts: true,
    localResourceRoots: [media],
  });
  panel = opened;
  opened.onDidDispose(() => (panel = undefined));
  opened.webview.onDidReceiveMessage(async (message: string) => {
    if (message === "delete") await deleteStatistics(statistics);
    draw(context, opened.webview, statistics);
  });
  draw(context, opened.webview, statistics);
}

export async function deleteStatistics(statistics: Statistics): Promise<void> {
  const question = "Delete the statistics of dsassist on this machine?";
  const answer = await vscode.window.showWarningMessage(question, { modal: true, detail: "There is no other copy." }, "Delete");
  if (answer) await statistics.delete();
}

function draw(context: vscode.ExtensionContext, webview: vscode.Webview, statistics: Statistics): void {
  webview.html = html(webview, {
    title: "dsassist statistics",
    body: drawStatistics(statistics.read()),
    styles: [vscode.Uri.joinPath(context.extensionUri, "media", "page.css")],
    scripts: [],
    inline: SCRIPT,
  });
}
