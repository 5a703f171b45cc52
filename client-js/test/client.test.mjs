// Options, queue, hooks, page and network.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Primus } from '../dist/node.mjs';
import { back, next, record, serve, WebSocket } from './server.mjs';

async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url + (options?.search ?? ''), { WebSocket, reconnect: { min: 1, max: 5 }, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  return { server, primus, events: record(primus) };
}

/** A window with the network and the page in our hands. */
const page = (onLine = true) => Object.assign(new EventTarget(), { navigator: { onLine }, document: { visibilityState: 'visible' } });
const happen = (window, type, more) => window.dispatchEvent(Object.assign(new Event(type), more));

test('auth and query are asked at every attempt, sync or async', async (t) => {
  let count = 0;
  const { server, primus } = await client(t, {}, {
    search: '/primus?fixed=1',
    auth: async () => ({ ticket: ++count }),
    query: () => `n=${count}`,
  });
  await next(primus, 'open');
  assert.deepEqual([server.last.attach.auth, server.last.url], [{ ticket: 1 }, '/primus?fixed=1&n=1']);
  server.last.cut();
  await back(primus);
  assert.deepEqual([server.last.attach.auth, server.last.url], [{ ticket: 2 }, '/primus?fixed=1&n=2']);
});

test('an auth that fails is a failed attempt', async (t) => {
  let count = 0;
  const { server, primus, events } = await client(t, {}, { auth: async () => { if (!count++) throw new Error('no ticket'); } });
  await next(primus, 'open');
  assert.equal(events.args.error[0].message, 'no ticket');
  assert.equal('auth' in server.last.attach, false);
});

test('the queue: bytes, an error when it is full, and room for one message', async (t) => {
  const { server, primus, events } = await client(t, {}, { manual: true, queueSize: 10 });
  assert.equal(primus.write('1234567'), true);
  assert.equal(primus.write('ü'), false);
  assert.equal(primus.write(1), true);
  assert.deepEqual([...events], ['error']);
  assert.equal(events.args.error[0].message, 'queue full');
  assert.deepEqual(primus.buffer, ['"1234567"', '1']);
  primus.open();
  await next(primus, 'open');
  assert.deepEqual([await server.last.frame(), await server.last.frame()], ['"1234567"', '1']);
  const { primus: other } = await client(t, {}, { manual: true, queueSize: 10 });
  assert.equal(other.write('much longer than that'), true);
  assert.equal(other.write(1), false);
});

test('messages written while away arrive, in order', async (t) => {
  const { server, primus } = await client(t, {}, {});
  await next(primus, 'open');
  primus.on('close', () => { primus.write('a'); primus.write('b'); });
  primus.on('reconnected', () => primus.write('c'));
  server.last.cut();
  await back(primus);
  primus.write('d');
  const session = server.last;
  assert.deepEqual([await session.frame(), await session.frame(), await session.frame(), await session.frame()], ['"a"', '"b"', '"c"', '"d"']);
});

test('what cannot be encoded is refused', async (t) => {
  const { primus, events } = await client(t, {}, { manual: true });
  assert.equal(primus.write(undefined), false);
  assert.equal(primus.write(() => {}), false);
  assert.deepEqual([...events], ['error', 'error']);
  const raw = new Primus('http://x', { manual: true, parser: 'raw' });
  for (const value of [1, [1], { a: 1 }]) assert.equal(raw.write(value), false);
  assert.deepEqual(raw.buffer, []);
  // Nothing is an empty text.
  assert.equal(raw.write(null) && raw.emit('x'), true);
  assert.deepEqual(raw.buffer, ['', 'primus::event:x::']);
});

test('transforms change, pass and drop, in order, both ways', async (t) => {
  const { server, primus, events } = await client(t, {}, {});
  assert.equal(primus.transform('outgoing', function (packet) { assert.equal(this, primus); packet.data += 1; }), primus);
  primus.transform('outgoing', (packet) => packet.data !== 3);
  primus.transform('incoming', (packet) => { packet.data = [packet.data]; });
  primus.transform('incoming', (packet) => packet.data[0] !== 'secret');
  assert.deepEqual([primus.write(1), primus.write(2), primus.write(3)], [true, true, true]);
  await next(primus, 'open');
  assert.deepEqual([await server.last.frame(), await server.last.frame()], ['2', '4']);
  server.last.send('"secret"');
  server.last.send('"public"');
  assert.deepEqual(await next(primus, 'data'), [['public'], '"public"']);
  assert.equal(events.filter((name) => name === 'data').length, 1);
});

test('a transform may end the client', async (t) => {
  const { primus, events } = await client(t, {}, {});
  await next(primus, 'open');
  primus.transform('outgoing', () => { primus.end(); });
  primus.write(1);
  assert.deepEqual([primus.state, events.includes('error')], ['closed', false]);
});

test('a transform that throws is an error', async (t) => {
  const { primus, events } = await client(t, {}, { manual: true });
  primus.transform('outgoing', () => { throw new Error('broken'); });
  assert.equal(primus.write(1), false);
  assert.equal(events.args.error[0].message, 'broken');
});

