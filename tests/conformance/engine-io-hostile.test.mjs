// What nobody who means well sends to Engine.IO, and clients that stop half way: the session ends as it should, the server and all
// others do not notice, and nothing is left behind.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BAD, EngineIo, refused, UNKNOWN } from '../lib/engineio.mjs';
import { Server } from '../lib/server.mjs';
import { once, until, within } from '../lib/within.mjs';

const OPTIONS = `
  path = "/engine.io"
  transformer = "engine.io"
  engine_io_3 = true
  engine_io_upgrade_timeout = "1s"
  engine_io_cookie = "io"
  ping_interval = "2500ms"
  ping_timeout = "500ms"
  body_timeout = "500ms"
  max_message = 1000000
`;

let server;
let engine;
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'primus-config-'));
  await writeFile(join(folder, 'primus.toml'), OPTIONS);
  server = await Server.start('fixture', ['--config', join(folder, 'primus.toml')]);
  engine = new EngineIo(server, { asked: async () => (await stats()).requests });
});
after(async () => {
  await server.kill();
  await rm(folder, { recursive: true, force: true });
});

/** Sends bytes as they are, and says what comes back until the server closes the connection. */
function raw(bytes) {
  const said = new Promise((resolve, reject) => {
    const chunks = [];
    const connection = net.connect(server.port, '127.0.0.1', () => connection.write(bytes));
    connection.on('data', (chunk) => chunks.push(chunk));
    connection.on('error', reject);
    connection.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
  return within(5000, 'the server closes', said);
}

const stats = async () => (await fetch(`${server.url}/stats`)).json();

/** Others are served, and nobody is left: as many sessions as there should be. */
async function lives(left = 0) {
  const client = await engine.polling();
  assert.deepEqual(await client.post('4"others"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"others"']);
  assert.deepEqual(await client.post('1'), [200, 'ok']);
  await until('sessions', stats, ({ connections }) => connections === left, 15_000);
}

for (const [name, body] of [
  ['tiny packets', '2:4'.concat('2'.repeat(1), '2:42'.repeat(200_000))],
  ['pings', '1:2'.repeat(300_000)],
  ['packets whose lengths are no bytes', '2:4¼'.repeat(150_000)],
]) {
  test(`hostile: a POST of hundreds of thousands of ${name} costs its sender the session at most`, async () => {
    const client = await engine.polling(3);
    const began = performance.now();
    const [status] = await client.post(body).catch(() => ['gone']);
    assert.ok([200, 400, 'gone'].includes(status), String(status));
    assert.ok(performance.now() - began < 20_000);
    await lives();
  });
}

test('hostile: a packet that says to be longer than it is ends its session', async () => {
  const client = await engine.polling(3);
  assert.deepEqual(await client.post(`99999991:4${'2'.repeat(900_000)}`), BAD);
  assert.deepEqual(await client.get(), UNKNOWN);
  await lives();
});

test('hostile: a POST over max_message gets 413 and nothing else, and its session goes on', async () => {
  const client = await engine.polling();
  assert.deepEqual(await client.post(`4${'x'.repeat(1_000_000)}`), [413, '']);
  assert.deepEqual(await client.post('4"on"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"on"']);
  await client.post('1');
  await lives();
});

test('hostile: a WebSocket message over max_message is closed with 1009 and no words', async (t) => {
  const ws = engine.socket(t, 'EIO=4&transport=websocket');
  await ws.inbox.next();
  ws.send(`4${'x'.repeat(1_000_000)}`);
  assert.deepEqual(await within(5000, 'close', ws.closed), [1009, '']);
  await lives();
});

for (const transport of ['websocket', 'polling']) {
  test(`hostile: bytes behind an upgrade that are no frames, with transport ${transport}`, async () => {
    const { query } = transport === 'polling' ? await engine.polling() : { query: `EIO=4&transport=${transport}` };
    const head = [
      `GET /engine.io/?${query.replace('polling', 'websocket')} HTTP/1.1`,
      `Host: ${server.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
    ];
    const said = await raw(`${head.join('\r\n')}\r\n\r\ntest`);
    assert.match(said, /^HTTP\/1\.1 101 /);
    await lives();
  });
}

test('hostile: upgrades to something else, and to somewhere else, that are cut', async () => {
  for (const [path, to, status] of [
    ['/elsewhere', 'websocket', 404],
    ['/engine.io/?EIO=4&transport=websocket', 'h2c', 400],
  ]) {
    const said = new Promise((resolve, reject) => {
      const connection = net.connect(server.port, '127.0.0.1', () => {
        connection.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${to}\r\n\r\n`);
      });
      let answer;
      connection.once('data', (data) => {
        answer = data.toString('latin1');
        connection.resetAndDestroy();
      });
      connection.on('error', reject);
      connection.on('close', () => resolve(answer));
    });
    assert.match(await within(5000, 'an answer', said), new RegExp(`^HTTP/1\\.1 ${status} `), to);
  }
  await lives();
});

