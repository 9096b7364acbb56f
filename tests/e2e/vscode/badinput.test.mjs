/** What can be wrong with a machine or a workspace: each says what to do. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { Transform } from "node:stream";
import { promisify } from "node:util";
import { after, before, describe, test } from "node:test";
import { Editor, PATIENCE, PYTHON, dropHome, makeHome, processes, until } from "./harness.mjs";

const run = promisify(execFile);

/** A program that answers the extension's question as if it were a Python of this kind. */
function pretender(folder, name, answer, then = "exit 1") {
  const file = path.join(folder, name);
  fs.writeFileSync(file, `#!/bin/sh\ncase "$*" in *"metadata.version"*) echo '${JSON.stringify({ executable: file, ...answer })}';; *) ${then};; esac\n`, { mode: 0o755 });
  return file;
}

describe("when something is wrong", { timeout: 8 * 60_000 }, () => {
  let folder;
  let home;
  /** The editor of the present step. */
  let editor;
  /** What a step wants undone. */
  let undo = [];

  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "dsassist-bad-"));
    home = makeHome();
  });
  after(() => {
    dropHome(home);
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** A step that leaves a picture of where it got stuck, and nothing else. */
  const it = (name, step) =>
    test(name, async (context) => {
      [editor, undo] = [undefined, []];
      try {
        await step(context);
      } catch (error) {
        await editor?.screenshot(`failed ${name.replace(/\W+/g, "-").slice(0, 60)}`).catch(() => undefined);
        throw error;
      } finally {
        await editor?.close();
        for (const work of undo) await work();
      }
    });

  /** Opens an editor with this Python and waits for a message. */
  async function message(python, pattern, picture, options = {}) {
    editor = await Editor.open({ home, settings: { "dsassist.extension.python": python }, ...options });
    await until(async () => pattern.test(await editor.notifications()), `a message like ${pattern}`);
    await editor.screenshot(picture);
    return editor.notifications();
  }

  const button = (label) => editor.page.locator(".notification-list-item .monaco-button", { hasText: label }).first();

  it("a setting that names no Python", async () => {
    const text = await message("/no/such/python", /cannot be used/, "30-wrong-setting");
    assert.match(text, /not found/);
    assert.match(text, /Open Setting/);
  });

  it("no Python at all", async () => {
    const empty = path.join(folder, "empty");
    fs.mkdirSync(empty);
    // VS Code asks the login shell for its PATH; this one tells nothing
    const text = await message("", /none was found/, "30-no-python", { environment: { PATH: empty, SHELL: "/bin/true" } });
    assert.match(text, /Python 3\.11 or newer/);
    assert.match(text, /Get Python/);
  });

  it("a Python without dsassist", async () => {
    const python = pretender(folder, "bare", { python: [3, 12], dsassist: null });
    assert.match(await message(python, /has no dsassist/, "31-without-dsassist"), /private environment/);
  });

  it("no dsassist: installs it into an environment of its own", async () => {
    // what dsassist needs is taken from the environment under test, so that nothing is downloaded; dsassist itself comes with the extension
    const bin = path.join(folder, "bin");
    fs.mkdirSync(bin);
    const { stdout } = await run(PYTHON, ["-I", "-c", "import json, sys; print(json.dumps([sys._base_executable, sys.path[1:]]))"]);
    const [real, paths] = JSON.parse(stdout);
    fs.writeFileSync(path.join(folder, "needed.pth"), paths.join("\n"));
    const venv = `"${real}" "$@" && /bin/cp "${folder}/needed.pth" "$4"/lib/python*/site-packages/`;
    pretender(bin, "python3", { python: [3, 12], dsassist: null }, venv);
    const settings = { "dsassist.extension.python": "" };
    editor = await Editor.open({ home, settings, environment: { PATH: bin, SHELL: "/bin/true", PIP_NO_DEPS: "1" } });
    await until(async () => /is not installed/.test(await editor.notifications()), "an offer to install");
    await editor.screenshot("31-offers-to-install");
    await button("Install").click();
    await until(async () => /Installing dsassist/.test(await editor.notifications()), "progress");
    await editor.screenshot("31-installing");
    await editor.waitForState(/Ready|when it is needed/);
    assert.equal(processes(home, /-m dsassist lsp/).length, 1);
    const [python] = fs.globSync("User/globalStorage/*/venv/bin/python", { cwd: editor.data });
    const { stdout: place } = await run(path.join(editor.data, python), ["-I", "-c", "import dsassist; print(dsassist.__file__)"]);
    assert.match(place, /globalStorage/);
  });

  it("an old dsassist", async () => {
    const python = pretender(folder, "old", { python: [3, 12], dsassist: "0.0.3" });
    assert.match(await message(python, /too old for this extension/, "32-old-dsassist"), /Update dsassist/);
  });

  it("a dsassist that is newer than the extension", async () => {
    const python = pretender(folder, "new", { python: [3, 12], dsassist: "7.0.0" });
    assert.match(await message(python, /newer than this extension/, "32-new-dsassist"), /Update the extension/);
  });

  it("a server that dies at once", async () => {
    const python = pretender(folder, "dying", { python: [3, 12], dsassist: "0.1.0" }, "echo no luck >&2; exit 7");
    const text = await message(python, /times in a row/, "33-dies-at-once");
    assert.match(text, /Restart/);
    assert.match(text, /Show Log/);
  });

  it("no model: offers one with size and licence", async () => {
    const bare = fs.mkdtempSync(path.join(os.tmpdir(), "dse-"));
    undo.push(() => dropHome(bare));
    editor = await Editor.open({ home: bare });
    await until(async () => /Download/.test(await editor.notifications()), "an offer to download");
    assert.match(await editor.notifications(), /491 MB, Apache-2\.0/);
    await editor.screenshot("34-no-model");
  });

  it("no model: downloads it when told to, with progress", async (context) => {
    const name = "smollm2-135m";
    const [source] = fs.globSync(path.join(home, `cache/models/${name}/source/*`));
    if (!source) return context.skip(`needs dsassist model pull ${name}`);
    const host = http.createServer((request, response) => {
      response.writeHead(200, { "Content-Length": fs.statSync(source).size });
      // slowly enough that progress can be seen
      const slow = new Transform({ transform: (chunk, _, next) => setTimeout(next, 30, null, chunk) });
      fs.createReadStream(source, { highWaterMark: 1 << 20 }).pipe(slow).pipe(response);
    });
    await new Promise((resolve) => host.listen(0, "127.0.0.1", resolve));
    const bare = fs.mkdtempSync(path.join(os.tmpdir(), "dse-"));
    undo.push(() => dropHome(bare), () => host.closeAllConnections(), () => new Promise((resolve) => host.close(resolve)));
    const environment = { HF_ENDPOINT: `http://127.0.0.1:${host.address().port}` };
    editor = await Editor.open({ home: bare, environment, settings: { "dsassist.engine.model": name } });
    await button("Choose Another").click();
    const row = editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "to download" });
    await row.first().waitFor();
    assert.ok((await row.count()) >= 3);
    await editor.screenshot("34-choose-model");
    await row.filter({ hasText: /smollm/i }).click();
    await until(async () => /Downloading smollm2-135m[^]*\d+%/.test(await editor.notifications()), "progress in percent");
    await editor.screenshot("34-downloading");
    await until(async () => /smollm2-135m is ready/.test(await editor.notifications()), "the model", 3 * PATIENCE);
    await editor.waitForState(/Ready|when it is needed/);
  });

  it("a file that cannot be written: says so, and writes nothing", async () => {
    const tests = "tests/test_prices.py";
    const text = "from shop.prices import total\n\n\ndef test_total_of_nothing():\n    assert total([]) == 0\n";
    editor = await Editor.open({
      home,
      prepare(project) {
        fs.mkdirSync(path.join(project, "tests"));
        fs.writeFileSync(path.join(project, tests), text, { mode: 0o444 });
      },
    });
    await editor.waitForState(/Ready|when it is needed/);
    await editor.file("prices.py", 20, 10);
    await editor.command("dsassist: Generate Tests for This Function");
    await button("Run it in the sandbox").click();
    await until(async () => /is read-only, so nothing was written/.test(await editor.notifications()), "a message", 2 * PATIENCE);
    await button("Open File").waitFor(); // with a button VS Code shows the whole message, and not its first line
    await editor.screenshot("36-read-only");
    assert.equal(editor.read(tests), text);
  });

  it("an editor in which no process can start: says where to go", async () => {
    editor = await Editor.open({ home, settings: { "remote.extensionKind": { "dsassist.dsassist": ["web"] } } });
    await editor.waitForState(/runs in a browser alone/);
    assert.match(await editor.state(), /connect to one/);
    await editor.status.click();
    await until(async () => /Open the folder in VS Code on your machine/.test(await editor.notifications()), "the message");
    await button("OK").waitFor();
    await editor.screenshot("37-browser-alone");
    assert.deepEqual(processes(home, /-m dsassist lsp/), []);
  });

  it("a workspace whose files are not on a disk: says what to do", async () => {
    const workspace = path.join(folder, "virtual.code-workspace");
    fs.writeFileSync(workspace, JSON.stringify({ folders: [{ uri: "memfs:/repository", name: "repository" }] }));
    editor = await Editor.open({ home, workspace });
    await editor.waitForState(/no files on disk[^]*Clone the repository/);
    assert.deepEqual(processes(home, /-m dsassist lsp/), []);
    await editor.screenshot("38-virtual");
  });

  it("a workspace with two roots that is not trusted: suggestions, but no tests", async () => {
    for (const name of ["one", "two"]) {
      fs.mkdirSync(path.join(folder, name));
      fs.writeFileSync(path.join(folder, name, `${name}.py`), `def ${name}():\n    return 1\n`);
    }
    const workspace = path.join(folder, "both.code-workspace");
    const folders = ["one", "two"].map((name) => ({ path: name }));
    fs.writeFileSync(workspace, JSON.stringify({ folders, settings: { "dsassist.extension.python": "/evil/python" } }));
    const settings = { "dsassist.extension.python": PYTHON, "security.workspace.trust.startupPrompt": "never" };
    editor = await Editor.open({ home, trusted: false, workspace, settings });
    await editor.status.waitFor();
    await editor.waitForState(/Ready|when it is needed/);
    await editor.file("two.py", 2, 4);
    assert.equal(processes(home, /-m dsassist lsp/).length, 1);
    await editor.page.keyboard.press("F1");
    const input = editor.page.locator(".quick-input-widget input");
    const list = () => editor.page.locator(".quick-input-list").innerText();
    await input.fill(">dsassist: Pause");
    await until(async () => /Pause or Resume/.test(await list()), "the other commands");
    await input.fill(">dsassist: Generate Tests");
    await until(async () => !/Pause or Resume/.test(await list()), "the list to change");
    assert.doesNotMatch(await list(), /Generate Tests for This Function/);
    await editor.screenshot("35-two-roots-untrusted");
  });
});
