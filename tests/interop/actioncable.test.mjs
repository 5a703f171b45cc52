// npm's `@rails/actioncable` and `@anycable/core`, over npm's `ws`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createCable } from '@anycable/core';
import * as ActionCable from '@rails/actioncable';
import WebSocket from 'ws';
import { counts } from '../lib/metrics.mjs';
import { proxy } from '../lib/proxy.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve, Server } from '../lib/server.mjs';
import { Inbox, until } from '../lib/within.mjs';

// It looks for the page that it is in.
const page = new EventTarget();
globalThis.addEventListener ??= page.addEventListener.bind(page);
globalThis.removeEventListener ??= page.removeEventListener.bind(page);
globalThis.document ??= { visibilityState: 'visible', addEventListener: () => {}, removeEventListener: () => {} };
ActionCable.adapters.WebSocket = WebSocket;
ActionCable.ConnectionMonitor.reconnectionBackoffRate = 0;

let server;
let url;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'actioncable']);
  url = `${server.url.replace('http', 'ws')}/cable`;
});
after(() => server?.kill());

const inbox = (name) => new Inbox({ on: () => {} }, '', name);

// ---- a client that shows every byte ----

/** A WebSocket that speaks the protocol by hand; pings are left out. */
async function wire(t, { protocols = ['actioncable-v1-json', 'actioncable-unsupported'], path = '' } = {}) {
  const ws = new WebSocket(`${url}${path}`, protocols);
  const said = inbox('frame');
  ws.on('message', (data) => {
    if (!String(data).startsWith('{"type":"ping"')) said.push(String(data));
  });
  ws.on('close', (code) => said.push(code));
  ws.on('error', () => {});
  defer(t, () => ws.terminate());
  const send = (command, identifier, more = {}) => ws.send(JSON.stringify({ command, identifier, ...more }));
  const perform = (identifier, data) => send('message', identifier, { data: JSON.stringify(data) });
  return { ws, send, perform, next: (ms = 10_000) => said.next(ms) };
}

const CHAT = '{"channel":"ChatChannel"}';
const quoted = JSON.stringify(CHAT);

test('actioncable-v1-json to the byte: welcome, confirmations, messages, rejections', async (t) => {
  const { ws, send, perform, next } = await wire(t);
  assert.equal(await next(), '{"type":"welcome"}');
  assert.equal(ws.protocol, 'actioncable-v1-json');
  send('subscribe', CHAT);
  assert.equal(await next(), `{"identifier":${quoted},"type":"confirm_subscription"}`);
  // Subscribing is idempotent, and confirmed once more.
  send('subscribe', CHAT);
  assert.equal(await next(), `{"identifier":${quoted},"type":"confirm_subscription"}`);
  perform(CHAT, { action: 'speak', text: 'hi' });
  assert.equal(await next(), `{"identifier":${quoted},"message":{"text":"hi"}}`);
  // Without an action it is a message of the channel.
  perform(CHAT, { a: 1 });
  assert.equal(await next(), `{"identifier":${quoted},"message":{"received":{"a":1}}}`);
  for (const none of ['{"channel":"NoChannel"}', '{"channel":"PrivateChannel"}', 'ChatChannel', '{}', '', `{"channel":"ChatChannel","room":"${'x'.repeat(9000)}"}`]) {
    send('subscribe', none);
    assert.equal(await next(), `{"identifier":${JSON.stringify(none)},"type":"reject_subscription"}`);
  }
  // There is no answer to it, and nothing comes after it.
  send('unsubscribe', CHAT);
  perform(CHAT, { action: 'speak', text: 'nobody hears this' });
  send('subscribe', CHAT);
  assert.equal(await next(), `{"identifier":${quoted},"type":"confirm_subscription"}`);
});

