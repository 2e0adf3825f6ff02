// Writes a .br and a .gz beside every file that gets smaller by it, and checks the shell's size:
// what a browser loads before the first page may not exceed the budget.
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const budget = 350 * 1024;

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const gzipped = new Map();
for (const path of files(dist).filter((p) => /\.(js|css|svg|json)$/.test(p))) {
  const body = readFileSync(path);
  const br = brotliCompressSync(body, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
  });
  const gz = gzipSync(body, { level: 9 });
  gzipped.set(relative(dist, path), gz.length);
  if (br.length < body.length * 0.9) writeFileSync(`${path}.br`, br);
  if (gz.length < body.length * 0.9) writeFileSync(`${path}.gz`, gz);
}

const page = readFileSync(join(dist, 'index.html'), 'utf8');
const shell = [...page.matchAll(/(?:src|href)="\/ui\/([^"]+)"/g)].map((m) => m[1]);
const size = shell.reduce((sum, name) => sum + (gzipped.get(name) ?? 0), 0);
console.log(`shell: ${(size / 1024).toFixed(1)} KiB compressed (budget ${budget / 1024} KiB), ${shell.length} files`);
if (size > budget) {
  console.error('The shell is over its budget: load what is heavy with its page, not with the frame.');
  process.exit(1);
}
