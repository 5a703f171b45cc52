// Sessions that survive: what is repeated, what is lost and said to be, and how carriers follow each other.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { session } from '../build/session.mjs';
import { back, next, record, serve, WebSocket } from './server.mjs';

// Like a tab's, and there before the client looks for it.
globalThis.sessionStorage = {};
const { Primus } = await import('../dist/node.mjs');

const { attaches } = JSON.parse(readFileSync(new URL('../../docs/protocol-vectors.json', import.meta.url)));
const ALL = [['websocket'], ['sse'], ['polling']];
const AGAIN = ['readyStateChange(end)', 'close', 'reconnect scheduled', 'readyStateChange(opening)', 'reconnect', 'reconnected'];
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

async function client(t, hooks, options) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: { min: 1, max: 5 }, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  t.after(() => delete sessionStorage.primus);
  t.after(() => assert.deepEqual(server.errors, []));
  const events = record(primus);
  const data = [];
  primus.on('data', (message) => data.push(message));
  return { server, primus, events, data };
}

/** As `client`, and connected; `events` begins after that. */
async function connected(t, hooks, options) {
  const all = await client(t, hooks, options);
  await next(all.primus, 'open');
  all.events.length = 0;
  return { ...all, session: all.server.last };
}

/** Until `count` messages have come to the server, or to the application. */
const arrived = async (one, count) => { while (one.received.length < count) await one.frame(); };
const reached = (primus, data, count) => new Promise((resolve) => {
  const look = () => { if (data.length >= count) { primus.off('data', look); resolve(); } };
  primus.on('data', look);
  look();
});

/** Until something is so that has no event. */
const until = async (so) => { while (!so()) await new Promise((resolve) => setTimeout(resolve, 1)); };

// ---- the vectors ----

/** The client's half of an attach: a session in that state, and what the answer makes of it. */
function attach({ client: { recv, next: first, sent }, answer }) {
  const one = session();
  for (let n = 1; n <= sent; n++) { one._put('' + n); one._take(n); }
  one._ack(first - 1);
  for (let n = 1; n <= recv; n++) one._came('');
  assert.deepEqual(one._place(), { recv, next: first, sent });
  assert.equal(one._fits(answer), true);
  const lost = answer.resumed ? [] : one._renew();
  one._attached(answer);
  const sends = [];
  for (let { next: n, sent: last } = one._place(); n <= last; n++) sends.push(one._peek(n));
  return { lost: lost.map(Number), sends: sends.map(Number), one };
}

for (const vector of attaches.filter(({ answer }) => answer))
  test(`attach: ${vector.what}`, () => {
    const { sends, lost, one } = attach(vector);
    assert.deepEqual(sends, vector.client_sends ?? []);
    assert.deepEqual(lost, vector.lost ?? []);
    const { recv } = vector.client;
    const { next: first, resumed } = vector.answer;
    const came = numbers(first, first + 9).filter(() => one._came(''));
    assert.deepEqual(came, numbers(resumed ? recv + 1 : 1, first + 9));
  });

for (const { what, refused } of attaches.filter(({ answer }) => !answer))
  test(`attach: ${what}: ${refused}`, async (t) => {
    let refuse = 0;
    const { server, primus, events } = await connected(t, { attach: () => refuse-- > 0 && { status: refused, error: 'no' } }, { transports: ['websocket'] });
    refuse = 1;
    server.last.cut();
    if (refused === 409) {
      await next(primus, 'resumed');
      assert.deepEqual([events.args.resumed[0], events.args['reconnect scheduled'][0].attempt, server.made.length], [true, 2, 1]);
    } else {
      const [reason] = await next(primus, 'end');
      assert.deepEqual([reason.code, reason.status, reason.reconnect], [4000 + refused, refused, false]);
    }
  });

test('the vectors were run', () => assert.deepEqual([attaches.length, attaches.filter(({ answer }) => !answer).length], [12, 4]));

