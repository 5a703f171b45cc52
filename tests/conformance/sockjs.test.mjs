// The cases of the public suite `sockjs-protocol` by their names, but for `test_haproxy`: it wants a draft of
// WebSocket that no client speaks any more.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { fetched, open, Wire } from '../lib/http.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, once } from '../lib/within.mjs';

let server;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'sockjs']);
});
after(() => server?.kill());

const GET = (t, path, options) => fetched(t, 'GET', server.url + path, options);
const POST = (t, path, body, headers = {}) => fetched(t, 'POST', server.url + path, { body, headers });
const OPTIONS = (t, path, headers) => fetched(t, 'OPTIONS', server.url + path, { headers });
const stream = (t, method, path, headers = {}) => open(t, method, server.url + path, { headers });
const session = (service = '/echo', server_id = '000') => `${service}/${server_id}/${randomUUID()}`;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

const is404 = (answer) => assert.equal(answer.status, 404);

function is405(answer, allow) {
  assert.equal(answer.status, 405);
  assert.equal(answer.headers['content-type'], undefined);
  assert.equal(answer.headers.allow, allow);
  assert.equal(answer.body, '');
}

function is500(answer, said) {
  assert.equal(answer.status, 500);
  assert.equal(answer.body, said);
}

const typed = (answer, type) => assert.equal(answer.headers['content-type'].replaceAll(' ', ''), type);
const noCookie = (answer) => assert.equal(answer.headers['set-cookie'], undefined);

function readable(answer, origin) {
  assert.equal(answer.headers['access-control-allow-origin'], origin ?? '*');
  assert.equal(answer.headers['access-control-allow-credentials'], origin && 'true');
  assert.equal(answer.headers.vary, 'Origin');
}

function notCached(answer) {
  const never = 'no-store, no-cache, no-transform, must-revalidate, max-age=0';
  assert.equal(answer.headers['cache-control'], never);
  assert.equal(answer.headers.expires, undefined);
  assert.equal(answer.headers['last-modified'], undefined);
}

function cached(answer) {
  assert.equal(answer.headers['cache-control'], 'public, max-age=31536000');
  assert.ok(Date.parse(answer.headers.expires) > Date.now());
  assert.equal(answer.headers['last-modified'], undefined);
}

async function preflights(t, path, methods) {
  for (const origin of ['test', 'null']) {
    const answer = await OPTIONS(t, path, { Origin: origin, 'Access-Control-Request-Method': methods });
    assert.equal(answer.status, 204);
    cached(answer);
    assert.equal(answer.headers['access-control-max-age'], '31536000');
    assert.equal(answer.headers['access-control-allow-methods'], methods);
    assert.equal(answer.body, '');
    readable(answer, origin);
  }
}

/** A poll opens a session, or goes on with it. */
async function polls(t, path, expected) {
  const answer = await POST(t, `${path}/xhr`);
  assert.equal(answer.status, 200);
  assert.equal(answer.body, expected);
  return answer;
}