test('a parser of one`s own', async (t) => {
  const { server, primus } = await client(t, {}, { parser: { encoder: (value) => `<${value}>`, decoder: (text) => text.slice(1, -1) } });
  await next(primus, 'open');
  primus.write('in');
  assert.equal(await server.last.frame(), '<in>');
  server.last.send('<out>');
  assert.deepEqual(await next(primus, 'data'), ['out', '<out>']);
});

test('plugins get the client and its options', () => {
  const seen = [];
  const plugin = function (primus, options) { seen.push([this === primus, options.queueSize, primus.url]); primus.extra = 1; };
  const primus = new Primus('http://h', { manual: true, queueSize: 5, plugins: [plugin] });
  primus.plugin(plugin);
  assert.deepEqual(seen, [[true, 5, 'http://h/primus'], [true, 5, 'http://h/primus']]);
  assert.equal(primus.extra, 1);
});

test('id by callback and promise, ready, without new, subclasses', async (t) => {
  const { server, primus } = await client(t, {}, {});
  const id = await new Promise((resolve) => primus.id(resolve));
  assert.equal(id, server.last.id);
  assert.equal(await primus.id(), id);
  assert.equal(await primus.ready, primus);
  assert.ok(primus instanceof Primus);
  for (const other of [Primus('http://h', { manual: true }), Primus.connect('http://h', { manual: true })]) assert.ok(other instanceof Primus);
  class Mine extends Primus { own = 2; twice() { return this.own * 2; } }
  const mine = new Mine('http://h', { manual: true });
  assert.ok(mine instanceof Mine && mine instanceof Primus);
  assert.equal(mine.twice(), 4);
  assert.deepEqual([Primus.OPENING, Primus.CLOSED, Primus.OPEN, Primus.version], [1, 2, 3, '0.1.0']);
});

test('the emitter', () => {
  const primus = new Primus('http://h', { manual: true });
  const emit = (event, ...args) => primus.emits(event)(...args);
  const calls = [];
  const a = (...args) => calls.push(['a', ...args]);
  const b = (...args) => calls.push(['b', ...args]);
  assert.equal(primus.on('x', a).once('x', b), primus);
  assert.equal(emit('x', 1, 2), true);
  assert.equal(emit('x'), true);
  assert.equal(emit('constructor'), false);
  assert.deepEqual(calls, [['a', 1, 2], ['b', 1, 2], ['a']]);
  primus.once('x', b).off('x', b);
  assert.deepEqual(primus.listeners('x'), [a]);
  primus.removeListener('x', a).on('y', a).on('z', b).removeAllListeners('y');
  assert.deepEqual([emit('x'), emit('y'), primus.listeners('z')], [false, false, [b]]);
  primus.removeAllListeners();
  assert.equal(emit('z'), false);
});

test('a listener that throws is reported as uncaught, and stops nobody', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const primus = new Primus('http://h', { manual: true });
  const calls = [];
  primus.on('x', () => { throw new Error('mine'); }).on('x', () => calls.push(1));
  assert.equal(primus.emits('x')(), true);
  assert.deepEqual(calls, [1]);
  assert.throws(() => t.mock.timers.tick(1), { message: 'mine' });
});

test('what is not set leaves the defaults', () => {
  const unset = { strategy: undefined, timeout: null, queueSize: undefined, plugins: null };
  for (const reconnect of [{ max: undefined, min: null, factor: 3 }, undefined, null]) {
    const { options } = new Primus('http://h', { ...unset, manual: true, reconnect });
    assert.deepEqual([options.strategy, options.timeout, options.queueSize], ['disconnect,online,timeout', 10000, 262144]);
    assert.deepEqual(options.reconnect, { min: 500, max: 30000, factor: reconnect?.factor ?? 2, retries: Infinity, 'reconnect timeout': 30000 });
  }
  assert.equal(new Primus('http://h', { manual: true, timeout: false }).options.timeout, false);
  const both = { manual: true, reconnect: { max: 1 } };
  assert.deepEqual([new Primus('http://h', both).options.reconnect.max, both], [1, { manual: true, reconnect: { max: 1 } }]);
});

test('what is no number where one is needed is refused at once', () => {
  const make = (options) => () => new Primus('http://h', { manual: true, ...options });
  for (const key of ['min', 'max', 'factor', 'retries', 'reconnect timeout'])
    for (const value of ['500 ms', NaN, -1]) assert.throws(make({ reconnect: { [key]: value } }), { message: `${key}: ${value}` });
  assert.throws(make({ timeout: '5 seconds' }), { message: 'timeout: 5 seconds' });
  assert.throws(make({ queueSize: '1 MB' }), { message: 'queueSize: 1 MB' });
});

test('the ES module in a page: the server is the page`s', async (t) => {
  globalThis.location = new URL('https://page.example:8443/deep/page.html');
  t.after(() => delete globalThis.location);
  const { Primus: here } = await import('../dist/primus.mjs?page');
  assert.equal(new here({ manual: true }).url, 'https://page.example:8443/primus');
  globalThis.location = new URL('file:///tmp/page.html');
  const { Primus: alone } = await import('../dist/primus.mjs?file');
  assert.equal(new alone({ manual: true }).url, 'http://127.0.0.1/primus');
});

