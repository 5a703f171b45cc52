// What the transports send and understand, how they fall back, and what is remembered.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { back, next, record, serve, WebSocket } from './server.mjs';

// Like a tab's, and there before the client looks for it.
globalThis.sessionStorage = {};
const { Primus } = await import('../dist/node.mjs');

async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: { min: 1, max: 5 }, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  t.after(() => delete sessionStorage.primus);
  return { server, primus };
}

const echo = (one, frame) => (typeof frame !== 'string' || !/^primus::(end|p[io]ng)/.test(frame)) && one.send(frame);

for (const transports of [['websocket'], ['sse'], ['polling']]) {
  const [name] = transports;

  test(`${name}: messages of all shapes, both ways, in order`, async (t) => {
    const { server, primus } = await client(t, { frame: echo }, { transports });
    const messages = [0, '', null, false, 'a\r\nb', 'primus::server::close', { deep: [1, 'ü☃\u{1f600}'] }, '\ufeffbom', 'x'.repeat(300000)];
    const received = [];
    const all = new Promise((resolve) => primus.on('data', (data) => received.push(data) === messages.length && resolve()));
    await next(primus, 'open');
    for (const message of messages) assert.equal(primus.write(message), true);
    await all;
    assert.deepEqual(received, messages);
    assert.equal(server.last.received.length, messages.length);
  });

  test(`${name}: raw text and bytes`, async (t) => {
    const { primus } = await client(t, { frame: echo }, { transports, parser: 'raw' });
    await next(primus, 'open');
    const bytes = Uint8Array.of(9, 1, 2, 255, 9).subarray(1, 4);
    const received = [];
    const all = new Promise((resolve) => primus.on('data', (data) => received.push(data) === 5 && resolve()));
    primus.write(name === 'websocket' ? 'first' : '\ufefffirst');
    primus.write(bytes);
    bytes[0] = 77;
    primus.write(new DataView(bytes.buffer, 4, 1));
    primus.write('a\nb');
    primus.write('primus::ping:1::');
    await all;
    assert.deepEqual(received, [name === 'websocket' ? 'first' : '\ufefffirst', Uint8Array.of(1, 2, 255).buffer, Uint8Array.of(9).buffer, 'a\nb', 'primus::ping:1::']);
  });

  test(`${name}: the attach frame and the URL`, async (t) => {
    const { server, primus } = await client(t, {}, { transports, auth: { token: 't' }, query: { room: 'a b' } });
    await next(primus, 'open');
    const { client: number, ...attach } = server.last.attach;
    assert.deepEqual(attach, { auth: { token: 't' }, recv: 0, next: 1, sent: 0, attempt: 1 });
    assert.ok(Number.isSafeInteger(number) && number > 0);
    assert.equal(server.last.url, { websocket: '/primus?room=a+b', sse: '/primus/sse?v=2&room=a+b', polling: '/primus/poll?v=2&room=a+b' }[name]);
    if (name === 'websocket') assert.equal(server.last.protocol, 'primus.2');
    else assert.match(server.last.contentType, /^text\/plain/);
    assert.equal(await primus.id(), server.last.id);
  });
}

test('http: what is written while a request is under way goes with the next, 256 frames at most', async (t) => {
  const { server, primus } = await client(t, {}, { transports: ['sse'] });
  await next(primus, 'open');
  for (let n = 0; n < 600; n++) primus.write(n);
  while (server.last.received.length < 600) await server.last.frame();
  assert.deepEqual(server.last.received, Array.from({ length: 600 }, (_, n) => '' + n));
  assert.deepEqual(server.last.batches.map((batch) => batch.length), [255, 255, 93]);
  assert.deepEqual(server.last.batches.map(([first]) => first), ['primus::ack:0:1::', 'primus::ack:0:255::', 'primus::ack:0:509::']);
});

test('http: a batch is no longer than the server takes', async (t) => {
  const { server, primus } = await client(t, { reply: { maxMessage: 50 } }, { transports: ['polling'] });
  await next(primus, 'open');
  for (let n = 0; n < 4; n++) primus.write('ü'.repeat(9));
  primus.write('y'.repeat(100));
  while (server.last.received.length < 5) await server.last.frame();
  assert.deepEqual(server.last.batches.map((batch) => batch.length - 1), [2, 2, 1]);
});

