// The services of several protocols on one port, as whoever points a suite at the server finds them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { fetched, open } from '../lib/http.mjs';
import { defer } from '../lib/scope.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, once } from '../lib/within.mjs';

let server;
before(async () => (server = await Server.start('conformance')));
after(() => server?.kill());

/** A WebSocket and what it says. */
function wire(t, path, protocols) {
  const ws = new WebSocket(server.url.replace('http', 'ws') + path, protocols, { maxPayload: 32 << 20 });
  defer(t, () => ws.terminate());
  const said = new Inbox(ws, 'message');
  return { ws, next: async (ms) => String(await said.next(ms)), said };
}

const post = (t, path, body, headers = {}) => fetched(t, 'POST', server.url + path, { body, headers });

/** A client of a service of SockJS over a WebSocket. */
async function sockjs(t, service) {
  const made = wire(t, `/${service}/000/${Math.random().toString(36).slice(2)}/websocket`);
  assert.equal(await made.next(), 'o');
  return { ...made, send: (text) => made.ws.send(JSON.stringify([text])) };
}

test('the services of SockJS: echoes of three kinds, close, broadcast, ticker, amplify', async (t) => {
  for (const service of ['echo', 'cookie_needed_echo']) {
    const { send, next } = await sockjs(t, service);
    send('x');
    assert.equal(await next(), 'a["x"]');
  }
  const info = async (service) => JSON.parse((await fetched(t, 'GET', `${server.url}/${service}/info`)).body);
  assert.equal((await info('echo')).websocket, true);
  assert.equal((await info('disabled_websocket_echo')).websocket, false);
  assert.equal((await info('cookie_needed_echo')).cookie_needed, true);

  // A stream of an echo is over behind 4096 bytes.
  for (const service of ['echo', 'disabled_websocket_echo']) {
    const stream = await open(t, 'POST', `${server.url}/${service}/000/limit/xhr_streaming`);
    await stream.read();
    assert.equal(await stream.read(), 'o\n');
    const sent = 'x'.repeat(4096);
    assert.equal((await post(t, `/${service}/000/limit/xhr_send`, JSON.stringify([sent]))).status, 204);
    assert.equal(await stream.rest(), `a["${sent}"]\n`);
  }

  const { next } = await sockjs(t, 'close');
  assert.equal(await next(), 'c[3000,"Go away!"]');
  const [one, other] = [await sockjs(t, 'broadcast'), await sockjs(t, 'broadcast')];
  one.send('to all');
  for (const each of [one, other]) assert.equal(await each.next(), 'a["to all"]');
  assert.equal(await (await sockjs(t, 'ticker')).next(), 'a["tick!"]');
  const amplify = await sockjs(t, 'amplify');
  for (const n of [1, 18]) {
    amplify.send(`${n}`);
    assert.equal(await amplify.next(), `a["${'x'.repeat(2 ** n)}"]`);
  }
});

test('the services of Bayeux, BrowserChannel and ActionCable, on the same port', async (t) => {
  const headers = { 'Content-Type': 'application/json' };
  const bayeux = async (message) => JSON.parse((await post(t, '/bayeux', JSON.stringify(message), headers)).body);
  const [{ clientId }] = await bayeux({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] });
  await bayeux({ channel: '/meta/subscribe', clientId, subscription: '/a' });
  const connect = { channel: '/meta/connect', clientId, connectionType: 'long-polling', advice: { timeout: 0 } };
  const [, , event] = await bayeux([{ channel: '/a', data: 1, clientId }, connect]);
  assert.deepEqual(event, { channel: '/a', data: 1 });

  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const bound = await post(t, '/channel/bind?VER=8&RID=1&CVER=1', 'count=1&ofs=0&req0__S=m', form);
  const [, sid] = /^\d+\n\[\[0,\["c","([^"]+)",null,8\]\]\]\n/.exec(bound.body);
  const back = await fetched(t, 'GET', `${server.url}/channel/bind?VER=8&SID=${sid}&RID=rpc&CI=1&AID=0&TYPE=xmlhttp`);
  assert.equal(back.body, '19\n[[1,{"echo":"m"}]]\n');

  const identifier = '{"channel":"ChatChannel"}';
  const cables = [wire(t, '/cable', 'actioncable-v1-json'), wire(t, '/cable', 'actioncable-v1-json')];
  for (const { ws, next } of cables) {
    assert.equal(await next(), '{"type":"welcome"}');
    ws.send(JSON.stringify({ command: 'subscribe', identifier }));
    assert.equal(await next(), JSON.stringify({ identifier, type: 'confirm_subscription' }));
  }
  cables[0].ws.send(JSON.stringify({ command: 'message', identifier, data: '{"action":"speak","text":"hi"}' }));
  for (const { next } of cables) assert.equal(await next(), JSON.stringify({ identifier, message: { text: 'hi' } }));
});

test('Engine.IO and Socket.IO, with heartbeats of their own, on the same port', async (t) => {
  for (const version of [3, 4]) {
    const { body } = await fetched(t, 'GET', `${server.url}/engine.io/?EIO=${version}&transport=polling`);
    const { pingInterval, pingTimeout, maxPayload } = JSON.parse(body.slice(body.indexOf('{')));
    assert.deepEqual([pingInterval, pingTimeout, maxPayload], [300, 200, 1e6]);
  }
  const engine = wire(t, '/engine.io/?EIO=4&transport=websocket');
  assert.equal((await engine.next())[0], '0');
  engine.ws.send('4hello');
  assert.equal(await engine.next(), '4hello');

  const socket = wire(t, '/socket.io/?EIO=4&transport=websocket');
  assert.equal(JSON.parse((await socket.next()).slice(1)).pingInterval, 300);
  socket.ws.send('40{"token":"123"}');
  assert.match(await socket.next(), /^40\{"sid":"[^"]+"\}$/);
  assert.equal(await socket.next(), '42["auth",{"token":"123"}]');
});

test('/ws sends back what it gets, up to 16 MiB', async (t) => {
  const { ws, said } = wire(t, '/ws');
  await once(ws, 'open');
  const largest = Buffer.alloc(16 << 20, 'ä');
  ws.send(largest);
  assert.ok(largest.equals(await said.next(20_000)));
  ws.send('text');
  assert.equal(String(await said.next()), 'text');
  const closed = once(ws, 'close');
  ws.send(Buffer.alloc((16 << 20) + 1));
  assert.equal((await closed)[0], 1009);
});
