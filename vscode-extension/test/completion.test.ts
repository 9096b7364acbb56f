import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Completion } from "../src/completion";
import { DID_ACCEPT, DID_SHOW } from "../src/protocol";
import { Statistics, total } from "../src/stats";
import { testing } from "./vscode";

/** A document of one line, with the offsets of one. */
class Text {
  languageId = "python";
  isClosed = false;
  uri = { toString: () => "file:///a.py" };
  constructor(public text: string) {}
  lineAt = () => ({ text: this.text });
  offsetAt = (position: { character: number }) => position.character;
  positionAt = (offset: number) => ({ character: offset });
  getText = (range?: { start: { character: number }; end: { character: number } }) =>
    range ? this.text.slice(range.start.character, range.end.character) : this.text;

  /** Edits and tells the listeners, as VS Code does. */
  edit(rangeOffset: number, rangeLength: number, text: string): void {
    this.text = this.text.slice(0, rangeOffset) + text + this.text.slice(rangeOffset + rangeLength);
    for (const listener of testing.changeListeners) listener({ document: this, contentChanges: [{ rangeOffset, rangeLength, text }] });
  }
}

const SUGGESTION = "return total(prices)";

describe("around a suggestion", () => {
  let sent: [string, unknown][];
  let statistics: Statistics;
  let completion: Completion;
  let document: Text;
  let paused: boolean;

  beforeEach(() => {
    vi.useFakeTimers();
    testing.configuration.clear();
    [sent, paused, document] = [[], false, new Text("    ")];
    testing.documents = [document];
    const store = { get: () => undefined, update: async () => undefined };
    statistics = new Statistics(store, () => true);
    const client = {
      sendNotification: async (method: string, params: unknown) => void sent.push([method, params]),
      sendRequest: async () => ({ reason: "low_confidence", message: "The model was not sure.", suppressed: "x" }),
    };
    completion = new Completion(statistics, {
      client: () => client as never,
      paused: () => paused,
      working: () => undefined,
      accepted: () => undefined,
    });
  });
  afterEach(() => {
    completion.dispose();
    vi.useRealTimers();
  });

  const ask = async (items: object[] = [{ insertText: SUGGESTION, command: { arguments: ["s1"] } }], cancelled = false) => {
    const next = vi.fn(async () => items);
    const token = { isCancellationRequested: cancelled };
    const position = { character: document.text.length };
    await completion.middleware!(document as never, position as never, { triggerKind: 1 } as never, token as never, next as never);
    return next;
  };
  const counts = () => total(statistics.read());

  it("tells the server what is shown", async () => {
    await ask();
    expect(sent).toEqual([[DID_SHOW, { id: "s1" }]]);
    vi.advanceTimersByTime(400);
    expect(counts()).toMatchObject({ requests: 1, shown: 1 });
  });

  it("counts a suggestion that is typed into once", async () => {
    await ask();
    document.edit(4, 0, "r");
    await ask([{ insertText: SUGGESTION.slice(1), command: { arguments: ["s2"] } }]);
    vi.advanceTimersByTime(400);
    expect(counts()).toMatchObject({ requests: 2, shown: 1 });
    document.edit(5, 0, "x");
    await ask([{ insertText: "y = 1", command: { arguments: ["s3"] } }]);
    vi.advanceTimersByTime(400);
    expect(counts()).toMatchObject({ requests: 3, shown: 2 });
  });

  it("does not count as shown what the next key replaced, nor what nothing took the place of", async () => {
    await ask();
    vi.advanceTimersByTime(200);
    document.edit(4, 0, "x");
    await ask([{ insertText: "y = 1", command: { arguments: ["s2"] } }]);
    vi.advanceTimersByTime(200);
    expect(counts().shown).toBe(0);
    await ask([]);
    vi.advanceTimersByTime(1_000);
    expect(counts().shown).toBe(0);
  });

  it("asks nothing when paused, and says so", async () => {
    paused = true;
    expect(await ask()).not.toHaveBeenCalled();
    expect(await completion.whyNothing()).toMatchObject({ reason: "paused" });
  });

  it("asks the server for the reason when it was asked for a suggestion", async () => {
    await ask([]);
    expect(await completion.whyNothing()).toMatchObject({ reason: "low_confidence", suppressed: "x" });
    expect(counts()).toMatchObject({ requests: 1, shown: 0 });
  });

  it("respects languages that are off", async () => {
    testing.configuration.set("completion.languagesOff", ["python"]);
    expect(await ask()).not.toHaveBeenCalled();
    expect(await completion.whyNothing()).toMatchObject({ reason: "language_off" });
  });

  it("counts a whole acceptance, and whether it was kept", async () => {
    await ask();
    document.edit(4, 0, SUGGESTION);
    completion.acceptedWhole("s1");
    document.edit(0, 0, "# before\n");
    expect(counts()).toMatchObject({ shown: 1, accepted: 1, partly: 0, acceptedCharacters: SUGGESTION.length });
    vi.advanceTimersByTime(31_000);
    expect(counts()).toMatchObject({ checked: 1, retained: 1 });
  });

  it("sees that an accepted suggestion was deleted", async () => {
    await ask();
    document.edit(4, 0, SUGGESTION);
    completion.acceptedWhole("s1");
    document.edit(4, SUGGESTION.length, "");
    vi.advanceTimersByTime(31_000);
    expect(counts()).toMatchObject({ checked: 1, retained: 0 });
  });

  it("counts words taken one by one as one acceptance", async () => {
    await ask();
    document.edit(4, 0, "return");
    document.edit(10, 0, " total");
    expect(counts()).toMatchObject({ shown: 1, accepted: 0, partly: 1, acceptedCharacters: 12 });
    expect(sent.slice(1)).toEqual([
      [DID_ACCEPT, { id: "s1", characters: 6 }],
      [DID_ACCEPT, { id: "s1", characters: 12 }],
    ]);
  });

  it("does not take typing for acceptance", async () => {
    await ask();
    ["r", "e", "t"].forEach((letter, index) => document.edit(4 + index, 0, letter));
    document.edit(7, 0, "ry()");
    completion.acceptedWhole("s1");
    expect(counts()).toMatchObject({ accepted: 0, partly: 0 });
  });

  it("does not count what came too late", async () => {
    await ask(undefined, true);
    expect(counts()).toMatchObject({ requests: 0, shown: 0 });
    expect(sent).toEqual([]);
  });
});
