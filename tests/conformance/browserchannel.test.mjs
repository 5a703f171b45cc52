// The checklist of the reference server's own cases, by its names, over bare HTTP.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetched, open } from '../lib/http.mjs';
import { config, serve, Server } from '../lib/server.mjs';
import { until } from '../lib/within.mjs';

let services;
before(async () => {
  services = await Server.start('conformance', ['--suite', 'browserchannel']);
});
after(() => services?.kill());

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const UNKNOWN = 'AAAAAAAAAAAAAAAAAAAAAA';
const maps = (first, ...texts) =>
  texts.length === 0 ? 'count=0' : `count=${texts.length}&ofs=${first}&${texts.map((text, n) => `req${n}__S=${encodeURIComponent(text)}`).join('&')}`;

/** The chunks of a whole text: length in UTF-16 units, a line end, JSON. */
function chunks(text) {
  const all = [];
  while (text) {
    const [length] = text.split('\n', 1);
    const from = length.length + 1;
    const chunk = text.slice(from, from + Number(length));
    assert.equal(chunk.length, Number(length), text);
    all.push(JSON.parse(chunk));
    text = text.slice(from + Number(length));
  }
  return all;
}

/** One session over bare requests. */
class Session {
  rid = 1000;
  aid = 0;

  constructor(t, base, sid) {
    Object.assign(this, { t, base, sid });
  }

  static async open(t, base = `${services.url}/channel`, body = 'count=0', query = '') {
    const answer = await fetched(t, 'POST', `${base}/bind?VER=8&RID=1000&t=1${query}`, { headers: FORM, body });
    assert.equal(answer.status, 200, answer.body);
    const [arrays] = chunks(answer.body);
    assert.deepEqual([arrays[0][0], arrays[0][1][0], arrays[0][1][3]], [0, 'c', 8]);
    const session = new Session(t, base, arrays[0][1][1]);
    return Object.assign(session, { arrays, answer });
  }

  url(query) {
    return `${this.base}/bind?VER=8&SID=${this.sid}&${query}`;
  }

  post(body, { rid = (this.rid += 1), aid = this.aid, headers = FORM } = {}) {
    return fetched(this.t, 'POST', this.url(`RID=${rid}&AID=${aid}`), { headers, body });
  }

  async send(first, ...texts) {
    const answer = await this.post(maps(first, ...texts));
    assert.equal(answer.status, 200, answer.body);
    return chunks(answer.body)[0];
  }

  back({ ci = 0, aid = this.aid, type = 'xmlhttp', more = '' } = {}) {
    return open(this.t, 'GET', this.url(`RID=rpc&CI=${ci}&AID=${aid}&TYPE=${type}${more}`));
  }

  /** All arrays that come until there are so many, each once. */
  async arraysOf(count, answer) {
    let text = '';
    for (;;) {
      const piece = await answer.read();
      text += piece;
      let all;
      try {
        all = chunks(text).flat();
      } catch {
        all = [];
      }
      if (all.length >= count || piece === '') return all;
    }
  }

  terminate(rid = this.rid + 1) {
    return fetched(this.t, 'GET', this.url(`RID=${rid}&TYPE=terminate`));
  }
}

const STANDARD = {
  'cache-control': 'no-cache, no-store, max-age=0, must-revalidate',
  pragma: 'no-cache',
  expires: 'Fri, 01 Jan 1990 00:00:00 GMT',
  'x-content-type-options': 'nosniff',
};
function standard({ headers }, type) {
  for (const [name, value] of Object.entries(STANDARD)) assert.equal(headers[name], value, name);
  if (type) assert.equal(headers['content-type'], type);
}
const get = (t, path, options) => fetched(t, 'GET', `${services.url}${path}`, options);
const said = (server) => fetch(`${server.url}/stats`).then((it) => it.json());
const own = async (t, toml = '') => serve(t, 'fixture', await config(t, `transformers = ["browserchannel"]\nbrowserchannel_clients = "plain"\n${toml}`));

