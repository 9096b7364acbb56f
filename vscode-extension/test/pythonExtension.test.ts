import { beforeEach, describe, expect, it } from "vitest";
import { interpreter } from "../src/pythonExtension";
import { testing } from "./vscode";

/** The Python extension with this environment chosen. */
function chosen(path: string | undefined) {
  return {
    environments: {
      getActiveEnvironmentPath: () => ({ path: "/venv" }),
      resolveEnvironment: async (asked: { path: string }) => {
        expect(asked.path).toBe("/venv");
        return path === undefined ? undefined : { executable: { uri: { fsPath: path } } };
      },
    },
  };
}

describe("the Python extension's interpreter", () => {
  beforeEach(() => testing.extensions.clear());

  it("is the environment that is chosen there", async () => {
    testing.extensions.set("ms-python.python", { activate: async () => chosen("/venv/bin/python") });
    expect(await interpreter()).toBe("/venv/bin/python");
  });
  it("is none without the extension, with one that is too old, or with one that cannot start", async () => {
    expect(await interpreter()).toBeUndefined();
    testing.extensions.set("ms-python.python", { activate: async () => ({}) });
    expect(await interpreter()).toBeUndefined();
    testing.extensions.set("ms-python.python", { activate: async () => chosen(undefined) });
    expect(await interpreter()).toBeUndefined();
    testing.extensions.set("ms-python.python", { activate: () => Promise.reject(new Error("no interpreter")) });
    expect(await interpreter()).toBeUndefined();
  });
});
