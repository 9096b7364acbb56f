// Fails when the packed extension is larger than what we promise.
import { statSync } from "node:fs";

const LIMIT = 1024 * 1024;
const { size } = statSync(process.argv[2]);
console.log(`${process.argv[2]}: ${(size / 1024).toFixed(0)} KiB of ${LIMIT / 1024} KiB`);
if (size > LIMIT) process.exit(1);
