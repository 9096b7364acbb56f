/** Finds a Python that can run dsassist, and says what each candidate lacks. */

import type { Run } from "./run";
import { misfit, type Misfit } from "./version";

export const OLDEST: readonly [number, number] = [3, 11];

export interface Candidate {
  command: string;
  args?: readonly string[];
  /** Where it comes from, for the log. */
  origin: "setting" | "private environment" | "Python extension" | "PATH";
}

export interface Probe {
  candidate: Candidate;
  /** The interpreter's own path. */
  executable: string;
  python: [number, number];
  /** The installed dsassist; undefined where it is missing. */
  dsassist: string | undefined;
}

export type Finding =
  | { kind: "found"; probe: Probe }
  | ({ kind: "misfit"; probe: Probe } & Misfit)
  | { kind: "without_dsassist"; probe: Probe }
  | { kind: "no_python"; tried: string[] }
  | { kind: "bad_setting"; message: string };

/** Asks an interpreter about itself; run with -I so that nothing of the workspace can answer in its place. */
const QUESTION = [
  "import json, sys",
  "from importlib import metadata",
  "try: version = metadata.version('dsassist')",
  "except metadata.PackageNotFoundError: version = None",
  "print(json.dumps({'executable': sys.executable, 'python': sys.version_info[:2], 'dsassist': version}))",
].join("\n");

const PROBE_TIMEOUT = 15_000;

/** What an interpreter says of itself, or what is wrong with it. */
export async function probe(candidate: Candidate, run: Run): Promise<Probe | string> {
  const outcome = await run(candidate.command, [...(candidate.args ?? []), "-I", "-c", QUESTION], { timeout: PROBE_TIMEOUT });
  if (outcome.failure) return outcome.failure === "ENOENT" ? "not found" : outcome.failure;
  try {
    const last = outcome.stdout.trim().split("\n").pop() ?? "";
    const answer = JSON.parse(last) as { executable: string; python: [number, number]; dsassist: string | null };
    if (newEnough(answer.python)) return { candidate, ...answer, dsassist: answer.dsassist ?? undefined };
    return `it is Python ${answer.python.join(".")}, and dsassist needs ${OLDEST.join(".")} or newer`;
  } catch {
    const said = outcome.stderr.trim().split("\n");
    // a traceback says at its end what went wrong, other programs at their beginning
    const telling = said[0]?.startsWith("Traceback") ? said.at(-1) : said[0];
    return telling || `it exited with ${outcome.code ?? "a signal"} and did not answer like Python 3`;
  }
}

function newEnough([major, minor]: readonly [number, number]): boolean {
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/**
 * The first candidate with a dsassist that fits. Failing that, the best that can be helped: one whose dsassist does not fit,
 * then one that lacks it. A candidate from the settings is never passed over in silence.
 */
export async function find(candidates: readonly Candidate[], run: Run, log: (line: string) => void): Promise<Finding> {
  let misfitting: Finding | undefined;
  let without: Finding | undefined;
  const tried: string[] = [];
  for (const candidate of candidates) {
    const answer = await probe(candidate, run);
    const name = [candidate.command, ...(candidate.args ?? [])].join(" ");
    if (typeof answer === "string") {
      log(`${name} (${candidate.origin}): ${answer}`);
      tried.push(`${name}: ${answer}`);
      if (candidate.origin === "setting") {
        return { kind: "bad_setting", message: `The setting dsassist.extension.python names ${name}, which cannot be used: ${answer}.` };
      }
      continue;
    }
    log(`${name} (${candidate.origin}): Python ${answer.python.join(".")}, dsassist ${answer.dsassist ?? "missing"}`);
    if (answer.dsassist === undefined) {
      without ??= { kind: "without_dsassist", probe: answer };
    } else {
      const problem = misfit(answer.dsassist);
      if (!problem) return { kind: "found", probe: answer };
      misfitting ??= { kind: "misfit", probe: answer, ...problem };
    }
    if (candidate.origin === "setting") break;
  }
  return misfitting ?? without ?? { kind: "no_python", tried };
}

/** Names under which a Python may be on PATH, the likeliest first. */
export function pathCandidates(platform: NodeJS.Platform): Candidate[] {
  const named = ["python3", "python", "python3.14", "python3.13", "python3.12", "python3.11"].map(
    (command): Candidate => ({ command, origin: "PATH" }),
  );
  return platform === "win32" ? [{ command: "py", args: ["-3"], origin: "PATH" }, ...named] : named;
}
