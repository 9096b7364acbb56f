import { describe, expect, it } from "vitest";
import { Backoff } from "../src/backoff";
import { applyEdits } from "../src/edits";
import { refuse, type Question } from "../src/gate";
import { MapModel, MOST_NODES } from "../src/mapModel";
import { megabytes, parseModels } from "../src/models";
import { percent, pipStep, telling } from "../src/progress";
import { follow, keptShare, step, type Shown } from "../src/track";
import { fit, misfit } from "../src/version";
import { view } from "../src/view";
import { nearest } from "../webview/nearest";

describe("version handshake", () => {
  const range = { from: "0.2.1", below: "0.4.0" };
  it.each([
    ["0.2.1", "fits"], ["0.3.9", "fits"], ["v0.3", "fits"], ["0.3.0.dev4", "fits"],
    ["0.2.0", "server_too_old"], ["0.1.99", "server_too_old"],
    ["0.4.0", "extension_too_old"], ["1.0", "extension_too_old"],
    ["", "unreadable"], ["unknown", "unreadable"],
  ])("%s: %s", (version, expected) => expect(fit(version, range)).toBe(expected));

  it("says which of the two to update", () => {
    expect(misfit("0.1.0", range)).toMatchObject({ update: "server", message: expect.stringContaining("0.2.1 or newer") as string });
    expect(misfit("0.4.0", range)).toMatchObject({ update: "extension" });
    expect(misfit("", range)?.message).toContain("unknown version");
    expect(misfit("0.3.0", range)).toBeUndefined();
  });
});

describe("restart with back-off", () => {
  it("waits longer each time, then gives up", () => {
    let now = 0;
    const backoff = new Backoff({ delays: [1, 2, 4], healthyAfter: 100 }, () => now);
    const delays = [];
    for (let index = 0; index < 4; index++) {
      backoff.started();
      now += 10;
      delays.push(backoff.died());
    }
    expect(delays).toEqual([1, 2, 4, undefined]);
  });

  it("starts a fresh count after a healthy life", () => {
    let now = 0;
    const backoff = new Backoff({ delays: [1, 2], healthyAfter: 100 }, () => now);
    backoff.died();
    backoff.started();
    now += 100;
    expect(backoff.died()).toBe(1);
  });

  it("counts a server that never started", () => {
    const backoff = new Backoff({ delays: [1, 2], healthyAfter: 100 });
    expect([backoff.died(), backoff.died(), backoff.died()]).toEqual([1, 2, undefined]);
    backoff.reset();
    expect(backoff.died()).toBe(1);
  });
});

describe("whether to ask", () => {
  const question: Question = { manual: false, language: "python", enabled: true, languagesOff: [], paused: false, lineLength: 10 };
  it("asks by default", () => expect(refuse(question)).toBeUndefined());
  it.each<[Partial<Question>, string]>([
    [{ enabled: false }, "disabled"],
    [{ languagesOff: ["python"] }, "language_off"],
    [{ paused: true }, "paused"],
    [{ lineLength: 100_000 }, "long_line"],
    [{ paused: true, manual: true }, "paused"],
  ])("%j: %s", (change, reason) => expect(refuse({ ...question, ...change })?.reason).toBe(reason));
  it("always answers a trigger by hand", () => {
    expect(refuse({ ...question, manual: true, enabled: false, languagesOff: ["python"] })).toBeUndefined();
  });
});

