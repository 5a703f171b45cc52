// What hostile clients send to BrowserChannel: each gets an answer that says what was wrong, the others never notice,
// and nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetched, open, Wire } from '../lib/http.mjs';
import { config, serve } from '../lib/server.mjs';
import { until } from '../lib/within.mjs';

const TOML = 'transformers = ["browserchannel"]\nbrowserchannel_clients = "plain"\nmax_message = "16KiB"\nbody_timeout = "1s"\n';
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

/** A server, and a client of it that must not notice anything. */
async function witnessed(t, toml = TOML) {
  const server = await serve(t, 'fixture', await config(t, toml));
  const post = (query, body, headers = FORM) => fetched(t, 'POST', `${server.url}/primus/bind?${query}`, { headers, body });
  const get = (path) => fetched(t, 'GET', `${server.url}/primus/${path}`);
  const session = async () => {
    const { body } = await post('VER=8&RID=0', 'count=0');
    return JSON.parse(body.slice(body.indexOf('\n')))[0][1][1];
  };
  const sid = await session();
  const back = await open(t, 'GET', `${server.url}/primus/bind?VER=8&SID=${sid}&RID=rpc&CI=0&AID=0&TYPE=xmlhttp`);
  let number = 0;
  /** It is still there, and alone once all others are gone. */
  const check = async () => {
    number += 1;
    const answer = await post(`VER=8&SID=${sid}&RID=${number}`, `count=1&ofs=${number - 1}&req0_JSON=${number}`);
    assert.equal(answer.status, 200, answer.body);
    assert.match(await back.read(), new RegExp(`\\n\\[\\[${number},${number}\\]\\]\\n$`));
    const stats = () => fetch(`${server.url}/stats`).then((it) => it.json());
    await until('nobody else is left', stats, ({ connections }) => connections === 1, 15_000);
  };
  const end = (id) => get(`bind?VER=8&SID=${id}&RID=0&TYPE=terminate`);
  return { server, check, get, post, session, end };
}

