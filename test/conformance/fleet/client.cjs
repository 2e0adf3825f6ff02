// Generates a client from an OpenAPI document and calls what the lines of standard input say:
// {"op":OPERATION_ID,"path":{},"query":{},"body":…} is answered by {"status":…,"data":…}.
// Arguments: the document, the server's address, a token, a folder for the client.
const { readdirSync, readFileSync, statSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const ts = require('typescript');

const [document, server, token, folder] = process.argv.slice(2);

// compile makes JavaScript of the generated TypeScript, file by file.
function compile(at) {
  for (const name of readdirSync(at)) {
    const file = join(at, name);
    if (statSync(file).isDirectory()) compile(file);
    else if (name.endsWith('.ts')) {
      const options = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
      writeFileSync(file.replace(/ts$/, 'js'), ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions: options }).outputText);
    }
  }
}

// method is what the generator makes of an operation's id.
const method = (id) => id.replace(/^_+/, '').replace(/_+(\w)/g, (_, letter) => letter.toUpperCase());

async function main() {
  const { createClient } = await import('@hey-api/openapi-ts');
  await createClient({ input: document, output: folder, plugins: ['@hey-api/typescript', '@hey-api/sdk', '@hey-api/client-fetch'], logs: { level: 'silent' } });
  compile(folder);
  const { client } = require(join(folder, 'client.gen.js'));
  const sdk = require(join(folder, 'sdk.gen.js'));
  client.setConfig({ baseUrl: server, auth: token });
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...args } = JSON.parse(line);
    const call = sdk[method(op)];
    if (!call) {
      console.log(JSON.stringify({ status: 0, data: `the client has no ${method(op)}` }));
      continue;
    }
    const { data, error, response } = await call(args);
    console.log(JSON.stringify({ status: response?.status ?? 0, data: data ?? error ?? null }));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
