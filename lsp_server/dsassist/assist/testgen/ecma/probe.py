"""The probe: a file that calls the target with many arguments and writes down what happened.

It is run by the project's own runner, so that its transforms and module resolution apply; each line it writes is one
call of one variant (0: the code as it is, with counters; others: with a planted bug).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

__all__ = ["probe_source"]

_BODY = r"""
const AHEAD = Number(process.env.DSASSIST_AHEAD ?? 0);
if (AHEAD) {
  // another day, for the second look
  const Real = Date;
  globalThis.Date = class Date extends Real {
    constructor(...parts) { if (parts.length === 0) super(Real.now() + AHEAD); else super(...parts); }
    static now() { return Real.now() + AHEAD; }
  };
}
const write = (value, depth = 0, local = false) => {
  if (depth > 5) throw new Error("deep");
  if (value === null) return "null";
  switch (typeof value) {
    case "undefined": return "undefined";
    case "boolean": return String(value);
    case "bigint": return `${value}n`;
    case "number": return Object.is(value, -0) ? "-0" : String(value);
    case "string": if (value.length > 300) throw new Error("long"); return JSON.stringify(value);
    case "object": break;
    default: throw new Error("no literal");
  }
  const inner = (item) => write(item, depth + 1, local);
  if (Array.isArray(value)) { if (value.length > 40) throw new Error("long"); return `[${Array.from(value, inner).join(", ")}]`; }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) return "new Date(NaN)";
    if (!local) return `new Date("${value.toISOString()}")`;
    const parts = [value.getFullYear(), value.getMonth(), value.getDate(), value.getHours(), value.getMinutes(), value.getSeconds(), value.getMilliseconds()];
    while (parts.length > 3 && parts.at(-1) === 0) parts.pop();
    return `new Date(${parts.join(", ")})`;
  }
  if (value instanceof RegExp) return String(value);
  if (value instanceof Map) return `new Map(${inner([...value])})`;
  if (value instanceof Set) return `new Set(${inner([...value])})`;
  const proto = Object.getPrototypeOf(value);
  if (proto !== null && proto.constructor?.name !== "Object") throw new Error("class");
  const keys = Object.keys(value);
  if (keys.length > 30) throw new Error("long");
  const shown = keys.map((key) => `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)}: ${inner(value[key])}`);
  return keys.length ? `{ ${shown.join(", ")} }` : "{}";
};
const kindOf = (value) => value === null ? "null" : Array.isArray(value) ? "array" : typeof value === "object" ? (value.constructor?.name ?? "object") : typeof value;
const observe = async (load, variant, numbers) => {
  let module;
  const note = (entry) => fs.appendFileSync(OUT, JSON.stringify({ variant, ...entry }) + "\n");
  try { module = await load(); } catch (error) { note({ failed: `${error?.name}: ${error?.message}` }); return; }
  const found = PATH.reduce((place, name) => place?.[name], module) ?? PATH.reduce((place, name) => place?.[name], module?.default)
    ?? (PATH.length === 1 && PATH[0] === "default" && typeof module === "function" ? module : undefined);
  if (typeof found !== "function") { note({ failed: `${PATH.join(".")} is not exported` }); return; }
  const owner = PATH.length > 1 ? (module[PATH[0]] ?? module.default?.[PATH[0]]) : undefined;
  for (const number of numbers) {
    const lines = new Set();
    let output = "";
    const saved = console.log;
    console.log = (...parts) => { output += parts.map(String).join(" ") + "\n"; if (output.length > 100000) throw new Error("prints without end"); };
    note({ begun: number });
    let entry;
    let awaited = false;
    try {
      const given = ARGUMENTS[number]();
      const before = JSON.stringify(given, (_, item) => typeof item === "bigint" ? String(item) : item);
      globalThis.__dsassist = (line) => lines.add(line);
      let result;
      try {
        result = found.apply(owner, given);
        if (typeof result?.then === "function") {
          awaited = true;
          result = await Promise.race([result, new Promise((_, reject) => setTimeout(() => reject(new Error("dsassist: too slow")), 1000))]);
        }
        const iterator = typeof result?.next === "function" && typeof result?.[Symbol.iterator] === "function";
        if (iterator) { const items = []; for (const item of result) { items.push(item); if (items.length > 40) throw new Error("dsassist: endless"); } result = items; }
        globalThis.__dsassist = undefined;
        entry = { ...entry, outcome: "return", kind: kindOf(result), iterated: iterator };
        try { entry.value = write(result); entry.local = write(result, 0, true); } catch { entry.value = ""; }
        const after = JSON.stringify(given, (_, item) => typeof item === "bigint" ? String(item) : item);
        if (after !== before) { try { entry.changed = given.map((item) => write(item)); } catch { /* no literal */ } }
      } catch (error) {
        globalThis.__dsassist = undefined;
        entry = { ...entry, outcome: "raise", kind: error?.name ?? typeof error, message: String(error?.message ?? error).slice(0, 200), purpose: RAISES.has(error?.name) && !ACCIDENT.test(error?.message ?? "") };
      }
    } catch (error) { entry = { outcome: "setup", message: String(error) }; }
    console.log = saved;
    note({ number, lines: [...lines].sort((a, b) => a - b), output: output.length, awaited, ...entry });
  }
};
const run = async () => { for (const [variant, load, numbers] of VARIANTS) await observe(load, variant, numbers); };
"""
_ACCIDENT = r"/is not a function|undefined|is not iterable|null|not an object|Cannot|dsassist:|Invalid (array|string) length|call stack/"


def probe_source(
    kind: str,
    commonjs: bool,
    path: Sequence[str],
    arguments: Sequence[Sequence[str]],
    variants: Sequence[tuple[int, str, Sequence[int]]],
    out: Path,
    raises: Sequence[str],
) -> str:
    """The probe's text. ``variants``: (number, what to import, numbers of the calls to make)."""
    rows = ",\n".join(f"  () => [{', '.join(row)}]" for row in arguments)
    loads = []
    for number, specifier, calls in variants:
        name = json.dumps(specifier)
        load = f"async () => require({name})" if commonjs else f"() => import({name})"
        loads.append(f"  [{number}, {load}, {list(calls)}]")
    head = 'const fs = require("node:fs");' if commonjs else 'import fs from "node:fs";'
    if kind == "vitest":
        head += '\nimport { test } from "vitest";'
    setting = (
        f"const OUT = {json.dumps(str(out))};\nconst PATH = {json.dumps(list(path))};\n"
        f"const RAISES = new Set({json.dumps(list(raises))});\nconst ACCIDENT = {_ACCIDENT};\n"
        f"const ARGUMENTS = [\n{rows}\n];\nconst VARIANTS = [\n" + ",\n".join(loads) + "\n];\n"
    )
    ending = "run();\n" if kind == "node" else 'test("probe", run, 600000);\n'
    return f"// @ts-nocheck\n{head}\n{setting}{_BODY}{ending}"
