// Bayeux as npm's `faye` 1.4 server speaks it: requests, answers, errors, advice and channels, one by one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { fetched, open } from '../lib/http.mjs';
import { defer } from '../lib/scope.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, once } from '../lib/within.mjs';

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'bayeux']);
});
after(() => server?.kill());

const JSON_TYPE = { 'Content-Type': 'application/json' };
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const TYPES = ['long-polling', 'cross-origin-long-polling', 'callback-polling', 'websocket', 'eventsource'];
const HANDSHAKE = { channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket', 'long-polling'], id: '1' };

const raw = (t, body, headers = JSON_TYPE, path = '/bayeux') => fetched(t, 'POST', server.url + path, { body, headers });
const get = (t, path, headers = {}) => fetched(t, 'GET', server.url + path, { headers });

async function send(t, messages, path) {
  const answer = await raw(t, JSON.stringify(messages), JSON_TYPE, path);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body);
}

async function client(t, path) {
  const [reply] = await send(t, HANDSHAKE, path);
  assert.equal(reply.successful, true);
  return reply.clientId;
}

const connect = (clientId, more = {}) => ({ channel: '/meta/connect', clientId, connectionType: 'long-polling', id: 'c', ...more });
const NOW = { advice: { timeout: 0 } };

async function subscribed(t, ...subscription) {
  const clientId = await client(t);
  const [reply] = await send(t, { channel: '/meta/subscribe', clientId, subscription });
  assert.deepEqual(reply, { channel: '/meta/subscribe', clientId, successful: true, subscription });
  return clientId;
}

/** What has come for a client by now. */
const events = async (t, clientId) => (await send(t, connect(clientId, NOW))).slice(1);

// ---- handshake ----

test('a handshake is answered by a client id, all connection types and advice', async (t) => {
  const [reply] = await send(t, [HANDSHAKE]);
  const { clientId, ...rest } = reply;
  assert.match(clientId, /^[\w-]{22}$/);
  assert.deepEqual(rest, {
    id: '1',
    channel: '/meta/handshake',
    successful: true,
    version: '1.0',
    supportedConnectionTypes: TYPES,
    advice: { reconnect: 'retry', interval: 0, timeout: 45_000 },
  });
});

for (const [what, change, error] of [
  ['without a version', { version: undefined }, '402:version:Missing required parameter'],
  ['without connection types', { supportedConnectionTypes: undefined }, '402:supportedConnectionTypes:Missing required parameter'],
  ['with unknown connection types', { supportedConnectionTypes: ['iframe'] }, '301:iframe:Connection types not supported'],
  ['with several unknown connection types', { supportedConnectionTypes: ['iframe', 'flash'] }, '301:iframe,flash:Connection types not supported'],
]) {
  test(`a handshake ${what} fails`, async (t) => {
    const [reply] = await send(t, { ...HANDSHAKE, ...change });
    assert.deepEqual(reply, {
      id: '1',
      channel: '/meta/handshake',
      successful: false,
      error,
      version: '1.0',
      supportedConnectionTypes: TYPES,
      advice: { reconnect: 'handshake' },
    });
  });
}

// ---- connect ----

test('a connect with a timeout of 0 is answered at once', async (t) => {
  const clientId = await client(t);
  assert.deepEqual(await send(t, connect(clientId, NOW)), [
    { id: 'c', clientId, channel: '/meta/connect', successful: true, advice: { reconnect: 'retry', interval: 0, timeout: 45_000 } },
  ]);
});

test('a connect is held until its time is over', async (t) => {
  const clientId = await client(t, '/bayeux-short');
  const began = performance.now();
  const [reply] = await send(t, connect(clientId), '/bayeux-short');
  assert.equal(reply.successful, true);
  assert.equal(reply.advice.timeout, 1000);
  assert.ok(performance.now() - began >= 990);
});

test('a connect is held until there is an event, which follows its answer', async (t) => {
  const clientId = await subscribed(t, '/held');
  const answer = send(t, connect(clientId));
  await send(t, { channel: '/held', data: 'x', clientId: await client(t) });
  const [reply, ...events] = await answer;
  assert.equal(reply.successful, true);
  assert.deepEqual(events, [{ channel: '/held', data: 'x' }]);
});

