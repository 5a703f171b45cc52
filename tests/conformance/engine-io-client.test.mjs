// What the own suite of engine.io-client asks of its server, with that client as it comes from npm: greetings, limits, cookies, headers,
// refusals, and what the client learns of each end.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket } from 'engine.io-client';
import { defer } from '../lib/scope.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, once, within } from '../lib/within.mjs';

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'engine.io-client']);
});
after(() => server.kill());

const TRANSPORTS = ['polling', 'websocket'];

/** A client that has been greeted. */
async function greeted(t, options) {
  const client = new Socket(server.url.replace('http', 'ws'), options);
  defer(t, () => client.close());
  client.binaryType = 'arraybuffer';
  client.inbox = new Inbox(client, 'message');
  assert.equal(await client.inbox.next(), 'hi');
  return client;
}

/** What the client learns of its end: the reason, and the details. */
const end = (client) => within(5000, 'close', new Promise((resolve) => client.once('close', (...said) => resolve(said))));

test('engine.io-client: upgrades, and is echoed', async (t) => {
  const client = await greeted(t);
  if (client.transport.name !== 'websocket') await once(client, 'upgrade');
  client.send('echo');
  assert.equal(await client.inbox.next(), 'echo');
});

for (const transport of TRANSPORTS) {
  test(`engine.io-client over ${transport}: binary and utf8 on demand, and back`, async (t) => {
    const client = await greeted(t, { transports: [transport] });
    client.send('give binary');
    assert.deepEqual(Buffer.from(await client.inbox.next()), Buffer.from([0, 1, 2, 3, 4]));
    client.send('give utf8');
    assert.equal(await client.inbox.next(), 'пойду спать всем спокойной ночи');
    client.send(Uint8Array.from([5, 6, 7]));
    assert.deepEqual(Buffer.from(await client.inbox.next()), Buffer.from([5, 6, 7]));
  });

  test(`engine.io-client over ${transport}: a client that takes no binary gets base64`, async (t) => {
    const client = await greeted(t, { transports: [transport], forceBase64: true });
    client.send('give binary');
    assert.deepEqual(Buffer.from(await client.inbox.next()), Buffer.from([0, 1, 2, 3, 4]));
    client.send(Uint8Array.from([5, 6, 7]));
    assert.deepEqual(Buffer.from(await client.inbox.next()), Buffer.from([5, 6, 7]));
  });
}

test('engine.io-client: POSTs filled up to the last byte of maxPayload are taken, whatever is in them', async (t) => {
  const client = await greeted(t, { transports: ['polling'] });
  const sizes = [];
  const { doWrite } = client.transport;
  client.transport.doWrite = (body, done) => {
    sizes.push(Buffer.byteLength(body));
    doWrite.call(client.transport, body, done);
  };
  // With a type before each message and a separator between two, each is 100 bytes long.
  const posts = [['€'.repeat(33)], ['x'.repeat(40), 'y'.repeat(57)], [Buffer.alloc(72, 255), 'z']];
  const messages = posts.flat();
  for (const message of messages) client.send(message);
  for (const message of messages) {
    const echo = await client.inbox.next();
    assert.deepEqual(typeof echo === 'string' ? echo : Buffer.from(echo), message);
  }
  assert.deepEqual(sizes, [100, 100, 100]);
});

test('engine.io-client: too large a POST is an error with 413 and nothing else', async (t) => {
  const client = await greeted(t, { transports: ['polling'] });
  client.send('a'.repeat(101));
  const [reason, details] = await end(client);
  assert.equal(reason, 'transport error');
  assert.equal(details.description, 413);
  assert.equal(details.context.responseText, '');
});

test('engine.io-client: too large a WebSocket message is closed with 1009 and nothing else', async (t) => {
  const client = await greeted(t, { transports: ['websocket'] });
  client.send('a'.repeat(101));
  const [reason, details] = await end(client);
  assert.equal(reason, 'transport close');
  assert.equal(details.description, 'websocket connection closed');
  assert.deepEqual([details.context.code, details.context.reason], [1009, '']);
});

for (const [transport, code] of [['polling', 400], ['websocket', undefined]]) {
  test(`engine.io-client over ${transport}: an unknown sid is an error`, async (t) => {
    const client = new Socket(server.url.replace('http', 'ws'), { transports: [transport], query: { sid: 'abc' } });
    defer(t, () => client.close());
    // Read at once: the client forgets it.
    const read = ({ description, context }) => (code ? [description, context.responseText] : [description.message]);
    const failed = new Promise((resolve) => client.once('error', (error) => resolve(read(error))));
    const expected = code ? [code, '{"code":1,"message":"Session ID unknown"}'] : ['Unexpected server response: 400'];
    assert.deepEqual(await within(5000, 'error', failed), expected);
  });
}

test('engine.io-client: cookies of the handshake come back with each request, for as long as they are valid', async (t) => {
  const client = await greeted(t, { transports: ['polling'], withCredentials: true });
  client.send('sendHeaders');
  const headers = JSON.parse(await client.inbox.next());
  assert.equal(headers.cookie, '1=1; 2=2');
});

test('engine.io-client: extra headers arrive', async (t) => {
  const client = await greeted(t, { transports: ['polling'], extraHeaders: { 'X-Custom': 'my value' } });
  client.send('sendHeaders');
  assert.equal(JSON.parse(await client.inbox.next())['x-custom'], 'my value');
});

test('engine.io-client: who is denied learns it, and tries the next transport if it may', async (t) => {
  const response = await fetch(`${server.url}/engine.io/?EIO=4&transport=polling&deny=1`);
  assert.deepEqual([response.status, await response.json()], [403, { code: 4, message: 'Forbidden' }]);
  const denied = new Socket(server.url.replace('http', 'ws'), { transports: TRANSPORTS, query: { deny: 1 }, tryAllTransports: true });
  defer(t, () => denied.close());
  const [error] = await once(denied, 'error');
  assert.equal(error.description.message, 'Unexpected server response: 403');
});
