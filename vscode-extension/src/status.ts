/** The status-bar item and its menu. */

import * as vscode from "vscode";
import { get } from "./config";
import { view, type Life } from "./view";

const COLOURS = {
  none: undefined,
  warning: new vscode.ThemeColor("statusBarItem.warningBackground"),
  error: new vscode.ThemeColor("statusBarItem.errorBackground"),
} as const;

export class StatusBar implements vscode.Disposable {
  private readonly item: vscode.StatusBarItem;
  private readonly subscriptions: vscode.Disposable[] = [];
  private life: Life = { kind: "starting" };

  constructor() {
    this.item = vscode.window.createStatusBarItem("dsassist.status", vscode.StatusBarAlignment.Right, 100);
    this.item.name = "dsassist";
    this.item.command = "dsassist.menu";
    this.subscriptions.push(
      vscode.window.onDidChangeActiveTextEditor(() => this.draw()),
      vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration("dsassist") && this.draw()),
    );
    this.draw();
    this.item.show();
  }

  show(life: Life): void {
    this.life = life;
    this.draw();
  }

  private draw(): void {
    const language = vscode.window.activeTextEditor?.document.languageId;
    const off = language !== undefined && (!get<boolean>("completion.enabled", true) || get<string[]>("completion.languagesOff", []).includes(language));
    const shown = view(this.life, off ? language : undefined);
    this.item.text = shown.text;
    this.item.tooltip = `dsassist: ${shown.tooltip}`;
    this.item.accessibilityInformation = { label: `dsassist: ${shown.tooltip}`, role: "button" };
    this.item.backgroundColor = COLOURS[shown.severity];
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.item.dispose();
  }
}

interface Entry extends vscode.QuickPickItem {
  command?: string;
  /** Runs instead of a command. */
  run?: () => void;
}

/** The quick menu: what fits the state first. */
export async function menu(life: Life): Promise<void> {
  const state = life.kind === "running" ? life.status?.state : undefined;
  const language = vscode.window.activeTextEditor?.document.languageId;
  const entry = (label: string, command: string, description?: string): Entry => ({ label, command, description });
  const separator = (label: string): Entry => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const entries: Entry[] = [];
  if (state === "no_model") entries.push(entry("$(cloud-download) Download a model", "dsassist.pullModel", life.kind === "running" ? life.status?.message : ""));
  if (life.kind === "needs_action" || life.kind === "failed") {
    entries.push(entry("$(tools) Install or update dsassist", "dsassist.install", life.message));
  }
  entries.push(
    state === "paused"
      ? entry("$(debug-start) Resume suggestions", "dsassist.togglePause")
      : entry("$(debug-pause) Pause suggestions", "dsassist.togglePause", "until resumed or the window closes"),
  );
  if (language) entries.push(languageEntry(language));
  entries.push(
    entry("$(question) Why was nothing suggested?", "dsassist.whyNothing"),
    separator("Code"),
    entry("$(type-hierarchy) Reference map", "dsassist.referenceMap"),
    ...(vscode.workspace.isTrusted ? [entry("$(beaker) Generate tests for this function", "dsassist.generateTestsHere")] : []),
    separator("Model and server"),
    entry("$(chip) Choose model", "dsassist.selectModel", life.kind === "running" ? life.status?.model : ""),
    entry("$(debug-restart) Restart language server", "dsassist.restart"),
    entry("$(output) Show log", "dsassist.showLog"),
    entry("$(pulse) Run doctor", "dsassist.doctor"),
    separator("More"),
    entry("$(graph) Statistics", "dsassist.statistics", "only on this machine"),
    { label: "$(gear) Settings", run: () => void vscode.commands.executeCommand("workbench.action.openSettings", "@ext:dsassist.dsassist") },
    entry("$(book) First minutes", "dsassist.walkthrough"),
  );
  const chosen = await vscode.window.showQuickPick(entries, { title: "dsassist", placeHolder: "What to do" });
  if (chosen?.run) chosen.run();
  else if (chosen?.command) await vscode.commands.executeCommand(chosen.command);
}

function languageEntry(language: string): Entry {
  const off = get<string[]>("completion.languagesOff", []);
  const isOff = off.includes(language);
  return {
    label: isOff ? `$(check) Suggest in ${language} again` : `$(circle-slash) No suggestions in ${language}`,
    run: () => {
      const next = isOff ? off.filter((name) => name !== language) : [...off, language];
      void vscode.workspace.getConfiguration("dsassist").update("completion.languagesOff", next, vscode.ConfigurationTarget.Global);
    },
  };
}
