// Events and requests, on all transports, over a resume and over the loss of a session.
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { Primus } from '../dist/node.mjs';
import { next, record, serve, WebSocket } from './server.mjs';

const fast = { min: 1, max: 5 };
const TRANSPORTS = [['websocket'], ['sse'], ['polling']];

/** A client that is connected, and whose server and self are gone when the test is over. */
async function connected(t, options, hooks) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: fast, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  await next(primus, 'open');
  return { server, primus, session: server.last, events: record(primus) };
}

/** What a promise rejects with. */
const failure = (promise) => promise.then(() => assert.fail('not rejected'), (error) => error);

/** How many timers run. */
const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

/** Fulfilled when all that is under way between here and there has arrived. */
async function settled(primus, session) {
  const pong = primus.request('settle', 0);
  let frame;
  const between = [];
  while (!(frame = await session.frame()).includes(':settle::')) between.push(frame);
  session.send(`primus::reply:${/request:(\d+)/.exec(frame)[1]}::0`);
  await pong;
  return between;
}

for (const transports of TRANSPORTS) {
  const [name] = transports;

  test(`${name}: events, both ways`, async (t) => {
    const { primus, session } = await connected(t, { transports });
    assert.equal(primus.emit('tick', [1, 2]), true);
    assert.equal(primus.emit('a:b \u2603'), true);
    assert.equal(await session.frame(), 'primus::event:tick::[1,2]');
    assert.equal(await session.frame(), 'primus::event:a%3Ab%20%E2%98%83::null');
    session.send('primus::event:tick::{"a":"primus::x"}');
    assert.deepEqual(await next(primus, 'tick'), [{ a: 'primus::x' }]);
  });

  test(`${name}: requests, both ways`, async (t) => {
    const { primus, session } = await connected(t, { transports });
    const sum = primus.request('sum', [1, 2]);
    assert.equal(await session.frame(), 'primus::request:1:sum::[1,2]');
    session.send('primus::reply:1::3');
    assert.equal(await sum, 3);
    primus.on('add', async ([a, b]) => a + b);
    session.send('primus::request:7:add::[3,4]');
    assert.equal(await session.frame(), 'primus::reply:7::7');
    const nick = primus.request('nick', 'a');
    await session.frame();
    session.send('primus::refuse:2::{"status":409,"error":"nick taken"}');
    const error = await failure(nick);
    assert.deepEqual([error.name, error.status, error.data, error.message], ['RefusedError', 409, 'nick taken', 'nick taken']);
  });

  test(`${name}: a request outlives a lost connection`, async (t) => {
    const { primus, session } = await connected(t, { transports });
    const sum = primus.request('sum', [1, 2]);
    await session.frame();
    session.cut();
    session.send('primus::reply:1::3');
    assert.equal(await sum, 3);
    primus.on('slow', () => (session.cut(), 'late'));
    session.send('primus::request:7:slow::0');
    assert.equal(await session.frame(), 'primus::reply:7::"late"');
  });

  test(`${name}: requests and a session that is lost`, async (t) => {
    const { server, primus, session, events } = await connected(t, { transports });
    const sent = primus.request('sent', 1);
    await session.frame();
    let answer;
    primus.on('slow', () => new Promise((resolve) => { answer = resolve; }));
    session.send('primus::request:1:slow::0');
    await settled(primus, session);
    server.restart();
    await next(primus, 'close');
    const queued = primus.request('queued', 2);
    assert.equal((await failure(sent)).name, 'ClosedError');
    // The answer to what was asked in another session is for nobody.
    answer('late');
    if (primus.state !== 'open') await next(primus, 'open');
    assert.equal(await server.last.frame(), 'primus::request:3:queued::2');
    server.last.send('primus::reply:3::"done"');
    assert.equal(await queued, 'done');
    assert.deepEqual(await settled(primus, server.last), []);
    assert.deepEqual(events.args.error, undefined);
  });
}

