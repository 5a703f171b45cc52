// What the own suite of socket.io-client asks of its server, with that client as it comes from npm.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Manager, io } from 'socket.io-client';
import { defer } from '../lib/scope.mjs';
import { Server } from '../lib/server.mjs';
import { once, within } from '../lib/within.mjs';

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'socket.io-client']);
});
after(() => server.kill());

/** A client of its own, for the length of a test. */
function client(t, path = '', options = {}) {
  const made = io(server.url + path, { forceNew: true, reconnectionDelay: 10, ...options });
  defer(t, () => made.disconnect());
  return made;
}

function manager(t, options = {}) {
  const made = new Manager(server.url, { reconnectionDelay: 10, ...options });
  defer(t, () => made._close());
  return made;
}

/** What the client hears under `told` after it has emitted `event`. */
async function asked(made, told, ...event) {
  const heard = within(5000, told, new Promise((resolve) => made.once(told, (...args) => resolve(args))));
  made.emit(...event);
  return heard;
}

/** The ack of an event, within the client's own time. */
const acked = (made, ...event) => made.timeout(3000).emitWithAck(...event);

const isDate = (text) => {
  assert.equal(new Date(text).toJSON(), text);
  assert.ok(Math.abs(new Date(text) - Date.now()) < 60_000, text);
};

test('socket.io-client: a word comes back, and an ack with two values goes', async (t) => {
  const made = client(t);
  // The server recovers sessions, so an event says where the client is.
  assert.deepEqual(await asked(made, 'hi', 'hi'), ['n1']);
  made.on('ack', (answer) => answer(5, { test: true }));
  assert.deepEqual(await asked(made, 'got it', 'ack'), ['n3']);
});

test('socket.io-client: dates, false, and letters of everywhere', async (t) => {
  const made = client(t);
  isDate(await acked(made, 'getAckDate', { test: true }));
  isDate((await asked(made, 'takeDate', 'getDate'))[0]);
  isDate((await asked(made, 'takeDateObj', 'getDateObj'))[0].date);
  assert.deepEqual(await asked(made, 'false', 'false'), [false, made._lastOffset]);
  const texts = [];
  made.on('takeUtf8', (text) => texts.push(text));
  await asked(made, 'hi', 'getUtf8').catch(() => {});
  assert.deepEqual(texts, ['てすと', 'Я Б Г Д Ж Й', 'Ä ä Ü ü ß', 'utf8 — string', 'utf8 — string']);
});

test('socket.io-client: bytes, alone, among JSON, and in order', async (t) => {
  const made = client(t);
  const bytes = Buffer.from('asdfasdf');
  assert.deepEqual((await asked(made, 'doge', 'doge'))[0], bytes);
  assert.deepEqual((await asked(made, 'takebin', 'getbin'))[0], bytes);
  await asked(made, 'buffack', 'buffa', bytes);
  await asked(made, 'back', 'blob', bytes);
  const mixed = { hello: 'lol', message: bytes, goodbye: 'gotcha' };
  await asked(made, 'jsonbuff-ack', 'jsonbuff', mixed);
  await asked(made, 'jsonblob-ack', 'jsonblob', mixed);
  made.emit('abuff1', bytes);
  await asked(made, 'abuff2-ack', 'abuff2', 'please arrive second');
  made.emit('blob1', bytes);
  made.emit('blob2', 'second');
  await asked(made, 'blob3-ack', 'blob3', bytes);
});

test('socket.io-client: ids are those of the server, and not those of Engine.IO', async (t) => {
  for (const path of ['', '/foo']) {
    const made = client(t, path);
    await once(made, 'connect');
    assert.equal(await acked(made, 'getId'), made.id);
    assert.notEqual(made.id, made.io.engine.id);
  }
});

test('socket.io-client: query and auth arrive', async (t) => {
  const there = client(t, '/abc?b=c&d=e', { auth: { a: 1 } });
  const [shaken] = await asked(there, 'handshake', 'nothing');
  assert.deepEqual([shaken.query.b, shaken.query.d, shaken.auth], ['c', 'e', { a: 1 }]);
  const made = client(t, '', { query: { '&a': '&=?a' }, auth: (tell) => tell({ token: 'x' }) });
  await once(made, 'connect');
  const { query, auth } = await acked(made, 'getHandshake');
  assert.deepEqual([query['&a'], auth], ['&=?a', { token: 'x' }]);
});

