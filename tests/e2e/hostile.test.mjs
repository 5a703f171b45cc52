// The hostile proxy does what it says; the tests that survive it prove nothing otherwise.
import assert from 'node:assert/strict';
import { once as happens } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { hostileProxy } from '../lib/hostile.mjs';
import { defer } from '../lib/scope.mjs';
import { Inbox, until, within } from '../lib/within.mjs';

/** A TCP server, a proxy before it, and one connection: both of its ends, with what each has heard. */
async function connect(t) {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  defer(t, () => new Promise((resolve) => server.close(resolve)));
  const proxy = await hostileProxy(t, { url: `http://127.0.0.1:${server.address().port}` });
  return { server, proxy, ...(await another(t, server, proxy)) };
}

async function another(t, server, proxy) {
  const accepted = happens(server, 'connection');
  const near = end(t, net.connect({ port: new URL(proxy.url).port, host: '127.0.0.1', allowHalfOpen: true }));
  return { near, far: end(t, (await within(5000, 'a connection', accepted))[0]) };
}

function end(t, socket) {
  const made = { socket, heard: '', how: new Inbox(socket, 'none', 'end') };
  socket.setEncoding('utf8').on('data', (text) => (made.heard += text));
  socket.once('end', () => made.how.push('end'));
  socket.once('error', ({ code }) => made.how.push(code));
  defer(t, () => socket.destroy());
  return made;
}

const hears = (one, text) => until(`it hears ${text}`, () => one.heard, (heard) => heard === text);

test('left alone it is a wire: bytes both ways, and each direction ends by itself', async (t) => {
  const { proxy, near, far } = await connect(t);
  const much = 'x'.repeat(4 << 20);
  near.socket.write(much);
  await until('it hears it', () => far.heard.length, (length) => length === much.length);
  far.socket.write('answer');
  await hears(near, 'answer');
  near.socket.end('last');
  assert.equal(await far.how.next(), 'end');
  assert.equal(far.heard, `${much}last`);
  far.socket.end('and mine');
  assert.equal(await near.how.next(), 'end');
  assert.equal(near.heard, 'answerand mine');
  await until('it has forgotten the connection', () => proxy.size, (size) => size === 0);
});

test('reset: both sides get an RST', async (t) => {
  const { proxy, near, far } = await connect(t);
  assert.equal(proxy.reset(), 1);
  assert.deepEqual([await near.how.next(), await far.how.next()], ['ECONNRESET', 'ECONNRESET']);
  assert.equal(proxy.size, 0);
});

test('reset at the moment when a direction ends leaves nothing open', async (t) => {
  const { server, proxy, near, far } = await connect(t);
  const { port } = server.address();
  const { end } = net.Socket.prototype;
  t.mock.method(net.Socket.prototype, 'end', function (...words) {
    end.apply(this, words);
    if (this.remotePort === port) proxy.reset();
    return this;
  });
  near.socket.end('last');
  assert.equal(await near.how.next(), 'ECONNRESET');
  near.socket.destroy();
  far.socket.destroy();
  const open = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  await until('nothing is open', open, (sockets) => sockets === 0);
});

test('finish: both sides get a FIN', async (t) => {
  const { proxy, near, far } = await connect(t);
  assert.equal(proxy.finish(), 1);
  assert.deepEqual([await near.how.next(), await far.how.next()], ['end', 'end']);
  assert.equal(proxy.size, 0);
});

for (const [direction, name] of ['to the server', 'to the client'].entries()) {
  test(`truncate: a part of the next piece ${name} arrives, then nothing`, async (t) => {
    const { proxy, near, far } = await connect(t);
    const [from, to] = direction ? [far, near] : [near, far];
    from.socket.write('whole.');
    await hears(to, 'whole.');
    let told = 0;
    proxy.truncate(direction, 0.5, { skip: 1, told: () => told++ });
    to.socket.write('the other way');
    await hears(from, 'the other way');
    from.socket.write('another.');
    await hears(to, 'whole.another.');
    from.socket.write('12345678');
    assert.equal(await to.how.next(), 'end');
    assert.equal(to.heard, 'whole.another.1234');
    await from.how.next();
    assert.deepEqual([proxy.size, told], [0, 1]);
  });

  test(`stall: nothing arrives ${name}, and all of it later; the other direction and new connections go on`, async (t) => {
    const { server, proxy, near, far } = await connect(t);
    const [from, to] = direction ? [far, near] : [near, far];
    const resume = proxy.stall([direction]);
    from.socket.write('held ');
    to.socket.write('the other way');
    await hears(from, 'the other way');
    const fresh = await another(t, server, proxy);
    fresh.near.socket.write('hello');
    await hears(fresh.far, 'hello');
    fresh.far.socket.write('welcome');
    await hears(fresh.near, 'welcome');
    assert.equal(to.heard, '');
    from.socket.end('back');
    resume();
    await hears(to, 'held back');
    assert.equal(await to.how.next(), 'end');
  });
}

test('ambush: what is there is cut, and the next connection is truncated, no other', async (t) => {
  const { server, proxy, near, far } = await connect(t);
  let told = 0;
  assert.equal(proxy.ambush(1, 0.25, { told: () => told++ }), 1);
  assert.deepEqual([await near.how.next(), await far.how.next(), told], ['ECONNRESET', 'ECONNRESET', 0]);
  const next = await another(t, server, proxy);
  const after = await another(t, server, proxy);
  next.near.socket.write('request');
  await hears(next.far, 'request');
  next.far.socket.write('answer..');
  assert.equal(await next.near.how.next(), 'end');
  after.far.socket.write('answer..');
  await hears(after.near, 'answer..');
  assert.deepEqual([next.near.heard, told], ['an', 1]);
});

test('refused: the requests of a transport get 502, those of others pass', async (t) => {
  const { server, proxy } = await connect(t);
  const requests = {
    websocket: 'GET /primus?v=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    sse: 'POST /primus/sse?v=2 HTTP/1.1\r\nHost: a\r\n\r\n',
    polling: 'GET /primus/poll?v=2&recv=0 HTTP/1.1\r\nHost: a\r\n\r\n',
  };
  for (const refused of Object.keys(requests)) {
    proxy.refused = [refused];
    for (const [name, request] of Object.entries(requests)) {
      const { near, far } = await another(t, server, proxy);
      near.socket.write(request);
      if (name === refused) {
        await near.how.next();
        assert.match(near.heard, /^HTTP\/1\.1 502 /);
        assert.equal(far.heard, '');
      } else await hears(far, request);
    }
  }
});
