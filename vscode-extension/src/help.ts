/** What the user is told, and offered, when the server cannot run or the model is missing. */

import * as vscode from "vscode";
import { install, pull } from "./install";
import { listModels, megabytes, type Model } from "./models";
import type { Status } from "./protocol";
import type { Finding, Probe } from "./python";
import { find, pathCandidates } from "./python";
import { run } from "./run";
import { warn } from "./say";
import type { Server } from "./server";

const DOCTOR_TIMEOUT = 120_000;

export class Help {
  private toldNoModel = false;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly log: vscode.LogOutputChannel,
    private readonly server: () => Server,
  ) {}

  helpless(finding: Exclude<Finding, { kind: "found" }>): void {
    const { message, actions } = this.describe(finding);
    this.log.warn(message);
    this.server().set({ kind: "needs_action", message });
    void vscode.window.showWarningMessage(message, ...Object.keys(actions), "Show Log").then((choice) => {
      if (choice === "Show Log") this.log.show();
      else if (choice) actions[choice]?.();
    });
  }

  private describe(finding: Exclude<Finding, { kind: "found" }>): { message: string; actions: Record<string, () => void> } {
    const setting = () => void vscode.commands.executeCommand("workbench.action.openSettings", "dsassist.extension.python");
    switch (finding.kind) {
      case "no_python":
        return {
          message: "dsassist needs Python 3.11 or newer, and none was found. Install one, or name it in dsassist.extension.python.",
          actions: {
            "Get Python": () => void vscode.env.openExternal(vscode.Uri.parse("https://www.python.org/downloads/")),
            "Open Setting": setting,
          },
        };
      case "bad_setting":
        return { message: finding.message, actions: { "Open Setting": setting } };
      case "without_dsassist": {
        const set = finding.probe.candidate.origin === "setting";
        return {
          message: set
            ? `${finding.probe.executable}, named in dsassist.extension.python, has no dsassist. Install it there, or clear the setting to use a private environment.`
            : `The dsassist language server is not installed. It can be installed into a private environment (about 1 GB with PyTorch; several on Linux, where that brings GPU libraries).`,
          actions: set ? { "Open Setting": setting } : { Install: () => void this.install(finding.probe) },
        };
      }
      case "misfit":
        return {
          message: finding.message,
          actions:
            finding.update === "server"
              ? { "Update dsassist": () => void this.install(finding.probe) }
              : { "Check for Updates": () => void vscode.commands.executeCommand("workbench.extensions.action.checkForUpdates") },
        };
    }
  }

  /** Installs with the given Python, or the first that is new enough. */
  async install(using?: Probe): Promise<void> {
    const probe = using ?? (await this.anyPython());
    if (!probe) {
      this.helpless({ kind: "no_python", tried: [] });
      return;
    }
    if (await install(this.context, probe.executable, this.log)) await this.server().restart();
  }

  private async anyPython(): Promise<Probe | undefined> {
    const found = await find(pathCandidates(process.platform), run, (line) => this.log.info(line));
    return "probe" in found ? found.probe : undefined;
  }

  /** Offers a download once when there is no model. */
  async noModel(status: Status): Promise<void> {
    if (this.toldNoModel) return;
    this.toldNoModel = true;
    const models = await this.models();
    const model = models.find(({ name }) => name === status.model) ?? models[0];
    const what = model ? `${model.title} (${megabytes(model.bytes)}, ${model.licence})` : status.model;
    const choice = await vscode.window.showInformationMessage(`No model is on this machine. Download ${what}?`, "Download", "Choose Another");
    if (choice === "Download") await this.pull(model?.name ?? status.model);
    else if (choice) await this.selectModel();
  }

  /** Lets the user choose a model, downloads it where it is missing, and makes it the setting. */
  async selectModel(): Promise<void> {
    const models = await this.models();
    if (models.length === 0) {
      warn("The models could not be listed, because dsassist does not run. The log says why.");
      return;
    }
    const items = models.map((model) => ({
      label: model.title,
      description: model.pulled ? "on this machine" : `${megabytes(model.bytes)} to download`,
      detail: [model.licence, model.note].filter(Boolean).join(" · "),
      model,
    }));
    const chosen = await vscode.window.showQuickPick(items, { title: "dsassist: model", matchOnDetail: true });
    if (!chosen) return;
    if (!chosen.model.pulled && !(await this.pull(chosen.model.name))) return;
    await vscode.workspace.getConfiguration("dsassist").update("engine.model", chosen.model.name, vscode.ConfigurationTarget.Global);
  }

  private async pull(model: string): Promise<boolean> {
    const python = this.server().python;
    if (!python || !(await pull(python, model, this.log))) return false;
    this.toldNoModel = false;
    void vscode.window.showInformationMessage(`${model} is ready. Type, and wait for the grey text.`);
    return true;
  }

  private async models(): Promise<Model[]> {
    const python = this.server().python;
    if (!python) return [];
    return listModels(python, run).catch((error: unknown) => {
      this.log.error(`dsassist model list: ${String(error)}`);
      return [];
    });
  }

  gaveUp(message: string): void {
    void vscode.window.showErrorMessage(message, "Show Log", "Restart").then((choice) => {
      if (choice === "Show Log") this.log.show();
      else if (choice) void this.server().restart();
    });
  }

  /** Runs `dsassist doctor` and shows what it says in the log. */
  async doctor(): Promise<void> {
    const python = this.server().python;
    if (!python) {
      void vscode.window.showWarningMessage("The doctor needs dsassist, which was not found. The log says where was looked.", "Show Log").then((choice) => {
        if (choice) this.log.show();
      });
      return;
    }
    this.log.show();
    this.log.appendLine(`\n$ ${python} -I -m dsassist doctor`);
    const outcome = await run(python, ["-I", "-m", "dsassist", "doctor"], { timeout: DOCTOR_TIMEOUT, onLine: (line) => this.log.appendLine(line) });
    if (outcome.code !== 0) this.log.appendLine(`The doctor ended with ${outcome.code ?? outcome.failure ?? "a time-out"}.`);
  }
}
