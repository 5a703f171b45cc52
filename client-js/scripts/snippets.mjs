// Type-checks the JavaScript of the guides in docs/: each fence is a module of its own, in which `primus` is a client that is there already. Beside it are the types of the chat's events.
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './bundle.mjs';

const GUIDES = ['events', 'rooms', 'channels', 'parsers', 'plugins', 'typescript'];
const PRELUDE = `import { Primus } from '../../src/index';\n`;
const OPTIONS = ['--ignoreConfig', '--noEmit', '--strict', '--noImplicitAny', 'false', '--useUnknownInCatchVariables', 'false', '--skipLibCheck', '--target', 'es2022', '--module', 'es2022'];
const MODULES = ['--moduleResolution', 'bundler', '--lib', 'es2022,dom,dom.iterable,dom.asynciterable', '--types', 'node'];

const folder = join(root, 'build/snippets');
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await copyFile(join(root, '../examples/chat/events.d.ts'), join(folder, 'events.d.ts'));
const files = [join(root, 'src/build.d.ts')];
for (const guide of GUIDES) {
  const page = await readFile(join(root, '../docs', guide + '.md'), 'utf8').catch(() => '');
  for (const [index, [, text]] of [...page.matchAll(/^```(?:js|ts)\n([^]*?)^```$/gm)].entries()) {
    const code = text.replace("'primus-rs'", "'../../src/index'"); // as it is, not as it was built last
    const file = join(folder, `${guide}-${index + 1}.ts`);
    const given = /(const|let) primus\b|import .*primus/.test(code) ? '' : 'declare const primus: Primus;\n';
    await writeFile(file, `${/import .*Primus/.test(code) ? '' : PRELUDE}${given}${code}export {};\n`);
    files.push(file);
  }
}
const tsc = join(root, 'node_modules/typescript/bin/tsc');
try {
  execFileSync(process.execPath, [tsc, ...OPTIONS, ...MODULES, ...files], { cwd: root, stdio: 'inherit' });
  console.log(`${files.length - 1} snippets of the guides are typed`);
} catch {
  process.exitCode = 1;
}
