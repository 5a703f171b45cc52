// Prints how large the served files are, and fails when one of them has grown over its budget.
import { spawnSync } from 'node:child_process';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { everything, typical } from './bundle.mjs';

/** Bytes, `gzip -9`, of the whole file; a client with a typical configuration. */
export const budgets = { 'websocket-sse-polling.js': 8192, 'websocket.js': 6900, 'msgpack.js': 2500 };

/** What `gzip -9` makes of a file; without that program zlib, whose result is some bytes smaller. */
const gzip = (file) => {
  const { status, stdout } = spawnSync('gzip', ['-9'], { input: file });
  return (status === 0 ? stdout : gzipSync(file, { level: 9 })).length;
};

/** The sizes of all served files. */
export async function sizes() {
  return Object.entries(await everything()).map(([name, text]) => {
    const file = typical(name, text);
    return {
      name,
      raw: file.length,
      gzip: gzip(file),
      brotli: brotliCompressSync(file).length,
      budget: budgets[name],
    };
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const all = await sizes();
  console.table(all);
  const over = all.filter(({ gzip, budget }) => gzip > budget);
  for (const { name, gzip, budget } of over)
    console.error(`${name} has ${gzip} bytes compressed, ${gzip - budget} more than its budget`);
  if (over.length) process.exitCode = 1;
}
