// What the public suite of Socket.IO 5 asks of a server, title by title, with the bytes that go over the wire; and what a client of
// Socket.IO must not do. Against the same conformance server that the suite is run against.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { EngineIo, refused, UNKNOWN } from '../lib/engineio.mjs';
import { Server } from '../lib/server.mjs';
import { Inbox, within } from '../lib/within.mjs';

const INTERVAL = 300;
const TIMEOUT = 200;

let server;
let engine;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'socket.io']);
  engine = new EngineIo(server, { path: '/socket.io' });
});
after(() => server.kill());

const title = (text) => `SIO v5 – ${text}`;

const BASE = 'EIO=4&transport=polling';

async function polling() {
  const [status, text] = await engine.answer(BASE);
  assert.deepEqual([status, text[0]], [200, '0']);
  return JSON.parse(text.slice(1));
}

const isHandshake = (handshake, upgrades) => {
  assert.equal(typeof handshake.sid, 'string');
  assert.deepEqual(handshake, { sid: handshake.sid, upgrades, pingInterval: INTERVAL, pingTimeout: TIMEOUT, maxPayload: 1000000 });
};

/** A WebSocket, with what it says; pings are answered, and not shown unless `pings`. */
function socket(t, { query = 'EIO=4&transport=websocket', pings = false } = {}) {
  const it = new WebSocket(`ws://${server.host}/socket.io/?${query}`);
  t.after(() => it.terminate());
  it.on('error', () => {});
  const hear = (say) => {
    it.on('message', (data, binary) => {
      const said = binary ? data : data.toString();
      if (said === '2' && !pings) it.send('3');
      else say(said);
    });
  };
  it.inbox = new Inbox({ on: (_, say) => hear(say) }, 'message');
  it.opened = new Promise((resolve) => it.once('open', resolve));
  it.closed = new Promise((resolve) => it.once('close', (code) => resolve(code)));
  return it;
}

/** One that has said hello to Engine.IO. */
async function open(t, options) {
  const it = socket(t, options);
  isHandshake(JSON.parse((await it.inbox.next()).slice(1)), []);
  return it;
}

/** One that is in the root. */
async function joined(t, options) {
  const it = await open(t, options);
  it.send('40');
  await it.inbox.next();
  assert.equal(await it.inbox.next(), '42["auth",{}]');
  return it;
}

async function connects(t, packet, head, auth) {
  const it = await open(t);
  it.send(packet);
  const said = await it.inbox.next();
  assert.equal(said.slice(0, head.length), head);
  const connected = JSON.parse(said.slice(head.length));
  assert.equal(typeof connected.sid, 'string');
  assert.deepEqual(Object.keys(connected), ['sid']);
  assert.equal(await it.inbox.next(), auth);
}

test(title('handshake polling: opens'), async () => isHandshake(await polling(), ['websocket']));

test(title('handshake polling: EIO invalid or missing'), async () => {
  for (const query of ['transport=polling', 'EIO=abc&transport=polling', 'EIO=3&transport=polling']) {
    assert.deepEqual(await engine.answer(query), refused(5, 'Unsupported protocol version'), query);
  }
});

test(title('handshake polling: transport invalid or missing'), async () => {
  for (const query of ['EIO=4', 'EIO=4&transport=abc', 'EIO=4&transport=__proto__']) {
    assert.deepEqual(await engine.answer(query), refused(0, 'Transport unknown'), query);
  }
});

test(title('handshake polling: POST and PUT refused'), async () => {
  for (const method of ['POST', 'PUT']) {
    assert.deepEqual(await engine.answer(BASE, { method }), refused(2, 'Bad handshake method'), method);
  }
});

test(title('handshake ws: opens with upgrades []'), async (t) => {
  await open(t);
});

test(title('handshake ws: EIO invalid or missing'), async (t) => {
  for (const query of ['transport=websocket', 'EIO=abc&transport=websocket']) {
    assert.equal(await within(5000, query, socket(t, { query }).closed), 1006, query);
  }
});

