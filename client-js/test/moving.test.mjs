// docs/moving-from-primus.md: what it calls "same" in the client is the same.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { Primus } from '../dist/node.mjs';
import { back, next, record, serve, WebSocket as Ws } from './server.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

// ---- what the checks are made of ----

const fast = { min: 1, max: 5 };
const HANDSHAKE = ['readyStateChange(opening)', 'readyStateChange(open)', 'open'];
/** Back in the same session, and in another one. */
const AGAIN = ['readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(true)', 'readyStateChange(open)'];
const ANEW = ['readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(false)', 'readyStateChange(open)', 'open'];
const ENDED = ['readyStateChange(end)', 'close', 'end'];
const PROGRESS = ['attempt', 'backoff', 'duration', 'factor', 'max', 'min', 'reconnect timeout', 'retries', 'scheduled', 'start'];

const sockets = new Set();

/** A WebSocket whose end can be awaited: its timers must not outlive a test, since the next one may turn the clock by hand. */
class WebSocket extends Ws {
  constructor(...args) {
    super(...args);
    const closed = new Promise((resolve) => this.addEventListener('close', resolve)).then(() => sockets.delete(closed));
    sockets.add(closed);
  }
}

/** Both go, and nothing of them stays. */
async function leave(primus, server) {
  primus.destroy();
  await server.close();
  await Promise.all(sockets);
}

/** A client of a server, both gone when the test is over. */
async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, transports: ['websocket'], reconnect: fast, ...options });
  t.after(() => leave(primus, server));
  return { server, primus, events: record(primus) };
}

/** As `client`, and connected; `events` begins after that. */
async function connected(t, hooks, options) {
  const all = await client(t, hooks, options);
  await next(all.primus, 'open');
  all.events.length = 0;
  return all;
}

/** The URL of a port at which nobody listens. */
async function nowhere() {
  const server = await serve();
  await server.close();
  return server.url;
}

/** A WebSocket that never opens; `Silent.urls` has what it was called with. */
function silent() {
  return class Silent {
    static urls = [];
    readyState = 0;
    bufferedAmount = 0;
    constructor(url) { Silent.urls.push(url); }
    send() {}
    close() {}
  };
}

/** A client that gets no answer at all, on a clock that the test turns; its delays are as long as they may be. */
function lonely(t, options) {
  t.mock.method(Math, 'random', () => 1);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const Socket = silent();
  const primus = new Primus('http://127.0.0.1:9', { WebSocket: Socket, transports: ['websocket'], ...options });
  t.after(() => primus.destroy());
  return { primus, events: record(primus), Socket, tick: (time) => t.mock.timers.tick(time) };
}

/** Lets everything that waits for nothing but its turn have it. */
const settled = () => new Promise(setImmediate);

/** What a browser tells of the network. */
function network(onLine = true) {
  return Object.assign(new EventTarget(), {
    navigator: { onLine },
    go(on) {
      this.navigator.onLine = on;
      this.dispatchEvent(new Event(on ? 'online' : 'offline'));
    },
  });
}

/** For the time of a test, this is a window. */
function pretend(t) {
  const fake = network();
  const added = [];
  globalThis.addEventListener = (name, ...rest) => { added.push(name); fake.addEventListener(name, ...rest); };
  t.after(() => delete globalThis.addEventListener);
  return { added, fake };
}

const isProgress = (progress) => assert.deepEqual(Object.keys(progress).sort(), PROGRESS);

/** The same for each of the transports. */
const everywhere = (check) => async (t) => {
  for (const name of ['websocket', 'sse', 'polling']) await t.test(name, (t) => check(t, { transports: [name] }));
};

/** Connects, and tells with which URL the server was asked. */
async function arrives(make) {
  const server = await serve();
  const primus = make(server);
  try {
    assert.ok(primus instanceof Primus);
    await next(primus, 'open');
    return server.last.url;
  } finally {
    await leave(primus, server);
  }
}

const options = { WebSocket, transports: ['websocket'] };

/** Loads the script for browsers into a page of its own. */
function load(globals = {}) {
  const page = createContext({ URL, URLSearchParams, ...globals });
  runInContext(readFileSync(file('../dist/primus.js'), 'utf8'), page);
  return page;
}

// ---- the checks: a section of the page, a row, and what shows it ----

