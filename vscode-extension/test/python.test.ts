import { describe, expect, it } from "vitest";
import { find, pathCandidates, type Candidate } from "../src/python";
import { run, type Outcome, type Run } from "../src/run";

const silent = () => undefined;

/** Interpreters by name; one that is not listed does not exist. */
function machine(answers: Record<string, { python?: [number, number]; dsassist?: string | null; says?: Partial<Outcome> }>): Run {
  return async (command) => {
    const answer = answers[command];
    const empty: Outcome = { code: 0, stdout: "", stderr: "" };
    if (!answer) return { ...empty, code: null, failure: "ENOENT" };
    if (answer.says) return { ...empty, ...answer.says };
    return { ...empty, stdout: `${JSON.stringify({ executable: `/bin/${command}`, python: answer.python ?? [3, 12], dsassist: answer.dsassist ?? null })}\n` };
  };
}

const path = (...commands: string[]): Candidate[] => commands.map((command) => ({ command, origin: "PATH" }));

describe("finding a Python", () => {
  it("takes the first with a dsassist that fits", async () => {
    const found = await find(path("a", "b", "c"), machine({ a: {}, b: { dsassist: "0.1.3" }, c: { dsassist: "0.1.4" } }), silent);
    expect(found).toMatchObject({ kind: "found", probe: { executable: "/bin/b", dsassist: "0.1.3" } });
  });
  it("says when there is none", async () => {
    const tried = await find(path("a", "b"), machine({ b: { python: [3, 9] } }), silent);
    expect(tried).toEqual({ kind: "no_python", tried: ["a: not found", "b: it is Python 3.9, and dsassist needs 3.11 or newer"] });
  });
  it("finds one that lacks dsassist", async () => {
    expect(await find(path("a", "b"), machine({ b: {} }), silent)).toMatchObject({ kind: "without_dsassist", probe: { executable: "/bin/b" } });
  });
  it("prefers to update an old dsassist over installing another", async () => {
    const found = await find(path("a", "b"), machine({ a: {}, b: { dsassist: "0.0.9" } }), silent);
    expect(found).toMatchObject({ kind: "misfit", update: "server" });
  });
  it("asks to update the extension for a newer dsassist", async () => {
    expect(await find(path("a"), machine({ a: { dsassist: "9.0" } }), silent)).toMatchObject({ kind: "misfit", update: "extension" });
  });
  it("never passes over the setting in silence", async () => {
    const candidates: Candidate[] = [{ command: "mine", origin: "setting" }, ...path("b")];
    const broken = await find(candidates, machine({ b: { dsassist: "0.1.0" } }), silent);
    expect(broken).toMatchObject({ kind: "bad_setting", message: expect.stringContaining("mine, which cannot be used: not found") as string });
    const without = await find(candidates, machine({ mine: {}, b: { dsassist: "0.1.0" } }), silent);
    expect(without).toMatchObject({ kind: "without_dsassist", probe: { executable: "/bin/mine" } });
  });
  it("is not fooled by a program that is not Python", async () => {
    const lines: string[] = [];
    const says = { code: 1, stderr: "Python was not found; run without arguments to install" };
    expect((await find(path("a"), machine({ a: { says } }), (line) => lines.push(line))).kind).toBe("no_python");
    expect(lines.join()).toContain("Python was not found");
    expect((await find(path("a"), machine({ a: { says: { stdout: "hello" } } }), silent)).kind).toBe("no_python");
  });
  it("reads the output of a chatty start-up file", async () => {
    const says = { stdout: 'welcome\n{"executable": "/x", "python": [3, 13], "dsassist": "0.1.0"}\n' };
    expect(await find(path("a"), machine({ a: { says } }), silent)).toMatchObject({ kind: "found" });
  });
  it("knows Windows's launcher", () => {
    expect(pathCandidates("win32")[0]).toEqual({ command: "py", args: ["-3"], origin: "PATH" });
    expect(pathCandidates("linux")[0]?.command).toBe("python3");
  });
});

describe("running programs", () => {
  it("gives lines, the code and both streams", async () => {
    const lines: string[] = [];
    const script = "process.stdout.write('one\\rtwo\\n'); process.stderr.write('three\\n'); process.exit(3)";
    const outcome = await run(process.execPath, ["-e", script], { onLine: (line) => lines.push(line) });
    expect(outcome).toMatchObject({ code: 3, stderr: "three\n" });
    expect(lines.sort()).toEqual(["one", "three", "two"]);
  });
  it("says why a program did not start", async () => {
    expect((await run("/no/such/program", [])).failure).toBe("ENOENT");
  });
  it("stops when asked", async () => {
    const controller = new AbortController();
    const outcome = run(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { signal: controller.signal });
    controller.abort();
    expect((await outcome).failure).toBe("ABORT_ERR");
  });
});
