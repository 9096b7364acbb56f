/** "Generate tests" above the functions of a file, for those who want it (`dsassist.extension.testLens`). */

import * as vscode from "vscode";
import { get } from "./config";
import { GENERATE_TESTS_COMMAND } from "./protocol";
import type { Server } from "./server";

/** Languages that the server makes tests for. */
export const TESTED = ["python", "javascript", "javascriptreact", "typescript", "typescriptreact"];
const TESTS = /(^|\/)((test_[^/]*|[^/]*_test|conftest)\.py|[^/]*[._-](test|spec)\.\w+)$/;
const TESTABLE = new Set([vscode.SymbolKind.Function, vscode.SymbolKind.Method]);

export class TestLens implements vscode.CodeLensProvider {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;

  constructor(private readonly server: Server) {}

  /** The server came or went. */
  refresh(): void {
    this.changed.fire();
  }

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    if (TESTS.test(document.uri.path) || !get<boolean>("extension.testLens", false) || !vscode.workspace.isTrusted || !this.server.hasCommand(GENERATE_TESTS_COMMAND)) return [];
    const symbols = await vscode.commands.executeCommand<vscode.DocumentSymbol[] | undefined>("vscode.executeDocumentSymbolProvider", document.uri);
    return lenses(symbols ?? [], document.uri.toString());
  }
}

function lenses(symbols: readonly vscode.DocumentSymbol[], uri: string): vscode.CodeLens[] {
  return symbols.flatMap((symbol) => {
    if (symbol.kind === vscode.SymbolKind.Class) return lenses(symbol.children, uri);
    if (!TESTABLE.has(symbol.kind) || symbol.name.startsWith("__")) return [];
    const line = symbol.selectionRange.start.line + 1;
    return [new vscode.CodeLens(symbol.selectionRange, { title: "Generate tests", command: GENERATE_TESTS_COMMAND, arguments: [uri, line] })];
  });
}
