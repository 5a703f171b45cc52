// npm's `faye` 1.4 over each transport that it has in Node.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { counts } from '../lib/metrics.mjs';
import { proxy } from '../lib/proxy.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve, Server } from '../lib/server.mjs';
import { Inbox, until, within } from '../lib/within.mjs';

const faye = createRequire(import.meta.url)('faye');

let services;
before(async () => {
  services = await Server.start('conformance', ['--suite', 'bayeux']);
});
after(() => services?.kill());

const TRANSPORTS = ['websocket', 'long-polling'];
const PATIENCE = 20_000;

function client(t, transport, url = services.url, path = '/bayeux') {
  const made = new faye.Client(url + path, { retry: 0.1 });
  for (const other of ['websocket', 'eventsource', 'cross-origin-long-polling', 'callback-polling', 'long-polling']) {
    if (other !== transport && other !== 'long-polling') made.disable(other);
  }
  // One whose session is over is told so.
  defer(t, () => Promise.resolve(made.disconnect()).catch(() => {}));
  return made;
}

async function subscribed(t, subscriber, pattern) {
  const inbox = new Inbox({ on: () => {} }, '', `event of ${pattern}`);
  const subscription = subscriber.subscribe(pattern).withChannel((channel, data) => inbox.push([channel, data]));
  await within(PATIENCE, `the subscription of ${pattern}`, subscription);
  return { next: () => inbox.next(PATIENCE), cancel: () => subscription.cancel() };
}

const published = (publisher, channel, data) => within(PATIENCE, `publish to ${channel}`, publisher.publish(channel, data));

const VALUES = ['', 'Grüße, 世界', 'line\u2028and\u2029paragraph', '🦀 and 𝄞', '"\\/\b\f\n\r\t\0', null, false, 0, [1, [2]], { a: { b: 'c' } }];

