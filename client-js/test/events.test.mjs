// The order of events, situation by situation.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Primus } from '../dist/node.mjs';
import { back, next, record, serve, WebSocket } from './server.mjs';

const fast = { min: 1, max: 5 };

/** A client whose server and self are gone when the test is over. */
async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: fast, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  return { server, primus, events: record(primus) };
}

/** A port at which nobody listens. */
async function nowhere() {
  const server = await serve();
  await server.close();
  return server.url;
}

for (const transports of [['websocket'], ['sse'], ['polling']]) {
  const [name] = transports;

  test(`${name}: first open, and the end by the client`, async (t) => {
    const { server, primus, events } = await client(t, {}, { transports });
    assert.equal(primus.state, 'connecting');
    primus.write('queued');
    primus.on('open', () => primus.write('greeting'));
    await next(primus, 'open');
    assert.deepEqual([primus.transport, primus.state, primus.readyState], [name, 'open', Primus.OPEN]);
    const session = server.last;
    assert.equal(await session.frame(), '"queued"');
    assert.equal(await session.frame(), '"greeting"');
    assert.equal(primus.end('bye'), primus);
    assert.equal(await session.frame(), '"bye"');
    assert.equal(await session.frame(), 'primus::end::');
    primus.end();
    assert.deepEqual([...events], ['readyStateChange(opening)', 'readyStateChange(open)', 'open', 'readyStateChange(end)', 'close', 'end']);
    const reason = { code: 1000, reason: 'normal', reconnect: false };
    assert.deepEqual(events.args.close, [reason]);
    assert.deepEqual(events.args.end, [reason]);
    assert.deepEqual([primus.state, primus.readyState, primus.write('late')], ['closed', Primus.CLOSED, false]);
  });

  test(`${name}: a lost connection`, async (t) => {
    const { server, primus, events } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.last.cut();
    await back(primus);
    assert.deepEqual([...events], [
      'readyStateChange(opening)', 'readyStateChange(open)', 'open', 'readyStateChange(end)', 'close', 'reconnect scheduled',
      'readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(true)', 'readyStateChange(open)',
    ]);
    assert.deepEqual(events.transports, [[name, '']]);
    assert.deepEqual({ ...events.args.close[0], reason: '' }, { code: 1006, reason: '', reconnect: true });
    const [recovery] = events.args.reconnected;
    assert.deepEqual(Object.keys(recovery).sort(), ['attempt', 'backoff', 'duration', 'factor', 'max', 'min', 'reconnect timeout', 'retries', 'scheduled', 'start']);
    assert.equal(recovery.attempt, 1);
  });

  test(`${name}: the server ends for good`, async (t) => {
    const { server, primus, events } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.last.send('"last words"');
    server.last.end({ code: 4000, reason: 'enough', reconnect: false, after: 0 });
    await next(primus, 'end');
    assert.deepEqual(events.slice(3), ['data', 'readyStateChange(end)', 'close', 'end']);
    const { code, reason, reconnect } = events.args.end[0];
    assert.deepEqual({ code, reason, reconnect }, { code: 4000, reason: 'enough', reconnect: false });
  });

  test(`${name}: the server asks to come back later`, async (t) => {
    const { server, primus, events } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.last.end({ code: 4002, reason: 'server restart', reconnect: true, after: 60 });
    await next(primus, 'reconnected');
    const { scheduled } = events.args['reconnect scheduled'][0];
    assert.ok(scheduled >= 60 && scheduled <= 66, `scheduled ${scheduled}`);
    assert.equal(events.args.close[0].reason, 'server restart');
  });

  test(`${name}: refused by authorize`, async (t) => {
    const { server, primus, events } = await client(t, { attach: () => ({ status: 401, error: 'no ticket' }) }, { transports });
    await next(primus, 'end');
    assert.deepEqual([...events], ['readyStateChange(opening)', 'error', 'readyStateChange(end)', 'close', 'end']);
    const [error] = events.args.error;
    assert.ok(error instanceof Error);
    assert.deepEqual([error.message, error.status, error.code, error.reason, error.body], ['no ticket', 401, 4401, 'no ticket', { status: 401, error: 'no ticket' }]);
    assert.deepEqual([events.args.end[0].code, events.args.end[0].reconnect], [4401, false]);
    assert.equal(server.sessions.size, 0);
    await assert.rejects(primus.ready, { status: 401 });
  });

  test(`${name}: refused while coming back`, async (t) => {
    let refuse = false;
    const { server, primus, events } = await client(t, { attach: () => refuse && { status: 403, error: 'banned' } }, { transports });
    await next(primus, 'open');
    refuse = true;
    server.last.cut();
    await next(primus, 'end');
    assert.deepEqual(events.slice(6), ['readyStateChange(opening)', 'reconnect', 'error', 'readyStateChange(end)', 'close', 'end']);
  });

  test(`${name}: a busy server is asked again`, async (t) => {
    let tries = 0;
    const { primus, events } = await client(t, { attach: () => ++tries < 3 && { status: 503, error: 'full' } }, { transports });
    await next(primus, 'open');
    assert.equal(tries, 3);
    assert.deepEqual([...events], [
      'readyStateChange(opening)', 'error', 'reconnect scheduled', 'readyStateChange(end)',
      'readyStateChange(opening)', 'reconnect', 'reconnect scheduled', 'readyStateChange(end)',
      'readyStateChange(opening)', 'reconnect', 'reconnected', 'readyStateChange(open)', 'open',
    ]);
    assert.equal(events.args.error[0].status, 503);
  });

  test(`${name}: no sign of life`, async (t) => {
    const { server, primus, events } = await client(t, { reply: { ping: 40, timeout: 40 } }, { transports });
    await next(primus, 'open');
    assert.equal(await server.last.frame(), 'primus::ping:1:0::');
    await back(primus);
    assert.deepEqual(events.slice(3), [
      'offline', 'readyStateChange(end)', 'close', 'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnected',
      'resumed(true)', 'online', 'readyStateChange(open)',
    ]);
    assert.deepEqual([events.args.close[0].code, events.args.close[0].reason], [4004, 'heartbeat']);
  });

  test(`${name}: any traffic is a sign of life`, async (t) => {
    const { server, primus, events } = await client(t, { frame: (one, frame) => /^primus::ping/.test(frame) && one.send('"here"') }, { transports, ping: 10, pingTimeout: 5000 });
    await next(primus, 'open');
    for (const n of [1, 2, 3]) assert.match(await server.last.frame(), new RegExp(`^primus::ping:${n}:\\d+::$`));
    assert.equal(events.includes('offline'), false);
  });

  test(`${name}: a ping is answered`, async (t) => {
    const { server, primus } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.last.send('primus::ping:9007199254740992::');
    assert.equal(await server.last.frame(), 'primus::pong:9007199254740992:0::');
  });

  test(`${name}: an unknown control frame`, async (t) => {
    const { server, primus, events } = await client(t, {}, { transports });
    await next(primus, 'open');
    server.last.send('primus::event::[]');
    const [reason] = await next(primus, 'close');
    assert.deepEqual([reason.code, reason.reconnect, events.includes('data')], [4400, true, false]);
  });
}

