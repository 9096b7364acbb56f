/** Installs dsassist into an environment of the extension's own, and downloads models: with progress, and stoppable. */

import * as fs from "node:fs/promises";
import * as path from "node:path";
import * as vscode from "vscode";
import { get } from "./config";
import { percent, pipStep, telling } from "./progress";
import { run, type Outcome } from "./run";
import { privatePython } from "./server";
import { SUPPORTED } from "./version";

/** Characters of what a program prints that are shown as the step it is at. */
const LONGEST_STEP = 80;

/** Creates or updates the environment. True when dsassist is in it afterwards. */
export async function install(context: vscode.ExtensionContext, python: string, log: vscode.LogOutputChannel): Promise<boolean> {
  const set = get("extension.installFrom", "").trim();
  const brought = set ? undefined : await ownWheel(context);
  const what = set || (brought ?? `dsassist>=${SUPPORTED.from},<${SUPPORTED.below}`);
  const folder = vscode.Uri.joinPath(context.globalStorageUri, "venv").fsPath;
  await fs.mkdir(context.globalStorageUri.fsPath, { recursive: true });
  return withProgress("Installing dsassist", async (report, signal) => {
    report("making an environment");
    const made = await run(python, ["-I", "-m", "venv", folder], { signal });
    if (!succeeded(made, signal)) return failed("A virtual environment could not be made", made, log);
    const pip = ["-I", "-m", "pip", "install", "--upgrade", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"];
    const onLine = (line: string) => {
      log.info(line);
      const step = pipStep(line);
      if (step) report(step);
    };
    const installed = await run(privatePython(context), [...pip, what], { signal, onLine });
    if (!succeeded(installed, signal)) return failed(`pip could not install ${what}`, installed, log);
    if (!brought) return true;
    // pip keeps what has the same version, and two builds of this extension may bring different ones
    const again = await run(privatePython(context), [...pip, "--force-reinstall", "--no-deps", brought], { signal, onLine });
    return succeeded(again, signal) || failed(`pip could not install ${what}`, again, log);
  });
}

/** The server that is packed with the extension; undefined in a build without it. */
async function ownWheel(context: vscode.ExtensionContext): Promise<string | undefined> {
  const folder = vscode.Uri.joinPath(context.extensionUri, "server").fsPath;
  const wheel = (await fs.readdir(folder).catch(() => [])).find((name) => name.endsWith(".whl"));
  return wheel && path.join(folder, wheel);
}

/** Downloads a model. True when it is there afterwards. */
export async function pull(python: string, model: string, log: vscode.LogOutputChannel): Promise<boolean> {
  return withProgress(`Downloading ${model}`, async (report, signal) => {
    let before = 0;
    const onLine = (line: string) => {
      const now = percent(line);
      if (now === undefined) log.info(line);
      report(line.slice(0, LONGEST_STEP), Math.max(0, (now ?? before) - before));
      before = now ?? before;
    };
    const pulled = await run(python, ["-I", "-m", "dsassist", "model", "pull", model], { signal, onLine });
    return succeeded(pulled, signal) || failed(`${model} could not be downloaded`, pulled, log);
  });
}

function withProgress(
  title: string,
  work: (report: (message: string, increment?: number) => void, signal: AbortSignal) => Promise<boolean>,
): Thenable<boolean> {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    const controller = new AbortController();
    token.onCancellationRequested(() => controller.abort());
    return work((message, increment) => progress.report({ message, increment }), controller.signal);
  });
}

function succeeded(outcome: Outcome, signal: AbortSignal): boolean {
  return outcome.code === 0 && !signal.aborted;
}

function failed(message: string, outcome: Outcome, log: vscode.LogOutputChannel): false {
  if (outcome.failure === "ABORT_ERR") return false;
  const last = telling(`${outcome.stdout}\n${outcome.stderr}`);
  log.error(`${message}: ${outcome.failure ?? last}`);
  void vscode.window.showErrorMessage(`${message}. ${outcome.failure ?? last}`.slice(0, 400), "Show Log").then((choice) => {
    if (choice) log.show();
  });
  return false;
}