test('an identifier comes back byte for byte, and parameters in any order are one channel', async (t) => {
  const { send, perform, next } = await wire(t);
  await next();
  const one = '{"channel":"ChatChannel","a":1,"b":"\u2028é🦀"}';
  const other = '{ "b":"\\u2028é🦀", "a":1, "channel":"ChatChannel" }';
  send('subscribe', one);
  send('subscribe', other);
  const confirmed = [JSON.parse(await next()), JSON.parse(await next())];
  assert.deepEqual(confirmed, [one, other].map((identifier) => ({ identifier, type: 'confirm_subscription' })));
  perform(other, { action: 'speak', n: 1 });
  const heard = [JSON.parse(await next()), JSON.parse(await next())];
  assert.deepEqual(heard, [one, other].map((identifier) => ({ identifier, message: { n: 1 } })));
  send('unsubscribe', one);
  perform(other, { action: 'speak', n: 2 });
  assert.deepEqual(JSON.parse(await next()), { identifier: other, message: { n: 2 } });
  // Another value is another channel.
  const third = '{"channel":"ChatChannel","a":"1"}';
  send('subscribe', third);
  await next();
  perform(third, { action: 'speak', n: 3 });
  assert.deepEqual(JSON.parse(await next()), { identifier: third, message: { n: 3 } });
});

test('commands of a connection take effect in order, whatever is being decided', async (t) => {
  const { send, perform, next } = await wire(t);
  await next();
  for (let n = 0; n < 50; n += 1) {
    send('subscribe', CHAT);
    perform(CHAT, { n });
    send('unsubscribe', CHAT);
  }
  send('subscribe', CHAT);
  perform(CHAT, { n: 50 });
  const frames = [];
  while (frames.at(-1) !== `{"identifier":${quoted},"message":{"received":{"n":50}}}`) frames.push(await next());
  assert.ok(frames.includes(`{"identifier":${quoted},"type":"confirm_subscription"}`));
  assert.ok(frames.every((frame) => !frame.includes('reject')), frames.join('\n'));
});

test('a ping comes every three seconds or so, with the time', async (t) => {
  const ws = new WebSocket(url, 'actioncable-v1-json');
  defer(t, () => ws.terminate());
  const said = new Inbox(ws, 'message');
  assert.equal(String(await said.next()), '{"type":"welcome"}');
  for (let n = 0; n < 2; n += 1) {
    const { type, message } = JSON.parse(String(await said.next(6000)));
    assert.equal(type, 'ping');
    assert.ok(Math.abs(message - Date.now() / 1000) < 5);
  }
});

test('the end says why, and whether to come back', async (t) => {
  for (const reconnect of [true, false]) {
    const { send, perform, next } = await wire(t);
    await next();
    send('subscribe', CHAT);
    await next();
    perform(CHAT, { action: 'disconnect_me', reconnect });
    assert.equal(await next(), `{"type":"disconnect","reason":"remote","reconnect":${reconnect}}`);
    assert.equal(await next(), reconnect ? 4001 : 4000);
  }
  const refused = await wire(t, { path: '?token=bad' });
  assert.equal(await refused.next(), '{"type":"disconnect","reason":"unauthorized","reconnect":false}');
  assert.equal(await refused.next(), 4401);
});

// ---- @rails/actioncable ----

/** A consumer, connected, and a way to subscribe. */
function rails(t, at = url) {
  const consumer = ActionCable.createConsumer(at);
  defer(t, () => consumer.disconnect());
  const subscribe = (params) => {
    const heard = inbox(`word of ${JSON.stringify(params)}`);
    const subscription = consumer.subscriptions.create(params, {
      connected: (how) => heard.push(['connected', how]),
      disconnected: (how) => heard.push(['disconnected', how]),
      rejected: () => heard.push(['rejected']),
      received: (data) => heard.push(['received', data]),
    });
    return { subscription, next: (ms = 15_000) => heard.next(ms) };
  };
  return { consumer, subscribe };
}

const TEXTS = ['x', '', 'Grüße, 世界', 'line\u2028and\u2029paragraph', '🦀 and 𝄞', '"\\/\b\f\n\r\t\0', '</script>', 'ä'.repeat(300_000)];

