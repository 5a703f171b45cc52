// Fails if the scripts in crates/primus-library/client are not what the source makes.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { everything, served } from './bundle.mjs';

const fresh = await everything();
const problems = [];
for (const [name, text] of Object.entries(fresh)) {
  const there = await readFile(join(served, name), 'utf8').catch(() => undefined);
  if (there !== text) problems.push(`${name} is ${there === undefined ? 'missing' : 'stale'}`);
}
for (const name of await readdir(served).catch(() => []))
  if (name.endsWith('.js') && !(name in fresh)) problems.push(`${name} does not belong there`);

if (problems.length) {
  console.error(`${problems.join('\n')}\nin ${served}: run \`npm run build\` in client-js and commit what it writes`);
  process.exitCode = 1;
} else console.log(`${Object.keys(fresh).length} scripts are fresh`);
