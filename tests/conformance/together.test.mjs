// The services of several protocols on one port, as whoever points a suite at the server finds them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { defer } from '../lib/scope.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, once } from '../lib/within.mjs';

let server;
before(async () => (server = await Server.start('conformance', ['--suite', 'together'])));
after(() => server?.kill());

/** A WebSocket and what it says. */
function wire(t, path, protocols) {
  const ws = new WebSocket(server.url.replace('http', 'ws') + path, protocols, { maxPayload: 32 << 20 });
  defer(t, () => ws.terminate());
  return { ws, said: new Inbox(ws, 'message') };
}

test('SockJS, Bayeux, BrowserChannel and ActionCable are served on one port', async (t) => {
  const sockjs = wire(t, '/echo/000/together/websocket');
  assert.equal(String(await sockjs.said.next()), 'o');
  sockjs.ws.send('["x"]');
  assert.equal(String(await sockjs.said.next()), 'a["x"]');

  const message = [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] }];
  const headers = { 'Content-Type': 'application/json' };
  const [shaken] = await (await fetch(`${server.url}/bayeux`, { method: 'POST', headers, body: JSON.stringify(message) })).json();
  assert.equal(shaken.successful, true);

  const bound = await fetch(`${server.url}/channel/bind?VER=8&RID=1&CVER=1`, { method: 'POST', body: 'count=0' });
  assert.match(await bound.text(), /^\d+\n\[\[0,\["c","[^"]+",null,8\]\]\]/);

  const cable = wire(t, '/cable', 'actioncable-v1-json');
  assert.equal(String(await cable.said.next()), '{"type":"welcome"}');
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