test('nobody there: error, then it tries again', async (t) => {
  const primus = new Primus(await nowhere(), { WebSocket, reconnect: { ...fast, retries: 2 } });
  t.after(() => primus.destroy());
  const events = record(primus);
  await next(primus, 'reconnect failed');
  assert.deepEqual([...events], [
    'readyStateChange(opening)', 'error', 'reconnect scheduled', 'readyStateChange(end)',
    'readyStateChange(opening)', 'reconnect', 'reconnect scheduled', 'readyStateChange(end)',
    'readyStateChange(opening)', 'reconnect', 'end', 'reconnect failed', 'readyStateChange(end)',
  ]);
  const [error, recovery] = events.args['reconnect failed'];
  assert.equal(error.message, 'Unable to recover');
  assert.equal(recovery.attempt, 2);
  assert.equal(primus.write('x'), false);
});

test('nobody there, without the strategy `timeout`', async (t) => {
  const primus = new Primus(await nowhere(), { WebSocket, strategy: ['disconnect', 'online'] });
  t.after(() => primus.destroy());
  const events = record(primus);
  await next(primus, 'end');
  assert.deepEqual([...events], ['readyStateChange(opening)', 'error', 'readyStateChange(end)', 'close', 'end']);
});

test('the first connect takes too long', async (t) => {
  let hang = 'never';
  const { primus, events } = await client(t, { attach: () => hang }, { timeout: 30 });
  await next(primus, 'timeout');
  hang = undefined;
  await next(primus, 'open');
  assert.deepEqual([...events], ['readyStateChange(opening)', 'timeout', 'reconnect scheduled', 'reconnect', 'reconnected', 'readyStateChange(open)', 'open']);
  assert.deepEqual(events.args.timeout, []);
});

test('the first connect takes too long, without the strategy `timeout`', async (t) => {
  const { primus, events } = await client(t, { attach: () => 'never' }, { timeout: 30, strategy: 'disconnect' });
  await next(primus, 'end');
  assert.deepEqual([...events], ['readyStateChange(opening)', 'timeout', 'readyStateChange(end)', 'close', 'end']);
});