describe("what became of a suggestion", () => {
  const shown: Shown = { id: "1", uri: "file:///a.py", offset: 10, rest: "return total\n", taken: 0 };
  it("types through it", () => {
    const next = step(shown, { offset: 10, length: 0, text: "r" });
    expect(next).toMatchObject({ kind: "typed", shown: { offset: 11, rest: "eturn total\n", taken: 0 } });
  });
  it("sees a word taken", () => {
    expect(step(shown, { offset: 10, length: 0, text: "return" })).toMatchObject({ kind: "taken", characters: 6, shown: { taken: 6, rest: " total\n" } });
  });
  it.each([
    { offset: 10, length: 0, text: "x" },
    { offset: 9, length: 1, text: "" },
    { offset: 3, length: 0, text: "r" },
  ])("ends with another edit: %j", (edit) => expect(step(shown, edit).kind).toBe("gone"));

  it("follows accepted text through edits before, in and after it", () => {
    const span = { start: 10, end: 20 };
    expect(follow(span, { offset: 0, length: 2, text: "abcde" })).toEqual({ start: 13, end: 23 });
    expect(follow(span, { offset: 12, length: 3, text: "" })).toEqual({ start: 10, end: 17 });
    expect(follow(span, { offset: 20, length: 0, text: "later" })).toEqual(span);
    expect(follow(span, { offset: 5, length: 100, text: "" })).toEqual({ start: 5, end: 5 });
    expect(follow(span, { offset: 15, length: 10, text: "xy" })).toEqual({ start: 10, end: 15 });
  });
  it("measures how much is left", () => {
    expect(keptShare("return total", "return total")).toBe(1);
    expect(keptShare("return total", "return sum")).toBeCloseTo(7 / 12);
    expect(keptShare("return total", "")).toBe(0);
    expect(keptShare("aa", "aaa")).toBe(1);
  });
});

describe("status bar", () => {
  const status = { message: "", remedy: "", progress: 0.42, model: "m", version: "0.1.0" };
  const running = (state: "ready" | "loading" | "paused" | "no_model" | "error", working = false) =>
    view({ kind: "running", status: { ...status, state }, working });
  it("shows progress while loading", () => expect(running("loading").text).toContain("42%"));
  it("spins while working", () => expect(running("ready", true).text).toContain("~spin"));
  it("tells states apart", () => {
    const texts = [running("ready"), running("paused"), running("no_model"), running("error"), view({ kind: "starting" })].map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
    expect(running("error").severity).toBe("error");
    expect(running("no_model").severity).toBe("warning");
  });
  it("warns of a server elsewhere that is stopped, not of an engine that starts by itself", () => {
    const stopped = (remedy: string) => view({ kind: "running", working: false, status: { ...status, state: "stopped", message: "Stopped.", remedy } });
    expect([stopped("").severity, stopped("Start it.").severity]).toEqual(["none", "warning"]);
  });
  it("says when a language is off", () => {
    expect(view({ kind: "running", status: { ...status, state: "ready" }, working: false }, "markdown").tooltip).toContain("markdown");
  });
  it("carries the server's message and remedy", () => {
    const shown = view({ kind: "running", working: false, status: { ...status, state: "error", message: "It broke.", remedy: "Mend it." } });
    expect(shown.tooltip).toBe("It broke. Mend it.");
  });
});

describe("edits for a preview", () => {
  it("uses positions of the text before", () => {
    expect(applyEdits("abcdef", [{ start: 4, end: 6, text: "Z" }, { start: 0, end: 1, text: "xx" }])).toBe("xxbcdZ");
    expect(applyEdits("", [{ start: 0, end: 0, text: "new" }])).toBe("new");
    expect(applyEdits("ab", [{ start: 1, end: 1, text: "1" }, { start: 1, end: 1, text: "2" }])).toBe("a12b");
  });
  it("refuses overlaps", () => {
    expect(() => applyEdits("abcdef", [{ start: 0, end: 3, text: "" }, { start: 2, end: 4, text: "" }])).toThrow("overlapping");
  });
});