test('@rails/actioncable subscribes, performs and hears, any text and large ones', async (t) => {
  const [one, other] = [rails(t), rails(t)].map((client) => client.subscribe({ channel: 'ChatChannel', room: 'texts' }));
  for (const { next } of [one, other]) assert.deepEqual(await next(), ['connected', { reconnected: false }]);
  for (const text of TEXTS) {
    one.subscription.perform('speak', { text });
    for (const { next } of [one, other]) assert.deepEqual(await next(), ['received', { text }]);
  }
  for (let n = 0; n < 100; n += 1) one.subscription.perform('speak', { n });
  for (let n = 0; n < 100; n += 1) assert.deepEqual(await other.next(), ['received', { n }]);
  one.subscription.send({ plain: 1 });
  for (let n = 0; n < 100; n += 1) await one.next();
  assert.deepEqual(await one.next(), ['received', { received: { plain: 1 } }]);
});

test('half a surrogate pair is replaced, for @rails/actioncable', async (t) => {
  const { subscription, next } = rails(t).subscribe({ channel: 'ChatChannel', room: 'half' });
  await next();
  subscription.perform('speak', { text: 'a\ud800b', 'k\udc00': '\ud83e\udd80\ud83e' });
  assert.deepEqual(await next(), ['received', { text: 'a\ufffdb', 'k\ufffd': '🦀\ufffd' }]);
});

/** A server that counts its clients. */
const counting = async (t) => {
  // A client of AnyCable may come back, whichever way it went.
  const toml = 'path = "/cable"\ntransformers = ["actioncable"]\nresume_window = "500ms"\n';
  const own = await serve(t, 'fixture', await config(t, toml));
  const stats = () => fetch(`${own.url}/stats`).then((it) => it.json());
  const count = (connections, disconnections) =>
    until('the clients', stats, (said) => said.connections === connections && said.disconnections === disconnections, 15_000);
  return { at: `${own.url.replace('http', 'ws')}/cable`, count };
};

test('@rails/actioncable disconnects, and nothing is left of it', async (t) => {
  const { at, count } = await counting(t);
  const { consumer } = rails(t, at);
  consumer.connect();
  await count(1, 0);
  consumer.disconnect();
  await count(0, 1);
});

test('@rails/actioncable is rejected, and unsubscribes', async (t) => {
  const { subscribe } = rails(t);
  assert.deepEqual(await subscribe('PrivateChannel').next(), ['rejected']);
  const first = subscribe({ channel: 'ChatChannel', room: 'short' });
  await first.next();
  first.subscription.unsubscribe();
  const again = subscribe({ channel: 'ChatChannel', room: 'short' });
  assert.deepEqual((await again.next())[0], 'connected');
  again.subscription.perform('leave');
  assert.deepEqual(await again.next(), ['rejected']);
});

test('@rails/actioncable comes back when it is told to, and stays away when it is told to', async (t) => {
  const { consumer, subscribe } = rails(t);
  const chat = subscribe('ChatChannel');
  assert.deepEqual(await chat.next(), ['connected', { reconnected: false }]);
  chat.subscription.perform('disconnect_me', { reconnect: true });
  assert.deepEqual(await chat.next(), ['disconnected', { willAttemptReconnect: true }]);
  assert.deepEqual(await chat.next(30_000), ['connected', { reconnected: true }]);
  chat.subscription.perform('disconnect_me', { reconnect: false });
  assert.deepEqual(await chat.next(), ['disconnected', { willAttemptReconnect: false }]);
  await until('it is closed', () => consumer.connection.isActive(), (active) => !active);
});

/** The server's cable behind a proxy, which can cut it. */
async function cuttable(t) {
  const through = await proxy(t, server);
  return { cut: () => through.cut(), at: `${through.url.replace('http', 'ws')}/cable` };
}

