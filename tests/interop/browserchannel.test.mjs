// npm's `browserchannel` 2.1, and the stock Primus 8 client that npm's `primus` generates for `browserchannel`.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import browserchannel from 'browserchannel';
import { lossy } from '../lib/lossy.mjs';
import { counts } from '../lib/metrics.mjs';
import { proxy } from '../lib/proxy.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve, Server } from '../lib/server.mjs';
import { client, connected, cutOff, kindFor } from '../lib/stock.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

const { BCSocket } = browserchannel;

let services;
before(async () => {
  services = await Server.start('conformance', ['--suite', 'browserchannel']);
});
after(() => services?.kill());

/** A client, and what it says, as `[what, ...]`. */
function bcsocket(t, url, options = {}) {
  const socket = new BCSocket(url, options);
  const inbox = new Inbox({ on: () => {} }, '', 'word of a BCSocket');
  socket.onopen = () => inbox.push(['open']);
  socket.onmessage = (message) => inbox.push(['message', message.data ?? message]);
  socket.onerror = (error) => inbox.push(['error', error]);
  socket.onclose = (reason) => inbox.push(['close', reason]);
  defer(t, () => socket.close());
  return { socket, next: (ms = 15_000) => inbox.next(ms) };
}

async function opened(t, url, options) {
  const it = bcsocket(t, url, options);
  assert.deepEqual(await it.next(), ['open']);
  return it;
}

const stats = (server) => fetch(`${server.url}/stats`).then((it) => it.json());
const gone = (said) => said.connections === 0 && said.disconnections === 1;
/** `null` comes as the event itself. */
const value = ([what, data]) => (what === 'message' ? data : assert.fail(`${what} ${data}`));

const VALUES = ['x', '', 'Grüße, 世界', 'line\u2028and\u2029paragraph', '🦀 and 𝄞', '"\\/\b\f\n\r\t\0', '%25 100% &a=b +', '</script>', { a: [1, null, { b: true }] }, 0, false, [], 1.5];

test('browserchannel gets any value back', async (t) => {
  const { socket, next } = await opened(t, `${services.url}/channel`);
  for (const sent of VALUES) {
    socket.send(sent);
    assert.deepEqual(value(await next()), { echo: sent });
  }
  // Many at once, in order: more than one request takes.
  for (let n = 0; n < 1500; n += 1) socket.send(n);
  for (let n = 0; n < 1500; n += 1) assert.deepEqual(value(await next()), { echo: n });
});

test('half a surrogate pair is replaced, for browserchannel, and a text that has one is not sent', async (t) => {
  const { socket, next } = await opened(t, `${services.url}/channel`);
  // Its own form has no way to say that.
  socket.send('a\ud800b');
  socket.send(['a\ud800b', { 'k\udc00': '\ud83e\udd80\ud83e' }]);
  assert.deepEqual(value(await next()), { echo: ['a\ufffdb', { 'k\ufffd': '🦀\ufffd' }] });
});

test('browserchannel sends maps', async (t) => {
  const { socket, next } = await opened(t, `${services.url}/channel`);
  socket.sendMap({ a: 'x', b: '1' });
  assert.deepEqual(value(await next()), { echo: { a: 'x', b: '1' } });
});

test('browserchannel gets large messages', async (t) => {
  const { socket, next } = await opened(t, `${services.url}/channel`);
  for (let n = 0; n < 3; n += 1) {
    const large = `${n}${'ä'.repeat(300_000)}`;
    socket.send(large);
    assert.ok(value(await next()).echo === large);
  }
});

test('browserchannel is stopped by the server', async (t) => {
  const { socket, next } = await opened(t, `${services.url}/stop`, { reconnect: true });
  socket.send('last');
  assert.deepEqual(value(await next()), 'last');
  assert.deepEqual(await next(), ['error', 'Stopped by server']);
  assert.deepEqual(await next(), ['close', 'Stopped by server']);
  assert.equal(socket.readyState, BCSocket.CLOSED);
});

test('browserchannel is refused where the application ends at once', async (t) => {
  const { next } = bcsocket(t, `${services.url}/refuse`);
  assert.equal((await next())[0], 'error');
});

