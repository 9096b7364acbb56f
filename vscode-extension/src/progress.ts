/** Reads progress out of what pip and `dsassist model pull` print. */

/** What pip does now, in a few words; undefined for lines that say nothing new. */
export function pipStep(line: string): string | undefined {
  const downloading = /^\s*Downloading (\S+?)(?:-\d\S*)? \(([^)]+)\)/.exec(line);
  if (downloading) return `downloading ${(downloading[1] ?? "").split("/").pop() ?? ""} (${downloading[2] ?? ""})`;
  const collecting = /^\s*Collecting ([A-Za-z0-9._-]+)/.exec(line);
  if (collecting) return `looking up ${collecting[1] ?? ""}`;
  if (/^\s*Installing collected packages/.test(line)) return "installing";
  if (/^\s*(Building|Preparing)/.test(line)) return "building";
  return undefined;
}

/** What a program that failed said that helps: Debian's Python names the package it lacks, others say it at the end. */
export function telling(output: string): string {
  const lacking = /ensurepip is not[^]*?\bapt(?:-get)? install (\S+)/.exec(output);
  if (lacking) return `This Python cannot make environments by itself. In a terminal: sudo apt install ${lacking[1] ?? ""}`;
  return output.trim().split("\n").slice(-3).join(" ");
}

/** The last percentage on a line, 0 to 100. */
export function percent(line: string): number | undefined {
  const found = [...line.matchAll(/(\d{1,3})(?:\.\d+)?\s?%/g)].pop();
  return found ? Math.min(100, Number(found[1])) : undefined;
}
