/** The models that dsassist knows, as `dsassist model list --json` tells them. */

import type { Run } from "./run";

export interface Model {
  name: string;
  title: string;
  bytes: number;
  licence: string;
  note: string;
  pulled: boolean;
}

/** One row of `dsassist model list --json`. */
interface Row {
  name?: string;
  title?: string;
  note?: string;
  licence?: string;
  state?: string;
  bytes_to_download?: number;
}

export function parseModels(text: string): Model[] {
  const rows = JSON.parse(text) as Row[];
  return rows.flatMap((row) =>
    row.name === undefined
      ? []
      : [
          {
            name: row.name,
            title: row.title ?? row.name,
            bytes: row.bytes_to_download ?? 0,
            licence: row.licence ?? "",
            note: row.note ?? "",
            pulled: row.state === "ready" || row.state === "pulled",
          },
        ],
  );
}

export async function listModels(python: string, run: Run): Promise<Model[]> {
  const outcome = await run(python, ["-I", "-m", "dsassist", "model", "list", "--json"], { timeout: 30_000 });
  if (outcome.code !== 0) throw new Error(outcome.failure ?? outcome.stderr.trim());
  return parseModels(outcome.stdout);
}

export function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}
