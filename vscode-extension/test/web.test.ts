import { beforeEach, describe, expect, it } from "vitest";
import packageJson from "../package.json";
import { activate } from "../src/web";
import { testing } from "./vscode";

describe("where no process can start", () => {
  beforeEach(() => {
    testing.commands.clear();
    testing.messages.length = 0;
    testing.items.length = 0;
  });

  it("answers every command with what to do instead", () => {
    const subscriptions: unknown[] = [];
    activate({ subscriptions, extension: { packageJSON: packageJson } } as never);
    const names = packageJson.contributes.commands.map(({ command }) => command);
    expect([...testing.commands.keys()].sort()).toEqual(names.sort());
    for (const run of testing.commands.values()) run();
    expect(testing.messages).toHaveLength(names.length);
    expect(testing.messages[0]).toMatch(/in a browser alone.*Open the folder in VS Code on your machine, or connect to one/);
    expect(subscriptions).toHaveLength(names.length + 1);
  });

  it("says so in the status bar", () => {
    activate({ subscriptions: [], extension: { packageJSON: packageJson } } as never);
    expect(testing.items[0]).toMatchObject({ text: "$(circle-slash) dsassist", command: "dsassist.menu", shown: true });
    expect(testing.items[0]?.tooltip).toContain("Remote - SSH");
  });
});
