// Builds everything: dist/ for npm, and the scripts in crates/primus-library/client. With --tests, build/ for the unit tests instead of
// the latter and of the types.
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { classic, configuration, everything, module, root, served } from './bundle.mjs';

const dist = join(root, 'dist');
const tests = process.argv.includes('--tests');
/** How long to look for the smallest scripts, if they have changed: ten minutes on two slow cores. `--rounds=100` is for those who only want to try something. */
const ROUNDS = +(process.argv.find((one) => one.startsWith('--rounds='))?.slice(9) || 500000);

// The tests only overwrite: another run may be reading.
if (!tests) await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const jobs = [
  module('src/index.ts', 'dist/primus.mjs'),
  module('src/websocket.ts', 'dist/websocket.mjs'),
  module('src/msgpack.ts', 'dist/msgpack.mjs'),
  module('src/node.ts', 'dist/node.mjs', { platform: 'node' }),
  module('src/node.ts', 'dist/node.cjs', {
    platform: 'node',
    format: 'cjs',
    // `require` gives the constructor itself, as it always did.
    footer: { js: 'module.exports = Object.assign(module.exports.Primus, module.exports);' },
  }),
];
const ALL = ['websocket', 'sse', 'polling'];
for (const [name, minify] of [
  ['primus', false],
  ['primus.min', true],
]) {
  jobs.push(
    classic(ALL, configuration(ALL), { minify, sourcemap: true }).then(({ text, map }) =>
      Promise.all([
        writeFile(join(dist, name + '.js'), `${text}//# sourceMappingURL=${name}.js.map\n`),
        writeFile(join(dist, name + '.js.map'), map),
      ]),
    ),
  );
}
if (tests) {
  // The unit tests see the modules one by one.
  const entryPoints = (await readdir(join(root, 'src'), { recursive: true }))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => 'src/' + name);
  jobs.push(
    build({
      absWorkingDir: root,
      entryPoints,
      outdir: 'build',
      outbase: 'src',
      bundle: true,
      format: 'esm',
      target: 'es2020',
      define: { ALONE: 'false' },
      platform: 'node',
      outExtension: { '.js': '.mjs' },
      logLevel: 'error',
    }),
  );
} else {
  jobs.push(
    everything(ROUNDS).then(async (all) => {
      await mkdir(served, { recursive: true });
      for (const [name, text] of Object.entries(all)) await writeFile(join(served, name), text);
    }),
    declarations(),
  );
}
await Promise.all(jobs);

/** Writes the types. TypeScript keeps imports as they are; for those who resolve as Node does, they need their extension. */
async function declarations() {
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json', '--declaration', '--emitDeclarationOnly'];
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  for (const name of await readdir(dist, { recursive: true })) {
    if (!name.endsWith('.d.ts')) continue;
    const path = join(dist, name);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(/(from|import\()( ?)'(\.[^']*)'/g, "$1$2'$3.js'"));
  }
}
