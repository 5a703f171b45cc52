// What hostile clients send to SockJS: each gets an answer that says what was wrong, the others never notice, and
// nothing is left behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { fetched, open, Wire } from '../lib/http.mjs';
import { config, serve } from '../lib/server.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

const TOML = 'transformers = ["sockjs"]\nmax_message = "16KiB"\nsockjs_disconnect_delay = "300ms"\n';

/** A server, and a client of it that must not notice anything. */
async function witnessed(t, toml = TOML) {
  const server = await serve(t, 'fixture', await config(t, toml));
  const ws = new WebSocket(`${server.url.replace('http', 'ws')}/primus/0/witness/websocket`);
  t.after(() => ws.terminate());
  const said = new Inbox(ws, 'message');
  assert.equal(String(await said.next()), 'o');
  let number = 0;
  /** It is still there, and alone once all others are gone. */
  const check = async () => {
    number += 1;
    ws.send(JSON.stringify([`${number}`]));
    assert.equal(String(await said.next()), `a["${number}"]`);
    const stats = () => fetch(`${server.url}/stats`).then((answer) => answer.json());
    await until('nobody else is left', stats, ({ connections }) => connections === 1);
  };
  const post = (path, body, headers = {}) => fetched(t, 'POST', `${server.url}/primus${path}`, { body, headers });
  const get = (path, headers = {}) => fetched(t, 'GET', `${server.url}/primus${path}`, { headers });
  return { server, check, get, post };
}

const opened = async ({ post }, id) => assert.equal((await post(`/0/${id}/xhr`)).body, 'o\n');