test('an answer that cannot be is a protocol error, and is asked for again', async (t) => {
  for (const wrong of [{ next: 3 }, { recv: 9 }]) {
    const { server, primus, events, session: one } = await connected(t, {}, { transports: ['websocket'] });
    one.send('1');
    await next(primus, 'data');
    server.hooks.reply = wrong;
    one.cut();
    await next(primus, 'reconnect');
    await next(primus, 'reconnect scheduled');
    assert.equal(primus.state, 'resuming');
    server.hooks.reply = {};
    await next(primus, 'resumed');
    assert.deepEqual([events.args.resumed[0], server.made.length], [true, 1]);
  }
});

test('more acknowledged than was sent is a protocol error', async (t) => {
  const { primus, session: one } = await connected(t, {}, { transports: ['websocket'] });
  one.send('primus::ack:1::');
  const [reason] = await next(primus, 'close');
  assert.deepEqual([reason.code, reason.reconnect], [4400, true]);
});

// ---- what was lost on the way ----

for (const transports of ALL) {
  const [name] = transports;

  test(`${name}: cuts at any time, both ways: everything once, in order`, async (t) => {
    const { server, primus, data, session: one } = await connected(t, {}, { transports });
    const lost = [];
    primus.on('lost', (messages) => lost.push(...messages));
    let sent = 0;
    for (let cut = 0; cut < 12; cut++) {
      for (let n = 0; n < 20; n++) {
        primus.write(++sent);
        one.send('' + sent);
        if (n % 7 === cut % 7) await new Promise(setImmediate);
      }
      if (cut % 3) await new Promise((resolve) => setTimeout(resolve, cut % 4));
      one.cut();
      await back(primus);
    }
    await Promise.all([arrived(one, sent), reached(primus, data, sent)]);
    assert.deepEqual(one.received, numbers(1, sent).map(String));
    assert.deepEqual(data, numbers(1, sent));
    assert.deepEqual([server.made.length, one.generation, lost], [1, 13, []]);
  });

  test(`${name}: the answer to an attach is lost`, async (t) => {
    let lose = 0;
    const { server, primus, data, events, session: one } = await connected(t, { attached: () => lose-- > 0 }, { transports });
    lose = 2;
    one.cut();
    primus.write('from here');
    one.send('"from there"');
    await Promise.all([arrived(one, 1), reached(primus, data, 1)]);
    assert.deepEqual([one.received, data], [['"from here"'], ['from there']]);
    assert.deepEqual([server.made.length, one.generation, one.attach.attempt, events.args.resumed[0]], [1, 4, 4, true]);
  });

  test(`${name}: what it had sent before a cut is not sent again, if the server has it`, async (t) => {
    const { server, primus, session: one } = await connected(t, {}, { transports });
    for (const n of [1, 2, 3]) primus.write(n);
    await arrived(one, 3);
    one.cut();
    await next(primus, 'resumed');
    primus.write(4);
    await arrived(one, 4);
    assert.deepEqual(one.received, ['1', '2', '3', '4']);
    // A WebSocket does not wait for the answer.
    assert.equal(server.repeated, name === 'websocket' ? 3 : 0);
    if (name === 'websocket') assert.deepEqual(one.acks, ['0:4']);
  });

  test(`${name}: acknowledges after as many messages, or bytes, as the server said`, async (t) => {
    const { primus, data, session: one } = await connected(t, { reply: { ack: [3, 100] } }, { transports });
    const acknowledged = (to) => until(() => !one.kept.some(({ number }) => number <= to));
    for (const n of [1, 2, 3]) one.send('' + n);
    await acknowledged(3);
    one.send('4');
    one.send(JSON.stringify('ü'.repeat(50)));
    await acknowledged(5);
    await reached(primus, data, 5);
    if (name === 'websocket') assert.deepEqual(one.acks, ['3', '5']);
    if (name === 'sse') assert.deepEqual(one.batches, [['primus::ack:3:1::', 'primus::ack:3::'], ['primus::ack:5:1::', 'primus::ack:5::']]);
  });

  test(`${name}: acknowledges with pings, pongs, and before its end`, async (t) => {
    const { primus, data, session: one } = await connected(t, { reply: { ping: 20, timeout: 10000 } }, { transports, ping: 20 });
    one.send('1');
    await reached(primus, data, 1);
    while (!/^primus::ping:\d+:1::$/.test(await one.frame()));
    one.send('primus::ping:7::');
    while (!(await one.frame()).startsWith('primus::pong:7:1::'));
    one.send('2');
    await reached(primus, data, 2);
    primus.end();
    await until(() => one.ended);
    assert.match(one.acks.at(-1), /^2(:1)?$/);
    assert.deepEqual(one.kept, []);
  });
}