describe("the map", () => {
  const node = (id: string) => ({ id, label: id, detail: "", kind: "function" as const, root: false, expanded: false });
  it("keeps one node and one edge for each, and counts what does not fit", () => {
    const model = new MapModel("calls", "f");
    for (let index = 0; index < MOST_NODES + 5; index++) model.add(node(String(index)));
    model.add(node("0"));
    model.connect("0", "1", 1);
    model.connect("0", "1", 3);
    model.connect("0", "not there", 1);
    model.expanded("1");
    const graph = model.graph();
    expect(graph.nodes).toHaveLength(MOST_NODES);
    expect(graph.edges).toEqual([{ id: "0 -> 1", from: "0", to: "1", count: 3 }]);
    expect(graph.note).toContain("5 more");
    expect(graph.nodes[1]?.expanded).toBe(true);
  });
  it("takes in what the server knows about files", () => {
    const model = new MapModel("files", "shop/cart.py");
    const nodes = [{ uri: "file:///w/shop/cart.py", path: "shop/cart.py" }, { uri: "file:///w/app.py", path: "app.py" }];
    const found = { root: nodes[0]!.uri, nodes, edges: [{ source: nodes[1]!.uri, target: nodes[0]!.uri, count: 3 }], dropped: 0 };
    model.addFiles(found, found.root, true);
    const [cart, app] = model.graph().nodes;
    expect(cart).toMatchObject({ label: "cart.py", detail: "shop", kind: "module", root: true, expanded: true });
    expect(app).toMatchObject({ label: "app.py", detail: ".", root: false, expanded: false });
    expect(model.graph().edges).toMatchObject([{ from: app!.id, to: cart!.id, count: 3 }]);
    model.addFiles({ ...found, root: app!.id, dropped: 7 }, app!.id, false);
    expect(model.graph().nodes.map(({ root, expanded }) => [root, expanded])).toEqual([[true, true], [false, false]]);
    expect(model.graph().note).toContain("7 more");
    model.remark("is not in the index");
    expect(model.graph().note).toBe("is not in the index");
  });
  it("moves to what lies in the arrow's direction", () => {
    const points = [{ id: "a", x: 0, y: 0 }, { id: "b", x: 100, y: 5 }, { id: "c", x: 60, y: 90 }, { id: "d", x: 0, y: 40 }];
    expect(nearest(points, "a", "right")).toBe("b");
    expect(nearest(points, "a", "down")).toBe("d");
    expect(nearest(points, "a", "left")).toBeUndefined();
    expect(nearest(points, "b", "left")).toBe("a");
    expect(nearest(points, "nobody", "left")).toBeUndefined();
  });
});

describe("what programs print", () => {
  it("reads pip", () => {
    expect(pipStep("Collecting torch<3,>=2.11 (from dsassist)")).toBe("looking up torch");
    expect(pipStep("  Downloading torch-2.13.0-cp311-none-linux.whl (180.5 MB)")).toBe("downloading torch (180.5 MB)");
    expect(pipStep("Installing collected packages: a, b")).toBe("installing");
    expect(pipStep("Requirement already satisfied")).toBeUndefined();
  });
  it("says which package a Debian without ensurepip lacks", () => {
    const said = [
      "The virtual environment was not created successfully because ensurepip is not",
      "available.  On Debian/Ubuntu systems, you need to install the python3-venv",
      "package using the following command.", "", "    apt install python3.11-venv", "",
      "You may need to use sudo with that command.  After installing the python3-venv",
      "package, recreate your virtual environment.", "", "Failing command: /home/me/venv/bin/python3", "",
    ];
    expect(telling(said.join("\n"))).toMatch(/sudo apt install python3\.11-venv$/);
    expect(telling("one\ntwo\nthree\nERROR: No matching distribution found for dsassist\n")).toBe("two three ERROR: No matching distribution found for dsassist");
  });
  it("reads percentages", () => {
    expect(percent("downloading from PyPI: 40% of 491 MB")).toBe(40);
    expect(percent("12.5% then 13.7%")).toBe(13);
    expect(percent("nothing")).toBeUndefined();
  });
  it("reads the list of models", () => {
    const models = parseModels('[{"name": "m", "state": "ready", "title": "M", "licence": "MIT", "bytes_to_download": 5}, {"state": "x"}]');
    expect(models).toEqual([{ name: "m", title: "M", bytes: 5, licence: "MIT", note: "", pulled: true }]);
    expect([megabytes(491_400_064), megabytes(1_117_320_768)]).toEqual(["491 MB", "1.1 GB"]);
  });
});
