// Nothing lost, nothing twice, in order: the server and the built client, in Node and in Chromium, through a network that cuts,
// stalls and truncates, over all transports and from one to the other, while both sides send numbered messages.
//
// With XTASK_FULL it takes three minutes; XTASK_SEED repeats the weather of another run.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { converse } from '../fixture/numbers.mjs';
import { browser, NETWORK_ERRORS } from '../lib/browser.mjs';
import { hostileProxy } from '../lib/hostile.mjs';
import { Random, seed } from '../lib/random.mjs';
import { defer } from '../lib/scope.mjs';
import { config, serve } from '../lib/server.mjs';
import { Storm } from '../lib/storm.mjs';
import { until } from '../lib/within.mjs';

const FULL = Boolean(process.env.XTASK_FULL);

// After minutes of sockets that were reset and half closed, node 20 may wait for one of their requests for ever while it takes itself
// down. All has been said and printed by then.
after(() => process.on('exit', (code) => process.exit(code)));
const { seconds, floor } = FULL ? { seconds: 180, floor: 200 } : { seconds: 20, floor: 25 };

/** A client of each of these in Node and in Chromium: who has several falls back and comes back. */
const TRANSPORTS = [
  ['websocket'],
  ['sse'],
  ['polling'],
  ['websocket', 'sse'],
  ['websocket', 'polling'],
  ['sse', 'polling'],
  ['websocket', 'sse', 'polling'],
];

const SWITCHES = ['polling>sse', 'polling>websocket', 'sse>polling', 'sse>websocket', 'websocket>polling', 'websocket>sse'];

/** Who hangs is found out soon. */
const SERVER = 'ping_interval = "1s"\nping_timeout = "1s"\n';
const CLIENT = { ping: 1000, pingTimeout: 1000, reconnect: { min: 100, max: 1000 } };

/** Milliseconds from one message to the next, and how many there are at once now and then, in both directions. */
const PACE = { every: 100, burst: 20 };

const open = browser();

/** A client in this process, of a copy of the library of its own: clients of one copy learn from each other which transport works. */
async function inNode(t, url, query, transports) {
  const { Primus } = await import(`../../client-js/dist/node.mjs?${query.client}`);
  const primus = new Primus(url, { ...CLIENT, transports, query, WebSocket });
  const conversation = converse(primus, PACE);
  defer(t, () => {
    conversation.rest();
    primus.destroy();
  });
  return { rest: async () => conversation.rest(), report: async () => conversation.report() };
}

/** A client in a tab of its own. */
async function inChromium(t, url, query, transports) {
  const options = JSON.stringify({ ...CLIENT, transports, query });
  const page = await open(t, `${url}/?${new URLSearchParams({ options, pace: JSON.stringify(PACE) })}`, { allow: NETWORK_ERRORS });
  return { rest: () => page.evaluate(() => conversation.rest()), report: () => page.evaluate(() => conversation.report()) };
}

/** Starts a server and all clients, each behind a proxy of its own, and waits until they talk. */
async function begin(t, settings) {
  const server = await serve(t, 'counter', await config(t, settings));
  const clients = [];
  for (const [place, start] of [['node', inNode], ['chromium', inChromium]]) {
    for (const transports of TRANSPORTS) {
      const name = `${place}: ${transports.join(', ')}`;
      const proxy = await hostileProxy(t, server);
      const client = await start(t, proxy.url, { client: name, ...PACE }, transports);
      clients.push({ name, proxy, transports, ...client });
    }
  }
  await until('all clients talk', () => look(server, clients), (all) => all.every((one) => one.client.received && one.server?.received), 20000);
  return { server, clients };
}

/** What every client and the server say of each other. */
async function look(server, clients) {
  const stats = await (await fetch(`${server.url}/stats`)).json();
  return Promise.all(clients.map(async ({ name, report }) => ({ name, client: await report(), server: stats.clients[name] })));
}

const arrived = ({ client, server }) => client.received === server.sent && server.received === client.sent;

/** Stops all writing, and waits until everything has arrived, or nothing has moved for a while. */
async function settle(server, clients, patience) {
  await Promise.all([fetch(`${server.url}/rest`), ...clients.map(({ rest }) => rest())]);
  let last;
  let since = performance.now();
  return until('everything has arrived', () => look(server, clients), (all) => {
    const now = JSON.stringify(all.map(({ client, server }) => [client.sent, client.received, server.sent, server.received]));
    if (now !== last) [last, since] = [now, performance.now()];
    return all.every(arrived) || performance.now() - since > patience;
  }, 60000);
}