async function jsonp(t, path, expected, callback = 'x') {
  const answer = await GET(t, `${path}/jsonp?c=${callback}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.body, expected);
  return answer;
}

async function sends(t, path, body, headers) {
  const answer = await POST(t, `${path}/xhr_send`, body, headers);
  assert.equal(answer.status, 204);
  assert.equal(answer.body, '');
  return answer;
}

const ok = (answer) => assert.deepEqual([answer.status, answer.body], [200, 'ok']);

/** A WebSocket and what it gets. Its close is an item, too. */
async function socket(t, path) {
  const ws = new WebSocket(server.url.replace('http', 'ws') + path);
  t.after(() => ws.terminate());
  const inbox = new Inbox(ws, 'message');
  ws.on('close', (code, reason) => inbox.push(`closed ${code} ${reason}`));
  await once(ws, 'open');
  return { ws, next: async () => String(await inbox.next()) };
}

// ---- static URLs ----

test('BaseUrlGreeting test_greeting', async (t) => {
  for (const path of ['/echo', '/echo/']) {
    const answer = await GET(t, path);
    assert.equal(answer.status, 200);
    typed(answer, 'text/plain;charset=UTF-8');
    assert.equal(answer.body, 'Welcome to SockJS!\n');
    noCookie(answer);
  }
});

test('BaseUrlGreeting test_notFound', async (t) => {
  for (const path of ['/a', '/a.html', '//', '///', '/a/a', '/a/a/', '/a/']) is404(await GET(t, `/echo${path}`));
  assert.equal((await GET(t, '/echo/a/a')).body, '404 Error: Page not found\n');
});

const IFRAME = `<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`;

async function iframe(t, path) {
  const answer = await GET(t, `/echo${path}`);
  assert.equal(answer.status, 200);
  typed(answer, 'text/html;charset=UTF-8');
  cached(answer);
  assert.match(answer.headers.etag, /^"[^"]+"$/);
  assert.equal(answer.body, IFRAME);
  noCookie(answer);
  return answer;
}

test('IframePage test_simpleUrl', (t) => iframe(t, '/iframe.html'));

test('IframePage test_versionedUrl', async (t) => {
  for (const version of ['-a', '-', '-0.1.2', '-0.1.2abc-dirty.2144']) await iframe(t, `/iframe${version}.html`);
});

test('IframePage test_queriedUrl', async (t) => {
  for (const path of ['-a.html?t=1234', '-0.1.2.html?t=123414', '-0.1.2abc-dirty.2144.html?t=qweqweq123']) {
    await iframe(t, `/iframe${path}`);
  }
});

test('IframePage test_invalidUrl', async (t) => {
  const paths = ['/iframe.htm', '/iframe', '/IFRAME.HTML', '/IFRAME', '/iframe.HTML', '/iframe.xml', '/iframe-/.html'];
  for (const path of paths) is404(await GET(t, `/echo${path}`));
});

test('IframePage test_cacheability', async (t) => {
  const [one, two] = [await iframe(t, '/iframe.html'), await iframe(t, '/iframe.html')];
  assert.equal(one.headers.etag, two.headers.etag);
  const again = await GET(t, '/echo/iframe.html', { headers: { 'If-None-Match': one.headers.etag } });
  assert.deepEqual([again.status, again.headers['content-type'], again.body], [304, undefined, '']);
});

test('InfoTest test_basic', async (t) => {
  const answer = await GET(t, '/echo/info', { headers: { Origin: 'test' } });
  assert.equal(answer.status, 200);
  typed(answer, 'application/json;charset=UTF-8');
  noCookie(answer);
  notCached(answer);
  readable(answer, 'test');
  const { entropy, ...info } = JSON.parse(answer.body);
  assert.deepEqual(info, { websocket: true, origins: ['*:*'], cookie_needed: false });
  assert.ok(Number.isInteger(entropy) && entropy >= 0 && entropy < 2 ** 32);
});

test('InfoTest test_entropy', async (t) => {
  const entropy = async () => JSON.parse((await GET(t, '/echo/info')).body).entropy;
  assert.notEqual(await entropy(), await entropy());
});

test('InfoTest test_options', (t) => preflights(t, '/echo/info', 'OPTIONS, GET'));

test('InfoTest test_options_null_origin', async (t) => {
  const answer = await OPTIONS(t, '/echo/info', { Origin: 'null', 'Access-Control-Request-Method': 'POST' });
  assert.deepEqual([answer.status, answer.body], [204, '']);
  assert.equal(answer.headers['access-control-allow-origin'], 'null');
});

test('InfoTest test_disabled_websocket', async (t) => {
  const answer = await GET(t, '/disabled_websocket_echo/info');
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).websocket, false);
  for (const path of ['/websocket', '/0/0/websocket']) is404(await GET(t, `/disabled_websocket_echo${path}`));
});

// ---- session URLs ----

test('SessionURLs test_anyValue', async (t) => {
  const random = randomUUID();
  for (const path of ['/a/a', '/_/_', '/1/', '/abcdefgh_i-j%20/abcdefg_i-j%20']) await polls(t, `/echo${path}${random}`, 'o\n');
});

test('SessionURLs test_invalidPaths', async (t) => {
  for (const path of ['//', '/a./a', '/a/a.', '/./.', '/', '///']) {
    is404(await GET(t, `/echo${path}/xhr`));
    is404(await POST(t, `/echo${path}/xhr`));
  }
});

test('SessionURLs test_ignoringServerId', async (t) => {
  const id = randomUUID();
  await polls(t, `/echo/000/${id}`, 'o\n');
  await sends(t, `/echo/000/${id}`, '["a"]');
  await polls(t, `/echo/999/${id}`, 'a["a"]\n');
});

/** Two polls at once: one waits, and the other is told so. */
async function second(t, path) {
  const asked = [0, 1].map(() => {
    const answer = stream(t, 'POST', `${path}/xhr`);
    return answer.then(async (answer) => ({ answer, body: await answer.rest() }));
  });
  const { answer, body } = await Promise.race(asked);
  assert.equal(answer.status, 200);
  assert.equal(body, 'c[2010,"Another connection still open"]\n');
}

test('Protocol test_simpleSession', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  await sends(t, path, '["a"]');
  await polls(t, path, 'a["a"]\n');
  is404(await POST(t, '/echo/000/bad_session/xhr_send', '["a"]'));
  await second(t, path);
});

test('Protocol test_closeSession', async (t) => {
  const path = session('/close');
  await polls(t, path, 'o\n');
  await polls(t, path, 'c[3000,"Go away!"]\n');
  await polls(t, path, 'c[3000,"Go away!"]\n');
});

// ---- WebSocket ----

test('WebsocketHttpErrors test_httpMethod', async (t) => {
  const answer = await GET(t, '/echo/0/0/websocket');
  assert.deepEqual([answer.status, answer.body], [400, 'Not a valid websocket request']);
});

test('WebsocketHttpErrors test_invalidConnectionHeader', async (t) => {
  const wire = await Wire.connect(t, server.url);
  const answer = await wire.request('GET', '/echo/0/0/websocket', '1.1', { Upgrade: 'WebSocket', Connection: 'close' });
  assert.equal(answer.status, 400);
  assert.match(await wire.closed(), /Not a valid websocket request/);
});

test('WebsocketHttpErrors test_invalidMethod', async (t) => {
  for (const headers of [{ Upgrade: 'WebSocket', Connection: 'Upgrade' }, {}]) {
    is405(await POST(t, '/echo/0/0/websocket', '', headers), 'GET');
  }
});

test('Websocket test_transport', async (t) => {
  const { ws, next } = await socket(t, `${session()}/websocket`);
  assert.equal(await next(), 'o');
  ws.send('["a"]');
  assert.equal(await next(), 'a["a"]');
});

test('Websocket test_close', async (t) => {
  const { next } = await socket(t, `${session('/close')}/websocket`);
  assert.equal(await next(), 'o');
  assert.equal(await next(), 'c[3000,"Go away!"]');
  assert.equal(await next(), 'closed 3000 Go away!');
});

test('Websocket test_headersSanity', async (t) => {
  const headers = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Origin': 'http://asd',
    'Sec-WebSocket-Key': 'x3JJHMbDL1EzLkh9GBhXDw==',
  };
  const answer = await stream(t, 'GET', `${session()}/websocket`, headers);
  assert.equal(answer.status, 101);
  assert.equal(answer.headers['sec-websocket-accept'], 'HSmrc0sMlYUkAGmm5OPpG2HaGWk=');
  assert.equal(answer.headers.connection.toLowerCase(), 'upgrade');
  assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
  assert.equal(answer.headers['content-length'], undefined);
});

test('Websocket test_empty_frame', async (t) => {
  const { ws, next } = await socket(t, `${session()}/websocket`);
  assert.equal(await next(), 'o');
  for (const message of ['', '[]', '["a"]']) ws.send(message);
  assert.equal(await next(), 'a["a"]');
});

test('Websocket test_reuseSessionId', async (t) => {
  const path = `${session()}/websocket`;
  const [one, two] = [await socket(t, path), await socket(t, path)];
  for (const [{ ws, next }, text] of [[one, 'a'], [two, 'b']]) {
    assert.equal(await next(), 'o');
    ws.send(JSON.stringify([text]));
    assert.equal(await next(), `a["${text}"]`);
    ws.close();
    await next();
  }
  const again = await socket(t, path);
  assert.equal(await again.next(), 'o');
  again.ws.send('["a"]');
  assert.equal(await again.next(), 'a["a"]');
});

test('Websocket test_broken_json', async (t) => {
  const { ws, next } = await socket(t, `${session()}/websocket`);
  assert.equal(await next(), 'o');
  ws.send('["a');
  assert.equal(await next(), 'closed 3000 Broken framing.');
});

// ---- xhr ----

test('XhrPolling test_options', async (t) => {
  for (const name of ['xhr', 'xhr_send']) await preflights(t, `/echo/abc/abc/${name}`, 'OPTIONS, POST');
});

test('XhrPolling test_transport', async (t) => {
  const path = session();
  const opened = await POST(t, `${path}/xhr`, '', { Origin: 'test' });
  assert.deepEqual([opened.status, opened.body], [200, 'o\n']);
  typed(opened, 'application/javascript;charset=UTF-8');
  readable(opened, 'test');
  notCached(opened);
  const sent = await sends(t, path, '["x"]', { Origin: 'test' });
  typed(sent, 'text/plain;charset=UTF-8');
  readable(sent, 'test');
  notCached(sent);
  readable(await polls(t, path, 'a["x"]\n'));
});

test('XhrPolling test_invalid_session', async (t) => {
  is404(await POST(t, `${session()}/xhr_send`, '["x"]'));
});

test('XhrPolling test_invalid_json', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  is500(await POST(t, `${path}/xhr_send`, '["x'), 'Broken JSON encoding.');
  is500(await POST(t, `${path}/xhr_send`, ''), 'Payload expected.');
  await sends(t, path, '["a"]');
  await polls(t, path, 'a["a"]\n');
});

test('XhrPolling test_content_types', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  const types = ['text/plain', 'T', 'application/json', 'application/xml', '', 'application/json; charset=utf-8'];
  types.push('text/xml; charset=utf-8', 'text/xml');
  for (const type of types) await sends(t, path, '["a"]', { 'Content-Type': type });
  await polls(t, path, `a[${types.map(() => '"a"').join(',')}]\n`);
});

test('XhrPolling test_request_headers_cors', async (t) => {
  for (const [asked, allowed] of [['a, b, c', 'a, b, c'], ['', undefined], [undefined, undefined]]) {
    const headers = { Origin: 'test', 'Access-Control-Request-Method': 'POST' };
    if (asked !== undefined) headers['Access-Control-Request-Headers'] = asked;
    const answer = await OPTIONS(t, `${session()}/xhr`, headers);
    assert.equal(answer.status, 204);
    readable(answer, 'test');
    assert.equal(answer.headers['access-control-allow-headers'], allowed);
  }
});

test('XhrPolling test_sending_empty_frame', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  await sends(t, path, '[]');
  await sends(t, path, '["a"]');
  await polls(t, path, 'a["a"]\n');
});

const PRELUDE = `${'h'.repeat(2048)}\n`;

test('XhrStreaming test_options', (t) => preflights(t, '/echo/abc/abc/xhr_streaming', 'OPTIONS, POST'));

test('XhrStreaming test_transport', async (t) => {
  const path = session();
  const answer = await stream(t, 'POST', `${path}/xhr_streaming`, { Origin: 'test' });
  assert.equal(answer.status, 200);
  typed(answer, 'application/javascript;charset=UTF-8');
  readable(answer, 'test');
  notCached(answer);
  assert.equal(await answer.read(), PRELUDE);
  assert.equal(await answer.read(), 'o\n');
  await sends(t, path, '["x"]');
  assert.equal(await answer.read(), 'a["x"]\n');
});

test('XhrStreaming test_response_limit', async (t) => {
  const path = session();
  const answer = await stream(t, 'POST', `${path}/xhr_streaming`);
  assert.equal(await answer.read(), PRELUDE);
  assert.equal(await answer.read(), 'o\n');
  const message = `["${'x'.repeat(128)}"]`;
  for (let n = 0; n < 31; n += 1) {
    await sends(t, path, message);
    assert.equal(await answer.read(), `a${message}\n`);
  }
  assert.equal(await answer.read(), '');
});

test('EventSource test_transport', async (t) => {
  const path = session();
  const answer = await stream(t, 'GET', `${path}/eventsource`);
  assert.equal(answer.status, 200);
  typed(answer, 'text/event-stream');
  notCached(answer);
  assert.equal(await answer.read(), '\r\n');
  assert.equal(await answer.read(), 'data: o\r\n\r\n');
  await sends(t, path, '["x"]');
  assert.equal(await answer.read(), 'data: a["x"]\r\n\r\n');
  await sends(t, path, '["  \\u0000\\n\\r "]');
  assert.equal(await answer.read(), 'data: a["  \\u0000\\n\\r "]\r\n\r\n');
});

/** A stream that ends behind one large frame. */
async function limited(t, method, path, name, [opened, wrap]) {
  const answer = await stream(t, method, `${path}/${name}`);
  assert.equal(answer.status, 200);
  assert.notEqual(await answer.read(), '');
  assert.equal(await answer.read(), opened);
  const message = 'x'.repeat(4096);
  await sends(t, path, `["${message}"]`);
  let frame = '';
  while (frame.length < wrap(message).length) frame += await answer.read();
  assert.equal(frame, wrap(message));
  assert.equal(await answer.read(), '');
}

test('EventSource test_response_limit', (t) =>
  limited(t, 'GET', session(), 'eventsource', ['data: o\r\n\r\n', (text) => `data: a["${text}"]\r\n\r\n`]));

const page = `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>`;
const script = (frame) => `<script>\np(${JSON.stringify(frame)});\n</script>\r\n`;

test('HtmlFile test_transport', async (t) => {
  const path = session();
  const answer = await stream(t, 'GET', `${path}/htmlfile?c=%63allback`);
  assert.equal(answer.status, 200);
  typed(answer, 'text/html;charset=UTF-8');
  notCached(answer);
  const head = await answer.read();
  assert.equal(head.trim(), page);
  assert.ok(head.length > 1024);
  assert.equal(await answer.read(), script('o'));
  await sends(t, path, '["x"]');
  assert.equal(await answer.read(), script('a["x"]'));
});

const MISSING = '"callback" parameter required';
const INVALID = 'invalid "callback" parameter';

async function refusesCallbacks(t, name) {
  for (const callback of ['%20', '*', 'abc(', 'abc%28']) is500(await GET(t, `/echo/a/a/${name}?c=${callback}`), INVALID);
}

test('HtmlFile test_no_callback', async (t) => is500(await GET(t, '/echo/a/a/htmlfile'), MISSING));
test('HtmlFile test_invalid_callback', (t) => refusesCallbacks(t, 'htmlfile'));
test('HtmlFile test_response_limit', (t) =>
  limited(t, 'GET', session(), 'htmlfile?c=callback', [script('o'), (text) => script(`a["${text}"]`)]));

test('JsonPolling test_transport', async (t) => {
  const path = session();
  const opened = await jsonp(t, path, '/**/callback("o");\r\n', '%63allback');
  typed(opened, 'application/javascript;charset=UTF-8');
  assert.equal(opened.headers['x-content-type-options'], 'nosniff');
  notCached(opened);
  const sent = await POST(t, `${path}/jsonp_send`, 'd=%5B%22x%22%5D', FORM);
  ok(sent);
  typed(sent, 'text/plain;charset=UTF-8');
  assert.equal(sent.headers['content-length'], '2');
  notCached(sent);
  await jsonp(t, path, '/**/callback("a[\\"x\\"]");\r\n', '%63allback');
});

test('JsonPolling test_no_callback', async (t) => is500(await GET(t, '/echo/a/a/jsonp'), MISSING));
test('JsonPolling test_invalid_callback', (t) => refusesCallbacks(t, 'jsonp'));

test('JsonPolling test_invalid_json', async (t) => {
  const path = session();
  await jsonp(t, path, '/**/x("o");\r\n');
  is500(await POST(t, `${path}/jsonp_send`, 'd=%5B%22x', FORM), 'Broken JSON encoding.');
  for (const body of ['', 'd=', 'p=p']) is500(await POST(t, `${path}/jsonp_send`, body, FORM), 'Payload expected.');
  ok(await POST(t, `${path}/jsonp_send`, 'd=%5B%22b%22%5D', FORM));
  await jsonp(t, path, '/**/x("a[\\"b\\"]");\r\n');
});

test('JsonPolling test_content_types', async (t) => {
  const path = session();
  await jsonp(t, path, '/**/x("o");\r\n');
  ok(await POST(t, `${path}/jsonp_send`, 'd=%5B%22abc%22%5D', FORM));
  ok(await POST(t, `${path}/jsonp_send`, '["%61bc"]', { 'Content-Type': 'text/plain' }));
  await jsonp(t, path, '/**/x("a[\\"abc\\",\\"%61bc\\"]");\r\n');
});

test('JsonPolling test_close', async (t) => {
  const path = session('/close');
  await jsonp(t, path, '/**/x("o");\r\n');
  for (let n = 0; n < 2; n += 1) await jsonp(t, path, '/**/x("c[3000,\\"Go away!\\"]");\r\n');
});

test('JsonPolling test_sending_empty_frame', async (t) => {
  const path = session();
  await jsonp(t, path, '/**/x("o");\r\n');
  ok(await POST(t, `${path}/jsonp_send`, 'd=%5B%5D', FORM));
  ok(await POST(t, `${path}/jsonp_send`, 'd=%5B%22x%22%5D', FORM));
  await jsonp(t, path, '/**/x("a[\\"x\\"]");\r\n');
});

// ---- the cookie ----

const has = (answer, value = 'dummy') => assert.deepEqual(answer.headers['set-cookie'], [`JSESSIONID=${value}; path=/`]);
const cookies = () => session('/cookie_needed_echo');

test('JsessionidCookie test_basic', async (t) => {
  const answer = await GET(t, '/cookie_needed_echo/info');
  assert.equal(answer.status, 200);
  noCookie(answer);
  assert.equal(JSON.parse(answer.body).cookie_needed, true);
});

test('JsessionidCookie test_xhr', async (t) => {
  has(await polls(t, cookies(), 'o\n'));
  has(await POST(t, `${cookies()}/xhr`, '', { Cookie: 'JSESSIONID=abcdef' }), 'abcdef');
});

test('JsessionidCookie test_xhr_streaming', async (t) => has(await stream(t, 'POST', `${cookies()}/xhr_streaming`)));
test('JsessionidCookie test_eventsource', async (t) => has(await stream(t, 'GET', `${cookies()}/eventsource`)));
test('JsessionidCookie test_htmlfile', async (t) => has(await stream(t, 'GET', `${cookies()}/htmlfile?c=%63allback`)));

test('JsessionidCookie test_jsonp', async (t) => {
  const path = cookies();
  has(await jsonp(t, path, '/**/callback("o");\r\n', '%63allback'));
  const sent = await POST(t, `${path}/jsonp_send`, 'd=%5B%22x%22%5D', FORM);
  ok(sent);
  has(sent);
});

// ---- raw WebSocket ----

test('RawWebsocket test_transport', async (t) => {
  const { ws, next } = await socket(t, '/echo/websocket');
  ws.send('Hello world!\uffff');
  assert.equal(await next(), 'Hello world!\uffff');
});

test('RawWebsocket test_close', async (t) => {
  const { next } = await socket(t, '/close/websocket');
  assert.equal(await next(), 'closed 3000 Go away!');
});

// ---- characters ----

const escaped = (list) => list.map((code) => `\\u${code.toString(16).padStart(4, '0')}`).join('');
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
/** What servers must escape, of what is above Latin 1. */
const SERVER = [[0x200c, 0x200f], [0x2028, 0x202f], [0x2060, 0x206f], [0xfff0, 0xffff]].flatMap(([from, to]) => range(from, to));

test('JSONEncoding test_xhr_server_encodes', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  await sends(t, path, `["${String.fromCharCode(...SERVER)}"]`);
  await polls(t, path, `a["${escaped(SERVER)}"]\n`);
});

test('JSONEncoding test_xhr_server_decodes', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  // More than clients escape: all but halves of surrogate pairs.
  const all = range(0, 0xffff).filter((code) => code < 0xd800 || code > 0xdfff);
  await sends(t, path, `["${escaped(all)}"]`);
  const answer = await POST(t, `${path}/xhr`);
  const [echoed] = JSON.parse(answer.body.slice(1));
  assert.deepEqual(range(0, echoed.length - 1).filter((n) => echoed.charCodeAt(n) !== all[n]), []);
  assert.equal(echoed.length, all.length);
});

// ---- the end ----

/** A stream that has begun, and its first frame. */
async function streaming(t, path, first) {
  const answer = await stream(t, 'POST', `${path}/xhr_streaming`);
  assert.equal(await answer.read(), PRELUDE);
  assert.equal(await answer.read(), first);
  return answer;
}

const SECOND = 'c[2010,"Another connection still open"]\n';

test('HandlingClose test_close_frame', async (t) => {
  const path = session('/close');
  const one = await streaming(t, path, 'o\n');
  assert.equal(await one.read(), 'c[3000,"Go away!"]\n');
  const two = await streaming(t, path, 'c[3000,"Go away!"]\n');
  assert.equal(await one.read(), '');
  assert.equal(await two.read(), '');
});

test('HandlingClose test_close_request', async (t) => {
  const path = session();
  await streaming(t, path, 'o\n');
  const two = await streaming(t, path, SECOND);
  assert.equal(await two.read(), '');
});

test('HandlingClose test_abort_xhr_streaming', async (t) => {
  const path = session();
  const one = await streaming(t, path, 'o\n');
  const two = await streaming(t, path, SECOND);
  assert.equal(await two.read(), '');
  one.close();
  // At once: that the first is gone may not have been seen yet.
  await streaming(t, path, 'o\n');
});

test('HandlingClose test_abort_xhr_polling', async (t) => {
  const path = session();
  await polls(t, path, 'o\n');
  const waiting = new AbortController();
  const poll = () => fetch(`${server.url}${path}/xhr`, { method: 'POST', signal: waiting.signal });
  // Of two at once one waits; which it is does not matter.
  const body = await Promise.race([poll(), poll()]).then((answer) => answer.text());
  assert.equal(body, SECOND);
  waiting.abort();
  await polls(t, path, 'o\n');
});

// ---- HTTP ----

test('Http10 test_synchronous', async (t) => {
  const wire = await Wire.connect(t, server.url);
  for (let n = 0; n < 2; n += 1) {
    const answer = await wire.request('GET', '/echo', '1.0', { Connection: 'Keep-Alive' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['transfer-encoding'], undefined);
    assert.equal(answer.headers['content-length'], '19');
    assert.equal(answer.headers.connection.toLowerCase(), 'keep-alive');
    assert.equal(await wire.take(19), 'Welcome to SockJS!\n');
  }
});

test('Http10 test_streaming', async (t) => {
  const wire = await Wire.connect(t, server.url);
  const path = `${session('/close')}/xhr_streaming`;
  const answer = await wire.request('POST', path, '1.0', { Connection: 'Keep-Alive' });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['transfer-encoding'], undefined);
  assert.equal(answer.headers['content-length'], undefined);
  assert.equal(await wire.closed(), `${PRELUDE}o\nc[3000,"Go away!"]\n`);
});

test('Http11 test_synchronous', async (t) => {
  const wire = await Wire.connect(t, server.url);
  for (let n = 0; n < 2; n += 1) {
    const answer = await wire.request('GET', '/echo', '1.1', { Connection: 'Keep-Alive' });
    assert.equal(answer.status, 200);
    assert.notEqual(answer.headers.connection, 'close');
    assert.equal(answer.headers['content-length'], '19');
    assert.equal(await wire.take(19), 'Welcome to SockJS!\n');
  }
});

test('Http11 test_streaming', async (t) => {
  const wire = await Wire.connect(t, server.url);
  const path = `${session('/close')}/xhr_streaming`;
  const answer = await wire.request('POST', path, '1.1', { Connection: 'Keep-Alive' });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['transfer-encoding'], 'chunked');
  assert.equal(answer.headers['content-length'], undefined);
  for (const chunk of [PRELUDE, 'o\n', 'c[3000,"Go away!"]\n', '']) assert.equal(await wire.chunk(), chunk);
});