test(title('handshake ws: transport invalid or missing'), async (t) => {
  for (const query of ['EIO=4', 'EIO=4&transport=abc']) {
    assert.equal(await within(5000, query, socket(t, { query }).closed), 1006, query);
  }
});

test(title('heartbeat polling: three ping/pong rounds'), async () => {
  const { sid } = await polling();
  // Without a namespace it may stay for a second, which is less.
  const query = `${BASE}&sid=${sid}`;
  assert.deepEqual(await engine.answer(query, { method: 'POST', body: '40' }), [200, 'ok']);
  const [, first] = await engine.answer(query);
  assert.match(first, /^40\{"sid":"[\w-]+"\}/);
  for (let round = 0; round < 3; ) {
    const [status, text] = await engine.answer(query);
    assert.equal(status, 200);
    if (text === '42["auth",{}]') continue;
    assert.equal(text, '2');
    assert.deepEqual(await engine.answer(query, { method: 'POST', body: '3' }), [200, 'ok']);
    round += 1;
  }
});

test(title('heartbeat polling: dead after 500 ms'), async () => {
  const { sid } = await polling();
  await sleep(INTERVAL + TIMEOUT + 20); // It is silence that ends it.
  assert.deepEqual(await engine.answer(`${BASE}&sid=${sid}`), UNKNOWN);
});

test(title('heartbeat ws: three ping/pong rounds'), async (t) => {
  const it = await joined(t, { pings: true });
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await it.inbox.next(), '2');
    it.send('3');
  }
});

test(title('heartbeat ws: closed on silence'), async (t) => {
  const it = await open(t, { pings: true });
  await within(5000, 'close', it.closed);
});

test(title('close polling: POST 1 ends the pending GET with 6'), async () => {
  const { sid } = await polling();
  const query = `${BASE}&sid=${sid}`;
  const waiting = await engine.begin(query);
  assert.deepEqual(await engine.answer(query, { method: 'POST', body: '1' }), [200, 'ok']);
  assert.deepEqual(await waiting.answer, [200, '6']);
  assert.deepEqual(await engine.answer(query), UNKNOWN);
});

test(title('close ws: 1 closes'), async (t) => {
  const it = await open(t);
  it.send('1');
  await within(5000, 'close', it.closed);
});

test(title('upgrade: full upgrade, and what was said before it is not lost'), async (t) => {
  const { sid } = await polling();
  const query = `${BASE}&sid=${sid}`;
  assert.deepEqual(await engine.answer(query, { method: 'POST', body: '40' }), [200, 'ok']);
  const it = socket(t, { query: `EIO=4&transport=websocket&sid=${sid}` });
  await it.opened;
  it.send('2probe');
  assert.equal(await it.inbox.next(), '3probe');
  it.send('5');
  assert.match(await it.inbox.next(), /^40\{"sid":"[\w-]+"\}$/);
  assert.equal(await it.inbox.next(), '42["auth",{}]');
});

test(title('upgrade: GET after upgrade 400'), async (t) => {
  const { sid } = await polling();
  const it = socket(t, { query: `EIO=4&transport=websocket&sid=${sid}` });
  await it.opened;
  it.send('2probe');
  assert.equal(await it.inbox.next(), '3probe');
  it.send('5');
  it.send('40');
  assert.match(await it.inbox.next(), /^40/);
  assert.equal((await engine.answer(`${BASE}&sid=${sid}`))[0], 400);
});

test(title('upgrade: second ws closed and first still works'), async (t) => {
  const { sid } = await polling();
  const query = `EIO=4&transport=websocket&sid=${sid}`;
  const it = socket(t, { query });
  await it.opened;
  it.send('2probe');
  assert.equal(await it.inbox.next(), '3probe');
  it.send('5');
  it.send('40');
  assert.match(await it.inbox.next(), /^40/);
  await within(5000, 'close', socket(t, { query }).closed);
  it.send('42["message","still here"]');
  assert.equal(await it.inbox.next(), '42["auth",{}]');
  assert.equal(await it.inbox.next(), '42["message-back","still here"]');
});

test(title('connect: main'), (t) => connects(t, '40', '40', '42["auth",{}]'));