test('polling: the answer to a poll is lost, or cut off', async (t) => {
  const cuts = ['', '1\n', '1\n2', undefined];
  const { server, primus, data, events, session: one } = await connected(t, {}, { transports: ['polling'] });
  await until(() => one.carrier?.poll);
  const urls = [];
  server.hooks.request = ({ method, url }) => { if (method === 'GET') urls.push(new URL(url, 'http://x').searchParams.get('recv')); };
  server.hooks.answer = (_one, text) => (/^\d/.test(text) ? cuts.shift() : undefined);
  one.carrier.poll.destroy();
  for (const n of [1, 2, 3]) one.send('' + n);
  await reached(primus, data, 3);
  assert.deepEqual(data, [1, 2, 3]);
  assert.deepEqual([server.made.length, events.includes('lost'), events.includes('error')], [1, false, false]);
});

for (const transports of [['sse'], ['polling']])
  test(`${transports}: a POST whose answer is lost, or that somebody repeats`, async (t) => {
    let lose = 1;
    const { server, primus, session: one } = await connected(t, { sent: () => lose-- > 0 }, { transports });
    primus.write(1);
    primus.write(2);
    await next(primus, 'resumed');
    primus.write(3);
    await arrived(one, 3);
    assert.deepEqual(one.received, ['1', '2', '3']);
    const [, again] = one.batches;
    await until(() => server.log.filter((line) => /send/.test(line)).length === 2);
    const headers = { 'Primus-Token': `token${one.generation}of${one.id}` };
    const { status } = await fetch(`${server.url}/primus/send?v=2`, { method: 'POST', headers, body: again.join('\n') });
    assert.deepEqual([status, one.received, again], [204, ['1', '2', '3'], ['primus::ack:0:3::', '3']]);
  });

test('sse: what is cut off before its line feed is not delivered', async (t) => {
  const { primus, data, session: one } = await connected(t, {}, { transports: ['sse'] });
  one.response.write('data: 12');
  one.response.end();
  await next(primus, 'resumed');
  one.send('3');
  await reached(primus, data, 1);
  assert.deepEqual(data, [3]);
});

test('a carrier that was given up or replaced says so over HTTP, and the session goes on', async (t) => {
  for (const code of [4004, 4006]) {
    const { server, primus, events, session: one } = await connected(t, {}, { transports: ['sse'] });
    one.send(`primus::end::{"code":${code},"reason":"gone","reconnect":true,"recv":0}`);
    await next(primus, 'resumed');
    assert.deepEqual([events.args.close[0].code, events.args.resumed[0], server.made.length], [code, true, 1]);
  }
});

// ---- what is said of it ----

