/** The frame of our webviews: a strict content policy, nothing from a network, scripts only with this page's nonce. */

import { randomBytes } from "node:crypto";
import type * as vscode from "vscode";

export interface Page {
  title: string;
  body: string;
  /** Addresses inside the extension. */
  styles: readonly vscode.Uri[];
  scripts: readonly vscode.Uri[];
  /** Script text of this page. */
  inline?: string;
}

export function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

export function html(webview: vscode.Webview, page: Page): string {
  const nonce = randomBytes(16).toString("hex");
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'; img-src ${webview.cspSource}`;
  const styles = page.styles.map((uri) => `<link rel="stylesheet" href="${webview.asWebviewUri(uri).toString()}">`).join("\n");
  const scripts = page.scripts.map((uri) => `<script nonce="${nonce}" src="${webview.asWebviewUri(uri).toString()}"></script>`).join("\n");
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(page.title)}</title>
${styles}
</head>
<body>
${page.body}
${scripts}${page.inline ? `\n<script nonce="${nonce}">${page.inline}</script>` : ""}
</body>
</html>`;
}