for (const status of [429, 409])
  test(`http: a server that answers ${status} gets what it did not take again`, async (t) => {
    let first = true;
    const { server, primus } = await client(t, {
      send(one, frames, response) {
        if (!first) return false;
        first = false;
        for (const frame of frames.slice(0, 3)) one.accept(frame, one.carrier);
        response.writeHead(status, { 'Retry-After': '0.01' }).end('{"error":"behind","recv":2}');
        return true;
      },
    }, { transports: ['sse'] });
    const events = record(primus);
    await next(primus, 'open');
    for (const n of [1, 2, 3, 4]) primus.write(n);
    while (server.last.received.length < 4) await server.last.frame();
    assert.deepEqual(server.last.received, ['1', '2', '3', '4']);
    assert.deepEqual(server.last.batches, [['primus::ack:0:1::', '1', '2', '3', '4'], ['primus::ack:0:3::', '3', '4']]);
    assert.deepEqual([server.repeated, server.errors, events.includes('close')], [0, [], false]);
  });

for (const status of [404, 409, 500])
  test(`http: a POST that is answered ${status} breaks the carrier, not the session`, async (t) => {
    let first = true;
    const { server, primus } = await client(t, {
      send: (_one, _frames, response) => first && (response.writeHead(status).end('{"error":"no"}'), !(first = false)),
    }, { transports: ['polling'] });
    const events = record(primus);
    await next(primus, 'open');
    primus.write('survivor');
    await next(primus, 'resumed');
    assert.equal(await server.last.frame(), '"survivor"');
    assert.deepEqual([server.made.length, events.args.resumed[0], events.includes('lost')], [1, true, false]);
  });

test('http: a message that is too big ends the session, and is handed back', async (t) => {
  const { server, primus } = await client(t, {
    send: (_one, frames, response) => frames.includes('"big"') && (response.writeHead(413).end('{"error":"too big"}'), true),
  }, { transports: ['sse'] });
  const events = record(primus);
  await next(primus, 'open');
  const first = server.last;
  const ended = new Promise((resolve) => (first.onended = resolve));
  primus.write('big');
  const [reason] = await next(primus, 'close');
  assert.deepEqual([reason.code, reason.reconnect], [1009, true]);
  await next(primus, 'open');
  assert.deepEqual(events.slice(3), ['readyStateChange(end)', 'close', 'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnected', 'resumed(false)', 'lost', 'readyStateChange(open)', 'open']);
  assert.deepEqual([events.args.resumed, events.args.lost, server.last.attach.session], [[false, 'message too big'], [['big']], undefined]);
  await ended;
  assert.equal(first.ended, true);
});