test('the last connect of a client counts', async (t) => {
  const clientId = await subscribed(t, '/twice');
  let answered = false;
  const first = send(t, connect(clientId, { id: 'first' })).finally(() => (answered = true));
  // Whichever the server sees first, one of these comes behind it.
  while (!answered) await send(t, connect(clientId, { ...NOW, id: 'second' }));
  const [reply] = await first;
  assert.deepEqual([reply.id, reply.successful], ['first', true]);
});

for (const [what, message, error] of [
  ['without a client id', { clientId: undefined }, '402:clientId:Missing required parameter'],
  ['of an unknown client', { clientId: 'nope' }, '401:nope:Unknown client'],
  ['without a connection type', { connectionType: undefined }, '402:connectionType:Missing required parameter'],
  ['with an unknown connection type', { connectionType: 'iframe' }, '301:iframe:Connection types not supported'],
]) {
  test(`a connect ${what} fails, and the client is to shake hands again`, async (t) => {
    const [reply] = await send(t, { ...connect('nope'), ...message });
    assert.deepEqual(reply, { id: 'c', channel: '/meta/connect', successful: false, error, advice: { reconnect: 'handshake' } });
  });
}

// ---- subscribe, unsubscribe, disconnect ----

for (const [what, change, error] of [
  ['without a client id', { clientId: undefined }, '402:clientId:Missing required parameter'],
  ['of an unknown client', { clientId: 'nope' }, '401:nope:Unknown client'],
  ['without a subscription', { subscription: undefined }, '402:subscription:Missing required parameter'],
  ['to /meta', { subscription: '/meta/connect' }, '403:/meta/connect:Forbidden channel'],
  ['to all of /meta', { subscription: '/meta/*' }, '403:/meta/*:Forbidden channel'],
  ['to a service', { subscription: '/service/x' }, '403:/service/x:Forbidden channel'],
  ['to what is no channel', { subscription: 'foo' }, '405:foo:Invalid channel'],
  ['to a pattern with a wildcard in the midst', { subscription: '/*/foo' }, '405:/*/foo:Invalid channel'],
]) {
  for (const way of ['subscribe', 'unsubscribe']) {
    test(`${way} ${what} fails`, async (t) => {
      const clientId = await client(t);
      const message = { channel: `/meta/${way}`, clientId, subscription: '/a', id: '3', ...change };
      const [reply] = await send(t, message);
      assert.equal(reply.successful, false);
      assert.equal(reply.error, error);
      assert.deepEqual(reply.subscription, message.subscription ?? []);
    });
  }
}

test('a subscription that the application refuses fails with its words', async (t) => {
  const clientId = await client(t);
  const [reply] = await send(t, { channel: '/meta/subscribe', clientId, subscription: '/secret/a' });
  assert.equal(reply.error, '403:/secret/a:it is secret');
});

test('who has unsubscribed gets nothing more', async (t) => {
  const clientId = await subscribed(t, '/un');
  await send(t, { channel: '/un', data: 1, clientId });
  const [reply] = await send(t, { channel: '/meta/unsubscribe', clientId, subscription: '/un' });
  assert.deepEqual(reply, { channel: '/meta/unsubscribe', clientId, successful: true, subscription: '/un' });
  await send(t, { channel: '/un', data: 2, clientId });
  assert.deepEqual(await events(t, clientId), [{ channel: '/un', data: 1 }]);
});

test('who has disconnected is unknown', async (t) => {
  const clientId = await client(t);
  const bye = { channel: '/meta/disconnect', clientId, id: '9' };
  assert.deepEqual(await send(t, bye), [{ id: '9', clientId, channel: '/meta/disconnect', successful: true }]);
  assert.deepEqual(await send(t, bye), [{ id: '9', channel: '/meta/disconnect', successful: false, error: `401:${clientId}:Unknown client` }]);
});

test('a held connect is answered when its client disconnects', async (t) => {
  const clientId = await client(t);
  const held = send(t, connect(clientId));
  await send(t, { channel: '/meta/subscribe', clientId, subscription: '/x' });
  await send(t, { channel: '/meta/disconnect', clientId });
  const [reply] = await held;
  assert.equal(reply.channel, '/meta/connect');
});

