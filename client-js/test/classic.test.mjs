// The classic scripts: their shapes, their configuration, their size, and that the committed ones are fresh.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { combinations, configuration, DIALECTS, parsers, scripts, TOKEN } from '../scripts/bundle.mjs';
import { deflated } from '../scripts/deflate.mjs';
import { sizes } from '../scripts/size.mjs';
import { next, serve, WebSocket } from './server.mjs';

const built = await scripts();
const name = 'websocket-sse-polling.js';

/** What the server makes of a script, in a world of its own: globals, and those that are added. */
function run(globals = {}, config = configuration(['websocket', 'sse', 'polling']), script = name) {
  const context = createContext({ URL, URLSearchParams, TextEncoder, TextDecoder, AbortController, EventTarget, ReadableStream, WritableStream, setTimeout, clearTimeout, btoa, atob, ...globals });
  runInContext(built[script].replace(TOKEN, () => config), context);
  return context;
}

test('a script for every combination, with one place for the configuration', () => {
  assert.deepEqual(Object.keys(built).sort(), [...combinations.map((names) => names.join('-')), ...Object.keys(DIALECTS)].map((name) => name + '.js').sort());
  for (const text of Object.values(built)) assert.equal(text.split(TOKEN).length, 2);
});

test('as a global, under any name', () => {
  assert.equal(run().Primus.version, '0.1.0');
  const other = run({}, '{"path":"/primus","global":"Realtime"}');
  assert.equal(typeof other.Realtime, 'function');
  assert.equal(other.Primus, undefined);
});

test('for CommonJS, and the global beside it', () => {
  const context = run({ module: { exports: {} } });
  assert.equal(context.module.exports, context.Primus);
});

test('for AMD', () => {
  let defined;
  const context = run({ define: Object.assign((factory) => { defined = factory(); }, { amd: {} }) });
  assert.equal(defined, context.Primus);
});

test('where the server is: the origin of the script, of the page, or this machine', () => {
  const url = (globals, ...args) => new (run(globals, '{"path":"/rt"}').Primus)(...args, { manual: true }).url;
  const location = new URL('https://page.example/deep/page.html?x');
  assert.equal(url({ location, document: { currentScript: { src: 'https://cdn.example:8443/rt/primus.js' } } }, undefined), 'https://cdn.example:8443/rt');
  assert.equal(url({ location, document: { currentScript: null } }, undefined), 'https://page.example/rt');
  assert.equal(url({ location: new URL('file:///tmp/page.html') }, undefined), 'http://127.0.0.1/rt');
  assert.equal(url({}, undefined), 'http://127.0.0.1/rt');
  assert.equal(url({ location }, 'ws://other:1'), 'http://other:1/rt');
  assert.equal(url({ location }, 'http://other:1/mine'), 'http://other:1/mine');
  assert.equal(url({ location }, '/there'), 'https://page.example/there');
});

test('the options of the server, those of the page over them, and plugins', () => {
  const { Primus } = run({}, `{
    "path": "/", "parser": "raw",
    "options": {"queueSize": 3, "reconnect": {"min": 7, "max": 9}},
    "plugins": [function (primus, options) { primus.seen = [this === primus, options.queueSize, options.reconnect.min] }]
  }`);
  const primus = new Primus('http://h', { manual: true, reconnect: { max: 8 } });
  assert.equal(primus.url, 'http://h');
  assert.deepEqual([...primus.seen], [true, 3, 7]);
  const { min, max, factor } = primus.options.reconnect;
  assert.deepEqual([min, max, factor], [7, 8, 2]);
  primus.write('raw');
  assert.deepEqual([...primus.buffer], ['raw']);
});

test('a plugin may use what pages call $ and _', () => {
  for (const script of Object.keys(built)) {
    const { Primus } = run({ $: 'jQuery', _: 'lodash' }, '{"path":"/primus","plugins":[(primus) => { primus.seen = $ + _ }]}', script);
    assert.equal(new Primus('http://h', { manual: true }).seen, 'jQuerylodash', script);
  }
});

test('the size of what gzip makes, to the byte', () => {
  for (const text of Object.values(built)) {
    const { status, stdout } = spawnSync('gzip', ['-9'], { input: text });
    if (status === 0) assert.equal(Math.ceil(deflated(text) / 8), stdout.length);
  }
});

for (const names of combinations)
  test(`${names.join(' and ')}: a page with the script exchanges a message`, async (t) => {
    const server = await serve({ frame: (one, frame) => frame === '"hello"' && one.send('"world"') });
    t.after(() => server.close());
    const { Primus } = run(
      { WebSocket, fetch: globalThis.fetch, location: new URL(server.url + '/page') },
      JSON.stringify({ path: '/primus', transports: names }),
      names.join('-') + '.js',
    );
    const primus = new Primus({ reconnect: { min: 1, max: 5 } });
    t.after(() => primus.destroy());
    primus.write('hello');
    assert.equal((await next(primus, 'data'))[0], 'world');
    assert.equal(primus.transport, names[0]);
    server.last.cut();
    assert.deepEqual(await next(primus, 'resumed'), [true, undefined]);
    primus.write('hello');
    assert.equal((await next(primus, 'data'))[0], 'world');
    server.restart();
    assert.deepEqual(await next(primus, 'resumed'), [false, 'restarted']);
    assert.deepEqual(server.errors, []);
  });

test('the budgets', async () => {
  const all = await sizes();
  const held = all.filter(({ budget }) => budget);
  assert.equal(held.length, 3);
  for (const { name, gzip, budget } of held) assert.ok(gzip <= budget, `${name}: ${gzip} of ${budget} bytes`);
});

test('no eval, no leftovers', () => {
  // The mark by which a server knows who speaks as the client of Primus 8.
  for (const text of Object.values(built)) assert.doesNotMatch(text.replace('_primuscb', ''), /\beval\(|new Function|\b_[a-z]+\b/);
});

test('the committed scripts are fresh', async () => {
  for (const [name, text] of Object.entries({ ...built, ...(await parsers()) }))
    assert.ok(readFileSync(new URL('../../crates/primus-library/client/' + name, import.meta.url), 'utf8') === text, `${name} is stale: run npm run build`);
});

test('the npm package: import, require, and the script', async () => {
  const require = createRequire(import.meta.url);
  const cjs = require('../dist/node.cjs');
  assert.equal(new cjs('http://h', { manual: true, WebSocket }).url, 'http://h/primus');
  assert.equal(cjs.Primus, cjs);
  const before = Object.keys(globalThis);
  const { default: all, Primus } = await import('../dist/primus.mjs');
  const { Primus: small } = await import('../dist/websocket.mjs');
  assert.equal(all, Primus);
  assert.equal(small.OPEN, 3);
  assert.deepEqual(Object.keys(globalThis), before);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));
  assert.equal(Primus.version, version);
  const out = execFileSync(process.execPath, ['-e', `${readFileSync(new URL('../dist/primus.min.js', import.meta.url), 'utf8')};console.log(module.exports===Primus, Primus.version)`]);
  assert.equal(out.toString().trim(), `true ${version}`);
});
