// The served script connects whatever transformer the server is configured with: one page for each name.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { ROOT } from '../lib/readme.mjs';
import { config, serve } from '../lib/server.mjs';
import { Inbox, until } from '../lib/within.mjs';

const open = browser();

/** What a page connects by: our own carriers, in the order in which it tries them. */
const NATIVE = ['websocket', 'sse', 'polling'];
/** Every name of a transformer, and which of our carriers there are if it is alone. */
const NAMES = {
  ...Object.fromEntries(NATIVE.map((name) => [name, [name]])),
  'engine.io': NATIVE,
  'socket.io': NATIVE,
  sockjs: NATIVE,
  bayeux: NATIVE,
  faye: NATIVE,
  browserchannel: NATIVE,
  actioncable: NATIVE,
};
/** The transports of a script that speaks a dialect itself. */
const DIALECTS = { 'engine.io': 'engine.io', sockjs: 'sockjs', browserchannel: 'browserchannel', faye: 'websocket' };
const VALUE = { text: 'Grüße, 世界 🦀', list: [1, null, 'primus::end::'], deep: { a: true } };

/** What the script of a server connects by. */
async function transports(server) {
  const script = await (await fetch(`${server.url}/primus/primus.js`)).text();
  return JSON.parse(/"transports":(\[.*?\])/.exec(script)[1]);
}

/** What the server has counted. */
const stats = async (server) => (await fetch(`${server.url}/stats`)).json();

/**
 * A page that ends may have begun another poll, which gets there behind its end: the session is over, and Chromium says in its console that this was a 404.
 * The page does not hear of it.
 */
const LATE_POLL = /404 \(Not Found\) \(\S+\/primus\/poll\?v=2&recv=\d+\)$/;

/** Loads the page, which connects by `transport`, is echoed, and goes by itself or is sent away. */
async function visit(t, server, transport, query = `?transport=${transport}`, allow = []) {
  const before = await stats(server);
  const page = await open(t, `${server.url}/${query}`, { allow });
  await page.locator('#state', { hasText: 'open' }).waitFor();
  assert.equal(await page.evaluate('primus.transport'), transport);
  assert.deepEqual(await page.evaluate((value) => window.ask(value), VALUE), VALUE);
  // The id is the server's.
  const { id } = await page.evaluate(() => window.ask({ cmd: 'id' }));
  assert.equal(await page.evaluate('primus.id()'), id);
  return { page, before };
}

/** How it went, in the eyes of both. */
async function ended(page, server, before, code) {
  await page.locator('#state', { hasText: 'end' }).waitFor();
  assert.equal(await page.locator('#code').textContent(), `${code}`);
  assert.deepEqual((await page.evaluate('events')).map(([name]) => name), ['open', 'close', 'end']);
  const gone = ({ disconnections }) => disconnections === before.disconnections + 1;
  const after = await until('the end of the session', () => stats(server), gone);
  assert.deepEqual([after.opened - before.opened, after.connections], [1, 0]);
  await page.close();
}

async function visits(t, server, transport, query) {
  const one = await visit(t, server, transport, query, transport === 'polling' ? [LATE_POLL] : []);
  await one.page.evaluate('void primus.end()');
  await ended(one.page, server, one.before, 1000);
  const two = await visit(t, server, transport, query);
  await two.page.evaluate(`void primus.write({ cmd: 'end' })`);
  await ended(two.page, server, two.before, 4000);
}

test('these are all transformers that there are', async () => {
  const page = await readFile(join(ROOT, 'docs/configuration.md'), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith('| `transformers` |'));
  const meaning = row.split(' | ').at(-1).replace('Builder::add_transformer', '');
  assert.deepEqual([...meaning.matchAll(/`([\w.]+)`/g)].map(([, name]) => name).sort(), Object.keys(NAMES).sort());
});

for (const [name, carriers] of Object.entries(NAMES)) {
  test(`a page of a server with the transformer ${name} alone connects, is echoed and ends`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, `transformers = ["${name}"]\n`));
    assert.deepEqual(await transports(server), carriers);
    for (const carrier of carriers) await visits(t, server, carrier);
  });
}

test('a page of a server with many transformers at once connects by each of our own', async (t) => {
  const names = Object.keys(NAMES).filter((name) => !['socket.io', 'faye'].includes(name));
  const server = await serve(t, 'fixture', await config(t, `transformers = ${JSON.stringify(names.reverse())}\n`));
  for (const carrier of NATIVE) await visits(t, server, carrier);
});

// ---- native = false ----

const alone = (name, more = '') => `transformers = ["${name}"]\nnative = false\n${more}`;

for (const [name, transport] of Object.entries(DIALECTS)) {
  test(`a page of a server with ${name} and native = false connects, is echoed and ends`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, alone(name)));
    assert.deepEqual(await transports(server), [transport]);
    await visits(t, server, transport, '');
  });
}

