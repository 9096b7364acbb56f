/** The first day of a user, in a real VS Code with the real model: every step leaves a picture in artefacts/e2e/. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Editor, PATIENCE, processes, until } from "./harness.mjs";
import { mapSteps } from "./map.steps.mjs";

/** 100,000 short lines, and one very long one. */
function bigFile() {
  const lines = Array.from({ length: 100_000 }, (_, index) => `value_${index} = ${index}`);
  return [...lines, `table = [${"1, ".repeat(4_000)}]`, ""].join("\n");
}

describe("dsassist in VS Code", { timeout: 15 * 60_000 }, () => {
  /** @type {Editor} */
  let editor;
  const lsp = () => processes(editor.home, /-m dsassist lsp/);

  before(async () => {
    editor = await Editor.open();
    await editor.watchStatus();
  });
  after(async () => {
    await editor?.screenshot("99-end").catch(() => undefined);
    await editor?.close();
  });

  /** A step that leaves a picture of where it got stuck. */
  const it = (name, step) =>
    test(name, async () => {
      try {
        await step();
      } catch (error) {
        await editor?.screenshot(`failed ${name.replace(/\W+/g, "-").slice(0, 60)}`).catch(() => undefined);
        await editor?.tidy().catch(() => undefined);
        throw error;
      }
    });

  it("starts its server, and shows so", async () => {
    await editor.status.waitFor();
    await editor.file("prices.py");
    await editor.waitForState(/Ready|when it is needed/);
    assert.equal(lsp().length, 1);
    await editor.screenshot("01-ready");
  });

  it("shows grey text from the model, and Tab takes all of it", async () => {
    await editor.file("prices.py", 23, 39);
    await editor.page.keyboard.press("Control+End");
    await editor.type('\n\ndef cheapest(prices: list[float]) -> float:\n"""The lowest price; 0 for no prices."""\nif not prices:\nreturn 0.0\n');
    await editor.page.keyboard.press("Shift+Tab");
    await editor.type("return ");
    const text = await editor.waitForGhost();
    await editor.screenshot("02-suggestion");
    assert.match(text, /prices/);
    const states = await editor.statesSeen();
    assert.ok(states.some((state) => /Loading[^|]*\| *dsassist \d+%/.test(state)), `loading with percentage among ${JSON.stringify(states)}`);
    const before = editor.read("shop/prices.py");
    await editor.page.keyboard.press("Tab");
    await editor.save();
    const added = editor.read("shop/prices.py").slice(before.length);
    assert.match(added, /cheapest[^]*return [^]*prices/);
    assert.doesNotMatch(added, /return\s*$/);
    await editor.screenshot("03-accepted");
  });

  it("takes a suggestion word by word", async () => {
    const before = editor.read("shop/prices.py");
    await editor.page.keyboard.press("Control+End");
    await editor.type("\n\n\n");
    await editor.page.keyboard.press("Shift+Tab");
    await editor.type('def dearest(prices: list[float]) -> float:\n"""The highest price; 0 for no prices."""\nif not prices:\nreturn 0.0\n');
    await editor.page.keyboard.press("Shift+Tab");
    await editor.type("return ");
    const whole = (await editor.waitForGhost()).trim();
    await editor.page.keyboard.press("Control+ArrowRight");
    await editor.page.waitForTimeout(300);
    await editor.screenshot("04-word");
    await editor.page.keyboard.press("Escape");
    await editor.save();
    const taken = editor.read("shop/prices.py").trimEnd().split("\n").at(-1).replace(/^ *return/, "").trim();
    assert.ok(taken.length > 0, "a word was taken");
    assert.ok(taken.length < whole.length && whole.startsWith(taken), `${taken} is the beginning of ${whole}`);
    // half a line is no program, and the steps that follow need one
    fs.writeFileSync(path.join(editor.folder, "shop/prices.py"), before);
    await until(async () => !(await editor.page.locator(".view-lines").first().innerText()).includes("dearest"), "the file as it was");
  });

  const lastLine = async () => (await editor.page.locator(".view-line").allInnerTexts()).map((line) => line.replaceAll("\u00a0", " ")).filter((line) => line.trim()).at(-1) ?? "";

  it("suggests nothing visible while an input method composes or a snippet is active", async () => {
    await editor.file("prices.py", 23, 1);
    await editor.page.keyboard.press("Control+End");
    await editor.type("\n\n# ");
    await editor.page.keyboard.press("Escape");
    const client = await editor.page.context().newCDPSession(editor.page);
    for (const text of ["に", "にほ", "にほん"]) {
      await client.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
      await editor.page.waitForTimeout(700);
      assert.equal(await editor.ghost().count(), 0);
    }
    await editor.screenshot("05-composing");
    await client.send("Input.insertText", { text: "日本" });
    await until(async () => (await lastLine()).includes("日本"), "the composed text");
    await editor.page.keyboard.press("Enter");
    await editor.command("Snippets: Insert Snippet");
    await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "loop" }).first().click();
    await until(async () => (await editor.page.locator(".snippet-placeholder").count()) > 0, "the snippet");
    await editor.type("price");
    await editor.page.waitForTimeout(2_000);
    assert.equal(await editor.ghost().count(), 0);
    await editor.screenshot("05-snippet");
    await editor.page.keyboard.press("Escape");
    await editor.page.keyboard.press("Escape");
    await editor.command("File: Revert File");
  });

  it("says why nothing was shown", async () => {
    await editor.file("prices.py", 13, 5);
    await editor.command("dsassist: Suggest Here");
    await editor.page.waitForTimeout(1_000);
    await editor.command("dsassist: Why Was Nothing Suggested?");
    await until(async () => /\(\w+\)|was shown/.test(await editor.notifications()), "a reason in words");
    await editor.page.waitForTimeout(400);
    await editor.screenshot("06-why-nothing");
    await editor.clearNotifications();
  });

  it("goes through several suggestions when asked by hand", async () => {
    await editor.file("cart.py", 20, 5);
    await editor.page.keyboard.press("Control+End");
    await editor.type("\n\ndef receipt(cart: Cart) -> str:\n");
    await editor.page.keyboard.press("Escape");
    const back = () => editor.ghostText();
    let first;
    // the first suggestion waits two seconds for others, which is not enough on a machine that is busy with something else
    await until(async () => {
      await editor.page.keyboard.press("Escape");
      await editor.command("dsassist: Suggest Here");
      first = await editor.waitForGhost();
      await editor.page.keyboard.press("Alt+]");
      return until(async () => (await back()).trim() && (await back()) !== first, "another suggestion", 5_000);
    }, "another suggestion", 2 * PATIENCE);
    await editor.screenshot("06-another-suggestion");
    await editor.page.keyboard.press("Alt+[");
    await until(async () => (await back()) === first, "the first suggestion again");
    const place = async () => editor.page.locator("#status\\.editor\\.selection").innerText();
    const before = await place();
    await editor.page.keyboard.press("Control+Alt+ArrowRight");
    await until(async () => (await place()) !== before && (await back()) !== first, "a line to be taken");
    await editor.screenshot("06-line");
    await editor.page.keyboard.press("Escape");
    await editor.command("File: Revert File");
  });

  it("finds references across files", async () => {
    await editor.file("prices.py", 4, 6);
    await editor.page.keyboard.press("Shift+F12");
    const peek = editor.page.locator(".reference-zone-widget, .zone-widget.peekview-widget");
    await peek.first().waitFor();
    await until(async () => /report\.py/.test(await peek.first().innerText()), "report.py among the references");
    assert.match(await peek.first().innerText(), /cart\.py/);
    await editor.screenshot("07-references");
    await editor.page.keyboard.press("Escape");
  });

  it("renames in every file", async () => {
    await editor.file("prices.py", 12, 6);
    await editor.page.keyboard.press("F2");
    const box = editor.page.locator(".rename-box input");
    await box.waitFor();
    await box.fill("reduced");
    await editor.screenshot("08-rename");
    await editor.page.keyboard.press("Enter");
    await until(async () => (await editor.page.locator(".view-lines").first().innerText()).includes("reduced"), "the new name");
    await editor.command("File: Save All Files");
    await until(() => editor.read("shop/cart.py").includes("reduced(total("), "the new name in cart.py");
    assert.match(editor.read("shop/prices.py"), /def reduced\(/);
    assert.doesNotMatch(editor.read("shop/cart.py"), /discount/);
  });

  it("shows who calls a function", async () => {
    await editor.file("prices.py", 4, 6);
    await editor.page.keyboard.press("Shift+Alt+h");
    const view = editor.page.locator(".part.sidebar");
    for (const caller of ["to_pay", "average", "revenue"]) await view.getByText(caller, { exact: true }).first().waitFor();
    await editor.screenshot("08-call-hierarchy");
    await editor.page.keyboard.press("Control+Shift+e");
  });

  mapSteps(it, () => editor);

  it("offers tests above each function", async () => {
    await editor.file("prices.py", 20, 10);
    await until(async () => (await editor.page.locator(".codelens-decoration", { hasText: "Generate tests" }).count()) >= 2, "the lenses");
  });

  it("generates tests and writes them only when told to", async () => {
    await editor.page.keyboard.press("Control+b"); // the diff gets the whole width
    await editor.file("prices.py", 19, 6);
    const above = editor.page.locator(".codelens-decoration a", { hasText: "Generate tests" });
    await above.nth((await above.count()) - 2).click(); // average() is the last but one
    await editor.page.locator(".notification-list-item .monaco-button", { hasText: "Run it in the sandbox" }).click();
    const apply = editor.page.locator(".notification-list-item .monaco-button", { hasText: "Apply" });
    await until(async () => /Generating tests.*\d+ tried, \d+ stable, \d+ kept/s.test(await editor.notifications()), "progress with counts");
    await editor.screenshot("14-generating");
    await apply.waitFor({ timeout: 4 * PATIENCE });
    await editor.page.waitForTimeout(500);
    await editor.screenshot("15-tests-preview");
    const written = () => fs.globSync("**/test_*.py", { cwd: editor.folder });
    assert.deepEqual(written(), []);
    await apply.click();
    await until(() => written().some((file) => /def test_\w*average/.test(editor.read(file))), "the tests to be written");
    await editor.screenshot("16-tests-written");
    await editor.page.keyboard.press("Control+b");
  });

  it("pauses and resumes", async () => {
    await editor.command("dsassist: Pause or Resume Suggestions");
    await editor.waitForState(/paused/);
    await editor.file("cart.py", 14, 34);
    await editor.type("\n");
    await editor.page.waitForTimeout(2_500);
    assert.equal(await editor.ghost().count(), 0);
    await editor.screenshot("17-paused");
    await editor.page.keyboard.press("Control+z");
    await editor.save();
    await editor.status.click();
    await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "Resume suggestions" }).waitFor();
    await editor.screenshot("18-menu");
    await editor.page.keyboard.press("Enter");
    await editor.waitForState(/Ready|when it is needed/);
  });

  it("switches a language off and on from the menu", async () => {
    const choose = async (label) => {
      await editor.status.click();
      await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: label }).click();
    };
    await choose("No suggestions in python");
    await editor.waitForState(/off for python/);
    await editor.screenshot("18-language-off");
    await choose("Suggest in python again");
    await editor.waitForState(/Ready|when it is needed/);
  });

  it("runs the doctor, and shows what it says", async () => {
    await editor.command("dsassist: Run Doctor");
    const panel = editor.page.locator(".part.panel");
    await until(async () => /Everything is in order/.test((await panel.innerText()).replaceAll("\u00a0", " ")), "the doctor's word");
    await editor.screenshot("18-doctor");
    await editor.page.keyboard.press("Control+j");
    await panel.waitFor({ state: "hidden" });
  });

  it("comes back when its server is killed", async () => {
    const [before] = lsp();
    process.kill(before, "SIGKILL");
    await until(() => lsp().some((pid) => pid !== before), "another server");
    await editor.waitForState(/Ready|when it is needed/);
    assert.deepEqual(lsp().filter((pid) => pid === before), []);
    await editor.screenshot("19-back-again");
  });

  it("draws and deletes the statistics", async () => {
    await editor.command("dsassist: Show Statistics");
    const frame = await until(async () => {
      for (const candidate of editor.page.frames()) if ((await candidate.locator(".figures").count()) > 0) return candidate;
      return undefined;
    }, "the page");
    assert.notEqual(await frame.locator(".figure strong").first().innerText(), "0");
    await editor.screenshot("20-statistics");
    await frame.locator("#delete").click();
    await editor.page.locator(".monaco-dialog-box .monaco-button", { hasText: "Delete" }).click();
    await until(async () => /Nothing has been counted yet/.test(await statisticsText()), "an empty page");
    await editor.command("View: Close All Editors");
  });

  const statisticsText = async () => {
    const texts = [];
    for (const frame of editor.page.frames()) if ((await frame.locator(".figures").count()) > 0) texts.push(await frame.locator("main").innerText());
    return texts.join("\n");
  };

  it("has a walkthrough, which ticks what was done", async () => {
    await editor.command("dsassist: First Minutes with dsassist");
    const step = (title) => editor.page.locator(".getting-started-step", { hasText: title }).first();
    await step("Take a suggestion").waitFor();
    for (const title of ["Install the language server", "Download a model", "Take a suggestion", "See who calls what", "Generate tests", "Make it yours"]) {
      await until(async () => (await step(title).locator(".codicon.complete").count()) > 0, `a tick at ${title}`, 15_000);
    }
    await editor.page.waitForTimeout(500);
    await editor.screenshot("21-walkthrough");
    await editor.command("View: Close All Editors");
  });

  it("keeps up in a file of 100,000 lines, and says why it is silent in a very long line", async () => {
    fs.writeFileSync(path.join(editor.folder, "shop/big.py"), bigFile());
    await editor.page.locator('.part.sidebar [aria-label*="big.py"]').first().waitFor();
    await editor.file("big.py", 100_001, 9);
    await editor.type("1");
    await editor.command("dsassist: Why Was Nothing Suggested?");
    await until(async () => /long_line/.test(await editor.notifications()), "the reason");
    await editor.clearNotifications();
    await editor.page.keyboard.press("Control+Home");
    await editor.type("start = 0\n");
    await until(async () => (await editor.page.locator(".view-line").first().innerText()).includes("start"), "the text");
    await editor.save();
    assert.match(editor.read("shop/big.py").slice(0, 20), /^start = 0/);
    await editor.screenshot("22-big-file");
    assert.equal(lsp().length, 1);
  });
});
