/** Which servers this extension can talk to. */

export interface Range {
  /** The oldest that works. */
  from: string;
  /** The first that no longer does. */
  below: string;
}

export const SUPPORTED: Range = { from: "0.1.0", below: "0.2.0" };

export type Fit = "fits" | "server_too_old" | "extension_too_old" | "unreadable";

function parse(version: string): [number, number, number] | undefined {
  const match = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(version.trim());
  return match ? [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)] : undefined;
}

function before(a: readonly number[], b: readonly number[]): boolean {
  for (let index = 0; index < 3; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Whether a server of `version` fits; suffixes such as `.dev1` are not looked at. */
export function fit(version: string, range: Range = SUPPORTED): Fit {
  const [found, from, below] = [parse(version), parse(range.from), parse(range.below)];
  if (!found || !from || !below) return "unreadable";
  if (before(found, from)) return "server_too_old";
  return before(found, below) ? "fits" : "extension_too_old";
}

export interface Misfit {
  message: string;
  update: "server" | "extension";
}

/** What to tell the user when a server does not fit; undefined when it does. */
export function misfit(version: string, range: Range = SUPPORTED): Misfit | undefined {
  switch (fit(version, range)) {
    case "fits":
      return undefined;
    case "extension_too_old":
      return {
        message: `dsassist ${version} is newer than this extension understands (below ${range.below}). Update the extension.`,
        update: "extension",
      };
    case "server_too_old":
    case "unreadable":
      return {
        message: `dsassist ${version || "of an unknown version"} is too old for this extension, which needs ${range.from} or newer. Update dsassist.`,
        update: "server",
      };
  }
}
