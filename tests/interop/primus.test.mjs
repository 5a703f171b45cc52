// The stock Primus 8 client does what its users rely on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { config, serve } from '../lib/server.mjs';
import { client, connected } from '../lib/stock.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

const ID = /^[A-Za-z0-9_-]{22}$/;

const names = (socket) => socket.events.map(([name]) => name);
const id = (socket) => new Promise((resolve) => socket.id(resolve));
const stats = (server) => fetch(`${server.url}/stats`).then((answer) => answer.json());

/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

/** Writes `value` and returns the next message. */
async function exchange(socket, value) {
  const answer = once(socket, 'data');
  assert.equal(socket.write(value), true);
  return (await answer)[0];
}

test('the stock client gets its JSON values back', async (t) => {
  const server = await serve(t, 'echo');
  const socket = await connected(t, server.url);
  const values = [
    { a: 1, nested: { list: [1, 'two', null, { three: true }] } },
    [],
    {},
    0,
    -1.5,
    '',
    null,
    true,
    false,
    'hello',
    'Grüße, 世界 🦀',
    'line\u2028and\u2029paragraph',
    { 'kéy\u2028': '\u0000"\\/' },
  ];
  for (const value of values) same(await exchange(socket, value), value);
});

test('the stock client gets messages written before it was open, in order', async (t) => {
  const server = await serve(t, 'echo');
  const socket = client(t, server.url);
  const data = new Inbox(socket, 'data');
  for (let n = 0; n < 50; n += 1) socket.write({ n });
  for (let n = 0; n < 50; n += 1) same(await data.next(), { n });
});

test('the stock client gets a large message back', async (t) => {
  const server = await serve(t, 'echo');
  const socket = await connected(t, server.url);
  const text = 'ä'.repeat(200_000);
  assert.equal(await exchange(socket, text), text);
});

test('a broadcast reaches every stock client', async (t) => {
  const server = await serve(t, 'echo');
  const sockets = await Promise.all([connected(t, server.url), connected(t, server.url)]);
  const seen = sockets.map((socket) => once(socket, 'data'));
  sockets[0].write('broadcast');
  for (const [message] of await Promise.all(seen)) assert.equal(message, 'broadcast');
});

test('the stock client gets pings, and its pongs keep it alive', async (t) => {
  const args = await config(t, 'ping_interval = "300ms"\nping_timeout = "300ms"\n');
  const server = await serve(t, 'fixture', args);
  const socket = await connected(t, server.url, { pingTimeout: 2000 });
  const pings = new Inbox(socket, 'incoming::ping');
  for (let n = 0; n < 6; n += 1) {
    const time = await pings.next();
    assert.ok(Math.abs(Date.now() - Number(time)) < 60_000, `a ping carries the time, not ${time}`);
  }
  assert.deepEqual(names(socket), ['readyStateChange', 'readyStateChange', 'open']);
});

test('the stock client of the echo example gets pings', async (t) => {
  const server = await serve(t, 'echo', await config(t, 'ping_interval = "300ms"\n'));
  const socket = await connected(t, server.url);
  const pings = new Inbox(socket, 'incoming::ping');
  await pings.next();
  await pings.next();
  assert.equal(await exchange(socket, 'still here'), 'still here');
});

test('a stock client that never pongs is ended, and comes back', async (t) => {
  const args = await config(t, 'ping_interval = "200ms"\nping_timeout = "200ms"\n');
  const server = await serve(t, 'fixture', args);
  const socket = await connected(t, server.url);
  // The client answers pings by this internal event; without listeners it is as good as dead.
  socket.removeAllListeners('outgoing::pong');
  socket._write = () => true;
  await once(socket, 'reconnect scheduled');
  assert.ok(!names(socket).includes('end'));
});

test('the stock client learns its id', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, server.url);
  const own = await id(socket);
  assert.match(own, ID);
  assert.equal(await id(socket), own);
  same(await exchange(socket, { cmd: 'id' }), { id: own });
});