test('hostile: transports that are names of JavaScript, by request and by upgrade', async () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'webtransport']) {
    assert.deepEqual(await engine.answer(`EIO=4&transport=${name}`), refused(0, 'Transport unknown'), name);
    const head = [
      `GET /engine.io/?EIO=4&transport=${name} HTTP/1.1`,
      `Host: ${server.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13',
    ];
    const said = await raw(`${head.join('\r\n')}\r\n\r\n`);
    assert.match(said, /^HTTP\/1\.1 400 Bad Request\r\n/, name);
    assert.match(said, /content-type: text\/html\r\n/i);
    assert.match(said, /connection: close\r\n/i);
    assert.match(said, /\r\n\r\nTransport unknown$/);
  }
});

test('hostile: a probe a hundred times over has a hundred answers, and one upgrade', async (t) => {
  const client = await engine.polling();
  const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
  await ws.opened;
  for (let probe = 0; probe < 100; probe += 1) ws.send('2probe');
  for (let probe = 0; probe < 100; probe += 1) assert.equal(await ws.inbox.next(), '3probe');
  ws.send('5');
  ws.send('4"up"');
  assert.equal(await ws.inbox.next(), '4"up"');
  ws.close();
  await lives();
});

test('hostile: a binary POST in version 4 is answered 400 and ends the session', async () => {
  const client = await engine.polling();
  const headers = { 'content-type': 'application/octet-stream' };
  assert.deepEqual(await client.post(Uint8Array.from([0, 1, 255, 4]), headers), BAD);
  assert.deepEqual(await client.get(), UNKNOWN);
  await lives();
});

test('hostile: pongs that nobody asked for, and 30,000 packets in a POST, do no harm', async (t) => {
  const client = await engine.polling();
  assert.deepEqual(await client.post(Array(5000).fill('3').join('\x1e')), [200, 'ok']);
  assert.deepEqual(await client.post(Array(30_000).fill('6').join('\x1e')), [200, 'ok']);
  assert.deepEqual(await client.post('4"on"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"on"']);
  await client.post('1');
  const ws = engine.socket(t, 'EIO=4&transport=websocket');
  await ws.inbox.next();
  for (let pong = 0; pong < 5000; pong += 1) ws.send('3');
  ws.send('4"on"');
  assert.equal(await ws.inbox.next(), '4"on"');
  ws.close();
  await lives();
});

for (const [eio, wrong] of [[4, '2'], [3, '3']]) {
  test(`hostile: the wrong one of ping and pong ends a session of version ${eio}`, async (t) => {
    const client = await engine.polling(eio);
    assert.deepEqual(await client.post(eio === 3 ? `1:${wrong}` : wrong), BAD);
    assert.deepEqual(await client.get(), UNKNOWN);
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    ws.send(wrong);
    assert.deepEqual(await within(5000, 'close', ws.closed), [4400, '']);
    await lives();
  });
}

test('hostile: requests that do not fit their session are refused, and it goes on', async () => {
  const client = await engine.polling();
  assert.deepEqual(await engine.answer(client.query.replace('EIO=4', 'EIO=3')), BAD);
  assert.deepEqual(await engine.answer(client.query.replace('EIO=4&', '')), BAD);
  assert.deepEqual(await engine.answer(client.query.replace('polling', 'websocket')), BAD);
  assert.deepEqual(await engine.answer('EIO=4&transport=websocket'), BAD);
  assert.deepEqual(await engine.answer('EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA'), UNKNOWN);
  assert.equal((await engine.request(client.query, { method: 'DELETE' })).status, 405);
  assert.deepEqual(await client.post('4"on"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"on"']);
  await client.post('1');
  await lives();
});

test('hostile: two POSTs at once end the session, and the poll that waits is told', async () => {
  const client = await engine.polling();
  const waiting = await client.wait();
  const slow = net.connect(server.port, '127.0.0.1');
  slow.write(`POST /engine.io/?${client.query} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n`);
  // The server says so when it reads.
  assert.match(String(await once(slow, 'data')), /^HTTP\/1\.1 100 /);
  assert.deepEqual(await client.post('4"second"'), BAD);
  assert.deepEqual(await waiting.answer, [200, '1']);
  assert.deepEqual(await client.get(), UNKNOWN);
  slow.destroy();
  await lives();
});

test('half way: a socket that opens and does not probe is closed, and polling goes on', async (t) => {
  const client = await engine.polling();
  const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
  await ws.opened;
  const closed = within(5000, 'close', ws.closed);
  assert.deepEqual(await client.post('4"meanwhile"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"meanwhile"']);
  assert.deepEqual(await closed, [1000, '']);
  // And another one may try.
  const second = engine.socket(t, client.query.replace('polling', 'websocket'));
  await second.opened;
  second.send('2probe');
  assert.equal(await second.inbox.next(), '3probe');
  second.send('5');
  second.send('4"up"');
  assert.equal(await second.inbox.next(), '4"up"');
  second.close();
  await lives();
});

test('half way: a socket that probes and does not take over is closed, and polling goes on', async (t) => {
  const client = await engine.polling();
  const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
  await ws.opened;
  ws.send('2probe');
  assert.equal(await ws.inbox.next(), '3probe');
  assert.deepEqual(await client.get(), [200, '6']);
  assert.deepEqual(await within(5000, 'close', ws.closed), [1000, '']);
  assert.deepEqual(await client.post('4"on"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"on"']);
  await client.post('1');
  await lives();
});

test('half way: a socket that says anything else is closed, and polling goes on', async (t) => {
  const client = await engine.polling();
  for (const word of ['5', '2', '2prob', '4"x"', 'x', Buffer.from([1])]) {
    const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
    await ws.opened;
    ws.send(word);
    assert.deepEqual(await within(5000, 'close', ws.closed), [1000, '']);
  }
  assert.deepEqual(await client.post('4"on"'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '4"on"']);
  await client.post('1');
  await lives();
});

test('half way: a client that polls no more is given up', async () => {
  const client = await engine.polling();
  assert.deepEqual(await client.post('4"waits"'), [200, 'ok']);
  await lives();
  assert.deepEqual(await client.get(), UNKNOWN);
});

test('half way: a client that goes on a probing socket is given up', async (t) => {
  const client = await engine.polling();
  const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
  await ws.opened;
  ws.send('2probe');
  await ws.inbox.next();
  ws.terminate();
  await lives();
  assert.deepEqual(await client.get(), UNKNOWN);
});

test('half way: a POST whose body does not come is answered 408 and ends its session', async () => {
  const client = await engine.polling();
  const said = await raw(`POST /engine.io/?${client.query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n4`);
  assert.match(said, /^HTTP\/1\.1 408 /);
  assert.deepEqual(await client.get(), UNKNOWN);
  await lives();
});

test('half way: a session that the server ends between two polls has its last words and a 1', async () => {
  const client = await engine.polling();
  assert.deepEqual(await client.post('4{"cmd":"end"}'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '1']);
  assert.deepEqual(await client.get(), UNKNOWN);
  await lives();
});

test('a handshake by polling sets the cookie that the options name', async () => {
  const response = await engine.request('EIO=4&transport=polling');
  const { sid } = JSON.parse((await response.text()).slice(1));
  assert.equal(response.headers.get('set-cookie'), `io=${sid}; Path=/; HttpOnly; SameSite=Lax`);
  assert.equal(response.headers.get('content-type'), 'text/plain; charset=UTF-8');
  assert.equal(response.headers.get('cache-control'), 'no-store');
  const query = `EIO=4&transport=polling&sid=${sid}`;
  await engine.answer(query, { method: 'POST', body: '4"x"' });
  const polled = await engine.request(query);
  assert.equal(polled.headers.get('set-cookie'), null);
  await polled.text();
  await engine.answer(query, { method: 'POST', body: '1' });
});

test('large answers are compressed for who accepts gzip, small ones are not', async () => {
  const client = await engine.polling();
  const ask = async (text) => {
    assert.deepEqual(await client.post(`4"${text}"`), [200, 'ok']);
    const response = await engine.request(client.query, { headers: { 'accept-encoding': 'gzip' } });
    return [response.headers.get('content-encoding'), await response.text()];
  };
  assert.deepEqual(await ask('small'), [null, '4"small"']);
  assert.deepEqual(await ask('x'.repeat(5000)), ['gzip', `4"${'x'.repeat(5000)}"`]);
  await client.post('1');
  await lives();
});

test('authorize refuses as code 4, with its status and its words', async () => {
  const response = await engine.request('EIO=4&transport=polling&reject=403');
  assert.equal(response.status, 403);
  const { code, message } = await response.json();
  assert.equal(code, 4);
  assert.ok(message.length > 0);
});