test('hosting of client file', async (t) => {
  assert.equal((await get(t, '/channel/bcsocket.js')).status, 404);
  const folder = await mkdtemp(join(tmpdir(), 'bcsocket-'));
  await writeFile(join(folder, 'bcsocket.js'), 'the script');
  const server = await own(t, `browserchannel_script = ${JSON.stringify(join(folder, 'bcsocket.js'))}\n`);
  const url = `${server.url}/primus/bcsocket.js`;
  const got = await fetched(t, 'GET', url);
  assert.deepEqual([got.status, got.body, got.headers['content-type']], [200, 'the script', 'application/javascript']);
  const head = await fetched(t, 'HEAD', url);
  assert.deepEqual([head.status, head.body, head.headers.etag], [200, '', got.headers.etag]);
  const known = await fetched(t, 'GET', url, { headers: { 'If-None-Match': got.headers.etag } });
  assert.deepEqual([known.status, known.body], [304, '']);
  assert.equal((await fetched(t, 'POST', url)).status, 405);
});

test('phase 1/2 with and without prefix, version checks', async (t) => {
  const first = await get(t, '/channel/test?VER=8&MODE=init');
  assert.deepEqual([first.status, first.body], [200, '[null,null]']);
  assert.equal(first.headers['x-accept'], 'application/json; application/x-www-form-urlencoded');
  standard(first, 'text/plain');
  const [prefix, blocked] = JSON.parse((await get(t, '/prefixed/test?VER=8&MODE=init')).body);
  assert.ok(['a', 'b'].includes(prefix) && blocked === null);
  const session = await Session.open(t, `${services.url}/prefixed`);
  assert.ok(['a', 'b'].includes(session.arrays[0][1][2]));

  const second = await open(t, 'GET', `${services.url}/channel/test?VER=8&TYPE=xmlhttp`);
  const began = performance.now();
  assert.equal(await second.read(), '11111');
  assert.equal(await second.rest(), '2');
  assert.ok(performance.now() - began > 1000, 'in two pieces');
  for (const path of ['test?VER=7&MODE=init', 'test?MODE=init', 'test?VER=7&TYPE=xmlhttp', 'test?TYPE=xmlhttp', 'bind?VER=7&RID=rpc', 'bind?RID=rpc']) {
    const answer = await get(t, `/channel/${path}`);
    assert.deepEqual([answer.status, answer.body], [400, 'Version 8 required'], path);
  }
  for (const query of ['VER=7&RID=1000', 'RID=1000']) {
    assert.equal((await fetched(t, 'POST', `${services.url}/channel/bind?${query}`, { headers: FORM, body: 'count=0' })).status, 400);
  }
});

test('custom base with/without slashes', async (t) => {
  for (const path of ['/deep/channel', '/deep/channel/']) {
    const server = await own(t, `path = ${JSON.stringify(path)}\n`);
    const answer = await fetched(t, 'GET', `${server.url}/deep/channel/test?VER=8&MODE=init`);
    assert.deepEqual([answer.status, answer.body], [200, '[null,null]']);
    assert.equal((await fetched(t, 'GET', `${server.url}/deep/channel/wacky`)).status, 404);
    assert.equal((await fetched(t, 'GET', `${server.url}/deep/channelx/test?VER=8&MODE=init`)).status, 404);
  }
});

test('CORS static/function', async (t) => {
  const server = await own(t, 'origins = ["https://friend.test"]\n');
  const url = `${server.url}/primus/test?VER=8&MODE=init`;
  const friend = await fetched(t, 'GET', url, { headers: { Origin: 'https://friend.test' } });
  assert.equal(friend.headers['access-control-allow-origin'], 'https://friend.test');
  assert.equal((await fetched(t, 'GET', url)).headers['access-control-allow-origin'], undefined);
  const foreign = await fetched(t, 'GET', url, { headers: { Origin: 'https://evil.test' } });
  assert.deepEqual([foreign.status, foreign.headers['access-control-allow-origin']], [403, undefined]);
  const bound = await fetched(t, 'POST', `${server.url}/primus/bind?VER=8&RID=1`, { headers: { ...FORM, Origin: 'https://friend.test' }, body: 'count=0' });
  assert.deepEqual([bound.status, bound.headers['access-control-allow-origin']], [200, 'https://friend.test']);
});

