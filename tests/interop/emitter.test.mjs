// The stock Primus 8 client with npm's `primus-emitter`: events and acks, both ways.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../lib/server.mjs';
import { client, connected, kind } from '../lib/stock.mjs';
import { Inbox, once, within } from '../lib/within.mjs';

const Kind = kind('primus-emitter');
const open = (t, server) => connected(t, server.url, {}, Kind);

/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

/** Sends an event, and returns the arguments of its ack. */
const ask = (socket, ...event) =>
  within(5000, `ack of ${event[0]}`, new Promise((resolve) => socket.send(...event, (...args) => resolve(args))));

test('primus-emitter: events both ways', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  for (const [sent, heard] of [
    [[], null],
    [[{ a: [1] }], { a: [1] }],
    [['Grüße, 世界 🦀'], 'Grüße, 世界 🦀'],
    [[1, 'two', null], [1, 'two', null]],
    [[0], 0],
  ]) {
    const said = once(socket, 'said');
    socket.send('say', ...sent);
    const args = await said;
    assert.equal(args.length, 1);
    same(args[0], heard);
  }
});

test('primus-emitter: an event to all reaches every client', async (t) => {
  const server = await serve(t, 'classic');
  const sockets = await Promise.all([open(t, server), open(t, server)]);
  const heard = sockets.map((socket) => once(socket, 'said'));
  sockets[0].send('say', 'hello');
  for (const [text] of await Promise.all(heard)) assert.equal(text, 'hello');
});

test('primus-emitter: acks of the server', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  same(await ask(socket, 'add', 1, 2, 3.5), [6.5]);
  same(await ask(socket, 'add', [4, 5]), [9]);
  same(await ask(socket, 'nothing'), [null]);
  const acks = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(socket, 'add', n, 1)));
  same(acks, Array.from({ length: 50 }, (_, n) => [n + 1]));
});

test('primus-emitter: a refusal is an ack with error and status', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  same(await ask(socket, 'refuse'), [{ error: 'no coffee', status: 418 }]);
  const [{ status }] = await ask(socket, 'add', 'no number');
  assert.equal(status, 400);
  same(await ask(socket, 'unheard of'), [{ error: 'nobody listens for unheard of', status: 404 }]);
});

test('primus-emitter: acks of the client', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  const asked = new Inbox(socket, 'asked');
  socket.on('name', (args, ack) => ack(...args));
  for (const [args, answer] of [
    [['Ada'], 'Ada'],
    [['Ada', 'Grace'], ['Ada', 'Grace']],
    [[], null],
  ]) {
    socket.send('ask', args);
    same(await asked.next(), answer);
  }
});

test('primus-emitter: reserved names and ordinary data are data as ever', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  for (const value of [
    { type: 0, data: ['error', 1] },
    { type: 0, data: ['say'], more: true },
    { type: 'chat', data: [] },
    { hello: 1 },
    [1, 2, 3],
  ]) {
    const answer = once(socket, 'data');
    socket.write(value);
    same((await answer)[0], value);
  }
});

test('primus-emitter: events that were sent before it was open arrive in order', async (t) => {
  const server = await serve(t, 'classic');
  const socket = client(t, server.url, {}, Kind);
  const said = new Inbox(socket, 'said');
  for (let n = 0; n < 20; n += 1) socket.send('say', n);
  for (let n = 0; n < 20; n += 1) assert.equal(await said.next(), n);
});