for (const transports of ALL) {
  const [name] = transports;

  for (const why of ['expired', 'overflow', 'restarted', 'conflict', 'unknown'])
    test(`${name}: ${why}: what was sent is handed back, what was not is sent`, async (t) => {
      // The first of its messages is accepted, the others vanish.
      const { server, primus, events, session: one } = await connected(t, {
        resume: () => (why === 'restarted' || why === 'unknown' ? undefined : why),
        send: (_one, frames, response) => frames.includes('"sent"') && (response.destroy(), true),
      }, { transports, reconnect: { min: 30, max: 30 } });
      primus.write('first');
      await arrived(one, 1);
      one.send('primus::ack:1::');
      one.send('"and this is behind the acknowledgement"');
      await next(primus, 'data');
      events.length = 0;
      one.accept = () => {};
      primus.write('sent');
      primus.write({ also: 1 });
      if (why === 'restarted') server.restart();
      if (why === 'unknown') one.forget();
      one.cut();
      await next(primus, 'reconnect scheduled');
      primus.write('never sent');
      const told = [];
      primus.on('lost', () => told.push(primus.state));
      await next(primus, 'open');
      assert.deepEqual([...events], [...AGAIN, 'resumed(false)', 'lost', 'readyStateChange(open)', 'open']);
      assert.deepEqual([events.args.resumed, events.args.lost, told], [[false, why], [['sent', { also: 1 }]], ['resuming']]);
      const fresh = server.last;
      assert.notEqual(fresh, one);
      assert.equal(await fresh.frame(), '"never sent"');
      assert.deepEqual([await primus.id(), fresh.recv, fresh.attach.session.id], [fresh.id, 1, one.id]);
      if (name === 'websocket') assert.deepEqual(fresh.acks, ['0:1']);
    });

  test(`${name}: nothing was on its way: no lost`, async (t) => {
    const { server, primus, events } = await connected(t, {}, { transports });
    server.restart();
    await next(primus, 'open');
    assert.deepEqual([...events], [...AGAIN, 'resumed(false)', 'readyStateChange(open)', 'open']);
  });

  test(`${name}: the server ends the session and asks to come back`, async (t) => {
    const farewell = (one) => one.end({ code: 4002, reason: 'server restart', reconnect: true, after: 1, recv: 1 });
    const { server, primus, events, session: one } = await connected(t, {
      frame: (one, frame) => frame === '2' && farewell(one),
      // A request that nobody answers any more.
      send: (one, frames) => frames.includes('2') && (farewell(one), true),
    }, { transports });
    primus.write(1);
    primus.write(2);
    await next(primus, 'open');
    assert.deepEqual([...events], [...AGAIN, 'resumed(false)', 'lost', 'readyStateChange(open)', 'open']);
    assert.deepEqual([events.args.resumed, events.args.lost], [[false, 'server restart'], [[2]]]);
    const { session: asked, recv, next: first, sent } = server.last.attach;
    assert.deepEqual([asked, recv, first, sent, server.last.id === one.id], [undefined, 0, 1, 0, false]);
  });

  test(`${name}: gone for good: everything is handed back just before the end`, async (t) => {
    const { server, primus, events, session: one } = await connected(t, { send: (_one, _frames, response) => (response.destroy(), true) }, { transports, reconnect: { min: 20, max: 20 } });
    server.hooks.attach = () => ({ status: 410, error: 'over' });
    one.accept = () => {};
    primus.write('sent');
    await new Promise(setImmediate);
    if (name === 'websocket') one.cut();
    await next(primus, 'reconnect scheduled');
    primus.write('waiting');
    const [reason] = await next(primus, 'end');
    assert.deepEqual(events.slice(-5), ['error', 'readyStateChange(end)', 'close', 'lost', 'end']);
    assert.deepEqual([reason.status, events.args.lost, primus.buffer], [410, [['sent', 'waiting']], []]);
  });
}

test('its own end hands nothing back', async (t) => {
  const { primus, events } = await client(t, {}, { manual: true });
  primus.write(1);
  primus.open();
  primus.end();
  assert.deepEqual([events.includes('lost'), events.at(-1), primus.buffer], [false, 'end', []]);
});

test('attempts used up: everything is handed back', async (t) => {
  const { server, primus, events } = await connected(t, {}, { reconnect: { min: 1, max: 1, retries: 1 } });
  await server.close();
  await next(primus, 'reconnect scheduled');
  primus.write(1);
  await next(primus, 'reconnect failed');
  assert.deepEqual([events.slice(-4, -1), events.args.lost], [['lost', 'end', 'reconnect failed'], [[1]]]);
});

