// Bundles the extension (Node), its stand-in for places without processes (a web worker) and the map's webview.
import { build, context } from "esbuild";

const production = process.argv.includes("--production");
const shared = { bundle: true, minify: production, sourcemap: !production, logLevel: "warning", target: "es2022" };
const targets = [
  { entryPoints: ["src/extension.ts"], outfile: "dist/extension.js", platform: "node", format: "cjs", external: ["vscode"], mainFields: ["module", "main"] },
  { entryPoints: ["src/web.ts"], outfile: "dist/web.js", platform: "browser", format: "cjs", external: ["vscode"] },
  { entryPoints: ["webview/map.ts"], outfile: "dist/map.js", platform: "browser", format: "iife" },
].map((target) => ({ ...shared, ...target }));

if (process.argv.includes("--watch")) {
  for (const target of targets) await (await context(target)).watch();
} else {
  await Promise.all(targets.map((target) => build(target)));
}
