// How the source becomes the files that are shipped. Used by the build and by the check that the committed files are fresh.
import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { minify as squeeze } from 'terser';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** The scripts that the Rust crate serves. */
export const served = fileURLToPath(new URL('../../crates/primus-library/client', import.meta.url));

/** What the server replaces by its configuration. */
export const TOKEN = '__PRIMUS_CONFIG__';

/** What a server with nothing but defaults bakes in. */
export const configuration = (transports) => JSON.stringify({ path: '/primus', transports, version: '0.1.0' });

/** A script as such a server sends it. */
export const typical = (name, text) => text.replace(TOKEN, () => configuration(name.replace('.js', '').split('-')));

export const combinations = [
  ['websocket'],
  ['sse'],
  ['polling'],
  ['websocket', 'sse'],
  ['websocket', 'polling'],
  ['sse', 'polling'],
  ['websocket', 'sse', 'polling'],
];

/** The transports by protocols of others, each alone in a script, and the modules that have them. */
export const DIALECTS = { 'engine.io': 'engineio', sockjs: 'sockjs', browserchannel: 'browserchannel' };

const common = {
  absWorkingDir: root,
  bundle: true,
  target: 'es2021',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'error',
  logOverride: { 'commonjs-variable-in-esm': 'silent' },
};

/** esbuild bundles and renames; terser then makes a file that is a twentieth smaller, compressed, than esbuild's own. */
const SQUEEZE = {
  ecma: 2020,
  toplevel: true,
  compress: { passes: 3, unsafe: true, hoist_vars: true, inline: 1, unsafe_arrows: true, sequences: false, keep_fargs: false, pure_getters: true, reduce_funcs: false },
};

/** What names the properties that nobody outside can see: they may become one letter. */
const MANGLE = /^_[a-z]/;

/** A classic script for these transports; its configuration is the expression `config`. */
export async function classic(transports, config, { minify = true, sourcemap = false } = {}) {
  const modules = transports.map((name) => DIALECTS[name] || name);
  const names = modules.join(', ');
  const connect = transports.length > 1 ? `race([${names}])` : `alone(${names})`;
  const imports = modules.map((name) => `import { ${name} } from './transports/${name}';`).join('\n');
  const result = await build({
    ...common,
    stdin: {
      contents: `import { publish } from './classic';\nimport { alone, race } from './race';\n${imports}\npublish(${connect}, ${config});\n`,
      resolveDir: root + 'src',
      sourcefile: 'src/script.ts',
      loader: 'ts',
    },
    format: 'iife',
    outfile: 'dist/script.js',
    minifySyntax: minify,
    mangleProps: minify ? MANGLE : undefined,
    mangleCache: minify ? {} : undefined,
    define: { ALONE: `${names == 'websocket' || transports[0] in DIALECTS}` },
    sourcemap: sourcemap && 'external',
    write: false,
  });
  const [map, text] =
    result.outputFiles.length > 1 ? result.outputFiles.map((file) => file.text) : [undefined, result.outputFiles[0].text];
  if (!minify) return { text, map };
  const small = await squeeze(text, { ...SQUEEZE, sourceMap: map && { content: map, filename: 'script.js' } });
  // What esbuild makes of `const` is the only `var`.
  return { text: small.code.replace('(()=>{var ', '(()=>{let ') + '\n', map: small.map, privates: await meetings(result.mangleCache) };
}

/**
 * The private properties, by the letters that esbuild gave them, each with those that it may meet in one object, because an interface has both. Others may
 * have the same name in the end.
 */
async function meetings(letters) {
  const files = (await readdir(root + 'src', { recursive: true })).filter((name) => name.endsWith('.ts'));
  const texts = await Promise.all(files.map((name) => readFile(join(root, 'src', name), 'utf8')));
  const interfaces = [...texts.join('').matchAll(/^(?:export )?interface (\w+)(?: extends (\w+))? \{$([^]*?)^\}$/gm)];
  const members = (wanted) => interfaces.filter(([, name]) => name == wanted).flatMap(([, , base, body]) => [...(body.match(/\b_[a-z]\w*/g) || []), ...members(base)]);
  const all = interfaces.map(([, name]) => members(name));
  const met = Object.entries(letters).map(([name, letter]) => {
    const others = all.filter((one) => one.includes(name)).flat();
    if (!others[0]) throw new Error(`${name}: no interface has it`);
    return [letter, new Set(others.filter((one) => one != name).map((one) => letters[one]))];
  });
  return new Map(met);
}

let built;

/**
 * The scripts for the Rust crate: file name and text. They are made once. Where the committed file was made of the same program, that is it; where
 * it was not, the program is squashed in so many rounds, which takes minutes, or, without `rounds`, left as it is.
 */
export const scripts = (rounds) => (built ||= make(rounds));

/** How much of the time the scripts with a budget are worth. The others get less. */
const WORTH = { 'websocket-sse-polling.js': 1, 'websocket.js': 1 / 4 };

/** Of what program the committed files were made, and what they are, as hashes; and in how many rounds. */
const RECORD = new URL('squashed.json', import.meta.url);
const hash = (text) => createHash('sha256').update(text).digest('hex');

async function make(rounds) {
  const record = JSON.parse(await readFile(RECORD, 'utf8'));
  const all = await Promise.all(
    [...combinations, ...Object.keys(DIALECTS).map((name) => [name])].map(async (names) => {
      const { text, privates } = await classic(names, TOKEN);
      const count = text.split(TOKEN).length - 1;
      if (count !== 1) throw new Error(`${names}: ${TOKEN} is there ${count} times`);
      const name = names.join('-') + '.js';
      const there = await readFile(join(served, name), 'utf8').catch(() => '');
      const { program, file, rounds: before } = record[name] || {};
      if (program == hash(text) && file == hash(there) && !(before < rounds)) return [name, there];
      if (!rounds) return [name, text];
      const squashed = await inThread({ name, text, privates, rounds: rounds * (WORTH[name] || 1 / 16) });
      record[name] = { program: hash(text), file: hash(squashed), rounds };
      return [name, squashed];
    }),
  );
  if (rounds) await writeFile(RECORD, JSON.stringify(record, null, 2) + '\n');
  return Object.fromEntries(all);
}

const inThread = (workerData) =>
  new Promise((resolve, reject) => {
    console.log(`squashing ${workerData.name}: this takes some minutes`);
    new Worker(new URL('squash-thread.mjs', import.meta.url), { workerData }).on('message', resolve).on('error', reject);
  });

/** Parsers that the crate can put into the configuration: each file is one expression. */
export async function parsers() {
  const { outputFiles } = await build({ ...common, entryPoints: ['src/msgpack.ts'], format: 'esm', write: false });
  const body = outputFiles[0].text.replace(/export \{\s*msgpack\s*\};/, 'return msgpack;');
  const { code } = await squeeze(`(() => {${body}})()`, { ...SQUEEZE, compress: { ...SQUEEZE.compress, expression: true } });
  return { 'msgpack.js': code.replace(/;$/, '') + '\n' };
}

/** All files for the crate. */
export const everything = async (rounds) => ({ ...(await scripts(rounds)), ...(await parsers()) });

/** A module of the npm package. */
export const module = (entry, outfile, more) =>
  build({ ...common, define: { ALONE: `${/websocket/.test(entry)}` }, entryPoints: [entry], outfile, format: 'esm', sourcemap: true, platform: 'neutral', ...more });
