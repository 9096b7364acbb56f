// Fails when the packed extension is larger than what we promise, or lacks the server that it installs.
import { existsSync, readdirSync, statSync } from "node:fs";

const LIMIT = 1_000_000;
const { size } = statSync(process.argv[2]);
console.log(`${process.argv[2]}: ${(size / 1000).toFixed(0)} kB of ${LIMIT / 1000} kB`);
if (size > LIMIT) process.exit(1);
if (!existsSync("server") || readdirSync("server").length !== 1) {
  console.error("server/ has no wheel of dsassist: run make vsix, or tools/pack_server.py before");
  process.exit(1);
}