test('extra headers', async (t) => {
  const session = await Session.open(t);
  standard(session.answer, 'text/plain');
  standard(await session.post('count=0'), 'text/plain');
  standard(await session.back({ ci: 1 }), 'text/plain');
  standard(await get(t, '/channel/bind?VER=8&RID=rpc&SID=x&AID=0&TYPE=xmlhttp'));
});

test('html vs xmlhttp headers', async (t) => {
  const session = await Session.open(t);
  standard(await session.back({ type: 'html' }), 'text/html');
  standard(await session.back({ type: 'xmlhttp' }), 'text/plain');
  const answer = await open(t, 'GET', `${services.url}/channel/test?VER=8&TYPE=html`);
  standard(answer, 'text/html');
  assert.ok((await answer.read()).startsWith('<html><body><script>try {parent.m("11111")} catch(e) {}</script>\n'));
  assert.equal(await answer.rest(), '<script>try {parent.m("2")} catch(e) {}</script>\n<script>try  {parent.d(); }catch (e){}</script>\n');
});

test('session creation, app version', async (t) => {
  const session = await Session.open(t, undefined, undefined, '&CVER=99');
  assert.match(session.sid, /^[A-Za-z0-9_-]{22}$/);
  assert.equal(session.answer.body, `${session.answer.body.length - 3}\n[[0,["c","${session.sid}",null,8]]]\n`);
  assert.notEqual((await Session.open(t)).sid, session.sid);
});

test('initial messages in the opening POST', async (t) => {
  const session = await Session.open(t, undefined, maps(0, 'a', 'b'));
  const all = await session.arraysOf(2, await session.back());
  assert.deepEqual(all, [[1, { echo: 'a' }], [2, { echo: 'b' }]]);
});

test('URL decoding', async (t) => {
  const session = await Session.open(t, undefined, 'count=1&ofs=0&req0__S=a+b%20%26%3D%25+%C3%A4');
  assert.deepEqual(await session.arraysOf(1, await session.back()), [[1, { echo: 'a b &=% ä' }]]);
});

test('ack accounting and the 3-number reply', async (t) => {
  const session = await Session.open(t);
  assert.deepEqual(await session.send(0), [0, 0, 0]);
  const back = await session.back();
  assert.deepEqual((await session.send(0, 'x'))[0], 1);
  assert.deepEqual(await session.arraysOf(1, back), [[1, { echo: 'x' }]]);
  assert.deepEqual(await session.send(1), [1, 1, '{"echo":"x"}'.length]);
  session.aid = 1;
  assert.deepEqual(await session.send(1), [1, 1, 0]);
  back.close();
});

test('immediate send', async (t) => {
  const session = await Session.open(t, `${services.url}/hello`);
  assert.deepEqual(session.arrays[1], [1, 'hello']);
});

test('escaping', async (t) => {
  const session = await Session.open(t, undefined, maps(0, '\u2028\u2029🦀'));
  const back = await session.back({ ci: 1 });
  const text = '[[1,{"echo":"\\u2028\\u2029🦀"}]]\n';
  assert.equal(await back.rest(), `${text.length}\n${text}`);
});

test('buffering without back channel', async (t) => {
  const session = await Session.open(t);
  for (let n = 0; n < 5; n += 1) await session.send(n, `${n}`);
  const all = await session.arraysOf(5, await session.back());
  assert.deepEqual(all, [0, 1, 2, 3, 4].map((n) => [n + 1, { echo: `${n}` }]));
});

