// The stock Primus 8 client with npm's `primus-multiplex`, alone and with `primus-emitter`: channels.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../lib/server.mjs';
import { connected, kind } from '../lib/stock.mjs';
import { Inbox, once, until, within } from '../lib/within.mjs';

const Alone = kind('primus-multiplex');
const Kind = kind('primus-emitter', 'primus-multiplex');
const open = (t, server, Of = Kind) => connected(t, server.url, {}, Of);

/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

const ask = (channel, ...event) =>
  within(5000, `ack of ${event[0]}`, new Promise((resolve) => channel.send(...event, (...args) => resolve(args))));

const inNews = (server) => fetch(`${server.url}/stats`).then((answer) => answer.json()).then(({ news }) => news);

/** Writes `value` and returns the next message. */
async function exchange(socket, value) {
  const answer = once(socket, 'data');
  socket.write(value);
  return (await answer)[0];
}

test('primus-multiplex: messages both ways in a channel, beside the root', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server, Alone);
  const news = socket.channel('news');
  for (const value of [{ a: [1] }, 'Grüße, 世界 🦀', 7, true, [1, 2], { '"': '\\' }]) {
    same(await exchange(news, value), value);
  }
  // The plugin leaves out what is falsy.
  same(await exchange(news, 0), null);
  same(await exchange(socket, { in: 'the root' }), { in: 'the root' });
});

test('primus-multiplex: what is written at once waits until the client may enter', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server, Alone);
  const slow = socket.channel('slow');
  const said = new Inbox(slow, 'data');
  for (let n = 1; n <= 200; n += 1) slow.write({ n });
  for (let n = 1; n <= 200; n += 1) same(await said.next(), { n });
});

test('primus-multiplex: several channels, and one of a pattern, at a time', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server, Alone);
  const channels = ['news', '/doc/1', '/doc/2'].map((name) => [name, socket.channel(name)]);
  const answers = await Promise.all(channels.map(([name, channel]) => exchange(channel, name)));
  assert.deepEqual(answers, ['news', '/doc/1', '/doc/2']);
});

test('primus-multiplex: the client leaves, and comes again', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server, Alone);
  const news = socket.channel('news');
  assert.equal(await exchange(news, 'hello'), 'hello');
  assert.equal(await inNews(server), 1);
  const ended = once(news, 'end');
  news.end();
  await ended;
  await until('nobody in news', () => inNews(server), (count) => count === 0);
  assert.equal(await exchange(socket.channel('news'), 'again'), 'again');
});

test('primus-multiplex: the client goes, and its channels with it', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server, Alone);
  assert.equal(await exchange(socket.channel('news'), 'hello'), 'hello');
  socket.end();
  await until('nobody in news', () => inNews(server), (count) => count === 0);
});

test('primus-multiplex: the server ends a channel behind a last message', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  const news = socket.channel('news');
  const [data, ended, closed] = [new Inbox(news, 'data'), once(news, 'end'), once(news, 'close')];
  news.send('bye', { last: 'words' });
  same(await data.next(), { last: 'words' });
  await ended;
  await closed;
  same(await exchange(socket, { in: 'the root' }), { in: 'the root' });
});

test('primus-multiplex: a refused client is told the end of the channel', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  const secret = socket.channel('secret');
  const ended = once(secret, 'end');
  secret.write('let me in');
  await ended;
  same(await exchange(socket, { in: 'the root' }), { in: 'the root' });
});

test('primus-multiplex: two subscriptions to one channel', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  const [one, two] = [socket.channel('news'), socket.channel('news')];
  same(await ask(one, 'add', 1, 2), [3]);
  same(await ask(two, 'add', 3, 4), [7]);
  const heard = [one, two].map((channel) => once(channel, 'said'));
  one.send('say', 'both');
  for (const [text] of await Promise.all(heard)) assert.equal(text, 'both');
  one.end();
  assert.equal(await exchange(two, 'alone'), 'alone');
});

test('primus-multiplex with primus-emitter: events and acks both ways in a channel', async (t) => {
  const server = await serve(t, 'classic');
  const [socket, other] = [await open(t, server), await open(t, server)];
  const [news, theirs] = [socket.channel('news'), other.channel('news')];
  same(await ask(theirs, 'add', 1, 1), [2]);
  same(await ask(news, 'add', 1, 2, 3.5), [6.5]);
  same(await ask(news, 'refuse'), [{ error: 'no coffee', status: 418 }]);
  // The root counts its acks too.
  same(await ask(socket, 'add', 20, 22), [42]);
  const heard = [once(news, 'said'), once(theirs, 'said')];
  news.send('say', { to: 'all' });
  for (const [args] of await Promise.all(heard)) same(args, { to: 'all' });
  news.on('name', (args, ack) => ack(args));
  const asked = once(news, 'asked');
  news.send('ask', { full: true });
  same((await asked)[0], { full: true });
});

test('primus-multiplex: after a restart of the server the client is in its channels again', async (t) => {
  const server = await serve(t, 'classic');
  const socket = await open(t, server);
  const news = socket.channel('news');
  same(await ask(news, 'add', 1, 2), [3]);
  const scheduled = once(socket, 'reconnect scheduled');
  await server.kill();
  await scheduled;
  const back = once(socket, 'reconnected', 15_000);
  const again = await serve(t, 'classic', [], { listen: server.host });
  await back;
  same(await ask(news, 'add', 3, 4), [7]);
  assert.equal(await inNews(again), 1);
});