test('binary arguments, and text that a line cannot hold', async (t) => {
  for (const transports of TRANSPORTS) {
    const { primus, session } = await connected(t, { transports, parser: 'raw' });
    const http = transports[0] !== 'websocket';
    primus.emit('bytes', new Uint8Array([0, 255]));
    const frame = await session.frame();
    assert.equal(http ? frame : frame.toString('latin1'), http ? 'primus::binary::' + Buffer.from('primus::event:bytes::\0\xff', 'latin1').toString('base64') : 'primus::event:bytes::\0\xff');
    primus.emit('lines', 'a\nb');
    assert.equal(await session.frame(), http ? 'primus::data:b64::' + Buffer.from('primus::event:lines::a\nb').toString('base64') : 'primus::event:lines::a\nb');
    const bytes = Buffer.from('primus::event:back::\0\n\xff', 'latin1');
    session.send(http ? 'primus::binary::' + bytes.toString('base64') : bytes);
    const [back] = await next(primus, 'back');
    assert.deepEqual([...new Uint8Array(back)], [0, 10, 255]);
    // Bytes that look like a frame are none.
    primus.write(new TextEncoder().encode('primus::end::'));
    const plain = await session.frame();
    assert.equal(http ? plain : plain.toString(), http ? 'primus::binary::' + Buffer.from('primus::data::primus::end::').toString('base64') : 'primus::data::primus::end::');
  }
});

test('names that are reserved, and that are none', async (t) => {
  const { primus, session } = await connected(t);
  const RESERVED = ['open', 'data', 'close', 'end', 'error', 'readyStateChange', 'timeout', 'online', 'offline', 'destroy', 'resumed', 'lost', 'missed', 'transport',
    'reconnect', 'reconnected', 'reconnect failed', 'incoming::x', 'outgoing::', 'primus.', 'primus.open'];
  for (const name of RESERVED) {
    assert.equal(primus.reserved(name), true, name);
    assert.throws(() => primus.emit(name, 1), (error) => error.message.includes(name) && /reserved/.test(error.message));
    assert.match((await failure(primus.request(name))).message, /reserved/);
  }
  for (const name of ['opened', 'Open', 'oxline', 'primus', 'incoming:', 'a reconnect', 'constructor', '__proto__', 'undefined']) assert.equal(primus.reserved(name), false, name);
  for (const name of ['', 'a\n', 'x'.repeat(257), '\ud800']) {
    assert.throws(() => primus.emit(name));
    assert.throws(() => primus.subscribe(name, () => {}));
    assert.throws(() => primus.channel(name));
    assert.ok((await failure(primus.request(name))) instanceof Error);
  }
  assert.deepEqual(await settled(primus, session), []);
  primus.emit('__proto__', 1);
  assert.equal(await session.frame(), 'primus::event:__proto__::1');
});

test('what a request of the server gets', async (t) => {
  const { primus, session } = await connected(t);
  let id = 0;
  const ask = async (event, args = 'null') => {
    session.send(`primus::request:${++id}:${event}::${args}`);
    const frame = await session.frame();
    const [, kind, number, body] = /^primus::(reply|refuse):(\d+)::([^]*)$/.exec(frame);
    assert.equal(+number, id);
    return [kind, JSON.parse(body)];
  };
  assert.deepEqual(await ask('nobody'), ['refuse', { error: 'nobody listens for nobody', status: 404 }]);
  assert.deepEqual(await ask('data'), ['refuse', { error: 'nobody listens for data', status: 404 }]);
  assert.deepEqual(await ask('primus.open'), ['refuse', { error: 'nobody listens for primus.open', status: 404 }]);
  primus.on('nothing', () => {}).on('nothing', async () => {});
  assert.deepEqual(await ask('nothing'), ['reply', null]);
  primus.on('second', () => {}).on('second', async () => 2).on('second', () => 3);
  assert.deepEqual(await ask('second'), ['reply', 2]);
  primus.on('falsy', () => false).on('null', () => null);
  assert.deepEqual(await ask('falsy'), ['reply', false]);
  assert.deepEqual(await ask('null'), ['reply', null]);
  primus.once('once', () => 'first');
  assert.deepEqual(await ask('once'), ['reply', 'first']);
  assert.deepEqual(await ask('once'), ['refuse', { error: 'nobody listens for once', status: 404 }]);
  primus.on('throws', () => { throw new Error('mine'); });
  assert.deepEqual(await ask('throws'), ['refuse', { error: 'mine', status: 500 }]);
  primus.on('rejects', async () => { throw Object.assign(new Error('x'), { data: { why: 1 }, status: 418 }); });
  assert.deepEqual(await ask('rejects'), ['refuse', { error: { why: 1 }, status: 418 }]);
  for (const thrown of ['text', undefined, null, 7]) {
    primus.off('odd').on('odd', () => { throw thrown; });
    assert.deepEqual(await ask('odd'), ['refuse', { error: '' + thrown, status: 500 }]);
  }
  primus.on('circular', () => { const value = {}; value.value = value; return value; });
  assert.match((await ask('circular'))[1].error, /circular/i);
  primus.on('circular error', () => { const data = {}; data.data = data; throw Object.assign(new Error('x'), { data }); });
  assert.match((await ask('circular%20error'))[1].error, /circular/i);
  assert.equal((await ask('nothing', '{'))[0], 'refuse');
  primus.transform('incoming', (packet) => packet.event !== 'hidden').on('hidden', () => 1);
  assert.deepEqual(await ask('hidden'), ['refuse', { error: 'nobody listens for hidden', status: 404 }]);
});