test('send/confirm callbacks and their errors on close/timeout/ghost', async (t) => {
  // What a client has not acknowledged when its session is over is handed back to the application.
  for (const acknowledged of [0, 1, 2]) {
    const session = await Session.open(t, `${services.url}/confirm`);
    assert.deepEqual(session.arrays.slice(1), [[1, 'a'], [2, 'b']]);
    session.aid = acknowledged;
    assert.equal((await session.post('count=0')).status, 200);
    await session.terminate();
    const ask = async () => (await Session.open(t, `${services.url}/confirmed`)).arrays[1][1];
    await until('what was not confirmed', ask, (count) => count === 2 - acknowledged);
  }
});

test('CI=0/1', async (t) => {
  const session = await Session.open(t);
  const once = await session.back({ ci: 1 });
  await session.send(0, 'a');
  assert.deepEqual(chunks(await once.rest()).flat(), [[1, { echo: 'a' }]]);
  session.aid = 1;
  const many = await session.back({ ci: 0 });
  await session.send(1, 'b');
  assert.deepEqual(await session.arraysOf(1, many), [[2, { echo: 'b' }]]);
  await session.send(2, 'c');
  assert.deepEqual(await session.arraysOf(1, many), [[3, { echo: 'c' }]]);
  // Browsers keep all of an answer in memory, so it ends behind more than 10 KiB.
  await session.send(3, 'x'.repeat(11_000));
  assert.equal(chunks(await many.rest()).flat()[0][0], 4);
});

test('domain', async (t) => {
  const session = await Session.open(t, undefined, maps(0, '</script>ä'));
  const answer = await session.back({ ci: 1, type: 'html', more: '&DOMAIN=a.test' });
  const page = await answer.rest();
  const [head, message, noise, end] = page.split('\n');
  assert.equal(head, '<html><body><script>try{document.domain="a.test";}catch(e){}</script>');
  assert.equal(message, String.raw`<script>try {parent.m("[[1,{\"echo\":\"\u003c/script\u003e\u00e4\"}]]\n")} catch(e) {}</script>`);
  assert.equal(noise.length, 300);
  assert.equal(end, '<script>try  {parent.d(); }catch (e){}</script>');
  const evil = await session.back({ type: 'html', more: `&DOMAIN=${encodeURIComponent('"</script><script>alert(1)')}` });
  const refused = await evil.rest();
  assert.ok(refused.startsWith('<html><body><script>try {parent.rpcClose("Bad DOMAIN') && !refused.includes('alert'));
});

test('replacing the back channel', async (t) => {
  const session = await Session.open(t);
  const old = await session.back();
  const next = await session.back();
  assert.equal(await old.rest(), '');
  await session.send(0, 'x');
  assert.deepEqual(await session.arraysOf(1, next), [[1, { echo: 'x' }]]);
});

test('RID order, repeats, repeats with extra maps', async (t) => {
  const session = await Session.open(t);
  const late = session.post(maps(1, 'b'), { rid: 1002 });
  const first = await session.post(maps(0, 'a'), { rid: 1001 });
  assert.equal(first.status, 200);
  assert.equal((await late).status, 200);
  assert.equal((await session.post(maps(1, 'b'), { rid: 1002 })).status, 200);
  assert.equal((await session.post(maps(1, 'b', 'c'), { rid: 1002 })).status, 200);
  const all = await session.arraysOf(3, await session.back());
  assert.deepEqual(all, ['a', 'b', 'c'].map((text, n) => [n + 1, { echo: text }]));
});

test('resend of lost arrays', async (t) => {
  const session = await Session.open(t, undefined, maps(0, 'a', 'b', 'c'));
  const lost = await session.back();
  await session.arraysOf(3, lost);
  lost.close();
  assert.deepEqual((await session.arraysOf(2, await session.back({ aid: 1 }))).map(([id]) => id), [2, 3]);
  assert.deepEqual((await session.arraysOf(1, await session.back({ aid: 2 }))).map(([id]) => id), [3]);
});

