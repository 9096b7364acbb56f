/** What a person does with the reference map: by keyboard, in all three modes, in every kind of theme. */

import assert from "node:assert/strict";
import path from "node:path";
import { until } from "./harness.mjs";

/** Themes, each with the kind that VS Code gives it. */
const THEMES = {
  "Dark Modern": "vscode-dark", "Dark High Contrast": "vscode-high-contrast", "Light High Contrast": "vscode-high-contrast-light", "Light Modern": "vscode-light",
};
/** What WCAG asks of letters on their background. */
const READABLE = 4.5;

/** @param {() => import("./harness.mjs").Editor} editor */
export function mapSteps(it, editor) {
  it("opens the map, which the keyboard can use", async () => {
    await editor().file("prices.py", 4, 6);
    await editor().command("dsassist: Show Reference Map");
    const frame = await mapFrame(editor());
    const map = frame.locator("#map");
    await until(async () => Number(await map.getAttribute("data-nodes")) >= 4, "callers of total in the map");
    assert.ok(Number(await map.getAttribute("data-edges")) >= 3);
    assert.match(await frame.locator("#selected").innerText(), /^total, /);
    await editor().page.waitForTimeout(500);
    await editor().screenshot("09-map");
    await map.click({ position: await middleOfRoot(frame) });
    await editor().page.locator('.tab.active[data-resource-name="prices.py"]').waitFor();
    await until(async () => /Ln 4, /.test(await editor().page.locator("#status\\.editor\\.selection").innerText()), "the place of total");
    await map.focus();
    await editor().page.keyboard.press("ArrowUp");
    const caller = await until(async () => {
      const text = await frame.locator("#selected").innerText();
      return /^total, /.test(text) ? undefined : text;
    }, "a caller to be selected");
    await editor().page.keyboard.press("Enter");
    const file = path.basename(caller.split(", ")[1].split(":")[0]);
    await editor().page.locator(`.tab.active[data-resource-name="${file}"]`).waitFor();
    await editor().screenshot("10-map-opened-a-place");
    await frame.locator("#references").click();
    await until(async () => (await frame.locator("#references").getAttribute("aria-pressed")) === "true", "the map of references");
    await editor().page.waitForTimeout(500);
    await editor().screenshot("11-map-references");
    await map.focus();
    await editor().page.keyboard.press("f");
    await until(async () => (await frame.locator("#files").getAttribute("aria-pressed")) === "true", "the map of files");
    assert.equal(await map.getAttribute("data-nodes"), "4"); // the package's __init__.py is used too
    assert.match(await frame.locator("#selected").innerText(), /^prices\.py, shop: 2 in, 0 out/);
    await editor().page.waitForTimeout(500);
    await editor().screenshot("12-map-files");
  });

  it("draws the map in the colours of the theme", async () => {
    const frame = await mapFrame(editor());
    const map = frame.locator("#map");
    await map.focus();
    await editor().page.keyboard.press("c");
    await until(async () => (await frame.locator("#calls").getAttribute("aria-pressed")) === "true", "the map of calls");
    let before = await colours(frame);
    for (const [theme, kind] of Object.entries(THEMES)) {
      await editor().theme(theme);
      before = await until(async () => {
        const now = await colours(frame);
        return now.kind.split(" ").includes(kind) && now.box !== before.box ? now : undefined;
      }, `the map in ${theme}`);
      assert.ok(before.contrast >= READABLE, `${theme}: letters stand out by ${before.contrast} to 1`);
      await editor().screenshot(`13-map-${theme.replaceAll(" ", "-").toLowerCase()}`);
    }
    await editor().command("View: Close All Editors");
  });
}

/** The frame of the map's webview. */
async function mapFrame(editor) {
  return until(async () => {
    for (const frame of editor.page.frames()) if ((await frame.locator("#map").count()) > 0) return frame;
    return undefined;
  }, "the map");
}

/** Where the map's own symbol is: the only box that is filled with another colour than the rest. */
async function middleOfRoot(frame) {
  return frame.evaluate(() => {
    const fill = getComputedStyle(document.documentElement).getPropertyValue("--vscode-button-background").trim();
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = fill;
    probe.fillRect(0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    const [xs, ys] = [[], []];
    for (const canvas of document.querySelectorAll("#map canvas")) {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        if (data[at] !== red || data[at + 1] !== green || data[at + 2] !== blue || data[at + 3] < 255) continue;
        xs.push((at / 4) % canvas.width);
        ys.push(Math.floor(at / 4 / canvas.width));
      }
    }
    const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1] / devicePixelRatio;
    return { x: middle(xs), y: middle(ys) };
  });
}

/** The colours on the screen: the commonest one of the boxes, and how far the letters stand out from it (WCAG's ratio). */
async function colours(frame) {
  return frame.evaluate(() => {
    const counts = new Map();
    for (const canvas of document.querySelectorAll("#map canvas")) {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 255) continue;
        const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
      }
    }
    const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = (colour) => 0.2126 * channel(colour >> 16) + 0.7152 * channel((colour >> 8) & 255) + 0.0722 * channel(colour & 255);
    const [box] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [0];
    const ratios = [...counts.keys()].map((colour) => {
      const [low, high] = [luminance(colour), luminance(box)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    });
    return { kind: document.body.className, box, contrast: Math.max(0, ...ratios) };
  });
}
