import { describe, expect, it } from "vitest";
import packageJson from "../package.json";
import { STEPS, Walkthrough } from "../src/walkthrough";

function make(done: string[] = []) {
  const said: string[] = [];
  const memory = { get: () => done, update: async (_: string, value: string[]) => void (done = value) };
  const walkthrough = new Walkthrough(
    memory,
    async (key, value) => void said.push(`${key}=${value}`),
    async () => void said.push("open"),
    async () => undefined,
  );
  return { said, walkthrough, done: () => done };
}

describe("the walkthrough", () => {
  it("ticks a step once, and remembers it", () => {
    const { said, walkthrough, done } = make();
    walkthrough.reached("server");
    walkthrough.reached("server");
    expect(said).toEqual(["dsassist.done.server=true"]);
    expect(done()).toEqual(["server"]);
  });
  it("raises the keys after it was opened, those of other days too", async () => {
    const { said, walkthrough } = make(["map"]);
    walkthrough.reached("model");
    said.length = 0;
    await walkthrough.open();
    const opened = said.indexOf("open");
    expect(said.slice(0, opened)).toEqual(STEPS.map((step) => `dsassist.done.${step}=false`));
    expect(said.slice(opened + 1)).toEqual(["dsassist.done.model=true", "dsassist.done.map=true"]);
  });
  it("has the steps of package.json", () => {
    const events = packageJson.contributes.walkthroughs[0]!.steps.flatMap((step) => step.completionEvents);
    expect(events.sort()).toEqual(STEPS.map((step) => `onContext:dsassist.done.${step}`).sort());
  });
});