test('@rails/actioncable is cut a hundred times, and has its subscriptions again each time', async (t) => {
  const { cut, at } = await cuttable(t);
  const { subscribe } = rails(t, at);
  const rooms = ['a', 'b'].map((room) => subscribe({ channel: 'ChatChannel', room: `cut ${room}` }));
  for (const { next } of rooms) assert.deepEqual(await next(), ['connected', { reconnected: false }]);
  for (let n = 0; n < 100; n += 1) {
    cut();
    for (const { next } of rooms) assert.deepEqual(await next(), ['disconnected', { willAttemptReconnect: true }]);
    // It looks for its connection every six seconds, which it counts; and whenever its page comes into view, which it does not.
    page.dispatchEvent(new Event('visibilitychange'));
    for (const { next } of rooms) assert.deepEqual(await next(), ['connected', { reconnected: false }]);
    for (const { subscription, next } of rooms) {
      subscription.perform('speak', { n });
      assert.deepEqual(await next(), ['received', { n }]);
    }
  }
});

// ---- @anycable/core ----

/** A cable of AnyCable's client, and a way to subscribe. */
function anycable(t, options = {}, at = url) {
  const cable = createCable(at, { protocol: 'actioncable-v1-ext-json', websocketImplementation: WebSocket, logLevel: 'error', reconnectStrategy: () => 50, ...options });
  defer(t, () => cable.disconnect());
  const subscribe = (name, params) => {
    const heard = inbox(`word of ${name}`);
    const channel = cable.subscribeTo(name, params);
    channel.on('connect', (how) => heard.push(['connect', how]));
    channel.on('message', (message, meta) => heard.push(['message', message, meta]));
    channel.on('info', (info) => heard.push(['info', info.type]));
    channel.on('close', (error) => heard.push(['close', error?.name]));
    channel.on('presence', ({ type, id, info }) => heard.push(['presence', type, id, info]));
    return { channel, next: (ms = 15_000) => heard.next(ms) };
  };
  return { cable, subscribe };
}

for (const protocol of ['actioncable-v1-json', 'actioncable-v1-ext-json']) {
  test(`@anycable/core subscribes, performs and hears, over ${protocol}`, async (t) => {
    const { subscribe } = anycable(t, { protocol });
    const { channel, next } = subscribe('ChatChannel', { room: protocol });
    assert.deepEqual(await next(), ['connect', { reconnect: false, restored: false }]);
    for (const text of TEXTS) {
      channel.perform('speak', { text });
      assert.deepEqual((await next()).slice(0, 2), ['message', { text }]);
    }
    assert.deepEqual(await subscribe('PrivateChannel').next(), ['close', 'SubscriptionRejectedError']);
  });
}

for (const [protocol, restored] of [['actioncable-v1-json', false], ['actioncable-v1-ext-json', true]]) {
  test(`@anycable/core is cut a hundred times, and has its subscriptions again each time, over ${protocol}`, async (t) => {
    const { cut, at } = await cuttable(t);
    const { subscribe } = anycable(t, { protocol }, at);
    const rooms = ['a', 'b'].map((room) => subscribe('ChatChannel', { room: `cut ${room} ${protocol}` }));
    for (const { next } of rooms) assert.deepEqual(await next(), ['connect', { reconnect: false, restored: false }]);
    for (let n = 0; n < 100; n += 1) {
      cut();
      for (const { next } of rooms) assert.deepEqual(await next(), ['connect', { reconnect: true, restored }]);
      for (const { channel, next } of rooms) {
        channel.perform('speak', { n });
        assert.deepEqual((await next()).slice(0, 2), ['message', { n }]);
      }
    }
  });
}