test('the stock client of the echo example learns its id', async (t) => {
  const server = await serve(t, 'echo');
  const [one, two] = await Promise.all([connected(t, server.url), connected(t, server.url)]);
  const [first, second] = await Promise.all([id(one), id(two)]);
  assert.match(first, ID);
  assert.match(second, ID);
  assert.notEqual(first, second);
});

test('the stock client ends the connection', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, server.url);
  await until('one connection', () => stats(server), (said) => said.connections === 1);
  const ended = once(socket, 'end');
  socket.end({ last: 'words' });
  await ended;
  const said = await until('the disconnection', () => stats(server), (now) => now.disconnections === 1);
  assert.equal(said.connections, 0);
  assert.equal(said.messages, 1);
  assert.deepEqual(names(socket).slice(-3), ['readyStateChange', 'close', 'end']);
  assert.ok(!names(socket).includes('reconnect scheduled'));
});

test('the server ends a stock client, which does not come back', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, server.url);
  const ended = once(socket, 'end');
  socket.write({ cmd: 'end' });
  await ended;
  assert.deepEqual(names(socket).slice(-3), ['readyStateChange', 'close', 'end']);
  assert.equal(socket.readyState, socket.constructor.CLOSED);
  assert.ok(!socket.recovery.reconnecting());
});

test('the server ends a stock client with a last message', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, server.url);
  const ended = once(socket, 'end');
  socket.write({ cmd: 'endWith', message: { bye: 'bye' } });
  await ended;
  same(socket.events.find(([name]) => name === 'data')[1], { bye: 'bye' });
  assert.deepEqual(names(socket).slice(-4), ['data', 'readyStateChange', 'close', 'end']);
});

test('the server asks a stock client to reconnect', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, server.url);
  const before = await id(socket);
  const back = once(socket, 'reconnected');
  socket.write({ cmd: 'reconnect' });
  await back;
  assert.ok(!names(socket).includes('end'));
  same(await exchange(socket, { again: true }), { again: true });
  assert.notEqual(await id(socket), before);
});

test('a stock client survives a restart of the server', async (t) => {
  const server = await serve(t, 'echo');
  const socket = await connected(t, server.url);
  const scheduled = once(socket, 'reconnect scheduled');
  await server.kill();
  await scheduled;
  const back = once(socket, 'reconnected', 15_000);
  await serve(t, 'echo', [], { listen: server.host });
  await back;
  assert.equal(await exchange(socket, 'hello again'), 'hello again');
});

test('the query string of a stock client reaches the handler', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = await connected(t, `${server.url}/?room=lobby&name=J%C3%BCrgen%20%26%20Co`);
  const { query } = await exchange(socket, { cmd: 'query' });
  assert.equal(query.room, 'lobby');
  assert.equal(query.name, 'Jürgen & Co');
});

test('a refused stock client ends', async (t) => {
  const server = await serve(t, 'fixture');
  const socket = client(t, `${server.url}/?reject=401`, { strategy: 'disconnect, online' });
  const [error] = await once(socket, 'error');
  assert.match(error.message, /401/);
  await until('the end', () => names(socket), (seen) => seen.includes('end'));
  assert.equal((await stats(server)).opened, 0);
});

test('undecodable data does not end the connection of a stock client', async (t) => {
  const server = await serve(t, 'echo');
  const socket = await connected(t, server.url);
  socket.socket.send('{"not json');
  same(await exchange(socket, { fine: 1 }), { fine: 1 });
});

test('the spec has the five fields of Primus 8', async (t) => {
  const server = await serve(t, 'echo');
  const answer = await fetch(`${server.url}/primus/spec`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  const spec = await answer.json();
  assert.equal(spec.pingInterval, 30_000);
  assert.equal(spec.pathname, '/primus');
  assert.equal(typeof spec.version, 'string');
  assert.equal(spec.parser, 'json');
  assert.equal(typeof spec.transformer, 'string');
});
