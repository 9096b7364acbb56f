/** Tells the server what other tools say of the document that is being worked on. */

import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { get } from "./config";
import { DIAGNOSTICS } from "./protocol";

/** More of one document helps nobody. */
const MOST = 100;

export function tellDiagnostics(client: () => LanguageClient | undefined): vscode.Disposable {
  const tell = (uri: vscode.Uri) => {
    const running = client();
    if (!running || !get<boolean>("context.diagnostics", true)) return;
    const said = vscode.languages.getDiagnostics(uri).filter(({ severity }) => severity <= vscode.DiagnosticSeverity.Warning);
    void running.sendNotification(DIAGNOSTICS, {
      uri: running.code2ProtocolConverter.asUri(uri),
      diagnostics: said.slice(0, MOST).map(({ range, message, severity }) => ({
        line: range.start.line,
        message,
        warning: severity === vscode.DiagnosticSeverity.Warning,
      })),
    });
  };
  const active = () => vscode.window.activeTextEditor?.document.uri;
  return vscode.Disposable.from(
    vscode.languages.onDidChangeDiagnostics(({ uris }) => {
      const uri = uris.find((changed) => changed.toString() === active()?.toString());
      if (uri) tell(uri);
    }),
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      if (editor) tell(editor.document.uri);
    }),
  );
}