test('an attempt to come back takes too long', async (t) => {
  let hang;
  const { server, primus, events } = await client(t, { attach: () => hang }, { reconnect: { ...fast, 'reconnect timeout': 30 } });
  await next(primus, 'open');
  hang = 'never';
  server.last.cut();
  const [error, recovery] = await next(primus, 'reconnect timeout');
  hang = undefined;
  await back(primus);
  assert.ok(error instanceof Error);
  assert.equal(recovery.attempt, 2);
  assert.deepEqual(events.slice(5), [
    'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnect timeout', 'reconnect scheduled', 'reconnect', 'reconnected', 'resumed(true)', 'readyStateChange(open)',
  ]);
});

test('the strategy forbids to come back', async (t) => {
  const { server, primus, events } = await client(t, {}, { strategy: false });
  await next(primus, 'open');
  server.last.cut();
  await next(primus, 'end');
  assert.deepEqual(events.slice(3), ['readyStateChange(end)', 'close', 'end']);
  assert.equal(events.args.close[0].reconnect, false);
});

test('end while it waits to come back', async (t) => {
  const { server, primus, events } = await client(t, {}, { reconnect: { min: 1e6, max: 1e6 } });
  await next(primus, 'open');
  server.last.cut();
  await next(primus, 'reconnect scheduled');
  assert.equal(primus.state, 'resuming');
  primus.end();
  assert.deepEqual(events.slice(3), ['readyStateChange(end)', 'close', 'reconnect scheduled', 'end']);
});

test('end while it connects, and before', async (t) => {
  const { primus, events } = await client(t, { attach: () => 'never' }, {});
  await next(primus, 'readyStateChange');
  primus.end();
  assert.deepEqual([...events], ['readyStateChange(opening)', 'readyStateChange(end)', 'close', 'end']);
  const early = new Primus('http://127.0.0.1:9', { WebSocket });
  const none = record(early);
  early.end();
  assert.deepEqual([...none], ['close', 'end']);
  const manual = new Primus('http://127.0.0.1:9', { WebSocket, manual: true });
  const silent = record(manual);
  manual.end();
  assert.deepEqual([...silent], []);
});

test('destroy: its event is the last', async (t) => {
  const { primus, events } = await client(t, {}, {});
  await next(primus, 'open');
  assert.equal(primus.destroy(), primus);
  assert.deepEqual(events.slice(3), ['readyStateChange(end)', 'close', 'end', 'destroy']);
  assert.deepEqual(primus.listeners('open'), []);
});

test('open while it waits, or connects, changes nothing', async (t) => {
  const { server, primus, events } = await client(t, {}, {});
  primus.open();
  primus.open();
  await next(primus, 'open');
  server.last.cut();
  await next(primus, 'reconnect scheduled');
  primus.open();
  await back(primus);
  primus.open();
  assert.deepEqual(events.slice(5), ['reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(true)', 'readyStateChange(open)']);
  assert.equal(server.log.filter((line) => / attach$/.test(line)).length, 2);
});

test('open after end begins anew', async (t) => {
  const { server, primus } = await client(t, {}, { manual: true });
  assert.equal(primus.state, 'closed');
  primus.write(1);
  assert.equal(primus.open(), primus);
  await next(primus, 'open');
  assert.equal(await server.last.frame(), '1');
  primus.end();
  primus.open();
  await next(primus, 'open');
  assert.equal(server.made.length, 2);
  primus.write(2);
  assert.equal(await server.last.frame(), '2');
});

test('a message that cannot be decoded is an error, and nothing else', async (t) => {
  const { server, primus, events } = await client(t, {}, {});
  await next(primus, 'open');
  server.last.send('{');
  server.last.send('1');
  const [data, raw] = await next(primus, 'data');
  assert.deepEqual([data, raw], [1, '1']);
  assert.deepEqual(events.slice(3), ['error', 'data']);
  assert.ok(events.args.error[0] instanceof SyntaxError);
});

test('listeners may end it at any event', async (t) => {
  for (const event of ['open', 'readyStateChange', 'close', 'reconnect scheduled', 'reconnect', 'reconnected', 'resumed']) {
    const { server, primus } = await client(t, {}, {});
    const opened = next(primus, 'open');
    if (event !== 'readyStateChange' && event !== 'open') {
      await opened;
      server.last.cut();
    }
    const ended = next(primus, 'end');
    primus.once(event, () => primus.end());
    await ended;
    await new Promise(setImmediate);
    assert.deepEqual([event, primus.state, primus.readyState], [event, 'closed', Primus.CLOSED]);
  }
});
