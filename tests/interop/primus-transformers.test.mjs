// The stock Primus 8 clients that npm's `primus` generates for its transformers `engine.io`, and `faye`, which is a plain
// WebSocket. Those for `sockjs` and `browserchannel` are with the other clients of these protocols.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxy } from '../lib/proxy.mjs';
import { config, serve } from '../lib/server.mjs';
import { client, connected, cutOff, kindFor } from '../lib/stock.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

const PATIENCE = 15_000;
const names = (socket) => socket.events.map(([name]) => name);
const id = (socket) => new Promise((resolve) => socket.id(resolve));
const stats = (server) => fetch(`${server.url}/stats`).then((it) => it.json());
/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

async function exchange(socket, value) {
  const answer = once(socket, 'data', PATIENCE);
  assert.equal(socket.write(value), true);
  return (await answer)[0];
}

/** Each way in which they connect: the transformer, options of the client, and the transport that it ends up with. */
const WAYS = {
  'engine.io over polling': { transformer: 'engine.io', options: { websockets: false }, transport: 'polling' },
  'engine.io over polling→websocket': { transformer: 'engine.io', options: {}, transport: 'websocket' },
  faye: { transformer: 'faye', options: {} },
};
const VALUES = [{ a: [1, null, { b: true }] }, 0, '', null, false, 'Grüße 🦀', 'line\u2028and\u2029', '"\\/\b\f\n\r\t\0', '1:x\u001e2', 'ä'.repeat(100_000)];

for (const [way, { transformer, options, transport }] of Object.entries(WAYS)) {
  const Kind = kindFor(transformer);
  const start = async (t, program = 'fixture', toml = '') => serve(t, program, await config(t, `transformers = ["${transformer}"]\n${toml}`));
  const stock = async (t, program, toml) => {
    const server = await start(t, program, toml);
    const socket = await connected(t, server.url, options, Kind);
    if (transport) await until('the transport', () => socket.socket.transport.name, (name) => name === transport, PATIENCE);
    return { server, socket };
  };

  test(`the stock client for ${way} gets its values back`, async (t) => {
    const { socket } = await stock(t, 'echo');
    for (const value of VALUES) same(await exchange(socket, value), value);
  });

  test(`the stock client for ${way} has what it writes before it is open, in order`, async (t) => {
    const socket = client(t, (await start(t, 'echo')).url, options, Kind);
    const data = new Inbox(socket, 'data');
    for (let n = 0; n < 500; n += 1) socket.write({ n });
    for (let n = 0; n < 500; n += 1) same(await data.next(PATIENCE), { n });
  });

  test(`the stock client for ${way} learns the id of its spark`, async (t) => {
    const { socket } = await stock(t);
    const own = await id(socket);
    assert.match(own, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(await id(socket), own);
    same(await exchange(socket, { cmd: 'id' }), { id: own });
  });

  test(`the stock client for ${way} gets pings, and its pongs are no messages`, async (t) => {
    const { server, socket } = await stock(t, 'fixture', 'ping_interval = "300ms"\nping_timeout = "900ms"\n');
    const pings = new Inbox(socket, 'incoming::ping');
    for (let n = 0; n < 6; n += 1) assert.ok(Math.abs(Date.now() - Number(await pings.next())) < 60_000);
    assert.deepEqual(names(socket), ['readyStateChange', 'readyStateChange', 'open']);
    assert.equal((await stats(server)).messages, 0);
  });

  test(`the server ends a stock client for ${way}, which does not come back`, async (t) => {
    const { server, socket } = await stock(t);
    const ended = once(socket, 'end', PATIENCE);
    socket.write({ cmd: 'endWith', message: { bye: 'bye' } });
    await ended;
    same(socket.events.find(([name]) => name === 'data')[1], { bye: 'bye' });
    assert.deepEqual(names(socket).slice(-4), ['data', 'readyStateChange', 'close', 'end']);
    assert.ok(!socket.recovery.reconnecting());
    await until('the disconnection', () => stats(server), (said) => said.connections === 0 && said.disconnections === 1, PATIENCE);
  });

  test(`the server asks a stock client for ${way} to reconnect`, async (t) => {
    const { socket } = await stock(t);
    const first = await id(socket);
    const back = once(socket, 'reconnected', PATIENCE);
    socket.write({ cmd: 'reconnect' });
    await back;
    assert.ok(!names(socket).includes('end') && !names(socket).includes('error'), names(socket).join());
    assert.notEqual(await id(socket), first);
    same(await exchange(socket, { again: true }), { again: true });
  });

  test(`the stock client for ${way} ends, with a last message`, async (t) => {
    const { server, socket } = await stock(t);
    same(await exchange(socket, 1), 1);
    const ended = once(socket, 'end');
    socket.end('fin');
    await ended;
    assert.deepEqual(names(socket).slice(-3), ['readyStateChange', 'close', 'end']);
    const { messages } = await until('the disconnection', () => stats(server), (said) => said.connections === 0 && said.disconnections === 1, PATIENCE);
    assert.equal(messages, 2);
  });

  test(`a stock client for ${way} that is refused ends`, async (t) => {
    const server = await start(t);
    const socket = client(t, `${server.url}/?reject=401`, { strategy: 'disconnect, online', ...options }, Kind);
    await once(socket, 'error', PATIENCE);
    await until('the end', () => names(socket), (seen) => seen.includes('end'), PATIENCE);
    const { opened, authorizations } = await stats(server);
    assert.deepEqual([opened, authorizations], [0, 1]);
  });

  test(`the stock client for ${way} comes back whenever it is cut, a hundred times`, async (t) => {
    const through = await proxy(t, await start(t));
    const socket = await connected(t, through.url, { reconnect: { min: 5, max: 50 }, ...options }, Kind);
    for (let n = 0; n < 100; n += 1) {
      const back = once(socket, 'reconnected', PATIENCE);
      await cutOff(through, socket);
      await back;
      same(await exchange(socket, { n }), { n });
    }
  });

  test(`the plugins of the stock client work over ${way}`, async (t) => {
    const server = await start(t, 'classic');
    const socket = client(t, server.url, options, kindFor(transformer, 'primus-emitter', 'primus-multiplex'));
    const news = socket.channel('news');
    const said = once(news, 'said', PATIENCE);
    news.send('say', 'hello');
    assert.deepEqual(await said, ['hello']);
    assert.equal(await new Promise((resolve) => socket.send('add', [1, 2, 3], resolve)), 6);
    // A request of the server: the client's ack is its answer.
    socket.on('name', (args, ack) => ack(`${args[0]} Lovelace`));
    const asked = once(socket, 'asked', PATIENCE);
    socket.send('ask', ['Ada']);
    assert.deepEqual(await asked, ['Ada Lovelace']);
  });
}
