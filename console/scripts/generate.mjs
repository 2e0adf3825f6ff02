// Writes src/api/schema.d.ts from the server's openapi.json. With --check it only says whether the
// file is what it would write. The document comes from LODGE_SERVER, or from bin/lodge started for it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import openapi, { astToString } from 'openapi-typescript';

const target = fileURLToPath(new URL('../src/api/schema.d.ts', import.meta.url));
const binary = process.env.LODGE_BIN ?? fileURLToPath(new URL('../../bin/lodge', import.meta.url));

async function document() {
  if (process.env.LODGE_SERVER) return (await fetch(`${process.env.LODGE_SERVER}/openapi.json`)).json();
  const data = mkdtempSync(join(tmpdir(), 'lodge-generate-'));
  const port = await new Promise((found) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
  const server = spawn(binary, ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, '--no-simulator'], { stdio: 'ignore' });
  const ended = new Promise((done) => server.once('exit', done));
  try {
    for (let tries = 0; ; tries++) {
      try {
        return await (await fetch(`http://127.0.0.1:${port}/openapi.json`)).json();
      } catch (error) {
        if (tries > 200 || server.exitCode !== null) throw error;
        await new Promise((next) => setTimeout(next, 50));
      }
    }
  } finally {
    server.kill('SIGTERM');
    await ended;
    rmSync(data, { recursive: true, force: true });
  }
}

const text =
  '// Generated from the server’s openapi.json by "npm run generate". Do not edit.\n' +
  astToString(await openapi(await document(), { alphabetize: true }));
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('src/api/schema.d.ts is not what the server says: run "npm run generate" and look at the difference.');
  process.exit(1);
}
