// What hostile clients send to ActionCable: each is told what was wrong, the others never notice, and nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { Wire } from '../lib/http.mjs';
import { config, serve } from '../lib/server.mjs';
import { Inbox, until } from '../lib/within.mjs';

const TOML = 'max_message = "16KiB"\n[mounts."/cable"]\ntransformers = ["actioncable"]\n';

/** A server, and a client of it that must not notice anything. */
async function witnessed(t) {
  const server = await serve(t, 'fixture', await config(t, TOML));
  const url = `${server.url.replace('http', 'ws')}/cable`;
  const connect = async (options) => {
    const ws = new WebSocket(url, 'actioncable-v1-json', options);
    t.after(() => ws.terminate());
    const said = new Inbox({ on: () => {} }, '', 'frame');
    ws.on('message', (data) => {
      if (!String(data).startsWith('{"type":"ping","message"')) said.push(String(data));
    });
    ws.on('close', (code, reason) => said.push([code, String(reason)]));
    ws.on('error', () => {});
    return { ws, next: () => said.next(20_000) };
  };
  const witness = await connect();
  assert.equal(await witness.next(), '{"type":"welcome"}');
  /** It is still there, and alone once all others are gone. */
  const check = async () => {
    witness.ws.send('{"command":"ping"}');
    assert.equal(await witness.next(), '{"type":"pong"}');
    const stats = () => fetch(`${server.url}/stats`).then((answer) => answer.json());
    await until('nobody else is left', stats, ({ connections }) => connections === 1, 20_000);
  };
  return { server, connect, check };
}

const deep = '['.repeat(5000);
const BAD = [
  ['', /JSON object/], ['x', /JSON object/], ['null', /JSON object/], ['[]', /JSON object/], ['["subscribe","x"]', /JSON object/],
  ['{}', /missing field `command`/], ['{"command":1}', /invalid type/], ['{"command":"explode","identifier":"x"}', /no command "explode"/],
  ['{"command":"__proto__","identifier":"x"}', /no command/], ['{"command":"subscribe"}', /needs a member "identifier"/],
  ['{"command":"subscribe","identifier":{"channel":"A"}}', /invalid type: map/], ['{"command":"subscribe","command":"subscribe"}', /duplicate field/],
  ['{"command":"message","identifier":"x","data":"{"}', /no JSON/], ['{"command":"message","identifier":"x","data":1}', /string with JSON/],
  [`{"command":"whisper","identifier":"x","data":${deep}`, /recursion limit/],
  [JSON.stringify({ command: 'message', identifier: 'x', data: deep }), /recursion limit/],
  ['{"command":"subscribe","identifier":"x","history":{"since":-1}}', /invalid value/],
  ['{"command":"subscribe","identifier":"x","history":{"streams":[]}}', /invalid type/],
  [Buffer.from('{"command":"ping"}'), /commands are text/],
];

test('what is no command ends its connection, which is told why', async (t) => {
  const { connect, check } = await witnessed(t);
  for (const [bad, why] of BAD) {
    const { ws, next } = await connect();
    assert.equal(await next(), '{"type":"welcome"}');
    ws.send(bad);
    assert.equal(await next(), '{"type":"disconnect","reason":"invalid_request","reconnect":false}', String(bad).slice(0, 60));
    const [code, reason] = await next();
    assert.equal(code, 4400);
    assert.match(reason, why);
  }
  const { ws, next } = await connect();
  await next();
  ws.send(JSON.stringify({ command: 'subscribe', identifier: 'x'.repeat(20_000) }));
  assert.equal(await next(), '{"type":"disconnect","reason":"invalid_request","reconnect":false}');
  assert.equal((await next())[0], 1009);
  await check();
});

test('a flood of subscriptions is rejected, and costs nobody else anything', async (t) => {
  const { connect, check } = await witnessed(t);
  const { ws, next } = await connect();
  await next();
  const MANY = 20_000;
  for (let n = 0; n < MANY; n += 1) ws.send(JSON.stringify({ command: 'subscribe', identifier: `{"channel":"No","n":${n}}` }));
  for (let n = 0; n < MANY; n += 1) {
    assert.equal(await next(), JSON.stringify({ identifier: `{"channel":"No","n":${n}}`, type: 'reject_subscription' }));
  }
  // What is about nothing is nothing.
  for (const command of ['unsubscribe', 'history', 'whisper', 'leave', 'presence']) ws.send(JSON.stringify({ command, identifier: 'x' }));
  ws.send(JSON.stringify({ command: 'message', identifier: 'x', data: '{"action":"primus.end"}' }));
  ws.send('{"command":"pong"}');
  ws.send('{"command":"ping"}');
  assert.equal(await next(), '{"type":"pong"}');
  ws.terminate();
  await check();
});

test('every URL of ActionCable is what it is, whatever Upgrade says', async (t) => {
  const { server, check } = await witnessed(t);
  const protocol = { 'Sec-WebSocket-Protocol': 'actioncable-v1-json' };
  for (const [headers, ...statuses] of [
    [{ Connection: 'Upgrade', Upgrade: 'websocket', ...protocol }, 400, 426],
    [{ Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket', 'Sec-WebSocket-Version': '13', ...protocol }, 400],
    [{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'short', 'Sec-WebSocket-Version': '8', ...protocol }, 400, 426],
    [{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Protocol': `b${' '.repeat(5000)}x` }, 404],
    [{ Connection: 'Upgrade', Upgrade: 'h2c', ...protocol }, 404],
    [{ Connection: 'Upgrade', Upgrade: 'constructor', ...protocol }, 404],
    [{ Connection: 'close', Upgrade: 'websocket', ...protocol }, 404],
    [{}, 404],
  ]) {
    for (const method of ['GET', 'POST']) {
      const wire = await Wire.connect(t, server.url);
      const body = method === 'POST' ? { 'Content-Length': '0' } : {};
      const { status } = await wire.request(method, '/cable', '1.1', { ...headers, ...body });
      const expected = method === 'POST' ? [...statuses, 404, 405] : statuses;
      assert.ok(expected.includes(status), `${method} ${JSON.stringify(headers).slice(0, 120)}: ${status}`);
      wire.socket.destroy();
    }
  }
  await check();
});

test('pages of foreign origins get no cable', async (t) => {
  const { server, connect, check } = await witnessed(t);
  for (const [origin, headers] of [['https://evil.test', {}], ['null', {}], ['https://evil.test', { 'X-Forwarded-Host': 'evil.test' }]]) {
    const { ws } = await connect({ headers: { Origin: origin, ...headers } });
    const [, response] = await new Promise((resolve) => ws.once('unexpected-response', (...args) => resolve(args)));
    assert.equal(response.statusCode, 403, origin);
  }
  const own = await connect({ headers: { Origin: server.url } });
  assert.equal(await own.next(), '{"type":"welcome"}');
  own.ws.terminate();
  await check();
});
