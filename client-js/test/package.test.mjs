// What the npm package has besides code: types that are right, and source maps.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsc = (args, cwd) => execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...args], { cwd, encoding: 'utf8' });

/** A page's code. Each wrong line has to be an error, or the compiler says that the comment above it is unused. */
const CONSUMER = `
import Primus from './types/index';
const primus = new Primus('http://h', { reconnect: { max: 1000 }, auth: async () => ({ token: 'x' }), transports: ['sse'] });
const sent: boolean = primus.write({ any: 'JSON' });
primus.on('end', ({ code, reason }) => code.toFixed() + reason.trim()).once('open', () => {});
primus.on('resumed', (resumed, why) => resumed || why?.trim()).on('lost', (messages) => messages.length).on('transport', (name) => name.trim());
primus.write(1, { volatile: true, conflate: 'key' });
const id: Promise<string> = primus.id();
const readable: ReadableStream = primus.readable;
// @ts-expect-error a number is no event
primus.on(1, () => {});
// @ts-expect-error there is no such option
new Primus('http://h', { reconect: {} });
// @ts-expect-error there is no such way to write
primus.write(1, { reliable: true });
// @ts-expect-error a boolean is no string
const wrong: string = primus.write(1);
export { sent, id, readable, wrong };
`;

test('the types of the npm package are right', () => {
  const folder = mkdtempSync(join(tmpdir(), 'primus-types-'));
  try {
    tsc(['-p', 'tsconfig.json', '--declaration', '--emitDeclarationOnly', '--outDir', join(folder, 'types')], root);
    writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'es2022', '--moduleResolution', 'bundler', '--types', '', '--lib', 'es2022,dom'];
    assert.equal(tsc([...options, 'consumer.ts'], folder), '');
  } catch (error) {
    assert.fail(error.stdout || error.message);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every build of the npm package has a source map with its sources', () => {
  for (const name of ['primus.mjs', 'websocket.mjs', 'node.mjs', 'node.cjs', 'primus.js', 'primus.min.js']) {
    const map = JSON.parse(readFileSync(join(root, 'dist', `${name}.map`), 'utf8'));
    assert.ok(map.sources.some((source) => source.endsWith('src/primus.ts')), name);
    assert.equal(map.sourcesContent.length, map.sources.length, name);
  }
});