// ---- publish ----

test('a publish reaches all whose subscriptions it fits, each once', async (t) => {
  const fits = ['/**', '/foo/bar/qux', '/foo/bar/*', '/foo/**', '/foo/bar/**'];
  const all = await subscribed(t, ...fits);
  const each = await Promise.all(fits.map((one) => subscribed(t, one)));
  const others = await Promise.all(['/foo/*', '/*', '/foo/bar', '/foo/bar/qux/**'].map((one) => subscribed(t, one)));
  const [reply] = await send(t, { channel: '/foo/bar/qux', data: { text: 'hi' }, clientId: all, id: '5' });
  assert.deepEqual(reply, { id: '5', clientId: all, channel: '/foo/bar/qux', successful: true });
  const event = { channel: '/foo/bar/qux', data: { text: 'hi' } };
  for (const one of [all, ...each]) assert.deepEqual(await events(t, one), [event]);
  for (const one of others) assert.deepEqual(await events(t, one), []);
});

for (const [what, change, error] of [
  ['to a pattern', { channel: '/foo/*' }, '405:/foo/*:Invalid channel'],
  ['to what is no channel', { channel: 'foo' }, '405:foo:Invalid channel'],
  ['to /meta', { channel: '/meta/foo' }, '403:/meta/foo:Forbidden channel'],
  ['below a meta channel', { channel: '/meta/subscribe/x', subscription: '/a' }, '403:/meta/subscribe/x:Forbidden channel'],
  ['without data', { data: undefined }, '402:data:Missing required parameter'],
  ['without a channel', { channel: undefined }, '402:channel:Missing required parameter'],
  ['of an unknown client', { clientId: 'nope' }, '401:nope:Unknown client'],
  ['that the application refuses', { channel: '/secret/a' }, '403:/secret/a:it is secret'],
]) {
  test(`a publish ${what} fails`, async (t) => {
    const [reply] = await send(t, { channel: '/a', data: 1, clientId: await client(t), ...change });
    assert.equal(reply.successful, false);
    assert.equal(reply.error, error);
  });
}

test('null is data', async (t) => {
  const clientId = await subscribed(t, '/null');
  const [reply] = await send(t, { channel: '/null', data: null, clientId });
  assert.equal(reply.successful, true);
  assert.deepEqual(await events(t, clientId), [{ channel: '/null', data: null }]);
});

test('what is published to a service is for the server alone, which may answer there', async (t) => {
  const everything = await subscribed(t, '/**');
  const clientId = await client(t);
  await send(t, { channel: '/service/echo', data: [1], clientId });
  assert.deepEqual((await send(t, connect(clientId, { advice: { timeout: 5000 } }))).slice(1), [{ channel: '/service/echo', data: [1] }]);
  assert.deepEqual((await events(t, everything)).filter(({ channel }) => channel.startsWith('/service')), []);
});

test('messages of one body are answered in one, in their order', async (t) => {
  const clientId = await client(t);
  const answer = await send(t, [
    { channel: '/meta/subscribe', clientId, subscription: '/order', id: 'a' },
    connect(clientId, { ...NOW, id: 'b' }),
    { channel: '/order', data: 1, clientId, id: 'c' },
  ]);
  assert.deepEqual(answer.map(({ id, data }) => id ?? data), ['a', 'c', 'b', 1]);
});

// ---- the ways ----