for (const name of Object.keys(DIALECTS).filter((name) => name !== 'faye')) {
  test(`a page that speaks ${name} answers pings, comes back in a new session, and says that it has no place for auth`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, alone(name, 'ping_interval = "300ms"\nping_timeout = "5s"\n')));
    const page = await open(t, `${server.url}/primus/spec`, { allow: NETWORK_ERRORS });
    const pongs = answers(page, name === 'engine.io' ? /^3$/ : /primus(::|%3A%3A)pong/);
    await page.goto(server.url);
    await page.locator('#state', { hasText: 'open' }).waitFor();
    for (let n = 0; n < 3; n++) await pongs.next(15_000);
    const before = await page.evaluate('primus.id()');
    assert.deepEqual(await page.evaluate('events'), [['open', undefined]]);

    const resumed = page.evaluate(() => new Promise((resolve) => primus.on('resumed', (...how) => primus.once('open', () => resolve(how)))));
    await page.evaluate(() => primus.write({ cmd: 'reconnect' }));
    assert.deepEqual(await resumed, [false, 'expired']);
    const { id } = await page.evaluate(() => window.ask({ cmd: 'id' }));
    assert.notEqual(id, before);
    assert.equal(await page.evaluate('primus.id()'), id);

    const refused = page.evaluate(() => {
      const other = new Primus(location.origin, { auth: 'secret' });
      return new Promise((resolve) => {
        other.on('error', ({ message }) => other.on('end', ({ code, reconnect }) => resolve([message, code, reconnect])));
      });
    });
    assert.deepEqual(await refused, [`${name} has no place for the option auth: use query`, 4400, false]);
  });

  test(`a page that speaks ${name} has events, requests and answers, and hears what it cannot have`, async (t) => {
    const server = await serve(t, 'classic', await config(t, alone(name)));
    const page = await open(t, `${server.url}/primus/spec`);
    const questions = answers(page, /primus(::|%3A%3A)id/);
    await page.addScriptTag({ url: '/primus/primus.js' });
    assert.deepEqual(await page.evaluate(converse), {
      sum: 6,
      nothing: null,
      refused: ['RefusedError', 418, 'no coffee'],
      said: [['x', { y: '"🦀"' }], null],
      asked: 'Ada, son of x',
      room: ['RefusedError', 501, CANNOT(name)],
      control: ['EventError', 501, CANNOT(name)],
      order: ['1', 2, 'ä'.repeat(100_000), 4],
      bytes: name === 'engine.io' ? [1, 2, 255] : ['EventError', 501, CANNOT(name)],
    });
    // One to open, and then, as nothing is said, for signs of life, which it gets.
    for (let n = 0; n < 4; n++) await questions.next(15_000);
    const end = page.evaluate(() => new Promise((resolve) => window.primus.on('close', resolve).end()));
    assert.deepEqual(await end, { code: 1000, reason: 'normal', reconnect: false });
  });
}

const CANNOT = (name) => `${name} cannot carry this: set native = true on the server, or a native transformer`;

/** In the page: what a client gets that does all that there is. */
async function converse() {
  const primus = (window.primus = new window.Primus({ ping: 200, pingTimeout: 20_000 }));
  const next = (event) => new Promise((resolve) => primus.once(event, resolve));
  const failed = ({ name, status, message }) => [name, status, message];
  const got = {};
  got.sum = await primus.request('add', [1, 2, 3]);
  got.nothing = await primus.request('nothing');
  got.refused = await primus.request('refuse').catch(failed);
  got.said = [];
  for (const value of [['x', { y: '"🦀"' }], null]) {
    const said = next('said');
    primus.emit('say', value);
    got.said.push(await said);
  }
  primus.on('name', async (of) => `Ada, son of ${of}`);
  const asked = next('asked');
  primus.emit('ask', 'x');
  got.asked = await asked;
  got.room = await primus.subscribe('news', () => {}).ready.catch(failed);
  const error = next('error').then(failed);
  primus.write('primus::server::close');
  got.control = await error;
  const values = ['1', 2, 'ä'.repeat(100_000), 4];
  got.order = [];
  const all = new Promise((resolve) => primus.on('data', (value) => got.order.push(value) === values.length && resolve()));
  values.forEach((value) => primus.write(value));
  await all;
  primus.removeAllListeners('data');
  const bytes = Promise.race([next('data').then((data) => [...new Uint8Array(data)]), next('error').then(failed)]);
  primus.write(new Uint8Array([1, 2, 255]));
  got.bytes = await bytes;
  return got;
}

/** What the page sends from now on and is like that: messages of its WebSockets, bodies of its requests. */
function answers(page, pattern) {
  const sent = new EventEmitter();
  const tell = (text) => pattern.test(`${text}`) && sent.emit('answer', text);
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => tell(payload)));
  page.on('request', (request) => tell(request.postData()));
  return new Inbox(sent, 'answer');
}