test('a request that is given up leaves nothing behind', async (t) => {
  const { server, primus, session } = await connected(t);
  const before = timers();
  const controller = new AbortController();
  const { signal } = controller;

  const late = await failure(primus.request('late', 0, { timeout: 5, signal }));
  assert.equal(late.name, 'TimeoutError');
  const id = /request:(\d+)/.exec(await session.frame())[1];
  session.send(`primus::reply:${id}::1`);
  session.send(`primus::reply:${id}::1`);
  session.send('primus::reply:99::1');
  session.send('primus::refuse:99::{}');
  session.send('primus::reply:9007199254740992::1');
  assert.equal(getEventListeners(signal, 'abort').length, 0);

  const aborted = primus.request('aborted', 0, { signal });
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  controller.abort();
  assert.equal((await failure(aborted)).name, 'AbortError');
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  const mine = new Error('mine');
  assert.equal(await failure(primus.request('never', 0, { signal: AbortSignal.abort(mine) })), mine);

  const answered = primus.request('answered', 0, { signal: new AbortController().signal });
  await session.frame();
  const [, number] = /request:(\d+)/.exec(await session.frame());
  session.send(`primus::reply:${number}::1`);
  session.send(`primus::reply:${number}::2`);
  assert.equal(await answered, 1);
  const broken = primus.request('broken');
  session.send(`primus::reply:${/request:(\d+)/.exec(await session.frame())[1]}::{`);
  assert.ok((await failure(broken)) instanceof SyntaxError);
  assert.equal(timers(), before);

  // What was never sent is not sent any more.
  server.restart();
  await next(primus, 'close');
  const queued = primus.request('queued', 0, { timeout: 1, signal });
  assert.equal((await failure(queued)).name, 'AbortError');
  const waiting = new AbortController();
  const second = primus.request('queued', 0, { signal: waiting.signal });
  assert.equal(primus.buffer.length, 1);
  waiting.abort();
  await failure(second);
  assert.equal(primus.buffer.length, 0);
});

test('the end rejects all requests, and those that come after', async (t) => {
  const { primus, session } = await connected(t);
  const one = primus.request('one');
  await session.frame();
  primus.end();
  assert.equal((await failure(one)).name, 'ClosedError');
  assert.equal((await failure(primus.request('two'))).name, 'ClosedError');
  assert.equal(primus.emit('three'), false);
});

test('the end by the server rejects requests that were never sent', async (t) => {
  const { primus, session } = await connected(t, { strategy: false });
  session.cut();
  await next(primus, 'close');
  assert.equal((await failure(primus.request('x'))).name, 'ClosedError');
});

test('at most 1024 requests wait', async (t) => {
  const { primus, session } = await connected(t);
  const all = Array.from({ length: 1024 }, () => primus.request('many'));
  assert.match((await failure(primus.request('more'))).message, /too many/);
  for (let id = 1; id <= 1024; id++) session.send(`primus::reply:${id}::${id}`);
  const results = await Promise.all(all);
  assert.equal(results[1023], 1024);
  const more = primus.request('more');
  session.send('primus::reply:1026::"again"');
  assert.equal(await more, 'again');
});

test('a full queue rejects a request, and refuses an event', async (t) => {
  const { primus, session, events } = await connected(t, { queueSize: 40, reconnect: { min: 1e6, max: 1e6 } });
  session.cut();
  await next(primus, 'close');
  primus.emit('first', 'x'.repeat(40));
  assert.match((await failure(primus.request('x'))).message, /queue full/);
  assert.equal(events.args.error, undefined);
  assert.equal(primus.emit('y'), false);
  assert.match(events.args.error[0].message, /queue full/);
  assert.equal(primus.emit('z', 0, { volatile: true }), false);
});

test('conflated events', async (t) => {
  const { primus, session } = await connected(t);
  session.cut();
  await next(primus, 'close');
  primus.emit('at', 1, { conflate: 'at' });
  primus.emit('at', 2, { conflate: 'at' });
  assert.deepEqual(primus.buffer, ['primus::event:at::2']);
});