test('a body of JSON, of a form, and a query are the same', async (t) => {
  const message = JSON.stringify(HANDSHAKE);
  const json = await raw(t, message);
  assert.equal(json.headers['content-type'], 'application/json; charset=utf-8');
  assert.equal(json.headers['cache-control'], 'no-cache, no-store');
  assert.equal(json.headers['x-content-type-options'], 'nosniff');
  const form = await raw(t, `message=${encodeURIComponent(message)}`, { ...FORM, Origin: 'http://elsewhere.example' });
  assert.equal(form.headers['access-control-allow-origin'], 'http://elsewhere.example');
  assert.equal(form.headers['access-control-allow-credentials'], 'true');
  assert.equal(JSON.parse(form.body)[0].successful, true);
  // Pages post it to other origins as plain text.
  const plain = await raw(t, `message=${encodeURIComponent(message)}`, { 'Content-Type': 'text/plain;charset=UTF-8' });
  assert.equal(JSON.parse(plain.body)[0].successful, true);
  const script = await get(t, `/bayeux?message=${encodeURIComponent(message)}&jsonp=__jsonp1__`);
  assert.match(script.body, /^\/\*\*\/__jsonp1__\(\[\{.*\}\]\);$/);
  assert.equal(script.headers['content-type'], 'text/javascript; charset=utf-8');
  assert.equal(script.headers['content-disposition'], 'attachment; filename=f.txt');
  assert.equal(script.headers['x-content-type-options'], 'nosniff');
  assert.match((await get(t, `/bayeux?message=${encodeURIComponent(message)}`)).body, /^\/\*\*\/jsonpcallback\(/);
});

test('a script has no line ends of older JavaScript in it', async (t) => {
  const message = { channel: 'x\u2028\u2029', id: 1 };
  const { body } = await get(t, `/bayeux?message=${encodeURIComponent(JSON.stringify({ ...message, data: 1 }))}`);
  assert.match(body, /"405:x\\u2028\\u2029:Invalid channel"/);
  assert.doesNotMatch(body, /[\u2028\u2029]/);
});

test('a preflight is answered', async (t) => {
  const headers = { Origin: 'http://elsewhere.example', 'Access-Control-Request-Method': 'POST' };
  const answer = await fetched(t, 'OPTIONS', `${server.url}/bayeux`, { headers });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['access-control-allow-origin'], 'http://elsewhere.example');
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.equal(answer.headers['access-control-allow-headers'], 'Accept, Authorization, Content-Type, Pragma, X-Requested-With');
  assert.equal(answer.headers['access-control-allow-methods'], 'POST, GET');
  assert.equal(answer.headers['access-control-max-age'], '86400');
});

test('further words in the path are accepted', async (t) => {
  assert.equal((await raw(t, JSON.stringify(HANDSHAKE), JSON_TYPE, '/bayeux/handshake.json')).status, 200);
});

test('nothing is answered by nothing', async (t) => {
  assert.equal((await raw(t, '[]')).body, '[]');
  assert.equal((await raw(t, '[null]')).body, '[]');
});

for (const [what, body] of [['a number', '1'], ['a string', '"s"'], ['broken JSON', '[{'], ['nothing', ''], ['an array of arrays', '[[]]'], ['a flood', `[${'{},'.repeat(1000)}{}]`], ['a deep nest', '['.repeat(100_000)]]) {
  test(`${what} is a bad request`, async (t) => {
    const answer = await raw(t, body);
    assert.deepEqual([answer.status, answer.body], [400, 'Bad request']);
  });
}

test('a callback that is a program, or no message, is a bad request', async (t) => {
  const message = encodeURIComponent(JSON.stringify(HANDSHAKE));
  for (const path of [`/bayeux?message=${message}&jsonp=alert(1)`, `/bayeux?message=${message}&jsonp=${'a'.repeat(200)}`, '/bayeux', '/bayeux?jsonp=a']) {
    const answer = await get(t, path);
    assert.deepEqual([answer.status, answer.body], [400, 'Bad request'], path);
  }
});

test('an event stream has the events, and a connect beside it is answered at once', async (t) => {
  const clientId = await subscribed(t, '/b/c/d');
  const stream = await open(t, 'GET', `${server.url}/bayeux/${clientId}`, { headers: { Accept: 'text/event-stream' } });
  assert.equal(stream.status, 200);
  assert.equal(stream.headers['content-type'], 'text/event-stream; charset=utf-8');
  assert.equal(await stream.read(), 'retry: 5000\r\n\r\n');
  const [reply] = await send(t, connect(clientId, { connectionType: 'eventsource' }));
  assert.deepEqual(reply.advice, { reconnect: 'retry', interval: 45_000, timeout: 0 });
  await send(t, { channel: '/b/c/d', data: 'x\ny', clientId });
  assert.equal(await stream.read(), 'data: [{"channel":"/b/c/d","data":"x\\ny"}]\r\n\r\n');
  await send(t, { channel: '/service/close', data: 1, clientId });
  const [end] = JSON.parse((await stream.read()).slice(6));
  assert.deepEqual([end.channel, end.successful, end.advice], ['/meta/connect', false, { reconnect: 'none' }]);
});