const checks = {
  Construction: {
    'new Primus(url, options)': () => arrives(({ url }) => new Primus(url, options)),
    'Primus(url, options)': () => arrives(({ url }) => Primus(url, options)),
    'Primus.connect(url, options)': () => arrives(({ url }) => Primus.connect(url, options)),
    'new Primus({ url })': () => arrives(({ url }) => new Primus({ url, ...options })),
    async 'query of the URL'() {
      const url = await arrives(({ url }) => new Primus(url + '/?a=1&b=%20', { ...options, query: { c: '2' } }));
      assert.equal(url, '/primus?a=1&b=%20&c=2');
    },
    'connects on a later turn'(t) {
      const { primus, events, tick } = lonely(t);
      assert.deepEqual([[...events], primus.readyState], [[], Primus.CLOSED]);
      tick(1);
      assert.deepEqual([[...events], primus.readyState], [['readyStateChange(opening)'], Primus.OPENING]);
    },
    async 'path of the URL'() {
      assert.equal(await arrives(({ url }) => new Primus(url + '/', options)), '/primus');
      assert.equal(await arrives(({ url }) => new Primus(url + '/other', options)), '/other');
    },
  },

  Options: {
    async 'reconnect.factor'(t) {
      assert.equal(new Primus({ manual: true }).options.reconnect.factor, 2);
      t.mock.method(Math, 'random', () => 1);
      for (const [factor, delays] of [[undefined, [500, 1000, 2000, 4000]], [3, [500, 1500, 4500, 13500]]]) {
        const server = await nowhere();
        const primus = new Primus(server, { ...options, manual: true, reconnect: factor && { factor } });
        const seen = [];
        t.mock.timers.enable({ apis: ['setTimeout'] });
        const enough = new Promise((resolve) => {
          primus.on('reconnect scheduled', ({ scheduled }) => {
            if (seen.push(scheduled) === delays.length) return resolve();
            setImmediate(() => t.mock.timers.tick(scheduled));
          });
        });
        primus.on('error', () => {}).open();
        await enough;
        primus.destroy();
        t.mock.timers.reset();
        assert.deepEqual(seen, delays);
      }
    },
    async 'reconnect.reconnect timeout'(t) {
      assert.equal(new Primus({ manual: true }).options.reconnect['reconnect timeout'], 30000);
      const { events, tick } = lonely(t, { timeout: 100, reconnect: { ...fast, 'reconnect timeout': 300 } });
      tick(1);
      tick(100);
      tick(5);
      for (const attempt of [1, 2]) {
        assert.equal(events.args.reconnect[0].attempt, attempt);
        events.length = 0;
        tick(299);
        assert.deepEqual([...events], []);
        tick(1);
        assert.deepEqual([...events], ['reconnect timeout', 'reconnect scheduled']);
        tick(5);
      }
    },
    async timeout(t) {
      assert.equal(new Primus({ manual: true }).options.timeout, 10000);
      const { primus, events, tick } = lonely(t, { manual: true, reconnect: fast });
      primus.open();
      tick(9999);
      assert.deepEqual([...events], ['readyStateChange(opening)']);
      tick(1);
      assert.deepEqual(events.slice(1), ['timeout', 'reconnect scheduled']);
      tick(5);
      events.length = 0;
      // It is not for the attempts that follow.
      tick(29999 - 5);
      assert.equal(events.includes('timeout'), false);
      primus.destroy();
      t.mock.timers.reset();
      for (const never of [0, false]) {
        const { primus, events, tick } = lonely(t, { manual: true, timeout: never });
        primus.open();
        tick(1e9);
        assert.deepEqual([...events], ['readyStateChange(opening)']);
        primus.destroy();
        t.mock.timers.reset();
      }
    },
    manual(t) {
      const { primus, events, tick } = lonely(t, { manual: true });
      tick(1e6);
      assert.deepEqual([[...events], primus.readyState], [[], Primus.CLOSED]);
      primus.open();
      assert.deepEqual([...events], ['readyStateChange(opening)']);
    },
    async network(t) {
      const { added, fake } = pretend(t);
      for (const value of [undefined, true, false]) {
        const { primus, events } = await connected(t, {}, { network: value });
        const listens = value !== false;
        assert.deepEqual([added.includes('offline'), added.includes('online')], [listens, listens]);
        fake.go(false);
        assert.equal(events.includes('offline'), listens);
        primus.destroy();
        fake.navigator.onLine = true;
        added.length = 0;
      }
    },
    url: () => arrives(({ url }) => new Primus({ url, ...options })),
    uri: () => arrives(({ url }) => new Primus({ uri: url, ...options })),
    async strategy(t) {
      assert.equal(new Primus({ manual: true }).options.strategy, 'disconnect,online,timeout');
      for (const strategy of ['disconnect', 'online, disconnect', ['disconnect']]) {
        const { server, primus } = await connected(t, {}, { strategy });
        server.last.cut();
        await next(primus, 'reconnected');
        primus.destroy();
      }
      for (const strategy of ['online', ['timeout'], [], false]) {
        const { server, primus } = await connected(t, {}, { strategy });
        server.last.cut();
        await next(primus, 'end');
      }
    },
  },

  Methods: {
    end: everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      const session = server.last;
      assert.equal(primus.end({ bye: 1 }), primus);
      assert.equal(primus.end(), primus);
      assert.equal(await session.frame(), '{"bye":1}');
      assert.equal(await session.frame(), 'primus::end::');
      assert.deepEqual([...events], ENDED);
    }),
    async on(t) {
      const { primus } = await client(t);
      const seen = [];
      const listener = function (...args) { seen.push(this, args); };
      assert.equal(primus.on('mine', listener), primus);
      primus.emits('mine')(1, 2);
      primus.emits('mine')();
      assert.deepEqual(seen, [primus, [1, 2], primus, []]);
    },
    async once(t) {
      const { primus } = await client(t);
      const seen = [];
      assert.equal(primus.once('mine', function (...args) { seen.push(this, args); }), primus);
      assert.deepEqual([primus.emits('mine')(1), primus.emits('mine')(2)], [true, false]);
      assert.deepEqual(seen, [primus, [1]]);
    },
    async off(t) {
      const { primus } = await client(t);
      const one = () => {};
      const two = () => {};
      primus.on('mine', one).on('mine', two).on('mine', one).once('yours', one);
      assert.equal(primus.off('yours', one).listeners('yours').length, 0);
      assert.equal(primus.off('mine', one), primus);
      assert.deepEqual(primus.listeners('mine'), [two]);
      assert.deepEqual(primus.on('mine', one).off('mine').listeners('mine'), []);
    },
    async removeListener(t) {
      const { primus } = await client(t);
      const one = () => {};
      const two = () => {};
      assert.equal(primus.on('mine', one).on('mine', two).removeListener('mine', one), primus);
      assert.deepEqual(primus.listeners('mine'), [two]);
    },
    async removeAllListeners(t) {
      const { primus } = await client(t);
      const one = () => {};
      primus.on('mine', one).on('yours', one);
      assert.equal(primus.removeAllListeners('mine'), primus);
      assert.deepEqual([primus.listeners('mine'), primus.listeners('yours')], [[], [one]]);
      assert.deepEqual(primus.removeAllListeners().listeners('yours'), []);
    },
    async write(t) {
      const { server, primus } = await client(t);
      assert.equal(primus.write(1), true);
      await next(primus, 'open');
      assert.equal(primus.write(2), true);
      assert.deepEqual([await server.last.frame(), await server.last.frame()], ['1', '2']);
      primus.end();
      assert.equal(primus.write(3), false);
    },
    async open(t) {
      const { server, primus } = await client(t, {}, { manual: true });
      assert.equal(primus.open(), primus);
      primus.open();
      await next(primus, 'open');
      primus.open();
      server.last.cut();
      await next(primus, 'reconnect scheduled');
      primus.open();
      await back(primus);
      primus.end();
      primus.open();
      await next(primus, 'open');
      assert.deepEqual([server.made.length, server.log.filter((line) => line === 'upgrade').length], [2, 3]);
    },
    async id(t) {
      const { server, primus } = await client(t);
      const early = new Promise((resolve) => primus.id(resolve));
      await next(primus, 'open');
      const { id } = server.last;
      assert.deepEqual([await early, await primus.id(), await new Promise((resolve) => primus.id(resolve))], [id, id, id]);
    },
    async reserved(t) {
      const { primus } = await client(t, {}, { manual: true });
      for (const name of ['reconnect scheduled', 'reconnect timeout', 'readyStateChange', 'reconnect failed', 'reconnected', 'reconnect', 'offline',
        'timeout', 'destroy', 'online', 'error', 'close', 'open', 'data', 'end'])
        assert.equal(primus.reserved(name), true, name);
      for (const name of ['incoming::data', 'outgoing::url']) assert.equal(primus.reserved(name), true, name);
      for (const name of ['resumed', 'lost', 'missed', 'transport', 'reconnects', 'primus.x']) assert.equal(primus.reserved(name), true, name);
      for (const name of ['message', 'opened', 'data2', '']) assert.equal(primus.reserved(name), false, name);
    },
    async emit(t) {
      const { server, primus } = await connected(t);
      const calls = [];
      primus.on('mine', () => calls.push(1));
      assert.equal(primus.emit('mine', { a: 1 }), true);
      assert.equal(await server.last.frame(), 'primus::event:mine::{"a":1}');
      assert.deepEqual(calls, []);
      assert.throws(() => primus.emit('end'), /reserved/);
    },
    async transform(t) {
      const { server, primus, events } = await connected(t);
      const seen = [];
      assert.equal(primus.transform('outgoing', function (packet) { seen.push(this); packet.data += 1; return packet.data !== 3; }), primus);
      primus.transform('incoming', function (packet) { seen.push(this); packet.data *= 2; return packet.data !== 4; });
      for (const value of [1, 2, 3]) assert.equal(primus.write(value), true);
      assert.deepEqual([await server.last.frame(), await server.last.frame()], ['2', '4']);
      const got = [];
      const both = new Promise((resolve) => primus.on('data', (...args) => got.push(args) === 2 && resolve()));
      for (const value of [1, 2, 3]) server.last.send(String(value));
      await both;
      assert.deepEqual(got, [[2, '1'], [6, '3']]);
      assert.deepEqual([...events], ['data', 'data']);
      assert.deepEqual(new Set(seen), new Set([primus]));
      assert.throws(() => primus.transform('sideways', () => {}));
    },
    async destroy(t) {
      const { primus } = await client(t);
      assert.equal(primus.destroy(), primus);
      assert.ok(primus.url && primus.options);
    },
    async emits(t) {
      const { primus, events } = await client(t, {}, { manual: true });
      const seen = [];
      primus.on('mine', (...args) => seen.push(args));
      primus.emits('mine')(1, 2);
      primus.emits('mine', (next, value) => next(undefined, value * 2))(4);
      primus.emits('mine', (next) => next(new Error('no')))(4);
      assert.deepEqual(seen, [[1, 2], [8]]);
      assert.deepEqual([[...events], events.args.error[0].message], [['error'], 'no']);
    },
    async this(t) {
      const { primus } = await client(t, {}, { manual: true });
      const { write, end } = primus;
      assert.equal(write(1), true);
      assert.equal(end(), primus);
    },
  },

  Properties: {
    async readyState(t) {
      const { primus, server } = await client(t);
      const seen = [primus.readyState];
      primus.on('readyStateChange', () => seen.push(primus.readyState));
      await next(primus, 'open');
      server.last.end({ code: 4000, reason: 'ended', reconnect: false, after: 0 });
      await next(primus, 'end');
      assert.deepEqual(seen, [2, 1, 3, 2]);
    },
    async online(t) {
      const net = network();
      const { primus } = await connected(t, {}, { network: net });
      const seen = [primus.online];
      primus.on('offline', () => seen.push(primus.online)).on('online', () => seen.push(primus.online));
      net.go(false);
      net.go(true);
      await back(primus);
      assert.deepEqual(seen, [true, false, true]);
    },
    async buffer(t) {
      const { primus } = await client(t, {}, { manual: true });
      primus.write({ a: 1 });
      assert.deepEqual(primus.buffer, ['{"a":1}']);
    },
    async url(t) {
      const { server, primus } = await client(t, {}, { manual: true });
      assert.equal(primus.url, server.url + '/primus');
    },
  },

  Statics: {
    OPENING: () => assert.equal(Primus.OPENING, 1),
    CLOSED: () => assert.equal(Primus.CLOSED, 2),
    OPEN: () => assert.equal(Primus.OPEN, 3),
    connect: () => arrives(({ url }) => Primus.connect({ url, ...options })),
  },

  Events: {
    async open(t) {
      for (const openOnReconnect of [undefined, true]) {
        const { server, primus, events } = await client(t, {}, { openOnReconnect });
        assert.deepEqual(await next(primus, 'open'), []);
        for (const times of [1, 2, 3]) {
          assert.equal(events.filter((name) => name === 'open').length, openOnReconnect ? times : 1);
          server.last.cut();
          await back(primus);
        }
        server.restart();
        assert.deepEqual(await next(primus, 'open'), []);
        assert.equal(events.includes('resumed(false)'), true);
        primus.destroy();
      }
    },
    data: everywhere(async (t, transport) => {
      const { server, primus } = await connected(t, {}, transport);
      const values = [{ a: [1] }, 'text', 0, '', null, false, 'ü\n\u2028'];
      const seen = [];
      const all = new Promise((resolve) => primus.on('data', (...args) => seen.push(args) === values.length && resolve()));
      for (const value of values) server.last.send(JSON.stringify(value));
      await all;
      assert.deepEqual(seen, values.map((value) => [value, JSON.stringify(value)]));
    }),
    async readyStateChange(t) {
      const { primus } = await client(t);
      const seen = [];
      primus.on('readyStateChange', (...args) => seen.push(args));
      await next(primus, 'open');
      primus.end();
      assert.deepEqual(seen, [['opening'], ['open'], ['end']]);
    },
    async 'reconnect scheduled'(t) {
      const { server, primus } = await connected(t);
      server.last.cut();
      const args = await next(primus, 'reconnect scheduled');
      assert.equal(args.length, 1);
      isProgress(args[0]);
    },
    async reconnected(t) {
      const { server, primus } = await connected(t);
      server.last.cut();
      const args = await next(primus, 'reconnected');
      assert.equal(args.length, 1);
      isProgress(args[0]);
    },
    async 'reconnect timeout'(t) {
      const { events, tick } = lonely(t, { timeout: 10, reconnect: { ...fast, 'reconnect timeout': 10 } });
      tick(1);
      tick(10);
      tick(5);
      tick(10);
      const { 'reconnect timeout': args } = events.args;
      assert.equal(args.length, 2);
      assert.ok(args[0] instanceof Error);
      isProgress(args[1]);
    },
    async 'reconnect failed'(t) {
      const { server, primus } = await connected(t, {}, { reconnect: { ...fast, retries: 1 } });
      await server.close();
      const [error, progress, ...more] = await next(primus, 'reconnect failed');
      assert.deepEqual([error instanceof Error, error.message, more], [true, 'Unable to recover', []]);
      isProgress(progress);
    },
    timeout(t) {
      const { events, tick } = lonely(t, { timeout: 10 });
      tick(1);
      tick(10);
      assert.deepEqual(events.args.timeout, []);
    },
    async offline(t) {
      const net = network();
      const { primus, events } = await connected(t, {}, { network: net });
      net.go(false);
      assert.deepEqual(events.args.offline, []);
      primus.destroy();
      const silent = await connected(t, { reply: { ping: 20, timeout: 20 } });
      assert.deepEqual(await next(silent.primus, 'offline'), []);
    },
    async online(t) {
      const net = network();
      const { primus, events } = await connected(t, {}, { network: net });
      net.go(false);
      net.go(true);
      assert.deepEqual(events.args.online, []);
      primus.destroy();
      const silent = await connected(t, { reply: { ping: 20, timeout: 20 } });
      assert.deepEqual(await next(silent.primus, 'online'), []);
    },
    async destroy(t) {
      const { primus, events } = await connected(t);
      primus.destroy();
      assert.deepEqual([events.at(-1), events.args.destroy], ['destroy', []]);
    },
    async close(t) {
      const { server, primus } = await connected(t);
      server.last.end({ code: 4001, reason: 'reconnect', reconnect: true, after: 0 });
      const [{ code, reason, reconnect }] = await next(primus, 'close');
      assert.deepEqual([code, reason, reconnect], [4001, 'reconnect', true]);
    },
    async error(t) {
      const { primus, events } = await client(t, { attach: () => ({ status: 403, error: 'no' }) });
      await next(primus, 'end');
      const [{ status, code, reason, body }] = events.args.error;
      assert.deepEqual([status, code, reason, body.error], [403, 4403, 'no', 'no']);
    },
    async reconnect(t) {
      const { server, primus } = await connected(t);
      server.last.cut();
      const args = await next(primus, 'reconnect');
      assert.equal(args.length, 1);
      isProgress(args[0]);
    },
  },

  Progress: {
    async attempt(t) {
      const primus = new Primus(await nowhere(), { ...options, reconnect: { ...fast, retries: 3 } });
      const seen = [];
      primus.on('error', () => {});
      for (const event of ['reconnect scheduled', 'reconnect']) primus.on(event, ({ attempt }) => seen.push(attempt));
      const [, { attempt }] = await next(primus, 'reconnect failed');
      assert.deepEqual([seen, attempt], [[1, 1, 2, 2, 3, 3], 3]);
    },
    async start(t) {
      const { server, primus } = await connected(t);
      const before = Date.now();
      server.last.cut();
      const [{ start }] = await next(primus, 'reconnect scheduled');
      assert.ok(start >= before && start <= Date.now());
    },
    async duration(t) {
      const { server, primus } = await connected(t, {}, { reconnect: { min: 20, max: 20 } });
      server.last.cut();
      const [progress] = await next(primus, 'reconnect scheduled');
      assert.equal(progress.duration, 0);
      const [{ duration, start }] = await next(primus, 'reconnected');
      assert.ok(duration >= 0 && duration <= Date.now() - start, String(duration));
    },
    async backoff(t) {
      const { server, primus } = await connected(t);
      server.last.cut();
      for (const event of ['reconnect scheduled', 'reconnect', 'reconnected']) assert.equal((await next(primus, event))[0].backoff, true);
    },
    ...Object.fromEntries(Object.entries({ min: 2, max: 7, factor: 3, retries: 4, 'reconnect timeout': 5000 }).map(([name, value]) => [
      name,
      async (t) => {
        const { server, primus } = await connected(t, {}, { reconnect: { ...fast, [name]: value } });
        server.last.cut();
        assert.equal((await next(primus, 'reconnect scheduled'))[0][name], value);
      },
    ])),
  },

  'Order of events': {
    'first open': everywhere(async (t, transport) => {
      const { server, primus, events } = await client(t, {}, transport);
      primus.write('queued');
      primus.on('readyStateChange', (state) => state === 'open' && events.push(`waiting ${primus.buffer.length}`));
      primus.on('open', () => events.push(`waiting ${primus.buffer.length}`));
      primus.on('open', () => primus.write('greeting'));
      await next(primus, 'open');
      if (transport.transports[0] === 'websocket')
        assert.deepEqual([...events], ['readyStateChange(opening)', 'readyStateChange(open)', 'waiting 0', 'open', 'waiting 0']);
      else assert.deepEqual(events.filter((name) => !/^waiting/.test(name)), HANDSHAKE);
      assert.deepEqual([await server.last.frame(), await server.last.frame()], ['"queued"', '"greeting"']);
    }),
    drop: everywhere(async (t, transport) => {
      for (const openOnReconnect of [false, true]) {
        const { server, primus, events } = await connected(t, {}, { ...transport, openOnReconnect });
        primus.once('reconnect scheduled', () => primus.write('queued'));
        primus.once('readyStateChange', () => primus.once('readyStateChange', () => primus.once('readyStateChange', () => primus.write('greeting'))));
        server.last.cut();
        await back(primus);
        assert.deepEqual([...events], ['readyStateChange(end)', 'close', 'reconnect scheduled', ...AGAIN, ...(openOnReconnect ? ['open'] : [])]);
        assert.deepEqual([await server.last.frame(), await server.last.frame(), server.made.length], ['"queued"', '"greeting"', 1]);
        primus.destroy();
      }
    }),
    'drop, and the session is gone': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      primus.once('reconnect scheduled', () => primus.write('queued'));
      server.restart();
      await next(primus, 'open');
      assert.deepEqual([...events], ['readyStateChange(end)', 'close', 'reconnect scheduled', ...ANEW]);
      assert.equal(await server.last.frame(), '"queued"');
    }),
    'server asks to come back': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      server.last.end({ code: 4001, reason: 'reconnect', reconnect: true, after: 0 });
      await next(primus, 'open');
      assert.deepEqual([...events], ['readyStateChange(end)', 'close', 'reconnect scheduled', ...ANEW]);
    }),
    'failed attempt': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      await server.close();
      await next(primus, 'reconnect');
      events.length = 0;
      await next(primus, 'reconnect');
      events.length = 0;
      await next(primus, 'readyStateChange');
      assert.deepEqual([...events], ['reconnect scheduled', 'readyStateChange(end)']);
      events.length = 0;
      await next(primus, 'reconnect');
      assert.deepEqual([...events], ['readyStateChange(opening)', 'reconnect']);
    }),
    'attempt hangs': everywhere(async (t, transport) => {
      let hang;
      const { server, primus, events } = await connected(t, { attach: () => hang }, { ...transport, reconnect: { ...fast, 'reconnect timeout': 20 } });
      hang = 'never';
      server.last.cut();
      await next(primus, 'reconnect scheduled');
      events.length = 0;
      await next(primus, 'reconnect timeout');
      assert.deepEqual([...events], ['readyStateChange(opening)', 'reconnect', 'reconnect timeout', 'reconnect scheduled']);
    }),
    exhausted: everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, { ...transport, reconnect: { ...fast, retries: 1 } });
      await server.close();
      await next(primus, 'reconnect');
      events.length = 0;
      await next(primus, 'readyStateChange');
      assert.deepEqual([...events], ['end', 'reconnect failed', 'readyStateChange(end)']);
    }),
    'server end': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      server.last.send('"last words"');
      server.last.end({ code: 4000, reason: 'ended', reconnect: false, after: 0 });
      await next(primus, 'end');
      assert.deepEqual([...events], ['data', ...ENDED]);
    }),
    'client end': everywhere(async (t, transport) => {
      const { primus, events } = await connected(t, {}, transport);
      primus.end();
      assert.deepEqual([...events], ENDED);
      primus.end();
      await settled();
      assert.deepEqual([...events], ENDED);
    }),
    'client end before the first attempt'(t) {
      const { primus, events } = lonely(t);
      primus.end();
      assert.deepEqual([...events], ['close', 'end']);
    },
    'client end while it connects': everywhere(async (t, transport) => {
      const { primus, events } = await client(t, { attach: () => 'never' }, transport);
      await next(primus, 'readyStateChange');
      events.length = 0;
      primus.end();
      assert.deepEqual([...events], ENDED);
    }),
    'end during reconnection': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, { ...transport, reconnect: { min: 1e6, max: 1e6 } });
      server.last.cut();
      await next(primus, 'reconnect scheduled');
      events.length = 0;
      primus.end();
      assert.deepEqual([...events], ['end']);
    }),
    destroy: everywhere(async (t, transport) => {
      const { primus, events } = await connected(t, {}, transport);
      primus.destroy();
      assert.deepEqual([...events], [...ENDED, 'destroy']);
      assert.deepEqual(primus.listeners('end'), []);
    }),
    'dead server': everywhere(async (t, transport) => {
      const primus = new Primus(await nowhere(), { ...options, ...transport, reconnect: { min: 1e6, max: 1e6 } });
      t.after(() => primus.destroy());
      const events = record(primus);
      await next(primus, 'error');
      await settled();
      assert.deepEqual([...events], ['readyStateChange(opening)', 'error', 'reconnect scheduled', 'readyStateChange(end)']);
    }),
    'dead server, no strategy timeout': everywhere(async (t, transport) => {
      const primus = new Primus(await nowhere(), { ...options, ...transport, strategy: 'disconnect, online' });
      const events = record(primus);
      await next(primus, 'end');
      assert.deepEqual([...events], ['readyStateChange(opening)', 'error', ...ENDED]);
    }),
    'refused by authorize': everywhere(async (t, transport) => {
      const { primus, events } = await client(t, { attach: () => ({ status: 401, error: 'who?' }) }, transport);
      await next(primus, 'end');
      assert.deepEqual([...events], ['readyStateChange(opening)', 'error', ...ENDED]);
    }),
    'connect timeout'(t) {
      const { primus, events, tick } = lonely(t, { timeout: 100, reconnect: { min: 1e6, max: 1e6 } });
      tick(1);
      tick(100);
      assert.deepEqual([...events], ['readyStateChange(opening)', 'timeout', 'reconnect scheduled']);
      assert.equal(primus.readyState, Primus.OPENING);
    },
    'ping timeout': everywhere(async (t, transport) => {
      const { primus, events } = await connected(t, { reply: { ping: 20, timeout: 20 } }, transport);
      await back(primus);
      assert.deepEqual([...events], [
        'offline', 'readyStateChange(end)', 'close', 'reconnect scheduled',
        'readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(true)', 'online', 'readyStateChange(open)',
      ]);
    }),
    'lost without strategy': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, { ...transport, strategy: false });
      server.last.cut();
      await next(primus, 'end');
      assert.deepEqual([...events], ENDED);
    }),
    'browser offline': everywhere(async (t, transport) => {
      const net = network();
      const { server, primus, events } = await connected(t, {}, { ...transport, network: net });
      net.go(false);
      assert.deepEqual([...events], ['offline', 'readyStateChange(end)', 'close']);
      assert.equal(primus.write('queued'), true);
      net.go(true);
      await back(primus);
      assert.deepEqual(events.slice(3), ['online', 'reconnect scheduled', ...AGAIN]);
      assert.equal(await server.last.frame(), '"queued"');
    }),
    undecodable: everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, {}, transport);
      server.last.send('{');
      server.last.send('1');
      await next(primus, 'data');
      assert.deepEqual([[...events], primus.readyState], [['error', 'data'], Primus.OPEN]);
      assert.ok(events.args.error[0] instanceof Error);
    }),
  },

  Backoff: {
    async 'after success'(t) {
      const { server, primus } = await connected(t);
      for (const times of [1, 2, 3]) {
        server.last.cut();
        const [{ attempt }] = await next(primus, 'reconnected');
        assert.equal(attempt, 1, `time ${times}`);
      }
    },
    async 'retries used up'(t) {
      const primus = new Primus(await nowhere(), { ...options, reconnect: { ...fast, retries: 3 } });
      const events = record(primus);
      await next(primus, 'reconnect failed');
      assert.equal(events.filter((name) => name === 'reconnect').length, 3);
    },
    async 'first attempt'(t) {
      for (const [random, delay] of [[0, 0], [1, 400]]) {
        t.mock.method(Math, 'random', () => random);
        const { server, primus } = await connected(t, {}, { reconnect: { min: 400, max: 1000 } });
        server.last.cut();
        assert.equal((await next(primus, 'reconnect scheduled'))[0].scheduled, delay);
        primus.destroy();
      }
    },
    async cap(t) {
      t.mock.method(Math, 'random', () => 1);
      const { server, primus } = await connected(t, {}, { reconnect: { min: 400, max: 100 } });
      server.last.cut();
      assert.equal((await next(primus, 'reconnect scheduled'))[0].scheduled, 100);
    },
  },

  Buffering: {
    async 'write while not open'(t) {
      const { primus } = await client(t, {}, { manual: true });
      const seen = [];
      primus.transform('outgoing', ({ data }) => { seen.push(data); });
      assert.equal(primus.write(1), true);
      assert.deepEqual([seen, primus.buffer.length], [[1], 1]);
      primus.transform('outgoing', () => false);
      assert.equal(primus.write(2), true);
      assert.deepEqual([seen, primus.buffer.length], [[1, 2], 1]);
    },
    flush: everywhere(async (t, transport) => {
      const { server, primus } = await client(t, {}, transport);
      for (const value of [1, 2, 3]) primus.write(value);
      primus.on('open', () => primus.write(4));
      await next(primus, 'open');
      const frames = [];
      while (frames.length < 4) frames.push(await server.last.frame());
      assert.deepEqual(frames, ['1', '2', '3', '4']);
    }),
    'lost with the connection': everywhere(async (t, transport) => {
      const { server, primus, events } = await connected(t, { send: (one, frames, response) => frames.includes('1') && !one.spilt && (one.spilt = true, response.destroy(), true) }, transport);
      const { last } = server;
      const { accept } = last;
      last.accept = () => {};
      primus.write(1);
      await settled();
      last.cut();
      last.accept = accept;
      await back(primus);
      assert.equal(await last.frame(), '1');
      last.send('primus::ack:1::');
      last.send('"behind it"');
      await next(primus, 'data');
      last.accept = () => {};
      last.spilt = false;
      primus.write(1);
      server.restart();
      await next(primus, 'open');
      assert.deepEqual([events.args.resumed, events.args.lost], [[false, 'restarted'], [[1]]]);
    }),
    async 'write after end'(t) {
      const { primus } = await connected(t);
      primus.end();
      assert.equal(primus.write(1), false);
      assert.deepEqual(primus.buffer, []);
    },
    async 'new id'(t) {
      const { server, primus } = await connected(t);
      const before = await primus.id();
      server.last.cut();
      await back(primus);
      assert.equal(await primus.id(), before);
      server.restart();
      await next(primus, 'open');
      const after = await primus.id();
      assert.notEqual(after, before);
      assert.equal(after, server.last.id);
    },
  },

  'The script': {
    global() {
      const page = load();
      assert.deepEqual([typeof page.Primus, page.Primus.OPEN], ['function', 3]);
    },
    'module.exports'() {
      const module = { exports: {} };
      const page = load({ module });
      assert.equal(module.exports, page.Primus);
      assert.equal(createRequire(import.meta.url)(file('../dist/node.cjs')).OPEN, 3);
    },
    'define.amd'() {
      const defined = [];
      const define = Object.assign((...args) => defined.push(args), { amd: {} });
      const page = load({ define });
      assert.equal(defined.length, 1);
      assert.equal(defined[0].at(-1)(), page.Primus);
      const module = { exports: {} };
      load({ define, module });
      assert.equal(defined.length, 1);
    },
  },
};

