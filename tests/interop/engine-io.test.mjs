// Stock engine.io-clients, unmodified: versions 6 (protocol 4) and 3 (protocol 3), over each transport and across the upgrade.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { defer } from '../lib/scope.mjs';
import { config, serve } from '../lib/server.mjs';
import { Inbox, once, until } from '../lib/within.mjs';

const require = createRequire(import.meta.url);
const { Socket } = require('engine.io-client');
const CLIENTS = {
  'engine.io-client 6': (...args) => new Socket(...args),
  'engine.io-client 3': require('engine.io-client-3'),
};
const TRANSPORTS = {
  polling: { transports: ['polling'] },
  websocket: { transports: ['websocket'] },
  'polling→websocket': { transports: ['polling', 'websocket'] },
};

const OPTIONS = `
  path = "/engine.io"
  transformers = ["engine.io"]
  parser = "raw"
  engine_io_3 = true
  ping_interval = "400ms"
  ping_timeout = "5s"
`;

/** A client, open; where it upgrades, upgraded. */
async function connect(t, server, make, transports, options = {}) {
  const client = make(server.url.replace('http', 'ws'), { path: '/engine.io', ...transports, ...options });
  defer(t, () => client.close());
  client.binaryType = 'arraybuffer';
  client.inbox = new Inbox(client, 'message');
  const upgrade = transports.transports.length > 1 && once(client, 'upgrade');
  await once(client, 'open');
  await upgrade;
  assert.equal(client.transport.name, transports.transports.at(-1));
  return client;
}

// The client has nothing for a message that is empty.
const bytes = (message = '') => (typeof message === 'string' ? message : Buffer.from(message));

for (const [name, make] of Object.entries(CLIENTS)) {
  for (const [over, transports] of Object.entries(TRANSPORTS)) {
    test(`${name} over ${over}: text, binary and unicode, before and after heartbeats`, async (t) => {
      const server = await serve(t, 'echo', await config(t, OPTIONS));
      const client = await connect(t, server, make, transports);
      const messages = ['hello', 'пойду €😀\u2028', Buffer.from([0, 1, 2, 254, 255]), '', 'x'.repeat(70_000), Buffer.alloc(70_000, 7), 'last'];
      for (let round = 0; round < 2; round += 1) {
        messages.forEach((message) => client.send(message));
        for (const message of messages) assert.deepEqual(bytes(await client.inbox.next()), message);
        await once(client, make === CLIENTS['engine.io-client 6'] ? 'ping' : 'pong');
      }
    });

    test(`${name} over ${over}: the server closes, the client closes`, async (t) => {
      const server = await serve(t, 'fixture', await config(t, OPTIONS.replace('raw', 'json')));
      const first = await connect(t, server, make, transports);
      const closed = once(first, 'close');
      first.send('{"cmd":"end"}');
      assert.match((await closed)[0], /^transport close$|^transport error$/);
      const second = await connect(t, server, make, transports);
      const left = once(second, 'close');
      second.close();
      assert.equal((await left)[0], 'forced close');
    });
  }
}

test('1,000 engine.io-clients upgrade at once while the server broadcasts: nothing is lost, nothing out of order', async (t) => {
  const CLIENTS_AT_ONCE = Number(process.env.UPGRADES ?? 1000);
  // One process has all clients: they may take long for each step.
  const patient = `${OPTIONS.replace('400ms', '25s').replace('"5s"', '"60s"')}engine_io_upgrade_timeout = "60s"\n`;
  const server = await serve(t, 'echo', await config(t, patient));
  const speaker = await connect(t, server, CLIENTS['engine.io-client 6'], TRANSPORTS.websocket);
  let said = 0;
  // What the speaker says goes to everybody, to itself, too.
  const say = () => speaker.send(`b${(said += 1)}`);
  const clients = Array.from({ length: CLIENTS_AT_ONCE }, () => {
    const client = new Socket(server.url.replace('http', 'ws'), { path: '/engine.io', transports: ['polling', 'websocket'] });
    client.last = 0;
    client.faults = [];
    client.on('open', () => (client.since = said));
    client.on('message', (message) => {
      const number = Number(message.slice(1));
      // The first may be one that was under way when it opened.
      const expected = client.last ? number === client.last + 1 : number <= client.since + 1;
      if (!expected) client.faults.push([client.last, number]);
      client.last = number;
    });
    client.on('close', (reason) => client.faults.push(reason));
    return client;
  });
  defer(t, () => clients.forEach((client) => client.off('close').close()));
  const upgraded = () => clients.filter((client) => client.transport?.name === 'websocket').length;
  while (upgraded() < clients.length) {
    say();
    assert.ok(said < 20_000, `only ${upgraded()} of ${clients.length} have upgraded`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (clients.some((client) => client.faults.length)) break;
  }
  say();
  const faults = () => clients.flatMap((client) => client.faults);
  const behind = () => clients.filter((client) => client.last !== said).length;
  await until('all have the last', () => [behind(), faults()], ([behind, faults]) => behind === 0 || faults.length > 0, 30_000);
  assert.deepEqual(faults(), []);
});