test('every URL of SockJS is what it is, whatever Upgrade says', async (t) => {
  const it = await witnessed(t);
  const { server, check } = it;
  const URLS = [
    ['GET', '/', 200], ['GET', '/info', 200], ['OPTIONS', '/info', 204], ['GET', '/iframe.html', 200],
    ['GET', '/iframe-1.6.1.html', 200], ['POST', '/0/ID/xhr', 200], ['POST', '/0/ID/xhr_streaming', 200],
    ['POST', '/0/ID/xhr_send', 500], ['GET', '/0/ID/eventsource', 200], ['GET', '/0/ID/htmlfile?c=x', 200],
    ['GET', '/0/ID/jsonp?c=x', 200], ['POST', '/0/ID/jsonp_send', 500], ['GET', '/0/ID/xhr', 405],
    ['GET', '/0/ID/xhr_send', 405], ['POST', '/0/ID/eventsource', 405], ['DELETE', '/0/ID/xhr', 405],
    ['GET', '/0/ID/nothing', 404], ['POST', '/websocket', 405], ['POST', '/0/ID/websocket', 405],
    // These are handshakes, and bad ones but for one.
    ['GET', '/websocket', 400, 426], ['GET', '/0/ID/websocket', 400, 426],
  ];
  const UPGRADES = [
    { Connection: 'Upgrade', Upgrade: 'websocket' },
    { Connection: 'keep-alive, Upgrade', Upgrade: 'WebSocket', 'Sec-WebSocket-Version': '13' },
    { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'short', 'Sec-WebSocket-Version': '8' },
    { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' },
    { Connection: 'Upgrade', Upgrade: 'constructor' },
    // There is nothing wrong with this one, but that it is for a WebSocket.
    { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    { Connection: 'close', Upgrade: 'websocket' },
  ];
  let id = 0;
  for (const [method, path, ...statuses] of URLS) {
    for (const headers of UPGRADES) {
      const wire = await Wire.connect(t, server.url);
      const body = method === 'POST' ? { 'Content-Length': '0' } : {};
      const { status } = await wire.request(method, `/primus${path.replace('ID', `u${(id += 1)}`)}`, '1.1', { ...headers, ...body });
      // At the path itself a WebSocket would be another dialect, which this mount does not have.
      const elsewhere = path === '/' && /websocket/i.test(headers.Upgrade) && /upgrade/i.test(headers.Connection);
      const opens = headers['Sec-WebSocket-Key']?.length === 24 && method === 'GET' && path.endsWith('/websocket');
      const expected = elsewhere ? [404] : opens ? [101] : statuses;
      assert.ok(expected.includes(status), `${method} ${path} ${JSON.stringify(headers)}: ${status}`);
      wire.socket.destroy();
    }
  }
  await check();
});

test('a callback that is a program is refused, and what is sent cannot leave its script', async (t) => {
  const it = await witnessed(t);
  const { get, post, check, server } = it;
  for (const name of ['jsonp', 'htmlfile']) {
    for (const bad of ['<script>alert(1)</script>', 'alert(1)//', 'a;b', 'a\u2028', '%00', 'a\nb', `CWS${'x'.repeat(400)}`]) {
      const answer = await get(`/0/x/${name}?c=${encodeURIComponent(bad)}`);
      assert.deepEqual([answer.status, answer.body], [500, 'invalid "callback" parameter'], `${name} ${bad}`);
      assert.match(answer.headers['content-type'], /^text\/plain/);
    }
  }
  assert.equal((await get(`/0/x/jsonp?c=${'x'.repeat(33)}`)).status, 500);
  const answer = await open(t, 'GET', `${server.url}/primus/0/page/htmlfile?callback=x`);
  await answer.read();
  await answer.read();
  assert.equal((await post('/0/page/xhr_send', JSON.stringify([JSON.stringify('</script><script>alert(1)//<!--')]))).status, 204);
  const frame = await answer.read();
  assert.ok(!/<(?!script>\np\(|\/script>\r\n$)/.test(frame), frame);
  answer.close();
  await check();
});

test('payloads that are none are refused by what is wrong with them', async (t) => {
  const it = await witnessed(t);
  const { post, check } = it;
  await opened(it, 'a');
  const send = async (body, headers) => {
    const answer = await post('/0/a/xhr_send', body, headers);
    return [answer.status, answer.body];
  };
  for (const body of ['["a', '[', '["a"]]', '["a",]', 'x', '{"a":1', '["\\ud8"]', '['.repeat(10_000), '\0']) {
    assert.deepEqual(await send(body), [500, 'Broken JSON encoding.'], body.slice(0, 20));
  }
  for (const body of ['', '"x"', '{}', 'null', '1', '[1]', '[null]', '[["a"]]', '["a",{}]']) {
    assert.deepEqual(await send(body), [500, 'Payload expected.'], body);
  }
  assert.deepEqual(await send(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d])), [500, 'Broken JSON encoding.']);
  assert.deepEqual(await send('["a"]', { 'Content-Type': 'application/x-www-form-urlencoded' }), [500, 'Payload expected.']);
  const large = 'x'.repeat(16 * 1024);
  assert.deepEqual(await send(JSON.stringify([large])), [204, '']);
  const [status, said] = await send(JSON.stringify([`${large}x`]));
  assert.equal(status, 413);
  assert.match(said, /16384 bytes \(max_message\)/);
  // Nothing of that harmed the session.
  assert.equal((await post('/0/a/xhr')).body, `a["${large}"]\n`);
  await check();
});

test('a body that is too large is refused by what it declares', async (t) => {
  const it = await witnessed(t);
  const { server, check } = it;
  await opened(it, 'a');
  for (const [id, expected] of [['a', 413], ['nobody', 404]]) {
    const wire = await Wire.connect(t, server.url);
    const headers = { 'Content-Length': `${100 * 1024 * 1024}` };
    assert.equal((await wire.request('POST', `/primus/0/${id}/xhr_send`, '1.1', headers)).status, expected);
    wire.socket.destroy();
  }
  await check();
});

test('who sends to a session that there is not is told so', async (t) => {
  const { post, check } = await witnessed(t);
  for (const id of ['nobody', '__proto__', 'constructor', 'toString', '%00', 'witness']) {
    const answer = await post(`/0/${id}/xhr_send`, '["x"]');
    assert.deepEqual([answer.status, answer.body], [404, '404 Error: Page not found\n'], id);
  }
  const long = await post(`/0/${'x'.repeat(257)}/xhr`);
  assert.equal(long.status, 404);
  await check();
});

test('broken words on a WebSocket end it, and nothing else', async (t) => {
  const { server, check } = await witnessed(t);
  for (const [word, code] of [
    ['["a', 3000],
    ['{}', 3000],
    ['[1]', 3000],
    ['x', 3000],
    ['['.repeat(10_000), 3000],
    [Buffer.from('["a"]'), 3000],
    [JSON.stringify(['x'.repeat(16 * 1024 - 3)]), 1009],
  ]) {
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}/primus/0/b/websocket`);
    t.after(() => ws.terminate());
    const closed = once(ws, 'close');
    await once(ws, 'open');
    ws.send(word);
    assert.equal((await closed)[0], code, String(word).slice(0, 20));
  }
  await check();
});

test('many messages in one are read one by one, as fast as the handler takes them', async (t) => {
  const it = await witnessed(t);
  const { server, post, check } = it;
  const count = 5000;
  const body = `[${'"1",'.repeat(count - 1)}"2"]`;
  const ws = new WebSocket(`${server.url.replace('http', 'ws')}/primus/0/m/websocket`);
  t.after(() => ws.terminate());
  const said = new Inbox(ws, 'message');
  assert.equal(String(await said.next()), 'o');
  ws.send(body.slice(0, 16_000).replace(/,[^,]*$/, ']'));
  for (let n = 0; n < 3999; n += 1) assert.equal(String(await said.next()), 'a["1"]');
  ws.close();
  await opened(it, 'p');
  assert.equal((await post('/0/p/xhr_send', body)).status, 204);
  let echoed = '';
  while (!echoed.includes('"2"')) echoed += (await post('/0/p/xhr')).body;
  assert.equal(echoed.match(/"1"/g).length, count - 1);
  await check();
});

test('a second receiver changes nothing for the first', async (t) => {
  const it = await witnessed(t);
  const { server, post, check } = it;
  const first = await open(t, 'POST', `${server.url}/primus/0/r/xhr_streaming`);
  await first.read();
  assert.equal(await first.read(), 'o\n');
  for (let n = 0; n < 20; n += 1) {
    assert.equal((await post('/0/r/xhr')).body, 'c[2010,"Another connection still open"]\n');
  }
  assert.equal((await post('/0/r/xhr_send', '["1"]')).status, 204);
  assert.equal(await first.read(), 'a["1"]\n');
  first.close();
  await check();
});

test('a stock Primus client that floods with questions is answered, within bounds', async (t) => {
  const it = await witnessed(t);
  const { post, check } = it;
  const send = (...texts) => post('/0/q/xhr_send?_primuscb=1', JSON.stringify(texts));
  assert.equal((await post('/0/q/xhr?_primuscb=1')).body, 'o\n');
  for (let n = 0; n < 5; n += 1) assert.equal((await send(...Array(1000).fill('"primus::id::"'))).status, 204);
  const { body } = await post('/0/q/xhr?_primuscb=1');
  assert.equal(body.match(/primus::id::/g).length, 16);
  assert.equal((await send('"primus::pong::x"', '"primus::what::"', '"primus::"')).status, 204);
  await check();
});

test('more sessions than there may be are refused, and those that are given up make room', async (t) => {
  const it = await witnessed(t, `max_connections = 10\n${TOML}`);
  const { post, check } = it;
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => post(`/0/s${n}/xhr`)));
  assert.equal(answers.filter(({ status, body }) => status === 200 && body === 'o\n').length, 9);
  assert.equal(answers.filter(({ status }) => status === 503).length, 21);
  await check();
  await opened(it, 'again');
  await check();
});

test('a cookie is repeated as it is, or not at all', async (t) => {
  const { post, check } = await witnessed(t, `${TOML}sockjs_cookie = true\n`);
  for (const [cookie, expected] of [
    ['JSESSIONID=abc; other=1', 'abc'],
    ['a=1; JSESSIONID=x"y<z', 'x"y<z'],
    ['JSESSIONID=', 'dummy'],
    ['XJSESSIONID=evil', 'dummy'],
  ]) {
    const answer = await post(`/0/${cookie.length}/xhr`, '', { Cookie: cookie });
    assert.deepEqual(answer.headers['set-cookie'], [`JSESSIONID=${expected}; path=/`], cookie);
  }
  await check();
});