// ---- the page ----

/** What Primus 8.0.9 has: every name needs a row. */
const PRIMUS = {
  Options: `reconnect.min,reconnect.max,reconnect.factor,reconnect.retries,reconnect.reconnect timeout,timeout,pingTimeout,strategy,manual,websockets,
    network,transport,queueSize,url,uri,ping,pong`,
  Methods: `open,write,_write,end,destroy,id,plugin,transform,reserved,emits,uri,parse,querystring,querystringify,clone,merge,critical,heartbeat,protocol,
    transforms,initialise,encoder,decoder,pipe,on,once,off,removeListener,removeAllListeners,addListener,listeners,listenerCount,eventNames,emit`,
  Properties: `buffer,url,readyState,options,timers,socket,disconnect,online,recovery,readable,writable,transport,transformers,NETWORK_EVENTS,
    AVOID_WEBSOCKETS,authorization,pathname,version,ark,client`,
  Statics: 'OPENING,CLOSED,OPEN,connect,EventEmitter,Stream,require,requires',
  Events: `open,data,close,end,error,readyStateChange,reconnect scheduled,reconnect,reconnected,reconnect timeout,reconnect failed,timeout,offline,online,
    destroy,outgoing::url,outgoing::open,outgoing::data,outgoing::pong,outgoing::reconnect,outgoing::end,incoming::open,incoming::data,incoming::ping,
    incoming::id,incoming::error,incoming::end`,
  Progress: PROGRESS.join(),
};