for (const transport of TRANSPORTS) {
  test(`faye over ${transport} gets what is published, whatever it is`, async (t) => {
    const [one, other] = [client(t, transport), client(t, transport)];
    const { next } = await subscribed(t, one, `/${transport}/any`);
    for (const value of VALUES) {
      await published(other, `/${transport}/any`, value);
      assert.deepEqual(await next(), [`/${transport}/any`, value]);
    }
    assert.equal(one._dispatcher.connectionType, transport);
  });

  test(`half a surrogate pair is replaced, for faye over ${transport}`, async (t) => {
    const one = client(t, transport);
    const { next } = await subscribed(t, one, `/${transport}/half`);
    await published(one, `/${transport}/half`, ['a\ud800b', { 'k\udc00': '\ud83e\udd80\ud83e' }]);
    assert.deepEqual(await next(), [`/${transport}/half`, ['a\ufffdb', { 'k\ufffd': '🦀\ufffd' }]]);
  });

  test(`faye over ${transport} disconnects, and nothing is left of it`, async (t) => {
    const server = await serve(t, 'fixture', await config(t, 'path = "/bayeux"\ntransformers = ["bayeux"]\n'));
    const one = client(t, transport, server.url);
    const { next } = await subscribed(t, one, '/primus');
    await published(one, '/primus', 'x');
    assert.deepEqual(await next(), ['/primus', 'x']);
    await within(PATIENCE, 'goodbye', Promise.resolve(one.disconnect()));
    const gone = (said) => said.connections === 0 && said.disconnections === 1;
    await until('the disconnection', () => fetch(`${server.url}/stats`).then((it) => it.json()), gone, PATIENCE);
  });

  test(`faye over ${transport} gets large messages`, async (t) => {
    const one = client(t, transport);
    const { next } = await subscribed(t, one, `/${transport}/large`);
    const large = 'ä'.repeat(300_000);
    await published(one, `/${transport}/large`, large);
    const [, data] = await next();
    assert.ok(data === large);
  });

  test(`faye over ${transport} subscribes to patterns, and unsubscribes`, async (t) => {
    const one = client(t, transport);
    const star = await subscribed(t, one, `/${transport}/p/*`);
    await published(one, `/${transport}/p/a/b`, 1);
    await published(one, `/${transport}/p/a`, 2);
    assert.deepEqual(await star.next(), [`/${transport}/p/a`, 2]);
    const deep = await subscribed(t, one, `/${transport}/p/**`);
    await published(one, `/${transport}/p/a/b`, 3);
    assert.deepEqual(await deep.next(), [`/${transport}/p/a/b`, 3]);
    await published(one, `/${transport}/p/a`, 4);
    // One copy came, of which the client makes two.
    assert.deepEqual(await star.next(), [`/${transport}/p/a`, 4]);
    assert.deepEqual(await deep.next(), [`/${transport}/p/a`, 4]);
  });

  test(`faye over ${transport} is told why it may not`, async (t) => {
    const one = client(t, transport);
    await assert.rejects(Promise.resolve(one.subscribe('/secret/x')), { code: 403, message: 'it is secret', params: ['/secret/x'] });
    await assert.rejects(Promise.resolve(one.publish('/secret/x', 1)), { code: 403, message: 'it is secret', params: ['/secret/x'] });
  });

  test(`a service answers faye over ${transport} alone`, async (t) => {
    const one = client(t, transport);
    const inbox = new Inbox({ on: () => {} }, '', 'message of the service');
    one.addExtension({ incoming: (message, callback) => {
      if (message.channel === '/service/echo' && message.data) inbox.push(message.data);
      callback(message);
    } });
    await published(one, '/service/echo', { n: 1 });
    assert.deepEqual(await inbox.next(PATIENCE), { n: 1 });
  });

  test(`faye over ${transport} goes on when its connections are cut, a hundred times`, async (t) => {
    const through = await proxy(t, services);
    const [one, other] = [client(t, transport, through.url), client(t, 'websocket')];
    const { next } = await subscribed(t, one, `/${transport}/cut`);
    for (let n = 0; n < 100; n += 1) {
      const asked = through.requests.length;
      through.cut();
      // It has come back, and is heard again.
      await until('it comes back', () => through.requests.length, (now) => now > asked, PATIENCE);
      await published(other, `/${transport}/cut`, n);
      assert.deepEqual(await next(), [`/${transport}/cut`, n]);
    }
  });

  test(`faye over ${transport} shakes hands again when the server asks for it, and has its subscriptions`, async (t) => {
    const [one, other] = [client(t, transport), client(t, 'websocket')];
    const { next } = await subscribed(t, one, `/${transport}/again`);
    const before = one._dispatcher.clientId;
    await published(one, '/service/reconnect', 1);
    await until('another client id', () => one._dispatcher.clientId, (now) => now && now !== before, PATIENCE);
    await within(PATIENCE, 'it is heard', (async () => {
      let heard = false;
      const hearing = next().then((event) => { heard = true; return event; });
      while (!heard) await published(other, `/${transport}/again`, 'x');
      assert.deepEqual(await hearing, [`/${transport}/again`, 'x']);
    })());
  });

  test(`the server ends faye over ${transport}, which does not come back`, async (t) => {
    const one = client(t, transport);
    await published(one, '/service/close', 1).catch(() => {});
    await until('the advice', () => one._advice.reconnect, (advice) => advice === 'none', PATIENCE);
  });

  test(`faye over ${transport} connects a hundred times`, async (t) => {
    for (let n = 0; n < 100; n += 1) {
      const one = client(t, transport);
      await published(one, `/${transport}/hundred`, n);
      await within(PATIENCE, 'goodbye', Promise.resolve(one.disconnect()));
    }
  });

  test(`faye over ${transport} connects again and again where nothing happens`, async (t) => {
    const one = client(t, transport, services.url, '/bayeux-short');
    const { next } = await subscribed(t, one, `/${transport}/short`);
    let connects = 0;
    one.addExtension({ outgoing: (message, callback) => {
      if (message.channel === '/meta/connect') connects += 1;
      callback(message);
    } });
    await until('three connects', () => connects, (count) => count >= 3, PATIENCE);
    await published(one, `/${transport}/short`, 'still here');
    assert.deepEqual(await next(), [`/${transport}/short`, 'still here']);
  });
}

test('metrics count clients of Bayeux', async (t) => {
  const toml = 'path = "/bayeux"\ntransformers = ["bayeux"]\n';
  const server = await serve(t, 'echo', ['--metrics', '/metrics', ...(await config(t, toml))]);
  for (const [index, transport] of TRANSPORTS.entries()) {
    const one = client(t, transport, server.url);
    // Where the handler hears a client, and the client the handler.
    const { next } = await subscribed(t, one, '/primus');
    await published(one, '/primus', 'x');
    assert.deepEqual(await next(), ['/primus', 'x']);
    const count = await counts(server, 'bayeux');
    assert.equal(count('primus_messages_in_total'), index + 1);
    assert.equal(count('primus_messages_out_total'), index + 1);
    assert.equal(count('primus_connections'), index + 1);
  }
});
