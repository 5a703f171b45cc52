// The small examples do what they say, and each says what to do when its port is taken.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { CurlStream } from '../lib/curl.mjs';
import { program, serve } from '../lib/server.mjs';
import { within } from '../lib/within.mjs';

async function connect(t, url) {
  const socket = new WebSocket(url);
  t.after(() => socket.terminate());
  await within(5000, `${url} opens`, once(socket, 'open'));
  return socket;
}

async function exchange(socket, message) {
  const answer = once(socket, 'message');
  socket.send(JSON.stringify(message));
  return JSON.parse((await within(5000, 'the answer', answer))[0]);
}

const text = async (url) => (await fetch(url)).text();

test('axum: Primus at /events, and a route of the application below it', async (t) => {
  const server = await serve(t, 'axum');
  assert.match(await text(server.url), /<script src="?\/events\/primus\.js/);
  assert.equal(await text(`${server.url}/events/archive`), '0 messages so far, 0 connected\n');
  const [one, two] = [await connect(t, `ws://${server.host}/events`), await connect(t, `ws://${server.host}/events`)];
  const heard = once(two, 'message');
  assert.equal(await exchange(one, 'hello'), '127.0.0.1: hello');
  assert.equal(JSON.parse((await within(5000, 'the other hears it', heard))[0]), '127.0.0.1: hello');
  assert.equal(await text(`${server.url}/events/archive`), '1 messages so far, 2 connected\n');
});

test('hyper: Primus at / on an accept loop of its own, and the routes of the application', async (t) => {
  const server = await serve(t, 'hyper');
  assert.equal(await text(`${server.url}/health`), 'well\n');
  assert.match(await text(server.url), /<script src="?\/primus\.js/);
  assert.equal((await fetch(`${server.url}/nothing`)).status, 404);
  assert.equal(await exchange(await connect(t, `ws://${server.host}/`), 'level up'), 'pu level');
});

test('ticker: a bare event stream reads the prices', async (t) => {
  const server = await serve(t, 'ticker');
  const stream = new CurlStream(t, `${server.url}/primus/sse`);
  const names = new Set();
  for (let prices = 0; prices < 6; ) {
    const line = await stream.line();
    if (!line.startsWith('data: ')) continue;
    const price = JSON.parse(line.slice('data: '.length));
    assert.ok(price.cents >= 100, line);
    names.add(price.name);
    prices += 1;
  }
  assert.deepEqual([...names].sort(), ['Acme', 'Globex', 'Initech', 'Umbrella']);
});

for (const name of ['axum', 'chat', 'echo', 'firehose', 'hyper', 'museum', 'notepad', 'plugins', 'ticker']) {
  test(`${name}: a port that is taken`, async (t) => {
    const server = await serve(t, 'echo');
    const [code, said] = await new Promise((resolve) => {
      execFile(program(name), ['--listen', server.host], { timeout: 10000 }, (error, _, stderr) => resolve([error?.code, stderr]));
    });
    assert.equal(code, 1);
    assert.match(said, new RegExp(`cannot listen on ${server.host}: .*another program listens there: stop it, or choose another port`));
  });
}
