/** Edits that the server wants to make, generated tests above all, are shown as a diff first and made when accepted. */

import * as fs from "node:fs/promises";
import * as vscode from "vscode";
import { applyEdits } from "./edits";

const SCHEME = "dsassist-preview";
const ANYONE_WRITES = 0o222;

export interface Answer {
  applied: boolean;
  failureReason?: string;
}

interface Change {
  uri: vscode.Uri;
  before: string;
  after: string;
  isNew: boolean;
}

export class Preview implements vscode.Disposable, vscode.TextDocumentContentProvider {
  private readonly texts = new Map<string, string>();
  private readonly registration: vscode.Disposable;
  private serial = 0;

  constructor() {
    this.registration = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Shows what `edit` changes and makes the changes if the user agrees. */
  async offer(edit: vscode.WorkspaceEdit, label: string): Promise<Answer> {
    const changes = await Promise.all(edit.entries().map(([uri, edits]) => this.change(uri, edits)));
    if (changes.length === 0) return { applied: false, failureReason: "the edit is empty" };
    for (const { uri } of changes) {
      const problem = await unwritable(uri);
      if (problem) {
        void vscode.window.showErrorMessage(problem, "Open File").then((choice) => choice && vscode.window.showTextDocument(uri));
        return { applied: false, failureReason: problem };
      }
    }
    const shown: vscode.Uri[] = [];
    for (const change of changes) shown.push(...(await this.show(change, label)));
    const names = changes.map(({ uri }) => vscode.workspace.asRelativePath(uri)).join(", ");
    const question = `${label}: ${changes.every(({ isNew }) => isNew) ? "create" : "change"} ${names}?`;
    const choice = await vscode.window.showInformationMessage(question, "Apply", "Discard");
    await closeTabs(shown);
    for (const uri of shown) this.texts.delete(uri.toString());
    if (choice !== "Apply") return { applied: false, failureReason: "discarded" };
    return this.write(changes);
  }

  private async change(uri: vscode.Uri, edits: readonly vscode.TextEdit[]): Promise<Change> {
    let document: vscode.TextDocument | undefined;
    try {
      document = await vscode.workspace.openTextDocument(uri);
    } catch {
      document = undefined; // it is to be created
    }
    const before = document?.getText() ?? "";
    const offset = (position: vscode.Position) => document?.offsetAt(position) ?? 0;
    const after = applyEdits(before, edits.map((edit) => ({ start: offset(edit.range.start), end: offset(edit.range.end), text: edit.newText })));
    return { uri, before, after, isNew: !document };
  }

  private async show(change: Change, label: string): Promise<vscode.Uri[]> {
    const number = ++this.serial;
    const side = (name: string, text: string) => {
      const uri = vscode.Uri.from({ scheme: SCHEME, path: change.uri.path, query: `${name}=${number}` });
      this.texts.set(uri.toString(), text);
      return uri;
    };
    const [left, right] = [side("before", change.before), side("after", change.after)];
    const name = change.uri.path.split("/").pop() ?? "";
    await vscode.commands.executeCommand("vscode.diff", left, right, `${name} (${label})`, { preview: false });
    return [left, right];
  }

  private async write(changes: readonly Change[]): Promise<Answer> {
    const edit = new vscode.WorkspaceEdit();
    for (const change of changes) {
      if (change.isNew) edit.createFile(change.uri, { ignoreIfExists: true });
      const whole = new vscode.Range(0, 0, change.before.split("\n").length, 0);
      edit.replace(change.uri, whole, change.after);
    }
    if (!(await vscode.workspace.applyEdit(edit))) {
      const failureReason = "VS Code could not change the files";
      void vscode.window.showErrorMessage(`${failureReason}: ${changes.map(({ uri }) => uri.fsPath).join(", ")}`);
      return { applied: false, failureReason };
    }
    const first = changes[0];
    for (const { uri } of changes) await (await vscode.workspace.openTextDocument(uri)).save();
    if (first) await vscode.window.showTextDocument(first.uri);
    return { applied: true };
  }

  dispose(): void {
    this.registration.dispose();
  }
}

/** Why a file cannot be written, with what to do. VS Code's own `stat` does not tell for a file without the write bit. */
async function unwritable(uri: vscode.Uri): Promise<string | undefined> {
  const problem = `${vscode.workspace.asRelativePath(uri)} is read-only, so nothing was written. Make it writable and try again.`;
  if (vscode.workspace.fs.isWritableFileSystem(uri.scheme) === false) return problem;
  if (uri.scheme !== "file") return undefined;
  try {
    const { mode } = await fs.stat(uri.fsPath);
    if ((mode & ANYONE_WRITES) === 0) return problem;
    await fs.access(uri.fsPath, fs.constants.W_OK);
  } catch (error) {
    // a file that is not there is created
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") return problem;
  }
  return undefined;
}

async function closeTabs(uris: readonly vscode.Uri[]): Promise<void> {
  const wanted = new Set(uris.map(String));
  const tabs = vscode.window.tabGroups.all
    .flatMap((group) => group.tabs)
    .filter((tab) => tab.input instanceof vscode.TabInputTextDiff && wanted.has(tab.input.modified.toString()));
  await vscode.window.tabGroups.close(tabs);
}
