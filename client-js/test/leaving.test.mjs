// Who leaves in the middle of something: attempts that are given up, losers of a race, and listeners that end or open.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { configuration, scripts, TOKEN } from '../scripts/bundle.mjs';
import { next, record, serve, WebSocket } from './server.mjs';

globalThis.sessionStorage = {};
const { Primus } = await import('../dist/node.mjs');
const built = await scripts();

/** The script that is served for these transports. */
function script(name) {
  const context = createContext({ URL, URLSearchParams, TextEncoder, TextDecoder, AbortController, setTimeout, clearTimeout, btoa, atob, fetch, WebSocket });
  runInContext(built[name + '.js'].replace(TOKEN, () => configuration(name.split('-'))), context);
  return context.Primus;
}

async function client(t, hooks, options, Made = Primus) {
  const server = await serve(hooks);
  const primus = new Made(server.url, { WebSocket, reconnect: { min: 1, max: 5 }, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  t.after(() => delete sessionStorage.primus);
  t.after(() => assert.deepEqual(server.errors, []));
  return { server, primus, events: record(primus) };
}

/** Until something is so that has no event. */
const until = async (so) => { while (!so()) await new Promise((resolve) => setTimeout(resolve, 1)); };

/** Holds an answer back: `held.asked`, until `held.go()`. */
function hold() {
  const held = { asked: 0 };
  const gone = new Promise((resolve) => { held.go = resolve; });
  held.wait = () => (held.asked++, gone.then(() => undefined));
  return held;
}

// ---- attempts that are given up ----

for (const name of ['websocket', 'sse', 'polling', 'websocket-sse-polling']) {
  test(`${name}: ended while the answer is missing, it stays ended, and so does the session`, async (t) => {
    const held = hold();
    const { server, primus, events } = await client(t, { attach: held.wait }, {}, script(name));
    await until(() => held.asked);
    primus.end();
    const told = [...events];
    held.go();
    await until(() => server.made[0]?.ended && server.made[0].closed !== undefined || server.made[0]?.ended && name === 'polling');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([[...events], told.at(-1), primus.state, server.made.length, server.sessions.size], [told, 'end', 'closed', 1, 0]);
  });

  test(`${name}: an attempt that took too long is void, and counts once`, async (t) => {
    const held = hold();
    let first = true;
    const { server, primus, events } = await client(t, { attach: () => first && (first = false, held.wait()) }, { timeout: 30, reconnect: { min: 100, max: 100 } }, script(name));
    await next(primus, 'timeout');
    held.go();
    await next(primus, 'open');
    await until(() => server.made[0].ended);
    assert.deepEqual([...events], ['readyStateChange(opening)', 'timeout', 'reconnect scheduled', 'reconnect', 'reconnected', 'readyStateChange(open)', 'open']);
    assert.deepEqual([events.args.reconnected[0].attempt, server.sessions.size], [1, 1]);
  });
}

for (const transports of [['websocket'], ['sse'], ['polling']])
  test(`${transports}: ended while it comes back, the session hears it at once`, async (t) => {
    const held = hold();
    const { server, primus } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.hooks.attach = held.wait;
    server.last.cut();
    await until(() => held.asked);
    primus.end();
    held.go();
    await until(() => server.made[0].ended);
    assert.deepEqual([server.made.length, server.sessions.size], [1, 0]);
  });

test('losers of a race for a session that is gone end those that they got instead', async (t) => {
  const held = hold();
  const { server, primus, events } = await client(t, {}, {});
  await next(primus, 'open');
  server.hooks.attach = (_attach, transport) => transport === 'websocket' && held.wait();
  server.restart();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await next(primus, 'reconnect scheduled').then(() => t.mock.timers.tick(5));
  while (!held.asked) await new Promise(setImmediate);
  t.mock.timers.tick(4000);
  t.mock.timers.reset();
  await next(primus, 'open');
  held.go();
  await until(() => server.made[2]?.ended);
  assert.deepEqual([primus.transport, server.made.length, server.sessions.size, events.args.resumed], ['sse', 3, 1, [false, 'restarted']]);
});

// ---- listeners ----

const page = () => Object.assign(new EventTarget(), { navigator: { onLine: true }, document: { visibilityState: 'visible' } });

test('ended when the network is back, it stays ended', async (t) => {
  const network = page();
  const { server, primus } = await client(t, {}, { network });
  await next(primus, 'open');
  network.dispatchEvent(new Event('offline'));
  primus.on('online', () => primus.end());
  server.log.length = 0;
  network.dispatchEvent(new Event('online'));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([primus.state, server.log], ['closed', []]);
});

test('ended and opened by a listener of `error`, the new attempt stands', async (t) => {
  let asked = 0;
  const { primus, events } = await client(t, { attach: () => (asked++ ? undefined : { status: 401, error: 'who?' }) }, {});
  primus.once('error', () => primus.end().open());
  await next(primus, 'open');
  assert.deepEqual([primus.state, asked, events.filter((name) => /end$|reconnect/.test(name))], ['open', 2, ['end']]);
});

test('ended and opened by a listener of `close`, the new attempt stands', async (t) => {
  const { server, primus, events } = await client(t, {}, {});
  await next(primus, 'open');
  events.length = 0;
  primus.once('close', () => primus.end().open());
  server.last.cut();
  await next(primus, 'open');
  assert.deepEqual([...events], ['readyStateChange(end)', 'close', 'end', 'readyStateChange(opening)', 'readyStateChange(open)', 'open']);
});

test('what is written by a transform that has ended the client goes nowhere', async (t) => {
  const { server, primus } = await client(t, {}, {});
  await next(primus, 'open');
  primus.transform('outgoing', () => { primus.end(); });
  assert.deepEqual([primus.write('late'), primus.buffer], [false, []]);
});

// ---- acknowledgements ----

test('sse: an acknowledgement counts when it leaves, not when there was nothing to send with it', async (t) => {
  const { server, primus } = await client(t, { reply: { ack: [8, 32768] } }, { transports: ['sse'] });
  await next(primus, 'open');
  const one = server.last;
  const held = hold();
  server.hooks.sent = held.wait;
  primus.write('x');
  await until(() => held.asked);
  for (let n = 1; n <= 7; n++) one.send('' + n);
  await new Promise((resolve) => primus.on('data', (n) => n === 7 && resolve()));
  server.hooks.sent = undefined;
  held.go();
  await new Promise((resolve) => setTimeout(resolve, 20));
  one.send('8');
  await until(() => one.acked === 8);
});