for (const protocol of ['actioncable-v1-json', 'actioncable-v1-ext-json']) {
  test(`@anycable/core comes back when it is told to, and stays away when it is told to, over ${protocol}`, async (t) => {
    const { cable, subscribe } = anycable(t, { protocol });
    const closed = new Promise((resolve) => cable.on('close', resolve));
    const { channel, next } = subscribe('ChatChannel', { room: `told ${protocol}` });
    assert.deepEqual(await next(), ['connect', { reconnect: false, restored: false }]);
    channel.perform('disconnect_me', { reconnect: true });
    assert.deepEqual(await next(), ['connect', { reconnect: true, restored: false }]);
    channel.perform('disconnect_me', { reconnect: false });
    assert.equal((await closed).reason, 'remote');
    assert.equal(cable.state, 'closed');
  });

  test(`@anycable/core disconnects, and nothing is left of it, over ${protocol}`, async (t) => {
    const { at, count } = await counting(t);
    const { cable } = anycable(t, { protocol }, at);
    await cable.connect();
    await count(1, 0);
    cable.disconnect();
    await count(0, 1);
  });
}

test('@anycable/core whispers to all others, and past the application', async (t) => {
  const [one, other] = [anycable(t), anycable(t)].map(({ subscribe }) => subscribe('ChatChannel', { room: 'whisper' }));
  await one.next();
  await other.next();
  one.channel.whisper({ typing: true });
  assert.deepEqual((await other.next()).slice(0, 2), ['message', { typing: true }]);
  one.channel.perform('speak', { last: 1 });
  assert.deepEqual((await one.next()).slice(0, 2), ['message', { last: 1 }]);
});

test('@anycable/core sees who is present, who comes and who leaves', async (t) => {
  const [one, other] = [anycable(t), anycable(t)].map(({ subscribe }) => subscribe('ChatChannel', { room: 'present' }));
  await one.next();
  await other.next();
  await one.channel.presence.join('1', { name: 'Ada' });
  assert.deepEqual(await one.channel.presence.info(), { 1: { name: 'Ada' } });
  const heard = async () => {
    for (;;) {
      const word = await one.next();
      if (word[0] === 'presence' && word[1] !== 'info' && word[2] !== '1') return word;
    }
  };
  await other.channel.presence.join('2', { name: 'Bob' });
  assert.deepEqual(await heard(), ['presence', 'join', '2', { name: 'Bob' }]);
  await other.channel.presence.leave();
  assert.equal((await heard())[1], 'leave');
  assert.deepEqual(await one.channel.presence.info(), { 1: { name: 'Ada' } });
});

/** Cuts a cable's connection as a broken network would. */
const cut = (cable) => cable.transport.ws.terminate();

test('@anycable/core gets its session back with its subscriptions, and what it missed, once and in order', async (t) => {
  const { cable, subscribe } = anycable(t);
  const speaker = anycable(t).subscribe('HistoryChannel');
  const listener = subscribe('HistoryChannel');
  assert.equal((await speaker.next())[0], 'connect');
  assert.deepEqual(await listener.next(), ['connect', { reconnect: false, restored: false }]);
  const connects = [];
  const message = async () => {
    for (;;) {
      const word = await listener.next();
      if (word[0] === 'message') return word;
      if (word[0] === 'connect') connects.push(word[1]);
    }
  };
  speaker.channel.perform('speak', { n: 0 });
  const [, , first] = await message();
  assert.equal(first.stream, 'HistoryChannel#stream');
  for (let round = 0; round < 5; round += 1) {
    cut(cable);
    for (let n = 0; n < 10; n += 1) speaker.channel.perform('speak', { round, n });
    for (let n = 0; n < 10; n += 1) {
      const [, said, { epoch, offset }] = await message();
      assert.deepEqual(said, { round, n });
      assert.deepEqual([epoch, offset], [first.epoch, first.offset + round * 10 + n + 1]);
    }
  }
  assert.deepEqual(connects, Array(5).fill({ reconnect: true, restored: true }));
});