test('falls back when the upgrade is refused', async (t) => {
  const { server, primus } = await client(t, { upgrade: (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n') });
  const begin = Date.now();
  await next(primus, 'open');
  assert.equal(primus.transport, 'sse');
  assert.ok(Date.now() - begin < 500);
  assert.deepEqual(server.log, ['upgrade', 'POST /primus/sse', 'sse attach']);
});

test('falls back within a second when the upgrade is never answered, and closes what is left', async (t) => {
  const { server, primus } = await client(t, {
    upgrade: (_request, socket) => socket.on('error', () => {}).on('end', () => socket.end()).resume(),
  });
  const begin = Date.now();
  await next(primus, 'open');
  assert.equal(primus.transport, 'sse');
  const time = Date.now() - begin;
  assert.ok(time >= 600 && time < 1000, `${time} ms`);
  const [socket] = server.raw;
  if (!socket.destroyed) await once(socket, 'close');
});

test('falls back from both to polling', async (t) => {
  const { server, primus } = await client(t, {
    upgrade: (_request, socket) => socket.destroy(),
    request: (request, response) => /sse/.test(request.url) && response.writeHead(404, { 'Content-Type': 'application/json' }).end('{"error":"not found"}'),
  });
  await next(primus, 'open');
  assert.equal(primus.transport, 'polling');
  assert.deepEqual(server.log.slice(0, 3), ['upgrade', 'POST /primus/sse', 'POST /primus/poll']);
});

test('what somebody between says is no answer: it falls back', async (t) => {
  const { primus } = await client(t, { request: (request, response) => /sse/.test(request.url) && response.writeHead(403).end('<h1>Proxy</h1>') }, { transports: ['sse', 'polling'] });
  await next(primus, 'open');
  assert.equal(primus.transport, 'polling');
});

test('a refusal is an answer: nothing else is tried', async (t) => {
  for (const transports of [undefined, ['sse', 'polling'], ['polling', 'websocket']]) {
    let asked = 0;
    const { server, primus } = await client(t, { attach: () => (asked++, { status: 401, error: 'no' }) }, { transports });
    await next(primus, 'end');
    assert.deepEqual([asked, server.log.length], [1, 1]);
  }
});

test('when nothing is served, the server`s own word counts', async (t) => {
  const { primus } = await client(t, {
    upgrade: (_request, socket) => socket.destroy(),
    request: (_request, response) => response.writeHead(404).end('{"error":"nobody serves this"}'),
  });
  const events = record(primus);
  await next(primus, 'end');
  assert.deepEqual([events.args.error[0].status, events.args.error[0].message], [404, 'nobody serves this']);
});

test('who comes too late ends the session that it got', async (t) => {
  let release;
  const late = new Promise((resolve) => (release = resolve));
  const { server, primus } = await client(t, { attach: (_attach, transport) => transport === 'polling' && late.then(() => undefined) }, { transports: ['polling', 'sse'] });
  await next(primus, 'open');
  assert.equal(primus.transport, 'sse');
  const loser = server.arrival();
  release();
  assert.equal(await (await loser).frame(), 'primus::end::');
  primus.write('still here');
  assert.equal(await [...server.sessions.values()].find((one) => one.transport === 'sse').frame(), '"still here"');
});

test('a slow authorize does not start another transport', async (t) => {
  const { server, primus } = await client(t, { attach: () => new Promise((resolve) => setTimeout(resolve, 900)) });
  await next(primus, 'open');
  assert.deepEqual(server.log, ['upgrade', 'websocket attach']);
});

test('remembers what worked, for ten minutes', async (t) => {
  const { server, primus } = await client(t, { upgrade: (_request, socket) => socket.destroy() });
  await next(primus, 'open');
  const [name, until] = sessionStorage.primus.split(' ');
  assert.equal(name, 'sse');
  assert.ok(Math.abs(+until - Date.now() - 600000) < 5000);
  server.log.length = 0;
  server.last.cut();
  await back(primus);
  assert.deepEqual(server.log, ['POST /primus/sse', 'sse attach']);
  sessionStorage.primus = `sse ${Date.now() - 1}`;
  server.log.length = 0;
  server.last.cut();
  await back(primus);
  assert.deepEqual(server.log, ['upgrade', 'POST /primus/sse', 'sse attach']);
});

test('who had no choice remembers nothing', async (t) => {
  const { primus } = await client(t, {}, { transports: ['polling'] });
  await next(primus, 'open');
  assert.equal(sessionStorage.primus, undefined);
  const { primus: other } = await client(t, {}, {});
  await next(other, 'open');
  assert.equal(other.transport, 'websocket');
});

test('without a WebSocket it uses SSE, and says so once', async (t) => {
  const { warn } = console;
  const said = [];
  console.warn = (text) => said.push(text);
  t.after(() => { console.warn = warn; });
  const has = globalThis.WebSocket;
  delete globalThis.WebSocket;
  t.after(() => { if (has) globalThis.WebSocket = has; });
  for (let n = 0; n < 2; n++) {
    const { primus } = await client(t, {}, { WebSocket: undefined });
    await next(primus, 'open');
    assert.equal(primus.transport, 'sse');
  }
  assert.equal(said.length, 1);
  assert.match(said[0], /no WebSocket.*ws/);
});

test('no transport at all is an error', async (t) => {
  const { primus } = await client(t, {}, { transports: ['pigeon'], strategy: false });
  const events = record(primus);
  await next(primus, 'end');
  assert.match(events.args.error[0].message, /no transport/);
});

test('the path: of the URL, of the option, or the usual one', () => {
  const url = (...args) => new Primus(args[0], { manual: true, ...args[1] }).url;
  assert.equal(url('http://h:1'), 'http://h:1/primus');
  assert.equal(url('ws://h/'), 'http://h/primus');
  assert.equal(url('wss://h/chat/'), 'https://h/chat');
  assert.equal(url('http://h', { pathname: '/rt' }), 'http://h/rt');
  assert.equal(url('http://h', { pathname: '/' }), 'http://h');
  assert.equal(url(new URL('https://h/a/b?x=1')), 'https://h/a/b');
  assert.equal(url(undefined), 'http://127.0.0.1/primus');
  assert.equal(new Primus({ url: 'http://o:2', manual: true }).url, 'http://o:2/primus');
});
