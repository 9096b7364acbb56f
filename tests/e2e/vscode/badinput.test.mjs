/** What can be wrong with a machine or a workspace: each says what to do. */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { Editor, PYTHON, dropHome, makeHome, processes, until } from "./harness.mjs";

/** A program that answers the extension's question as if it were a Python of this kind. */
function pretender(folder, name, answer, then = "exit 1") {
  const file = path.join(folder, name);
  fs.writeFileSync(file, `#!/bin/sh\ncase "$*" in *"metadata.version"*) echo '${JSON.stringify({ executable: file, ...answer })}';; *) ${then};; esac\n`, { mode: 0o755 });
  return file;
}

describe("when something is wrong", { timeout: 8 * 60_000 }, () => {
  let folder;
  let home;
  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "dsassist-bad-"));
    home = makeHome();
  });
  after(() => {
    dropHome(home);
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** Opens an editor with this Python and waits for a message. */
  async function message(python, pattern, picture, options = {}) {
    const editor = await Editor.open({ home, settings: { "dsassist.extension.python": python, ...options.settings }, ...options });
    try {
      await until(async () => pattern.test(await editor.notifications()), `a message like ${pattern}`);
      await editor.screenshot(picture);
      return await editor.notifications();
    } finally {
      await editor.close();
    }
  }

  it("no Python there", async () => {
    const text = await message("/no/such/python", /cannot be used/, "30-no-python");
    assert.match(text, /not found/);
    assert.match(text, /Open Setting/);
  });

  it("a Python without dsassist", async () => {
    const python = pretender(folder, "bare", { python: [3, 12], dsassist: null });
    assert.match(await message(python, /has no dsassist/, "31-without-dsassist"), /private environment/);
  });

  it("an old dsassist", async () => {
    const python = pretender(folder, "old", { python: [3, 12], dsassist: "0.0.3" });
    assert.match(await message(python, /too old for this extension/, "32-old-dsassist"), /Update dsassist/);
  });

  it("a server that dies at once", async () => {
    const python = pretender(folder, "dying", { python: [3, 12], dsassist: "0.1.0" }, "echo no luck >&2; exit 7");
    const text = await message(python, /times in a row/, "33-dies-at-once");
    assert.match(text, /Restart/);
    assert.match(text, /Show Log/);
  });

  it("no model: offers one with size and licence", async () => {
    const bare = fs.mkdtempSync(path.join(os.tmpdir(), "dse-"));
    const editor = await Editor.open({ home: bare });
    try {
      await until(async () => /Download/.test(await editor.notifications()), "an offer to download", 60_000);
      assert.match(await editor.notifications(), /491 MB, Apache-2\.0/);
      await editor.screenshot("34-no-model");
    } finally {
      await editor.close();
      dropHome(bare);
    }
  });

  it("a workspace with two roots that is not trusted: suggestions, but no tests", async () => {
    for (const name of ["one", "two"]) {
      fs.mkdirSync(path.join(folder, name));
      fs.writeFileSync(path.join(folder, name, `${name}.py`), `def ${name}():\n    return 1\n`);
    }
    const workspace = path.join(folder, "both.code-workspace");
    const folders = ["one", "two"].map((name) => ({ path: name }));
    fs.writeFileSync(workspace, JSON.stringify({ folders, settings: { "dsassist.extension.python": "/evil/python" } }));
    const editor = await Editor.open({ home, trusted: false, workspace, settings: { "dsassist.extension.python": PYTHON, "security.workspace.trust.startupPrompt": "never" } });
    try {
      await editor.status.waitFor();
      await editor.waitForState(/Ready|when it is needed/);
      await editor.file("two.py", 2, 4);
      assert.equal(processes(home, /-m dsassist lsp/).length, 1);
      await editor.page.keyboard.press("F1");
      await editor.page.locator(".quick-input-widget input").fill(">dsassist: Generate Tests");
      await until(async () => /No matching/.test(await editor.page.locator(".quick-input-list").innerText()), "no such command");
      await editor.page.keyboard.press("Escape");
    } finally {
      await editor.screenshot("35-two-roots-untrusted");
      await editor.close();
    }
  });
});