test('transforms see events and requests by name', async (t) => {
  const { primus, session } = await connected(t);
  const seen = [];
  primus.transform('outgoing', (packet) => { seen.push({ ...packet }); packet.data = [packet.data]; return packet.event !== 'drop'; });
  primus.transform('incoming', (packet) => { seen.push({ ...packet }); packet.data = packet.data + 1; });
  primus.write(1);
  primus.emit('e', 2);
  const reply = primus.request('r', 3);
  assert.equal(primus.emit('drop'), true);
  assert.equal((await failure(primus.request('drop'))).name, 'ClosedError');
  assert.deepEqual([await session.frame(), await session.frame(), await session.frame()], ['[1]', 'primus::event:e::[2]', 'primus::request:1:r::[3]']);
  session.send('primus::reply:1::1');
  assert.equal(await reply, 1);
  session.send('primus::event:in::1');
  assert.deepEqual(await next(primus, 'in'), [2]);
  session.send('5');
  assert.deepEqual(await next(primus, 'data'), [6, '5']);
  assert.deepEqual(seen, [{ data: 1 }, { data: 2, event: 'e' }, { data: 3, event: 'r' }, { data: null, event: 'drop' }, { data: null, event: 'drop' }, { data: 1, event: 'in' }, { data: 5, event: undefined }]);
});

test('any event', async (t) => {
  const { primus, session } = await connected(t);
  const seen = [];
  const incoming = (...args) => seen.push(['in', ...args]);
  const outgoing = (...args) => seen.push(['out', ...args]);
  assert.equal(primus.onAny(incoming).onAnyOutgoing(outgoing), primus);
  primus.on('ask', () => 1);
  primus.emit('a', 1);
  primus.request('b', 2, { timeout: false }).catch(() => {});
  session.send('primus::event:c::3');
  session.send('primus::request:1:ask::4');
  session.send('5');
  await next(primus, 'data');
  primus.offAny(incoming).offAnyOutgoing(outgoing);
  primus.emit('d');
  session.send('primus::event:e::0');
  await next(primus, 'e');
  assert.deepEqual(seen, [['out', 'a', 1], ['out', 'b', 2], ['in', 'c', 3], ['in', 'ask', 4]]);
});

test('what the protocol does not allow ends the connection, and reaches nobody', async (t) => {
  for (const frame of ['primus::event:open::1', 'primus::event:primus.end::{}', 'primus::event:error::1', 'primus::event:a:b::1', 'primus::request:x:a::1', 'primus::refuse:1::{',
    'primus::refuse::{"status":401}', 'primus::room:a,::1', 'primus::room:a::primus::request:1:b::1', 'primus::channel:a::primus::reply:1::1', 'primus::event:%ff::1', Buffer.from('primus::ping:1::')]) {
    const { primus, session, events } = await connected(t);
    primus.request('first').catch(() => {});
    session.send(frame);
    const [reason] = await next(primus, 'close');
    assert.deepEqual([reason.code, reason.reconnect], [4400, true], `${frame}`);
    await next(primus, 'readyStateChange');
    assert.deepEqual(events.filter((name) => /^(open|error)$/.test(name)), []);
  }
});

test('what was lost: values, events and requests, not answers', async (t) => {
  const { server, primus, session } = await connected(t);
  primus.on('q', () => 1);
  // Written while the socket is not heard any more.
  session.accept = () => {};
  primus.write([1]);
  primus.emit('e', 2);
  primus.request('r').catch(() => {});
  primus.subscribe('room', () => {});
  primus.channel('c');
  session.send('primus::request:1:q::0');
  session.send('1');
  await next(primus, 'data');
  server.restart();
  const [lost] = await next(primus, 'lost');
  assert.deepEqual(lost, [[1], { event: 'e', data: 2 }, { event: 'r', data: null }]);
});

test('answers come through while nobody reads the messages', async (t) => {
  for (const transports of [['websocket'], ['sse']]) {
    const { primus, session } = await connected(t, { transports });
    const reader = primus.readable.getReader();
    for (let n = 0; n < 50; n++) session.send(`"${'x'.repeat(10000)}"`);
    await next(primus, 'data');
    const answer = primus.request('x');
    await session.frame();
    session.send('primus::reply:1::"y"');
    assert.equal(await answer, 'y');
    await reader.cancel();
  }
});

test('plugins with options of their own', () => {
  const seen = [];
  function plugin(primus, options, more) { seen.push([this === primus, options.manual, more]); }
  new Primus('http://h', { manual: true, plugins: [plugin, [plugin, ['a']], [plugin, { b: 1 }]] }).plugin(plugin, 2);
  assert.deepEqual(seen, [[true, true, undefined], [true, true, ['a']], [true, true, { b: 1 }], [true, true, 2]]);
});