/** The sums over all clients. */
function sum(all, storm) {
  const total = (count) => all.reduce((sum, one) => sum + count(one), 0);
  const switches = {};
  for (const { client } of all) for (const [kind, times] of Object.entries(client.switches)) switches[kind] = (switches[kind] ?? 0) + times;
  return {
    sent: [total(({ client }) => client.sent), total(({ server }) => server.sent)],
    received: [total(({ client }) => client.received), total(({ server }) => server.received)],
    lost: total(({ client, server }) => client.sent - server.received + server.sent - client.received),
    duplicate: total(({ client, server }) => client.duplicate + server.duplicate),
    disordered: total(({ client, server }) => client.disordered + server.disordered),
    cuts: storm.cuts,
    resumes: total(({ client }) => client.resumed),
    sessionsLost: total(({ client }) => client.lost.length),
    switches,
  };
}

const show = (name, { sent, received, lost, duplicate, disordered, resumes, cuts }) =>
  `${name}: sent ${sent.join(' / ')}, received ${received.join(' / ')}, lost ${lost}, duplicate ${duplicate}, out of order ${disordered}, cuts ${cuts}, resumes ${resumes}`;

/** Lets it blow over a server with these settings, tells what came of it, and returns that. */
async function weather(t, settings, ms, patience) {
  t.diagnostic(`XTASK_SEED=${seed}`);
  const { server, clients } = await begin(t, settings);
  const storm = new Storm(new Random(seed));
  await storm.blow(ms, clients);
  const all = await settle(server, clients, patience);
  const sums = sum(all, storm);
  for (const { name, client, server } of all) {
    const { missing, resumed, switches, lost, errors, transport, state } = client;
    const sent = [client.sent, server.sent];
    const received = [client.received, server.received];
    t.diagnostic(`${name}: ${JSON.stringify({ sent, received, missing, resumed, switches, lost, errors, transport, state })}`);
  }
  t.diagnostic(`faults: ${JSON.stringify(storm.counts)}, switches: ${JSON.stringify(sums.switches)}`);
  t.diagnostic(show('clients / server', sums));
  return { all, sums };
}

test('both sides receive exactly what the other sent, once, in order', async (t) => {
  const { all, sums } = await weather(t, SERVER, seconds * 1000, 10000);
  const { lost, duplicate, disordered, cuts, switches } = sums;
  assert.deepEqual({ lost, duplicate, disordered }, { lost: 0, duplicate: 0, disordered: 0 });
  for (const { name, client, server } of all) {
    assert.ok(arrived({ client, server }), name);
    // One session each in which it spoke, and every attach after the first was a resume.
    assert.deepEqual([server.connections, server.disconnections, client.opens, client.lost, client.handedBack], [1, 0, 1, [], 0], name);
    assert.deepEqual(client.errors, [], name);
    // In a short storm chance may spare one of them.
    if (FULL) assert.ok(client.resumed > 0, `${name} was never cut`);
  }
  assert.ok(sums.resumes >= floor, `${sums.resumes} resumes of ${floor}`);
  assert.ok(cuts >= floor, `${cuts} cuts of ${floor}`);
  if (FULL) assert.deepEqual(Object.keys(switches).sort(), SWITCHES);
});

test('a server that writes whenever ready() lets it never writes more than is kept, however long its client is away', async (t) => {
  const server = await serve(t, 'counter', await config(t, SERVER));
  const fast = { client: 'fast', every: 2 };
  const proxy = await hostileProxy(t, server);
  const client = { name: 'fast', ...(await inNode(t, proxy.url, fast, ['websocket'])) };
  await until('it is under way', client.report, ({ received }) => received > 100);
  proxy.refused = ['websocket'];
  proxy.reset();
  const sent = async () => (await look(server, [client]))[0].server.sent;
  const more = async () => {
    const before = await sent();
    await sleep(500);
    return (await sent()) - before;
  };
  await until('the server waits', more, (count) => count === 0);
  const waiting = await sent();
  const kept = waiting - (await client.report()).received;
  // An acknowledgement comes after 128 at the latest.
  assert.ok(kept > 128 && kept <= 256, `${kept} messages are kept`);
  proxy.refused = [];
  await until('it goes on', sent, (now) => now > waiting + 1000);
  const [all] = await settle(server, [client], 5000);
  assert.ok(arrived(all), JSON.stringify(all));
  assert.deepEqual([all.server.connections, all.client.opens, all.client.lost, all.client.resumed], [1, 1, [], 1]);
});

test('without replay the same weather loses messages, so the test above can fail', async (t) => {
  const { all, sums } = await weather(t, `${SERVER}resume_window = "0"\n`, 6000, 3000);
  assert.ok(sums.lost > 0, 'nothing was lost');
  assert.ok(sums.sessionsLost > 0, 'no session was lost');
  assert.ok(all.some(({ server }) => server.connections > 1), 'on_connection ran once');
});