test('reserved and emits', () => {
  const primus = new Primus('http://h', { manual: true });
  for (const name of ['open', 'data', 'close', 'end', 'error', 'readyStateChange', 'reconnect scheduled', 'reconnect', 'reconnected', 'reconnect timeout', 'reconnect failed', 'resumed', 'lost', 'transport', 'timeout', 'online', 'offline', 'destroy', 'incoming::data', 'outgoing::end'])
    assert.equal(primus.reserved(name), true, name);
  for (const name of ['opened', 'message', 'my data', 'my transport', 'constructor']) assert.equal(primus.reserved(name), false, name);
  const calls = [];
  primus.on('mine', (...args) => calls.push(args)).on('error', (error) => calls.push(error));
  primus.emits('mine')(1, 2);
  primus.emits('mine', (done, value) => done(undefined, value * 2))(3);
  primus.emits('mine', (done) => done('bad'))(3);
  assert.deepEqual(calls, [[1, 2], [6], 'bad']);
});

test('the network goes and comes back', async (t) => {
  const window = page();
  const { server, primus, events } = await client(t, {}, { network: window });
  await next(primus, 'open');
  const count = server.sessions.size;
  happen(window, 'offline');
  assert.deepEqual(events.slice(3), ['offline', 'readyStateChange(end)', 'close']);
  assert.deepEqual([primus.state, primus.online, events.args.close[0].reconnect, primus.write('while away')], ['offline', false, true, true]);
  happen(window, 'pageshow');
  happen(window, 'offline');
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual([server.sessions.size, events.length], [count, 6]);
  const begin = Date.now();
  happen(window, 'online');
  await next(primus, 'reconnect');
  assert.ok(Date.now() - begin < 100);
  await back(primus);
  assert.deepEqual(events.slice(6), ['online', 'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(true)', 'readyStateChange(open)']);
  assert.equal(await server.last.frame(), '"while away"');
});

test('the network goes during an attempt, or was never there', async (t) => {
  const window = page(false);
  let hang = 'never';
  const { server, primus, events } = await client(t, { attach: () => hang }, { network: window });
  await new Promise((resolve) => setTimeout(resolve, 20));
  happen(window, 'pageshow');
  assert.deepEqual([primus.state, primus.online, server.log, [...events]], ['offline', false, [], []]);
  happen(window, 'online');
  await next(primus, 'reconnect');
  happen(window, 'offline');
  assert.deepEqual([...events], ['online', 'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'offline', 'readyStateChange(end)']);
  hang = undefined;
  happen(window, 'online');
  await next(primus, 'open');
});

test('without the strategy `online`, the network`s going is the end', async (t) => {
  const window = page();
  const { primus, events } = await client(t, {}, { network: window, strategy: 'disconnect, timeout' });
  await next(primus, 'open');
  happen(window, 'offline');
  assert.deepEqual(events.slice(3), ['offline', 'readyStateChange(end)', 'close', 'end']);
});

for (const type of ['pageshow', 'visibilitychange', 'online'])
  test(`${type} makes it try at once, or ask for a sign of life`, async (t) => {
    const window = page();
    const { server, primus } = await client(t, {}, { network: window, reconnect: { min: 1e6, max: 1e6 } });
    await next(primus, 'open');
    server.last.cut();
    await next(primus, 'reconnect scheduled');
    window.document.visibilityState = 'hidden';
    happen(window, 'visibilitychange');
    assert.equal(primus.readyState, Primus.CLOSED);
    window.document.visibilityState = 'visible';
    happen(window, type);
    await back(primus);
    happen(window, type);
    assert.equal(await server.last.frame(), 'primus::ping:1:0::');
  });

test('a wake does not overrule the server', async (t) => {
  const window = page();
  const { server, primus } = await client(t, {}, { network: window });
  await next(primus, 'open');
  server.last.end({ code: 4002, reason: 'later', reconnect: true, after: 1e7 });
  await next(primus, 'reconnect scheduled');
  happen(window, 'pageshow');
  assert.equal(primus.readyState, Primus.CLOSED);
});

for (const transports of [['websocket'], ['sse'], ['polling']])
  test(`${transports}: a page that goes says end, one that may come back does not`, async (t) => {
    const window = page();
    const inits = [];
    const { server, primus } = await client(t, {}, { network: window, transports, fetch: (url, init) => (inits.push(init), fetch(url, init)) });
    await next(primus, 'open');
    happen(window, 'pagehide', { persisted: true });
    assert.equal(primus.state, 'open');
    happen(window, 'pagehide', { persisted: false });
    assert.equal(primus.state, 'closed');
    assert.equal(await server.last.frame(), 'primus::end::');
    if (transports[0] !== 'websocket') assert.equal(inits.at(-1).keepalive, true);
  });