test('a browserchannel closes, and nothing is left of it', async (t) => {
  const server = await serve(t, 'fixture', await config(t, 'transformers = ["browserchannel"]\nbrowserchannel_clients = "plain"\n'));
  const { socket, next } = await opened(t, `${server.url}/primus`);
  socket.send('x');
  assert.deepEqual(value(await next()), 'x');
  socket.close();
  assert.deepEqual(await next(), ['close', 'Closed']);
  await until('the disconnection', () => stats(server), gone, 15_000);
});

test('browserchannel connects a hundred times', async (t) => {
  for (let n = 0; n < 100; n += 1) {
    const { socket, next } = await opened(t, `${services.url}/channel`);
    socket.send(n);
    assert.deepEqual(value(await next()), { echo: n });
    socket.close();
    assert.equal((await next())[0], 'close');
  }
});

test('a browserchannel whose answers are lost loses no message', async (t) => {
  // Of each kind every third answer, whole or cut in its midst. The client gives up after three in a row.
  const counts = { POST: 0, GET: 0 };
  const { url, stats } = await lossy(t, services, ({ method, url: path }) => {
    if (!path.includes('SID=')) return undefined;
    counts[method] += 1;
    return counts[method] % 3 === 0 ? (counts[method] % 2) * 7 : undefined;
  });
  const { socket, next } = await opened(t, `${url}/channel`);
  // The client waits for seconds before each repeat; there is something to be lost each time.
  const COUNT = 60;
  for (let n = 0; n < COUNT; n += 1) {
    socket.send(`${n} ${'x'.repeat(2000)}`);
    const data = value(await next(60_000));
    assert.equal(data.echo.split(' ')[0], `${n}`);
    if (stats.lost >= 3 && n > 10) break;
  }
  assert.ok(stats.lost >= 3, `${stats.lost} answers were lost`);
});