test('a session of AnyCable is restored by its sid, to the byte', async (t) => {
  const protocols = ['actioncable-v1-ext-json'];
  const identifier = '{"channel":"HistoryChannel"}';
  const first = await wire(t, { protocols });
  const { sid, ...welcome } = JSON.parse(await first.next());
  assert.deepEqual(welcome, { type: 'welcome' });
  first.send('subscribe', identifier);
  assert.equal(JSON.parse(await first.next()).type, 'confirm_subscription');
  first.perform(identifier, { action: 'speak', n: 1 });
  const { stream_id, epoch, offset, message } = JSON.parse(await first.next());
  assert.deepEqual([stream_id, message], ['HistoryChannel#stream', { n: 1 }]);
  first.ws.terminate();
  const second = await wire(t, { protocols, path: `?sid=${sid}` });
  assert.equal(await second.next(), JSON.stringify({ type: 'welcome', sid, restored: true, restored_ids: [identifier] }));
  second.send('history', identifier, { history: { since: 0, streams: { [stream_id]: { epoch, offset: offset - 1 } } } });
  assert.equal(await second.next(), JSON.stringify({ identifier, message, stream_id, epoch, offset }));
  assert.equal(await second.next(), JSON.stringify({ identifier, type: 'confirm_history' }));
  // Of another epoch there is nothing.
  second.send('history', identifier, { history: { streams: { [stream_id]: { epoch: 'gone', offset } } } });
  assert.equal(await second.next(), JSON.stringify({ identifier, type: 'reject_history' }));
  second.ws.terminate();
  // Nobody has a session by a sid that is none.
  const third = await wire(t, { protocols, path: '?sid=nonsense' });
  assert.notEqual(JSON.parse(await third.next()).sid, sid);
});

test('a client that subscribes anew gets what it says it lacks, before anything else', async (t) => {
  const protocols = ['actioncable-v1-ext-json'];
  const identifier = '{"channel":"HistoryChannel"}';
  const first = await wire(t, { protocols });
  await first.next();
  first.send('subscribe', identifier);
  await first.next();
  first.perform(identifier, { action: 'speak', n: 'before' });
  const { stream_id, epoch, offset } = JSON.parse(await first.next());
  first.perform(identifier, { action: 'speak', n: 'missed' });
  const missed = await first.next();
  const second = await wire(t, { protocols });
  await second.next();
  second.send('subscribe', identifier, { history: { streams: { [stream_id]: { epoch, offset } } } });
  assert.equal(JSON.parse(await second.next()).type, 'confirm_subscription');
  assert.equal(await second.next(), missed);
  assert.equal(JSON.parse(await second.next()).type, 'confirm_history');
});

test('a client that is back, and asks for nothing or for one stream only, hears what is new', async (t) => {
  const protocols = ['actioncable-v1-ext-json'];
  const identifier = '{"channel":"HistoryChannel"}';
  // Who asks for nothing is waited for until the second ping.
  for (const history of [{ streams: {} }, null]) {
    const first = await wire(t, { protocols });
    const { sid } = JSON.parse(await first.next());
    first.send('subscribe', identifier);
    assert.equal(JSON.parse(await first.next()).type, 'confirm_subscription');
    first.ws.terminate();
    const second = await wire(t, { protocols, path: `?sid=${sid}` });
    assert.equal(JSON.parse(await second.next()).restored, true);
    if (history) second.send('history', identifier, { history });
    second.perform(identifier, { action: 'speak', after: history });
    assert.deepEqual(JSON.parse(await second.next(20_000)).message, { after: history });
    second.ws.terminate();
  }
});

test('metrics count clients of ActionCable', async (t) => {
  const toml = 'path = "/cable"\ntransformers = ["actioncable"]\n';
  const counted = await serve(t, 'echo', ['--metrics', '/metrics', ...(await config(t, toml))]);
  const open = async () => {
    const ws = new WebSocket(`${counted.url.replace('http', 'ws')}/cable`, 'actioncable-v1-json');
    defer(t, () => ws.terminate());
    const said = new Inbox(ws, 'message');
    assert.equal(String(await said.next()), '{"type":"welcome"}');
    return ws;
  };
  const connections = async () => (await counts(counted, 'actioncable'))('primus_connections');
  const first = await open();
  assert.equal(await connections(), 1);
  await open();
  assert.equal(await connections(), 2);
  first.close();
  await until('one has gone', connections, (count) => count === 1);
});
