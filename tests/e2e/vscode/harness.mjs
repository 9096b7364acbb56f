/** A real VS Code (code-server) in a headless Chromium, on a copy of the sample project, with the packed extension installed. */

import { spawn, execFile } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
export const ROOT = path.resolve(import.meta.dirname, "../../..");
export const CACHE = process.env.DSASSIST_E2E_CACHE ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache"), "dsassist-e2e");
export const PYTHON = process.env.DSASSIST_E2E_PYTHON ?? path.join(ROOT, ".venv/bin/python");
export const ARTEFACTS = path.join(ROOT, "artefacts/e2e");
const CODE_SERVER = path.join(CACHE, "app/node_modules/code-server/out/node/entry.js");
const { chromium } = createRequire(path.join(CACHE, "app/package.json"))("playwright-core");

/** Settings of the extension that belong to a machine and not to a person. */
const MACHINE = new Set(
  JSON.parse(fs.readFileSync(path.join(ROOT, "vscode-extension/package.json"), "utf8"))
    .contributes.configuration.flatMap(({ properties }) => Object.entries(properties))
    .filter(([, { scope }]) => scope?.startsWith("machine")).map(([name]) => name),
);

/** Long enough for a loaded 2-core machine that also runs the model. Conditions end waits, not this. */
export const PATIENCE = 60_000;
/** For what the editor does alone. */
const SOON = 20_000;

