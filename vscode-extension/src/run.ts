/** Runs programs: the one place that starts processes beside the language client. */

import { spawn } from "node:child_process";

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Why it did not even start, such as ENOENT. */
  failure?: string;
}

export interface RunOptions {
  timeout?: number;
  signal?: AbortSignal;
  /** Called with each line of either stream; a carriage return ends a line too. */
  onLine?: (line: string) => void;
}

export type Run = (command: string, args: readonly string[], options?: RunOptions) => Promise<Outcome>;

const KEPT = 256 * 1024;

export const run: Run = (command, args, options = {}) =>
  new Promise((resolve) => {
    let stdout = "";
    let stderr = "";
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
      timeout: options.timeout,
      signal: options.signal,
    });
    const lines = splitter(options.onLine);
    child.stdout.on("data", (data: Buffer) => {
      stdout = (stdout + data.toString()).slice(-KEPT);
      lines(data.toString());
    });
    child.stderr.on("data", (data: Buffer) => {
      stderr = (stderr + data.toString()).slice(-KEPT);
      lines(data.toString());
    });
    child.on("error", (error: NodeJS.ErrnoException) => resolve({ code: null, stdout, stderr, failure: error.code ?? error.message }));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });

function splitter(onLine: RunOptions["onLine"]): (text: string) => void {
  let rest = "";
  return (text) => {
    if (!onLine) return;
    const parts = (rest + text).split(/[\r\n]+/);
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.trim()) onLine(part.trim());
  };
}
