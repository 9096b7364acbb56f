import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/**/*.test.ts"], pool: "threads" },
  resolve: { alias: { vscode: new URL("./test/vscode.ts", import.meta.url).pathname } },
});