test('every URL of BrowserChannel is what it is, whatever Upgrade says', async (t) => {
  const { server, check } = await witnessed(t);
  const URLS = [
    ['GET', '/test?VER=8&MODE=init', 200], ['GET', '/test', 400], ['POST', '/test', 405], ['GET', '/bcsocket.js', 404],
    ['GET', '/bind?VER=8', 400], ['GET', '/bind?VER=8&SID=x&RID=rpc&AID=0&TYPE=xmlhttp', 400], ['OPTIONS', '/bind?VER=8', 405],
    ['POST', '/bind?VER=8&RID=1', 400], ['POST', '/bind?VER=8&SID=x&RID=1', 400], ['DELETE', '/bind', 405], ['GET', '/nothing', 404],
  ];
  const UPGRADES = [
    { Connection: 'Upgrade', Upgrade: 'websocket' },
    { Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket', 'Sec-WebSocket-Version': '13' },
    { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' },
    { Connection: 'Upgrade', Upgrade: 'constructor' },
    // There is nothing wrong with this one, but that it is for a WebSocket.
    { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
  ];
  for (const [method, path, expected] of URLS) {
    for (const headers of UPGRADES) {
      const wire = await Wire.connect(t, server.url);
      const body = method === 'POST' ? { 'Content-Length': '0' } : {};
      const { status } = await wire.request(method, `/primus${path}`, '1.1', { ...headers, ...body });
      assert.equal(status, expected, `${method} ${path} ${JSON.stringify(headers)}`);
      wire.socket.destroy();
    }
  }
  await check();
});

test('a request without a session, or of no type, is answered at once', async (t) => {
  const { get, check, session, end } = await witnessed(t);
  const sid = await session();
  for (const [query, error] of [
    ['RID=rpc&CI=0&AID=0&TYPE=xmlhttp', /SID is missing/],
    ['SID=&RID=rpc&AID=0&TYPE=xmlhttp', /SID is missing/],
    [`SID=${sid}&RID=rpc&AID=0`, /Bad TYPE/],
    [`SID=${sid}&RID=rpc&AID=0&TYPE=constructor`, /Bad TYPE/],
    [`SID=${sid}&RID=5&AID=0&TYPE=xmlhttp`, /Expected RPC/],
    [`SID=${sid}&RID=rpc&TYPE=xmlhttp`, /Bad AID/],
    ['SID=__proto__&RID=rpc&AID=0&TYPE=xmlhttp', /Unknown SID/],
    [`SID=${'x'.repeat(4000)}&RID=rpc&AID=0&TYPE=xmlhttp`, /Unknown SID/],
  ]) {
    const answer = await get(`bind?VER=8&${query}`);
    assert.equal(answer.status, 400, query);
    assert.match(answer.body, error);
  }
  await end(sid);
  await check();
});

test('negative and huge numbers are refused, and nothing is made by them', async (t) => {
  const { post, get, check, session, end } = await witnessed(t);
  const sid = await session();
  for (const body of ['count=-1&ofs=0', 'count=1e9&ofs=0', 'count=1000000000&ofs=0', 'count=1&ofs=-1&req0__S=x', 'count=1&ofs=9999999999999999999999&req0__S=x',
    'count=1&ofs=5&req0__S=x', 'count=1&ofs=0&req999999999__S=x', 'count=1', 'nothing', '', '&&&&', 'count=2&ofs=0&req0__S=x']) {
    const answer = await post(`VER=8&SID=${sid}&RID=1`, body);
    assert.ok([400, 413].includes(answer.status), `${body}: ${answer.status}`);
    // Nor does a request that is wrong open a session.
    assert.ok([400, 413].includes((await post('VER=8&RID=1', body)).status), body);
  }
  for (const aid of ['-1', '99', '1e3', '9007199254740993', 'x']) {
    assert.match((await get(`bind?VER=8&SID=${sid}&RID=rpc&CI=0&AID=${aid}&TYPE=xmlhttp`)).body, /Bad AID/, aid);
    assert.equal((await post(`VER=8&SID=${sid}&RID=1&AID=${aid}`, 'count=0')).status, 400, aid);
  }
  for (const rid of ['', '-1', 'x', '1.5']) assert.match((await post(`VER=8&RID=${rid}`, 'count=0')).body, /Bad RID/);
  await end(sid);
  await check();
});

test('requests out of order are held within bounds', async (t) => {
  const { post, check, session, end } = await witnessed(t);
  const sid = await session();
  assert.match((await post(`VER=8&SID=${sid}&RID=1000000`, 'count=0')).body, /Bad RID: the next is 1/);
  const held = await Promise.all(Array.from({ length: 40 }, (_, n) => post(`VER=8&SID=${sid}&RID=${2 + (n % 7)}`, 'count=0')));
  const statuses = held.map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 429).length, 24, `${statuses}`);
  assert.ok(held.filter(({ status }) => status === 400).every(({ body }) => body === 'Bad RID: request 1 has not come'));
  assert.equal((await post(`VER=8&SID=${sid}&RID=1`, 'count=0')).status, 200, 'nothing is held any more');
  await end(sid);
  await check();
});

test('bodies that are too large are refused, as a whole and by the message', async (t) => {
  const { post, check, session, end } = await witnessed(t);
  const sid = await session();
  assert.equal((await post(`VER=8&SID=${sid}&RID=1`, `count=1&ofs=0&req0__S=${'x'.repeat(17 << 10)}`)).status, 413);
  assert.equal((await post(`VER=8&SID=${sid}&RID=1`, 'x'.repeat(1 << 20))).status, 413);
  const json = { 'Content-Type': 'application/json' };
  assert.equal((await post(`VER=8&SID=${sid}&RID=1`, `{"ofs":0,"data":[${'1,'.repeat(5000)}1]}`, json)).status, 413);
  assert.equal((await post(`VER=8&SID=${sid}&RID=1`, `{"ofs":0,"data":[${'['.repeat(50_000)}`, json)).status, 400);
  await end(sid);
  await check();
});

test('what a page is told cannot leave its script', async (t) => {
  const { get, check } = await witnessed(t);
  const evil = encodeURIComponent('"</script><script>alert(1)</script>');
  for (const query of [`SID=${evil}&RID=rpc&AID=0&TYPE=html`, `SID=x&RID=rpc&AID=0&TYPE=html&DOMAIN=${evil}`, `SID=x&RID=${evil}&AID=${evil}&TYPE=html`]) {
    const answer = await get(`bind?VER=8&${query}`);
    assert.match(answer.body, /^<html><body><script>try \{parent\.rpcClose\("[^"<>]*"\)\} catch\(e\) \{\}<\/script>\n$/);
  }
  assert.ok(!(await get(`test?VER=8&TYPE=html&DOMAIN=${evil}`)).body.includes('alert'));
  await check();
});
