import { beforeEach, describe, expect, it, vi } from "vitest";
import { STOP_TESTS_COMMAND } from "../src/protocol";
import { TestProgress } from "../src/testProgress";
import { testing } from "./vscode";

const BEGIN = { kind: "begin", title: "dsassist: generating tests", message: "1 function" } as const;

describe("progress of generated tests", () => {
  const next = vi.fn();
  let progress: TestProgress;
  const say = (token: string, params: object) => progress.middleware!(token, params as never, next as never);

  beforeEach(() => {
    [testing.progress.length, testing.executed.length] = [0, 0];
    next.mockClear();
    progress = new TestProgress();
    progress.file = "file:///w/a.py";
  });

  it("is a notification that moves forward and ends", async () => {
    say("t", BEGIN);
    say("t", { kind: "report", message: "f: explore (12 tried, 4 stable, 0 kept)", percentage: 40 });
    say("t", { kind: "report", message: "f: verify", percentage: 30 });
    expect(testing.progress[0]?.reports).toEqual([
      { message: "1 function" },
      { message: "f: explore (12 tried, 4 stable, 0 kept)", increment: 40 },
      { message: "f: verify", increment: 0 },
    ]);
    say("t", { kind: "end" });
    await vi.waitFor(() => expect(testing.progress[0]?.ended).toBe(true));
    expect(next).not.toHaveBeenCalled();
  });

  it("stops the server's work when it is cancelled", () => {
    say("t", BEGIN);
    testing.progress[0]?.cancel();
    expect(testing.executed).toEqual([[STOP_TESTS_COMMAND, "file:///w/a.py"]]);
  });

  it("leaves other progress to the status bar", () => {
    for (const params of [{ kind: "begin", title: "Indexing" }, { kind: "report" }, { kind: "end" }]) say("i", params);
    expect(next).toHaveBeenCalledTimes(3);
    expect(testing.progress).toEqual([]);
  });

  it("goes when the server dies", async () => {
    say("t", BEGIN);
    progress.clear();
    await vi.waitFor(() => expect(testing.progress[0]?.ended).toBe(true));
  });
});