test('unknown SID (both types)', async (t) => {
  const session = new Session(t, `${services.url}/channel`, UNKNOWN);
  for (const answer of [await session.back(), await session.post('count=0'), await session.terminate()]) {
    assert.equal(answer.status, 400);
    assert.match(answer.body ?? (await answer.rest()), /Unknown SID/);
  }
  const page = await session.back({ type: 'html' });
  assert.equal(page.status, 200);
  assert.equal(await page.rest(), '<html><body><script>try {parent.rpcClose("Unknown SID")} catch(e) {}</script>\n');
});

test('OSID/OAID', async (t) => {
  const old = await Session.open(t);
  await Session.open(t, undefined, undefined, `&OSID=${old.sid}&OAID=0`);
  assert.match((await old.post('count=0')).body, /Unknown SID/);
  await Session.open(t, undefined, undefined, `&OSID=${UNKNOWN}&OAID=7`);
});

test('timeouts', async (t) => {
  const server = await own(t, 'browserchannel_timeout = "300ms"\nresume_window = "300ms"\n');
  const session = await Session.open(t, `${server.url}/primus`);
  const stays = await Session.open(t, `${server.url}/primus`);
  const back = await stays.back();
  await until('the end', () => said(server), ({ disconnections }) => disconnections === 1, 15_000);
  assert.match((await session.post('count=0')).body, /Unknown SID/);
  assert.equal((await stays.post('count=0')).status, 200);
  back.close();
  await until('the end', () => said(server), ({ connections }) => connections === 0, 15_000);
});

test('terminate ordering', async (t) => {
  const server = await own(t);
  const session = await Session.open(t, `${server.url}/primus`);
  const ended = await session.terminate(1002);
  assert.deepEqual([ended.status, ended.body], [200, '']);
  // It takes effect behind what was sent before it.
  assert.equal((await session.post(maps(0, 'data'), { rid: 1001 })).status, 200);
  await until('the end', () => said(server), ({ connections, disconnections }) => connections === 0 && disconnections === 1, 15_000);
  assert.match((await session.post('count=0')).body, /Unknown SID/);
});

test('heartbeat 20 s', async (t) => {
  const server = await own(t, 'browserchannel_keep_alive = "200ms"\n');
  const session = await Session.open(t, `${server.url}/primus`);
  const all = await session.arraysOf(2, await session.back());
  assert.deepEqual(all, [[1, ['noop']], [2, ['noop']]]);
});

test('403 on instant close', async (t) => {
  const answer = await fetched(t, 'POST', `${services.url}/refuse/bind?VER=8&RID=1`, { headers: FORM, body: 'count=0' });
  assert.deepEqual([answer.status, answer.body], [403, 'Forbidden']);
});

test('JSON map key, JSON bodies, null', async (t) => {
  const session = await Session.open(t, undefined, `count=2&ofs=0&req0_JSON=${encodeURIComponent('{"a":1}')}&req1_JSON=null`);
  const json = { 'Content-Type': 'application/json' };
  assert.equal((await session.post('{"ofs":2,"data":[{"b":2},null,"x"]}', { headers: json })).status, 200);
  const all = await session.arraysOf(5, await session.back());
  assert.deepEqual(all.map(([, { echo }]) => echo), [{ a: 1 }, null, { b: 2 }, null, 'x']);
  assert.deepEqual([(await session.post('count=1&ofs=5&req0_JSON=%7B')).status], [400]);
  const refused = await fetched(t, 'POST', `${services.url}/channel/bind?VER=8&RID=1`, { headers: FORM, body: 'count=1&ofs=0&req0_JSON=%7B' });
  assert.deepEqual([refused.status, refused.body], [403, 'Invalid JSON']);
});

test('server close', async (t) => {
  const session = await Session.open(t, `${services.url}/stop`, maps(0, 'bye'));
  const back = await session.back();
  assert.deepEqual(chunks(await back.rest()).flat(), [[1, 'bye'], [2, ['stop']]]);
  // Its client may not have got that, and asks again.
  const again = await session.back();
  assert.deepEqual(chunks(await again.rest()).flat(), [[1, 'bye'], [2, ['stop']]]);
  const unknown = await session.back({ aid: 2 });
  assert.match(await unknown.rest(), /Unknown SID/);
});