test('a connect that is answered at once leaves its client the event stream that it has', async (t) => {
  const clientId = await subscribed(t, '/b/stays');
  const stream = await open(t, 'GET', `${server.url}/bayeux/${clientId}`, { headers: { Accept: 'text/event-stream' } });
  await stream.read();
  const [reply] = await send(t, connect(clientId, NOW));
  assert.deepEqual(reply.advice, { reconnect: 'retry', interval: 0, timeout: 45_000 });
  await send(t, { channel: '/b/stays', data: 1, clientId });
  assert.equal(await stream.read(), 'data: [{"channel":"/b/stays","data":1}]\r\n\r\n');
  // One that waits takes it over, as the last that a client says counts.
  const held = send(t, connect(clientId));
  assert.equal(await stream.rest(), '');
  await send(t, { channel: '/b/stays', data: 2, clientId });
  assert.deepEqual((await held).slice(1), [{ channel: '/b/stays', data: 2 }]);
});

test('an event stream of an unknown client is not found', async (t) => {
  assert.equal((await get(t, '/bayeux/nope', { Accept: 'text/event-stream' })).status, 404);
});

async function websocket(t) {
  const socket = new WebSocket(`ws://${server.host}/bayeux`);
  defer(t, () => socket.terminate());
  const inbox = new Inbox(socket, 'message', 'message of the WebSocket');
  await once(socket, 'open');
  return {
    socket,
    send: (...messages) => socket.send(JSON.stringify(messages)),
    next: async () => JSON.parse(await inbox.next()),
  };
}

test('over a WebSocket events come at once, and the connect is answered when its time is over', async (t) => {
  const { send: say, next } = await websocket(t);
  say(HANDSHAKE);
  const [{ clientId }] = await next();
  say({ ...connect(clientId), connectionType: 'websocket', advice: { timeout: 300 } });
  say({ channel: '/meta/subscribe', clientId, subscription: '/ws/*', id: '4' });
  assert.deepEqual(await next(), [{ id: '4', clientId, channel: '/meta/subscribe', successful: true, subscription: '/ws/*' }]);
  say({ channel: '/ws/a', data: { text: 'hi' }, clientId, id: '5' });
  // The event and the answer, whichever is first.
  const both = [...(await next()), ...(await next())].sort((one) => (one.data ? -1 : 1));
  assert.deepEqual(both, [{ channel: '/ws/a', data: { text: 'hi' } }, { id: '5', clientId, channel: '/ws/a', successful: true }]);
  const [reply] = await next();
  assert.deepEqual([reply.channel, reply.successful], ['/meta/connect', true]);
});

test('an empty array over a WebSocket is answered by one', async (t) => {
  const { send: say, next } = await websocket(t);
  say();
  assert.deepEqual(await next(), []);
});

test('what is no message ends a WebSocket, and nothing else', async (t) => {
  for (const [words, code] of [['1', 1007], ['{', 1007], [Buffer.from('[]'), 1003]]) {
    const { socket } = await websocket(t);
    socket.send(words);
    assert.equal((await once(socket, 'close'))[0], code);
  }
  assert.equal((await raw(t, '[]')).body, '[]');
});

test('every URL of Bayeux is what it is, whatever Upgrade says', async (t) => {
  const bogus = { ...JSON_TYPE, Connection: 'Upgrade', Upgrade: 'websocket' };
  for (const path of ['/bayeux', '/bayeux/x', '/bayeux/x/y.json']) {
    const answer = await get(t, path, bogus);
    assert.ok([400, 426].includes(answer.status), `${path}: ${answer.status}`);
    const posted = await raw(t, JSON.stringify(HANDSHAKE), bogus, path);
    assert.equal(posted.status, 200);
    assert.equal(JSON.parse(posted.body)[0].successful, true);
  }
});