test(title('connect: main with auth'), (t) => connects(t, '40{"token":"123"}', '40', '42["auth",{"token":"123"}]'));

test(title('connect: custom'), async (t) => {
  await connects(t, '40/custom,', '40/custom,', '42/custom,["auth",{}]');
  await connects(t, '40/custom', '40/custom,', '42/custom,["auth",{}]');
});

test(title('connect: custom with auth'), (t) =>
  connects(t, '40/custom,{"token":"abc"}', '40/custom,', '42/custom,["auth",{"token":"abc"}]'));

test(title('connect: unknown namespace error'), async (t) => {
  const it = await open(t);
  for (const packet of ['40/random', '40/random,', '40/random,{"a":1}']) {
    it.send(packet);
    assert.equal(await it.inbox.next(), '44/random,{"message":"Invalid namespace"}', packet);
  }
  // The connection is still good.
  it.send('40');
  assert.match(await it.inbox.next(), /^40\{"sid":"[\w-]+"\}$/);
});

test(title('connect: 4abc closes'), async (t) => {
  const it = await open(t);
  it.send('4abc');
  await within(5000, 'close', it.closed);
});

test(title('connect: no handshake closes'), async (t) => {
  const began = performance.now();
  const it = await open(t);
  await within(5000, 'close', it.closed);
  // Its pings are answered, so that it is the missing namespace that ends it.
  assert.ok(performance.now() - began >= 900);
});

test(title('disconnect: 41, then only ping'), async (t) => {
  const it = await joined(t, { pings: true });
  it.send('41');
  assert.equal(await it.inbox.next(), '2');
});

test(title('disconnect: join custom, leave it, main still echoes'), async (t) => {
  const it = await joined(t);
  it.send('40/custom');
  assert.match(await it.inbox.next(), /^40\/custom,\{"sid":"[\w-]+"\}$/);
  assert.equal(await it.inbox.next(), '42/custom,["auth",{}]');
  it.send('41/custom');
  it.send('42["message","message to main namespace"]');
  assert.equal(await it.inbox.next(), '42["message-back","message to main namespace"]');
});

test(title('message: text'), async (t) => {
  const it = await joined(t);
  it.send('42["message",1,"2",{"3":[true]}]');
  assert.equal(await it.inbox.next(), '42["message-back",1,"2",{"3":[true]}]');
});

const PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';

async function binary(t, sent, expected) {
  const it = await joined(t);
  it.send(sent);
  it.send(Buffer.from([1, 2, 3]));
  it.send(Buffer.from([4, 5, 6]));
  assert.equal(await it.inbox.next(), expected);
  assert.deepEqual([await it.inbox.next(), await it.inbox.next()], [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])]);
}

test(title('message: binary'), (t) => binary(t, `452-["message",${PLACEHOLDERS}]`, `452-["message-back",${PLACEHOLDERS}]`));

test(title('message: text ack'), async (t) => {
  const it = await joined(t);
  it.send('42456["message-with-ack",1,"2",{"3":[false]}]');
  assert.equal(await it.inbox.next(), '43456[1,"2",{"3":[false]}]');
});

test(title('message: binary ack'), (t) => binary(t, `452-789["message-with-ack",${PLACEHOLDERS}]`, `462-789[${PLACEHOLDERS}]`));

for (const [what, packet] of [
  ['unknown type', '4abc'],
  ['non-array payload', '42{}'],
  ['bad ack id', '42abc["message-with-ack",1,"2",{"3":[false]}]'],
]) {
  test(title(`message: ${what} closes`), async (t) => {
    const it = await joined(t);
    it.send(packet);
    await within(5000, 'close', it.closed);
  });
}