test('what cannot be decoded is handed back as it was sent', async (t) => {
  const parser = { encoder: (value) => '<' + value, decoder: () => { throw new Error('no'); } };
  const { server, primus, events, session: one } = await connected(t, {}, { parser, transports: ['websocket'] });
  one.accept = () => {};
  primus.write('x');
  server.restart();
  await next(primus, 'open');
  assert.deepEqual([events.args.lost, primus.state], [[['<x']], 'open']);
});

test('openOnReconnect: open at every connect', async (t) => {
  const { primus, events, session: one } = await connected(t, {}, { openOnReconnect: true });
  one.cut();
  await next(primus, 'open');
  assert.deepEqual([...events], [...AGAIN, 'resumed(true)', 'readyStateChange(open)', 'open']);
});

test('ready, id and writable go on over a resume', async (t) => {
  const { primus, session: one } = await connected(t, {}, {});
  one.cut();
  await next(primus, 'reconnect scheduled');
  assert.equal(primus.state, 'resuming');
  assert.equal(await primus.ready, primus);
  assert.deepEqual([primus.state, await primus.id()], ['open', one.id]);
});

test('replaced by another client: it comes back, and learns that there is a conflict', async (t) => {
  const { server, primus, events, session: one } = await connected(t, {}, { transports: ['websocket'] });
  const { id, key, generation, epoch } = JSON.parse(JSON.stringify({ id: one.id, key: one.key, generation: one.generation, epoch: server.epoch }));
  const copy = new WebSocket(server.url.replace('http', 'ws') + '/primus', 'primus.2');
  t.after(() => copy.terminate());
  copy.onopen = () => copy.send('primus::attach::' + JSON.stringify({ recv: 0, next: 1, client: 1, attempt: 1, session: { id, key, generation, epoch } }));
  await next(primus, 'open');
  assert.deepEqual([events.args.close[0].code, events.args.resumed, server.made.length], [4006, [false, 'conflict'], 2]);
});

// ---- from transport to transport ----

test('the WebSocket dies and is closed off: SSE, then polling, take the session over', async (t) => {
  const { server, primus, events, data, session: one } = await connected(t, {}, {});
  let sent = 0;
  const burst = () => { for (let n = 0; n < 30; n++) { primus.write(++sent); one.send('' + sent); } };
  server.hooks.upgrade = (_request, socket) => socket.destroy();
  burst();
  one.cut();
  burst();
  await back(primus);
  assert.equal(primus.transport, 'sse');
  server.hooks.request = (request, response) => /sse/.test(request.url) && response.writeHead(404).end('{"error":"not found"}');
  burst();
  one.cut();
  burst();
  await back(primus);
  assert.equal(primus.transport, 'polling');
  await Promise.all([arrived(one, sent), reached(primus, data, sent)]);
  assert.deepEqual([one.received, data], [numbers(1, sent).map(String), numbers(1, sent)]);
  assert.deepEqual([server.made.length, events.includes('lost'), events.transports], [1, false, [['websocket', ''], ['sse', 'websocket'], ['polling', 'sse']]]);
});

/** Connected by `transports[0]` while WebSockets could not be had. The seconds after which one is tried again, and given up, pass quickly. */
async function behind(t, transports, hooks = {}) {
  t.mock.method(Math, 'random', () => 0);
  const { setTimeout } = globalThis;
  t.mock.method(globalThis, 'setTimeout', (wake, time, ...rest) => setTimeout(wake, { 3000: 30, 4000: 200 }[time] ?? time, ...rest));
  let blocked = true;
  const all = await connected(t, { upgrade: (_request, socket) => blocked && socket.destroy(), ...hooks }, { transports: ['websocket', ...transports] });
  assert.equal(all.primus.transport, transports[0]);
  blocked = false;
  return all;
}