export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until `condition` gives something truthy, and gives it back. */
export async function until(condition, what, timeout = PATIENCE) {
  const end = Date.now() + timeout;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  throw new Error(`waited ${timeout / 1000} s for ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}

/** A home for dsassist's state, with the models of this machine. Short: a socket's path holds about 100 bytes. */
export function makeHome() {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "dse-"));
  const models = process.env.DSASSIST_E2E_MODELS ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), ".cache"), "dsassist/models");
  fs.mkdirSync(path.join(home, "cache"), { recursive: true });
  if (fs.existsSync(models)) fs.symlinkSync(models, path.join(home, "cache/models"));
  fs.mkdirSync(path.join(home, "config"));
  fs.writeFileSync(path.join(home, "config/config.toml"), "[engine]\nidle_minutes = 2\n");
  return home;
}

/** Processes of ours: those with our home in their environment. */
export function processes(home, pattern) {
  return having(`DSASSIST_HOME=${home}`, pattern);
}

/** Processes with this entry in their environment, whose command fits. */
function having(entry, pattern) {
  return fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      const environment = fs.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      return pattern.test(command) && environment.includes(entry) ? [Number(pid)] : [];
    } catch {
      return []; // it ended meanwhile
    }
  });
}

export class Editor {
  /**
   * @param {{ settings?: object, extension?: boolean, home?: string, folder?: string, trusted?: boolean, environment?: object, prepare?: (folder: string) => void }} options
   */
  static async open(options = {}) {
    const editor = new Editor();
    editor.scratch = fs.mkdtempSync(path.join(os.tmpdir(), "dsassist-e2e-"));
    editor.ownHome = options.home === undefined;
    editor.home = options.home ?? makeHome();
    editor.folder = options.folder ?? path.join(editor.scratch, "project");
    if (!options.folder) fs.cpSync(path.join(ROOT, "tests/e2e/project"), editor.folder, { recursive: true });
    options.prepare?.(editor.folder);
    const [data, extensions] = [path.join(editor.scratch, "data"), path.join(editor.scratch, "extensions")];
    editor.data = data;
    const settings = {
      "dsassist.extension.python": PYTHON, "dsassist.extension.testLens": true, "workbench.startupEditor": "none", "telemetry.telemetryLevel": "off", "update.mode": "none",
      "extensions.ignoreRecommendations": true, "window.restoreWindows": "none", "workbench.tips.enabled": false, "chat.disableAIFeatures": true, "workbench.secondarySideBar.defaultVisibility": "hidden",
      "editor.minimap.enabled": false, "files.autoSave": "off", "editor.cursorBlinking": "solid", "window.dialogStyle": "custom", ...options.settings,
    };
    const write = (file, choose) => {
      fs.mkdirSync(path.join(data, path.dirname(file)), { recursive: true });
      fs.writeFileSync(path.join(data, file), JSON.stringify(Object.fromEntries(Object.entries(settings).filter(([key]) => choose(key))), null, 2));
    };
    // what concerns the machine is the machine's that the editor is connected to
    write("User/settings.json", (key) => !MACHINE.has(key));
    write("Machine/settings.json", (key) => MACHINE.has(key));
    fs.mkdirSync(path.join(data, "User/snippets"));
    fs.writeFileSync(path.join(data, "User/snippets/python.json"), JSON.stringify({ loop: { prefix: "loop", body: ["for ${1:item} in ${2:items}:", "    $0"] } }));
    const node = process.execPath;
    const environment = { ...process.env, DSASSIST_HOME: editor.home, DSASSIST_E2E_EDITOR: editor.scratch, ...options.environment };
    if (options.extension !== false) {
      await run(node, [CODE_SERVER, "--extensions-dir", extensions, "--user-data-dir", data, "--install-extension", path.join(ROOT, "vscode-extension/dsassist.vsix")], { env: environment });
    }
    const port = await freePort();
    const flags = options.trusted === false ? [] : ["--disable-workspace-trust"];
    editor.server = spawn(node, [CODE_SERVER, "--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--user-data-dir", data, "--extensions-dir", extensions,
      "--disable-telemetry", "--disable-update-check", "--disable-getting-started-override", ...flags], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    editor.output = "";
    for (const stream of [editor.server.stdout, editor.server.stderr]) stream.on("data", (chunk) => (editor.output += chunk));
    const address = `http://127.0.0.1:${port}/`;
    await until(async () => (await fetch(`${address}healthz`)).ok, "code-server to listen");
    editor.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
    editor.page = await editor.browser.newPage({ viewport: { width: 1280, height: 800 } });
    editor.page.setDefaultTimeout(PATIENCE);
    const query = options.workspace ? `workspace=${options.workspace}` : `folder=${editor.folder}`;
    await editor.page.goto(`${address}?${query}`);
    await editor.page.locator(".monaco-workbench").waitFor();
    return editor;
  }

  get status() {
    return this.page.locator('.statusbar-item[aria-label^="dsassist"]');
  }

  /** Text for screen readers of the status item: the state and why. */
  async state() {
    return (await this.status.getAttribute("aria-label")) ?? "";
  }

  /** Everything that the status item says from now on. */
  async watchStatus() {
    await this.status.waitFor();
    await this.page.evaluate(() => {
      globalThis.statesSeen = [];
      const look = () => {
        const item = document.querySelector('.statusbar-item[aria-label^="dsassist"]');
        const now = item && `${item.getAttribute("aria-label")} | ${item.textContent.trim()}`;
        if (now && globalThis.statesSeen.at(-1) !== now) globalThis.statesSeen.push(now);
      };
      new MutationObserver(look).observe(document.querySelector(".part.statusbar"), { attributes: true, childList: true, subtree: true, characterData: true });
      look();
    });
  }

  async statesSeen() {
    return this.page.evaluate(() => globalThis.statesSeen);
  }

  async waitForState(pattern, timeout) {
    return until(async () => {
      const state = await this.state();
      if (!pattern.test(state)) throw new Error(`it says ${JSON.stringify(state)}`);
      return state;
    }, `the status to say ${pattern}`, timeout);
  }

  /** Types into the box at the top and presses Enter once the list shows what was asked for, and nothing older. */
  async pick(text, label, key) {
    const input = this.page.locator(".quick-input-widget input");
    if (await input.isVisible()) {
      await this.page.keyboard.press("Escape");
      await input.waitFor({ state: "hidden", timeout: SOON });
    }
    // a webview that has the focus passes keys on late, and may take the focus back once
    await until(async () => {
      await this.page.keyboard.press(key);
      await input.waitFor({ timeout: 2_000 }).catch(() => undefined);
      await this.page.waitForTimeout(100);
      if (await input.isVisible()) return true;
      await this.page.keyboard.press("Escape");
      await this.page.waitForTimeout(300);
      return false;
    }, "the box at the top", SOON);
    await input.fill(text, { timeout: SOON });
    await until(async () => {
      const focused = this.page.locator(".quick-input-list .monaco-list-row.focused");
      if (!(await focused.innerText({ timeout: 1_000 })).includes(label)) return false;
      const rows = await this.page.locator(".quick-input-list .monaco-list-row").allInnerTexts();
      return rows[0]?.includes(label);
    }, `${label} first in the list`, SOON);
    await this.page.keyboard.press("Enter");
  }

  async command(title) {
    await this.pick(`>${title}`, title.replace(/^[^:]*: /, ""), "F1");
  }

  /** Chooses a colour theme by its label. */
  async theme(label) {
    const input = this.page.locator(".quick-input-widget input");
    await until(async () => {
      await this.page.keyboard.press("Control+k");
      await this.page.keyboard.press("Control+t");
      return /theme/i.test((await input.getAttribute("placeholder", { timeout: 2_000 })) ?? "");
    }, "the list of themes", SOON);
    await input.fill(label, { timeout: SOON });
    await until(async () => (await this.page.locator(".quick-input-list .monaco-list-row.focused").innerText({ timeout: 1_000 })).includes(label), `${label} in the list`, SOON);
    await this.page.keyboard.press("Enter");
    await input.waitFor({ state: "hidden", timeout: SOON });
  }

  /** Opens a file of the project, the cursor at a 1-based line and column. */
  async file(name, line = 1, column = 1) {
    await this.pick(`${name}:${line}:${column}`, path.basename(name), "Control+p");
    await this.page.locator(`.tab.active[data-resource-name="${path.basename(name)}"]`).waitFor({ timeout: SOON });
    await until(async () => (await this.page.locator("#status\\.editor\\.selection").innerText()).includes(`Ln ${line}, Col ${column}`), `the cursor at ${line}:${column}`, SOON);
    await this.page.locator(".quick-input-widget").waitFor({ state: "hidden" });
  }

  async type(text, delay = 60) {
    await this.page.keyboard.type(text, { delay });
  }

  ghost() {
    return this.page.locator(".ghost-text-decoration, .ghost-text-decoration-preview, .ghost-text-view-warning-widget .ghost-text, .ghost-text").filter({ hasText: /\S/ });
  }

  async waitForGhost(timeout) {
    await until(async () => (await this.ghost().count()) > 0, "a suggestion to appear", timeout).catch(async (error) => {
      await this.command("dsassist: Why Was Nothing Suggested?").catch(() => undefined);
      await this.page.waitForTimeout(2_000);
      throw new Error(`${error.message}; ${await this.notifications()}`);
    });
    return this.ghostText();
  }

  /** The suggestion as it is shown. Its lines are drawn one after the other: what counts is what stays. */
  async ghostText() {
    let before;
    for (;;) {
      const now = (await this.ghost().allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
      if (now === before) return now;
      before = now;
      await this.page.waitForTimeout(250);
    }
  }

  async save() {
    await this.page.keyboard.press("Control+s");
    await until(async () => (await this.page.locator(".tab.active.dirty").count()) === 0, "the file to be saved");
  }

  read(name) {
    return fs.readFileSync(path.join(this.folder, name), "utf8");
  }

  async screenshot(name) {
    fs.mkdirSync(ARTEFACTS, { recursive: true });
    await this.page.mouse.move(1, 1); // nothing is hovered over
    await this.page.waitForTimeout(350); // what fades in has done so
    await this.page.screenshot({ path: path.join(ARTEFACTS, `${name}.png`) });
  }

  /** Text of the notifications on the screen. */
  async notifications() {
    return (await this.page.locator(".notification-list-item").allInnerTexts()).join("\n");
  }

  async clearNotifications() {
    await this.command("Notifications: Clear All Notifications");
    await until(async () => (await this.page.locator(".notification-toast-container").count()) === 0, "notifications to go");
  }

  /** Back to an editor with nothing open, after a step that got stuck. */
  async tidy() {
    for (let count = 0; count < 3; count++) await this.page.keyboard.press("Escape");
    await this.command("File: Save All Files");
    await this.command("View: Close All Editors");
  }

  /** Seconds of CPU that this editor's processes of one kind have used. */
  cpuSeconds(pattern) {
    const ticks = having(`DSASSIST_E2E_EDITOR=${this.scratch}`, pattern).map((pid) => {
      const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      return Number(fields[11]) + Number(fields[12]);
    });
    return ticks.reduce((sum, count) => sum + count, 0) / 100;
  }

  /** Keeps what extension and server wrote to their log. */
  keepLog() {
    const to = path.join(ARTEFACTS, "logs");
    fs.mkdirSync(to, { recursive: true });
    for (const name of fs.globSync("logs/**/dsassist.log", { cwd: this.data })) {
      fs.copyFileSync(path.join(this.data, name), path.join(to, `${path.basename(this.scratch)}.log`));
    }
  }

  async close() {
    await this.browser?.close();
    if (this.data) this.keepLog();
    if (this.server && this.server.exitCode === null) {
      this.server.kill("SIGTERM");
      await once(this.server, "exit");
    }
    // what it left; an engine is shared by editors with one home, and goes with that
    end(having(`DSASSIST_E2E_EDITOR=${this.scratch}`, /^(?!.*-m dsassist serve)/), "SIGKILL");
    if (this.ownHome) dropHome(this.home);
    fs.rmSync(this.scratch, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Ends what still runs with this home and removes it. */
export function dropHome(home) {
  end(processes(home, /-m dsassist/), "SIGTERM");
  fs.rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

function end(pids, signal) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // it ended meanwhile
    }
  }
}
