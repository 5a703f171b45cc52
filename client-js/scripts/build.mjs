// Builds everything: dist/ for npm, and the scripts in crates/primus-library/client. With --tests, build/ for the unit tests instead of the latter.
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { classic, module, root, scripts, served } from './bundle.mjs';

const dist = join(root, 'dist');
const tests = process.argv.includes('--tests');

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const jobs = [
  module('src/index.ts', 'dist/primus.mjs'),
  module('src/websocket.ts', 'dist/websocket.mjs'),
  module('src/node.ts', 'dist/node.mjs', { platform: 'node' }),
  module('src/node.ts', 'dist/node.cjs', {
    platform: 'node',
    format: 'cjs',
    // `require` gives the constructor itself, as it always did.
    footer: { js: 'module.exports = Object.assign(module.exports.Primus, module.exports);' },
  }),
];
for (const [name, minify] of [['primus', false], ['primus.min', true]]) {
  jobs.push(
    classic(['websocket', 'sse', 'polling'], '{ version: "0.1.0" }', { minify, sourcemap: true }).then(({ text, map }) =>
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
  await rm(join(root, 'build'), { recursive: true, force: true });
  jobs.push(
    build({ absWorkingDir: root, entryPoints, outdir: 'build', outbase: 'src', bundle: true, splitting: true, format: 'esm', target: 'es2020', platform: 'node', outExtension: { '.js': '.mjs' } }),
  );
} else {
  jobs.push(
    scripts().then(async (all) => {
      await mkdir(served, { recursive: true });
      for (const [name, text] of Object.entries(all)) await writeFile(join(served, name), text);
    }),
    (async () => {
      execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json', '--declaration', '--emitDeclarationOnly'], { cwd: root, stdio: 'inherit' });
    })(),
  );
}
await Promise.all(jobs);