test('socket.io-client: refusals of the root and of a namespace', async (t) => {
  const [main] = await once(client(t, '/?fail=true'), 'connect_error');
  assert.equal(main.message, 'Auth failed (main namespace)');
  const [custom] = await once(client(t, '/no'), 'connect_error');
  assert.equal(custom.message, 'Auth failed (custom namespace)');
});

test('socket.io-client: namespaces come and go on one connection', async (t) => {
  const made = manager(t);
  const foo = made.socket('/foo');
  await once(foo, 'connect');
  // One is on its way in while the other goes.
  const asd = made.socket('/asd');
  foo.disconnect();
  await once(asd, 'connect');
  let left = false;
  asd.once('disconnect', () => (left = true));
  // Once that one is back on the same connection, the server has long seen it go.
  foo.connect();
  await once(foo, 'connect');
  assert.equal(left, false);
  foo.disconnect();
  const closed = within(5000, 'close', new Promise((resolve) => made.once('close', resolve)));
  asd.disconnect();
  await closed;
  const root = made.socket('/');
  root.connect();
  await once(root, 'connect');
});

test('socket.io-client: comes back by itself, and by hand', async (t) => {
  const made = client(t);
  await once(made, 'connect');
  made.disconnect();
  const again = once(made, 'connect');
  made.connect();
  await again;
  const back = once(made, 'connect');
  made.io.engine.close();
  await back;
});

test('socket.io-client: one that was left before a reconnect stays away, the other comes back', async (t) => {
  const made = manager(t);
  const [root, asd] = [made.socket('/'), made.socket('/asd')];
  await Promise.all([once(root, 'connect'), once(asd, 'connect')]);
  made.once('reconnect_attempt', () => root.disconnect());
  const back = once(asd, 'connect');
  made.engine.close();
  await back;
  assert.equal(root.connected, false);
});

test('socket.io-client: its session is recovered, with the same id', async (t) => {
  const made = client(t);
  assert.equal(made.recovered, false);
  await asked(made, 'hi', 'hi');
  const { id } = made;
  const back = once(made, 'connect');
  made.io.engine.close();
  await back;
  assert.deepEqual([made.id, made.recovered], [id, true]);
});

test('socket.io-client: who is not answered hears so in time; retries keep the order', async (t) => {
  const made = client(t);
  await once(made, 'connect');
  await assert.rejects(made.timeout(50).emitWithAck('unknown'), /timed out/);
  assert.equal(await acked(made, 'echo', 42), 42);

  const stubborn = client(t, '', { retries: 3, ackTimeout: 50 });
  let heard = 0;
  stubborn.on('ack', () => (heard += 1));
  const failed = new Promise((resolve) => stubborn.emit('ack', resolve));
  assert.match((await within(5000, 'the last try', failed)).message, /timed out/);
  assert.equal(heard, 4);
  const sent = [];
  stubborn.io.engine.on('packetCreate', ({ data }) => data?.startsWith('2') && sent.push(data));
  const echoes = [1, 2, 3].map((n) => new Promise((resolve) => stubborn.emit('echo', n, (error, value) => resolve(value))));
  assert.deepEqual(await Promise.all(echoes), [1, 2, 3]);
  assert.deepEqual(sent, ['24["echo",1]', '25["echo",2]', '26["echo",3]']);
});

test('socket.io-client: an answer of null is a value, and who retries asks once', async (t) => {
  const made = client(t, '', { retries: 3 });
  await once(made, 'connect');
  const sent = [];
  const acks = [];
  made.io.engine.on('packetCreate', ({ data }) => data?.startsWith('2') && sent.push(data));
  made.io.engine.on('packet', ({ data }) => data?.startsWith?.('3') && acks.push(data));
  await within(5000, 'the first answer', new Promise((resolve) => made.emit('echo', null, resolve)));
  // Were the first one asked again, this one would come behind its retries.
  await within(5000, 'the second answer', new Promise((resolve) => made.emit('echo', null, 'x', resolve)));
  assert.deepEqual(sent, ['20["echo",null]', '21["echo",null,"x"]']);
  assert.deepEqual(acks, ['30[null]', '31[null,"x"]']);
});

test('socket.io-client: an open that takes longer than its timeout is an error, and tried again', async (t) => {
  const made = manager(t, { timeout: 0, reconnectionAttempts: 2 });
  let attempts = 0;
  made.on('reconnect_attempt', () => (attempts += 1));
  const failed = within(5000, 'reconnect_failed', new Promise((resolve) => made.once('reconnect_failed', resolve)));
  made.socket('/timeout_socket');
  await failed;
  assert.equal(attempts, 2);
});