/** The tables of the client: section → row → verdict. */
function read() {
  const page = readFileSync(file('../../docs/moving-from-primus.md'), 'utf8');
  const tables = {};
  let section;
  for (const line of page.slice(page.indexOf('\n## Client, row by row\n')).split('\n')) {
    if (line.startsWith('### ')) tables[(section = line.slice(4))] = {};
    if (!line.startsWith('|') || /^\|(---| Primus )/.test(line)) continue;
    const row = /^\| `([^`]+)` \| ((same|different because|gone)\b.*) \|$/.exec(line);
    assert.ok(row, `a row that cannot be read: ${line}`);
    const [, name, text, verdict] = row;
    assert.ok(!(name in tables[section]), `${section}: two rows for ${name}`);
    if (verdict === 'gone') assert.match(text, /^gone: ./, name);
    tables[section][name] = verdict;
  }
  return tables;
}

const tables = read();

test('every name of Primus has a row', () => {
  for (const [section, names] of Object.entries(PRIMUS))
    for (const name of names.split(',')) assert.ok(tables[section][name.trim()], `${section}: no row for ${name.trim()}`);
});

test('every check has a row', () => {
  for (const section in checks)
    for (const name in checks[section]) {
      const verdict = tables[section]?.[name];
      assert.ok(verdict && verdict !== 'gone', `${section}: no row for ${name}`);
    }
});

test('what is gone is not there', () => {
  const primus = new Primus({ manual: true });
  for (const [section, thing] of [['Methods', primus], ['Properties', primus], ['Statics', Primus]])
    for (const [name, verdict] of Object.entries(tables[section])) assert.equal(verdict === 'gone', !(name in thing) && name !== 'this', `${section}: ${name}`);
});

for (const [section, rows] of Object.entries(tables))
  for (const [name, verdict] of Object.entries(rows)) {
    const check = checks[section]?.[name];
    if (check) test(`${section}: ${name}`, { timeout: 10000 }, check);
    else if (verdict === 'same') test(`${section}: ${name}`, () => assert.fail(`nothing shows that ${section}: ${name} is the same`));
  }