/** A proxy that passes answers on when they are complete, as some networks do. */
async function buffering(t, server) {
  const asked = [];
  const { hostname, port } = new URL(server.url);
  const listener = http.createServer((request, response) => {
    asked.push(request.url);
    const { method, url: path, headers } = request;
    const onward = http.request({ hostname, port, method, path, headers, agent: false }, async (answer) => {
      const pieces = [];
      answer.on('error', () => {});
      for await (const piece of answer) pieces.push(piece);
      response.writeHead(answer.statusCode, { 'Content-Type': answer.headers['content-type'] }).end(Buffer.concat(pieces));
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  defer(t, () => {
    listener.closeAllConnections();
    listener.close();
  });
  return { url: `http://127.0.0.1:${listener.address().port}`, asked };
}

test('browserchannel behind a network that holds streams back asks for one chunk at a time', async (t) => {
  const { url, asked } = await buffering(t, services);
  const { socket, next } = await opened(t, `${url}/channel`);
  for (const sent of VALUES) {
    socket.send(sent);
    assert.deepEqual(value(await next()), { echo: sent });
  }
  const backs = asked.filter((path) => path.includes('TYPE=xmlhttp') && path.includes('/bind'));
  assert.ok(backs.length > 1 && backs.slice(1).every((path) => path.includes('CI=1')), backs.join('\n'));
});

test('metrics count browserchannels', async (t) => {
  const args = await config(t, 'transformers = ["browserchannel"]\nbrowserchannel_clients = "plain"\n');
  const server = await serve(t, 'echo', ['--metrics', '/metrics', ...args]);
  const { socket, next } = await opened(t, `${server.url}/primus`);
  socket.send('x');
  assert.deepEqual(value(await next()), 'x');
  const count = await counts(server, 'browserchannel');
  assert.equal(count('primus_messages_in_total'), 1);
  assert.equal(count('primus_messages_out_total'), 1);
  assert.equal(count('primus_connections'), 1);
});

// ---- the stock Primus 8 client ----

const Stock = kindFor('browserchannel');
const stock = async (t, program = 'fixture', toml = '') => {
  const server = await serve(t, program, await config(t, `transformers = ["browserchannel"]\n${toml}`));
  return { server, socket: await connected(t, server.url, {}, Stock) };
};
const names = (socket) => socket.events.map(([name]) => name);
const id = (socket) => new Promise((resolve) => socket.id(resolve));
/** The client lives in a context of its own, whose objects have other prototypes. */
const same = (actual, expected) => assert.deepEqual(structuredClone(actual), expected);

async function exchange(socket, data) {
  const answer = once(socket, 'data', 15_000);
  assert.equal(socket.write(data), true);
  return (await answer)[0];
}

test('the stock client for browserchannel gets its values back', async (t) => {
  const { socket } = await stock(t, 'echo');
  const values = [{ a: [1, null, { b: true }] }, 0, '', null, false, 'Grüße 🦀', 'line\u2028', 'ä'.repeat(100_000)];
  for (const data of values) same(await exchange(socket, data), data);
});

test('the stock client for browserchannel learns its id', async (t) => {
  const { socket } = await stock(t);
  const own = await id(socket);
  assert.match(own, /^[A-Za-z0-9_-]{22}$/);
  assert.equal(await id(socket), own);
  same(await exchange(socket, { cmd: 'id' }), { id: own });
});

test('the stock client for browserchannel gets pings, and its pongs keep it alive', async (t) => {
  const { socket } = await stock(t, 'fixture', 'ping_interval = "300ms"\nping_timeout = "900ms"\n');
  const pings = new Inbox(socket, 'incoming::ping');
  for (let n = 0; n < 6; n += 1) assert.ok(Math.abs(Date.now() - Number(await pings.next())) < 60_000);
  assert.deepEqual(names(socket), ['readyStateChange', 'readyStateChange', 'open']);
});

test('the server ends a stock client for browserchannel, which does not come back', async (t) => {
  const { server, socket } = await stock(t);
  const ended = once(socket, 'end', 15_000);
  socket.write({ cmd: 'endWith', message: { bye: 'bye' } });
  await ended;
  same(socket.events.find(([name]) => name === 'data')[1], { bye: 'bye' });
  // Its socket calls every end by the server an error, as it does with the original.
  assert.deepEqual(names(socket).slice(-5), ['data', 'error', 'readyStateChange', 'close', 'end']);
  assert.equal(socket.events.find(([name]) => name === 'error')[1].message, 'Stopped by server');
  assert.ok(!socket.recovery.reconnecting());
  await until('the disconnection', () => stats(server), gone, 15_000);
});

test('the server asks a stock client for browserchannel to reconnect', async (t) => {
  const { socket } = await stock(t);
  const first = await id(socket);
  const back = once(socket, 'reconnected', 15_000);
  socket.write({ cmd: 'reconnect' });
  await back;
  assert.ok(!names(socket).includes('end'));
  assert.notEqual(await id(socket), first);
});

test('the stock client for browserchannel comes back whenever it is cut, a hundred times', async (t) => {
  const through = await proxy(t, await serve(t, 'fixture', await config(t, 'transformers = ["browserchannel"]\n')));
  const socket = await connected(t, through.url, { reconnect: { min: 5, max: 50 } }, Stock);
  for (let n = 0; n < 100; n += 1) {
    const back = once(socket, 'reconnected', 15_000);
    await cutOff(through, socket);
    await back;
    same(await exchange(socket, { n }), { n });
  }
});

test('the stock client for browserchannel ends', async (t) => {
  const { server, socket } = await stock(t);
  const ended = once(socket, 'end');
  same(await exchange(socket, 1), 1);
  socket.end('fin');
  await ended;
  assert.deepEqual(names(socket).slice(-3), ['readyStateChange', 'close', 'end']);
  await until('the disconnection', () => stats(server), gone, 15_000);
});

test('the plugins of the stock client work over browserchannel', async (t) => {
  const Kind = kindFor('browserchannel', 'primus-emitter', 'primus-multiplex');
  const server = await serve(t, 'classic', await config(t, 'transformers = ["browserchannel"]\n'));
  const socket = client(t, server.url, {}, Kind);
  const news = socket.channel('news');
  const said = once(news, 'said', 15_000);
  news.send('say', 'hello');
  assert.deepEqual(await said, ['hello']);
  assert.equal(await new Promise((resolve) => socket.send('add', [1, 2, 3], resolve)), 6);
});