for (const transports of [['sse'], ['polling']]) {
  const [name] = transports;

  test(`${name} → websocket in the middle of a burst: exact, and silent`, async (t) => {
    const { server, primus, events, data, session: one } = await behind(t, transports);
    let sent = 0;
    const pulse = setInterval(() => { for (let n = 0; n < 5; n++) { primus.write(++sent); one.send('' + sent); } }, 2);
    t.after(() => clearInterval(pulse));
    assert.deepEqual(await next(primus, 'transport'), ['websocket', name]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    clearInterval(pulse);
    await Promise.all([arrived(one, sent), reached(primus, data, sent)]);
    assert.deepEqual(one.received, numbers(1, sent).map(String));
    assert.deepEqual(data, numbers(1, sent));
    assert.deepEqual(new Set(events), new Set(['data']));
    assert.deepEqual([server.made.length, one.generation, one.transport, primus.transport, primus.state], [1, 2, 'websocket', 'websocket', 'open']);
  });

  test(`${name}: the old carrier is gone before the answer comes: still silent`, async (t) => {
    const { primus, events, session: one } = await behind(t, transports, {
      attach: (_attach, transport) => transport === 'websocket' && new Promise((resolve) => { one_cut = resolve; }).then(() => undefined),
    });
    var one_cut;
    await until(() => one_cut);
    one.carrier.cut();
    await new Promise((resolve) => setTimeout(resolve, 30));
    primus.write('meanwhile');
    one_cut();
    assert.deepEqual(await next(primus, 'transport'), ['websocket', name]);
    await arrived(one, 1);
    assert.deepEqual([one.received, [...events]], [['"meanwhile"'], []]);
  });

  test(`${name}: an upgrade that is refused, or gets no answer, changes nothing`, async (t) => {
    let asked = 0;
    const { server, primus, events, session: one } = await behind(t, transports, {
      attach: (_attach, transport) => transport === 'websocket' && (asked++ ? 'never' : { status: 503, error: 'full' }),
    });
    await until(() => asked === 2);
    primus.write('held back while the answer is missing');
    one.send('1');
    await arrived(one, 1);
    if (!events.length) await next(primus, 'data');
    assert.deepEqual([server.made.length, one.generation, primus.transport, [...events]], [1, 1, name, ['data']]);
  });

  test(`${name}: an upgrade that gets another session drops that`, async (t) => {
    const { server, primus, events, session: one } = await behind(t, transports, { resume: () => 'expired' });
    const other = await server.arrival();
    await until(() => other.ended);
    primus.write('goes on');
    await arrived(one, 1);
    assert.deepEqual([one.received, other.received, [...events], primus.transport], [['"goes on"'], ['primus::end::'], [], name]);
  });
}

test('an end stops the upgrades', async (t) => {
  const { server, primus } = await behind(t, ['sse']);
  server.log.length = 0;
  primus.end();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(server.log.includes('upgrade'), false);
});

test('losers of a race do not end the session that they share', async (t) => {
  let slow;
  const { server, primus, events, session: one } = await connected(t, { attach: () => slow?.() }, {});
  // The attach of the WebSocket is answered last, when SSE has long won.
  server.hooks.upgrade = () => false;
  server.hooks.attach = (_attach, transport) => transport === 'websocket' && new Promise((resolve) => { slow = resolve; }).then(() => undefined);
  one.cut();
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await next(primus, 'reconnect scheduled').then(() => t.mock.timers.tick(5));
  while (!slow) await new Promise(setImmediate);
  t.mock.timers.tick(4000);
  t.mock.timers.reset();
  await next(primus, 'resumed');
  slow();
  primus.write('alive');
  await arrived(one, 1);
  assert.deepEqual([primus.transport, one.received, one.ended, server.made.length, events.filter((name) => name === 'close').length], ['sse', ['"alive"'], undefined, 1, 1]);
});

test('anything may go wrong at any time, on any transport: everything once, in order', async (t) => {
  const { random } = Math;
  const chance = (one) => random() < one;
  const faults = {};
  const fault = (name, one) => chance(one) && (faults[name] = (faults[name] ?? 0) + 1) > 0;
  let calm = true;
  const { server, primus, data, events, session: one } = await connected(t, {
    upgrade: (_request, socket) => !calm && fault('upgrade', 0.6) && socket.destroy(),
    attached: () => !calm && fault('lost attach', 0.1),
    request: (request, response) => !calm && /sse/.test(request.url) && fault('no sse', 0.5) && response.writeHead(404).end('{"error":"no"}'),
    send: (_one, _frames, response) => !calm && fault('lost POST', 0.05) && (response.destroy(), true),
    sent: () => !calm && fault('lost answer', 0.05),
    answer: (_one, text) => (!calm && /^\d/.test(text) && fault('cut poll', 0.1) ? text.slice(0, text.length * random()) : undefined),
  }, {});
  const { setTimeout } = globalThis;
  // Other transports join soon, and upgrades are tried all the time.
  t.mock.method(globalThis, 'setTimeout', (wake, time, ...rest) => setTimeout(wake, time >= 700 && time < 14000 ? time / 100 : time, ...rest));
  calm = false;
  let sent = 0;
  const kinds = ['cut', 'cut poll', 'lost POST', 'lost answer', 'lost attach', 'no sse', 'upgrade'];
  while (sent < 1500 || !kinds.every((name) => faults[name])) {
    for (let n = 0; n < 5; n++) { primus.write(++sent); one.send('' + sent); }
    if (fault('cut', 0.04)) one.cut();
    await new Promise((resolve) => setTimeout(resolve, 3 * random()));
  }
  calm = true;
  await Promise.all([arrived(one, sent), reached(primus, data, sent)]);
  assert.deepEqual(one.received.filter((frame) => !/^primus/.test(frame)), numbers(1, sent).map(String));
  assert.deepEqual(data, numbers(1, sent));
  assert.deepEqual([server.made.length, events.includes('lost'), events.includes('resumed(false)')], [1, false, false]);
  t.diagnostic(JSON.stringify({ ...faults, generations: one.generation, repeated: server.repeated }));
});

// ---- messages that need not arrive ----

test('volatile: dropped without a connection, sent with one', async (t) => {
  const { primus } = await client(t, {}, { manual: true });
  assert.deepEqual([primus.write(1, { volatile: true }), primus.buffer], [false, []]);
  const { primus: open, session: one } = await connected(t, {}, {});
  assert.equal(open.write(2, { volatile: true }), true);
  assert.equal(await one.frame(), '2');
});

test('volatile: dropped while the carrier is busy', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const { primus, session: one } = await connected(t, { send: () => held.then(() => false) }, { transports: ['sse'] });
  primus.write(0);
  await until(() => one.batches.length);
  for (let n = 1; n <= 65; n++) assert.equal(primus.write(n, { volatile: true }), true);
  assert.equal(primus.write('too much', { volatile: true }), false);
  release();
  await arrived(one, 66);
  assert.deepEqual(one.received, numbers(0, 65).map(String));
});

test('conflate: the latest replaces the one that waits, and goes to the end', async (t) => {
  const { server, primus } = await client(t, {}, { manual: true, queueSize: 10 });
  primus.write('a1', { conflate: 'a' });
  primus.write('b1', { conflate: 'b' });
  assert.equal(primus.write('a2', { conflate: 'a' }), true);
  assert.deepEqual([primus.buffer, primus.write('c')], [['"b1"', '"a2"'], false]);
  primus.open();
  await next(primus, 'open');
  const one = server.last;
  await arrived(one, 2);
  primus.write('a3', { conflate: 'a' });
  await arrived(one, 3);
  assert.deepEqual(one.received, ['"b1"', '"a2"', '"a3"']);
});