// What was found in advisories against servers and parsers of Socket.IO, and what is like it. Each closes its own connection, and the
// one beside it goes on.
const deep = (depth) => '['.repeat(depth) + ']'.repeat(depth);
const HOSTILE = [
  ['a placeholder that is a word', '451-["hello",{"_placeholder":true,"num":"splice"}]', Buffer.from('x')],
  ['a placeholder out of range', '451-["hello",{"_placeholder":true,"num":1}]', Buffer.from('x')],
  ['a negative placeholder', '451-["hello",{"_placeholder":true,"num":-1}]', Buffer.from('x')],
  ['a placeholder between two', '451-["hello",{"_placeholder":true,"num":0.5}]', Buffer.from('x')],
  ['a name that is an object', '42[{"toString":"foo"}]'],
  ['a name that is true', '42[true,"foo"]'],
  ['a name that is null', '42[null,"bar"]'],
  ['the name connect', '42["connect"]'],
  ['the name disconnect', '42["disconnect","x"]'],
  ['no number of attachments', '45'],
  ['no dash behind it', '451'],
  ['letters in it', '45a-'],
  ['a point in it', '451.23-'],
  ['no attachment', '450-[]'],
  ['eleven attachments', '4511-["x"]'],
  ['endless attachments', '4599999-["x",{"_placeholder":true,"num":0}]'],
  ['an endless number of attachments', `45${'2'.repeat(900_000)}`],
  ['an endless ack id and nothing behind it', `42${'2'.repeat(900_000)}`],
  ['text where an attachment is due', '451-["x",{"_placeholder":true,"num":0}]', '42["x"]'],
  ['an attachment of nothing', Buffer.from('x')],
  ['attachments that are too long together', '453-["x"]', ...Array(3).fill(Buffer.alloc(400_000))],
  ['JSON 100,000 levels deep', `42["message",${deep(100_000)}]`],
  ['JSON 100,000 levels deep with an attachment', `451-["message",${deep(100_000)}]`, Buffer.from('x')],
  ['auth 100,000 levels deep', `40/custom,{"a":${deep(100_000)}}`],
  ['JSON that is never closed', `42["message",${'['.repeat(100_000)}`],
  ['a refusal', '44{"message":"no"}'],
  ['a second connect', '40'],
  ['a namespace that it is not in', '42/custom,["x"]'],
  ['auth that is a list', '40/custom,[]'],
];

for (const [what, ...packets] of HOSTILE) {
  test(`SIO hostile – ${what}`, async (t) => {
    const [beside, it] = await Promise.all([joined(t), joined(t)]);
    packets.forEach((packet) => it.send(packet));
    await within(10000, 'close', it.closed);
    beside.send('42["message","alive"]');
    assert.equal(await beside.inbox.next(), '42["message-back","alive"]');
  });
}

test('SIO hostile – an endless ack id is an event that cannot be answered', async (t) => {
  const it = await joined(t);
  it.send(`42${'2'.repeat(900_000)}["message","x"]`);
  it.send('42["message","y"]');
  const said = [await it.inbox.next(), await it.inbox.next()];
  assert.deepEqual(said, ['42["message-back","x"]', '42["message-back","y"]']);
});

test('SIO hostile – events that nobody hears, and names that are taken, do nothing', async (t) => {
  const it = await joined(t);
  for (const packet of ['42["error"]', '42["nobody"]', '42[""]', '42["primus.end"]', '42["primus.open",{"channel":"/custom"}]', '43999[]', '43[]']) it.send(packet);
  it.send('427["primus.open",{"channel":"/custom"}]');
  assert.match(await it.inbox.next(), /^437\[\{"error":"the event name \\"primus.open\\" is reserved/);
  it.send('42["message",1]');
  assert.equal(await it.inbox.next(), '42["message-back",1]');
});

test('SIO hostile – by polling: thousands of packets in one POST, then one that is none', async () => {
  const { sid } = await polling();
  const query = `${BASE}&sid=${sid}`;
  const post = (body) => engine.answer(query, { method: 'POST', body });
  assert.deepEqual(await post('40'), [200, 'ok']);
  assert.deepEqual(await post(Array(200).fill('42["nobody"]').join('\x1e')), [200, 'ok']);
  const [status] = await post('42["nobody"]\x1e42{}');
  assert.ok([200, 400].includes(status), String(status));
  assert.deepEqual(await engine.answer(query), UNKNOWN);
});
