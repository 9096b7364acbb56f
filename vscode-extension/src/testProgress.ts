/** The server's progress of generating tests, as a notification that can be stopped: someone waits for it. */

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { STOP_TESTS_COMMAND } from "./protocol";

/** The title that the server gives to this progress, and to no other. */
const TITLE = "dsassist: generating tests";

interface Shown {
  progress: vscode.Progress<{ message?: string; increment?: number }>;
  percentage: number;
  end(): void;
}

export class TestProgress {
  private readonly shown = new Map<string | number, Shown | undefined>();
  /** The file that tests were last asked for. */
  file: string | undefined;

  readonly middleware: Middleware["handleWorkDoneProgress"] = (token, params, next) => {
    if (params.kind === "begin" && params.title === TITLE) this.begin(token, params.message);
    else if (!this.shown.has(token)) next(token, params);
    else if (params.kind === "report") this.report(token, params.message, params.percentage);
    else if (params.kind === "end") this.end(token);
  };

  private begin(token: string | number, message: string | undefined): void {
    this.shown.set(token, undefined);
    const file = this.file;
    const options = { location: vscode.ProgressLocation.Notification, title: "Generating tests", cancellable: file !== undefined };
    void vscode.window.withProgress(options, (progress, cancelled) => {
      cancelled.onCancellationRequested(() => void vscode.commands.executeCommand(STOP_TESTS_COMMAND, file));
      return new Promise<void>((resolve) => {
        // it may have ended before the notification was made
        if (!this.shown.has(token)) resolve();
        else this.shown.set(token, { progress, percentage: 0, end: resolve });
        progress.report({ message });
      });
    });
  }

  private report(token: string | number, message: string | undefined, percentage: number | undefined): void {
    const shown = this.shown.get(token);
    if (!shown) return;
    const now = Math.max(shown.percentage, percentage ?? 0);
    shown.progress.report({ message, increment: now - shown.percentage });
    shown.percentage = now;
  }

  private end(token: string | number): void {
    this.shown.get(token)?.end();
    this.shown.delete(token);
  }

  /** The server is gone, and with it what it was doing. */
  clear(): void {
    for (const token of [...this.shown.keys()]) this.end(token);
  }
}
