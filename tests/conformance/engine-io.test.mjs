// What the public suites of Engine.IO 3 and 4 ask of a server, title by title, with the bytes that go over the wire. Against the same
// conformance server that those suites are run against.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BAD, EngineIo, refused, UNKNOWN } from '../lib/engineio.mjs';
import { Server } from '../lib/server.mjs';
import { until, within } from '../lib/within.mjs';

const INTERVAL = 300;
const TIMEOUT = 200;

let server;
let engine;
before(async () => {
  server = await Server.start('conformance', ['--suite', 'engine.io']);
  engine = new EngineIo(server);
});
after(() => server.kill());

/** How each version writes packets into a payload. */
const V4 = { eio: 4, name: 'EIO v4', join: (...packets) => packets.join('\x1e'), text: true };
const V3 = { eio: 3, name: 'EIO v3', join: (...packets) => packets.map((it) => `${it.length}:${it}`).join('') };

/** A client that polls, and has been greeted as its version is. */
async function polling({ eio, join }, more) {
  const client = await engine.polling(eio, more);
  const [status, text] = client.said;
  assert.deepEqual([status, text], [200, join(`0${text.slice(text.indexOf('0{') + 1)}`)]);
  return client;
}

const isHandshake = (handshake, upgrades) => {
  assert.match(handshake.sid, /^[\w-]{20}$/);
  assert.deepEqual(handshake, { sid: handshake.sid, upgrades, pingInterval: INTERVAL, pingTimeout: TIMEOUT, maxPayload: 1000000 });
};

for (const version of [V4, V3]) {
  const { eio, name, join } = version;
  const title = (text) => `${name} – ${text}`;

  test(title('handshake polling: opens'), async () => {
    isHandshake((await polling(version)).handshake, ['websocket']);
  });

  test(title('handshake polling: EIO invalid or missing'), async () => {
    for (const query of ['transport=polling', 'EIO=abc&transport=polling', 'EIO=5&transport=polling', `EIO=${eio}0&transport=polling`]) {
      assert.deepEqual(await engine.answer(query), refused(5, 'Unsupported protocol version'), query);
    }
  });

  test(title('handshake polling: transport invalid or missing'), async () => {
    for (const query of [`EIO=${eio}`, `EIO=${eio}&transport=abc`, `EIO=${eio}&transport=__proto__`, `EIO=${eio}&transport=constructor`]) {
      assert.deepEqual(await engine.answer(query), refused(0, 'Transport unknown'), query);
    }
  });

  test(title('handshake polling: POST and PUT refused'), async () => {
    for (const method of ['POST', 'PUT']) {
      const refusal = refused(2, 'Bad handshake method');
      assert.deepEqual(await engine.answer(`EIO=${eio}&transport=polling`, { method }), refusal, method);
    }
  });

  test(title('handshake ws: opens with upgrades []'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    const open = await ws.inbox.next();
    assert.equal(open[0], '0');
    isHandshake(JSON.parse(open.slice(1)), []);
  });

  test(title('handshake ws: EIO invalid or missing'), async (t) => {
    for (const query of ['transport=websocket', 'EIO=abc&transport=websocket']) {
      assert.deepEqual(await within(5000, query, engine.socket(t, query).closed), [1006, ''], query);
    }
  });

  test(title('handshake ws: transport invalid or missing'), async (t) => {
    for (const query of [`EIO=${eio}`, `EIO=${eio}&transport=abc`]) {
      assert.deepEqual(await within(5000, query, engine.socket(t, query).closed), [1006, ''], query);
    }
  });

  test(title('message polling: one text'), async () => {
    const client = await polling(version);
    assert.deepEqual(await client.post(join('4hello')), [200, 'ok']);
    assert.deepEqual(await client.get(), [200, join('4hello')]);
  });

  test(title('message polling: three texts'), async () => {
    const client = await polling(version);
    const payload = join('4test1', '4test2', '4test3');
    assert.deepEqual(await client.post(payload), [200, 'ok']);
    assert.deepEqual(await client.get(), [200, payload]);
  });

  test(title('message polling: text and binary'), async () => {
    const client = await polling(version, '&b64=1');
    const payload = join('4hello', eio === 4 ? 'bAQIDBA==' : 'b4AQIDBA==');
    assert.deepEqual(await client.post(payload), [200, 'ok']);
    assert.deepEqual(await client.get(), [200, payload]);
  });

  test(title('message polling: invalid packet kills session'), async () => {
    const client = await polling(version);
    assert.deepEqual(await client.post('abc'), BAD);
    assert.deepEqual(await client.get(), UNKNOWN);
  });

  test(title('message polling: two GETs kill session (first gets 1)'), async () => {
    const client = await polling(version);
    const first = await client.wait();
    assert.deepEqual(await client.get(), BAD);
    assert.deepEqual(await first.answer, [200, join('1')]);
    assert.deepEqual(await client.get(), UNKNOWN);
  });

  test(title('message polling: aborted GET kills session'), async () => {
    const client = await polling(version);
    const controller = new AbortController();
    const { answer } = await client.wait({ signal: controller.signal });
    controller.abort();
    await assert.rejects(answer, { name: 'AbortError' });
    // The server sees it on another connection: a GET before that would be the second one.
    await until('it is missed', () => client.post(join('6')), ([status]) => status === 400);
    assert.deepEqual(await client.get(), UNKNOWN);
  });

  test(title('message ws: text'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    ws.send('4hello');
    assert.equal(await ws.inbox.next(), '4hello');
  });

  test(title('message ws: binary'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    const bytes = Buffer.from(eio === 4 ? [1, 2, 3, 4] : [4, 1, 2, 3, 4]);
    ws.send(bytes);
    assert.deepEqual(await ws.inbox.next(), bytes);
  });

  test(title('message ws: invalid closes'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    ws.send('abc');
    assert.deepEqual(await within(5000, 'close', ws.closed), [4400, '']);
  });

  test(title('heartbeat polling: three ping/pong rounds'), async () => {
    const client = await polling(version);
    for (let round = 0; round < 3; round += 1) {
      if (eio === 4) {
        assert.deepEqual(await client.get(), [200, '2']);
        assert.deepEqual(await client.post('3'), [200, 'ok']);
      } else {
        assert.deepEqual(await client.post('1:2'), [200, 'ok']);
        assert.deepEqual(await client.get(), [200, '1:3']);
      }
    }
  });

  test(title('heartbeat polling: dead after 500 ms'), async () => {
    const client = await polling(version);
    await sleep(INTERVAL + TIMEOUT); // It is silence that ends it.
    assert.deepEqual(await (eio === 4 ? client.get() : client.post('1:2')), UNKNOWN);
  });

  test(title('heartbeat ws: three rounds'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    for (let round = 0; round < 3; round += 1) {
      if (eio === 3) ws.send('2');
      assert.equal(await ws.inbox.next(), eio === 4 ? '2' : '3');
      if (eio === 4) ws.send('3');
    }
  });

  test(title('heartbeat ws: closed on silence'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    assert.deepEqual(await within(5000, 'close', ws.closed), [4004, '']);
  });

  test(title('close polling: POST 1 ends pending GET with 6'), async () => {
    const client = await polling(version);
    const waiting = await client.wait();
    assert.deepEqual(await client.post(join('1')), [200, 'ok']);
    assert.deepEqual(await waiting.answer, [200, join('6')]);
    assert.deepEqual(await client.get(), UNKNOWN);
  });

  test(title('close ws: 1 closes'), async (t) => {
    const ws = engine.socket(t, `EIO=${eio}&transport=websocket`);
    await ws.inbox.next();
    ws.send('1');
    assert.deepEqual(await within(5000, 'close', ws.closed), [1000, '']);
  });

  test(title('upgrade: full upgrade with noop'), async (t) => {
    const client = await polling(version);
    const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
    await ws.opened;
    ws.send('2probe');
    assert.equal(await ws.inbox.next(), '3probe');
    assert.deepEqual(await client.get(), [200, join('6')]);
    ws.send('5');
    ws.send('4hello');
    assert.equal(await ws.inbox.next(), '4hello');
  });

  test(title('upgrade: GET after upgrade 400'), async (t) => {
    const client = await polling(version);
    const ws = engine.socket(t, client.query.replace('polling', 'websocket'));
    await ws.opened;
    ws.send('2probe');
    assert.equal(await ws.inbox.next(), '3probe');
    ws.send('5');
    ws.send('4hello');
    assert.equal(await ws.inbox.next(), '4hello');
    assert.deepEqual(await client.get(), BAD);
    ws.send('4still here');
    assert.equal(await ws.inbox.next(), '4still here');
  });

  test(title('upgrade: second ws closed and first still works'), async (t) => {
    const client = await polling(version);
    const query = client.query.replace('polling', 'websocket');
    const ws = engine.socket(t, query);
    await ws.opened;
    ws.send('2probe');
    assert.equal(await ws.inbox.next(), '3probe');
    ws.send('5');
    const second = engine.socket(t, query);
    await second.opened;
    assert.deepEqual(await within(5000, 'close', second.closed), [1000, '']);
    ws.send('4hello');
    assert.equal(await ws.inbox.next(), '4hello');
  });
}

test('EIO v3 – message polling: binary payload form', async () => {
  const client = await polling(V3);
  const payload = Uint8Array.from([0, 6, 255, 52, 104, 101, 108, 108, 111, 1, 5, 255, 4, 1, 2, 3, 4]);
  assert.deepEqual(await client.post('6:4hello10:b4AQIDBA=='), [200, 'ok']);
  const polled = await engine.request(client.query);
  assert.equal(polled.headers.get('content-type'), 'application/octet-stream');
  assert.deepEqual(new Uint8Array(await polled.arrayBuffer()), payload);
  const headers = { 'content-type': 'application/octet-stream' };
  assert.deepEqual(await engine.answer(client.query, { method: 'POST', body: payload, headers }), [200, 'ok']);
  assert.deepEqual(new Uint8Array(await (await engine.request(client.query)).arrayBuffer()), payload);
});

test('EIO v3 – lengths count UTF-16 code units', async () => {
  const client = await polling(V3);
  assert.deepEqual(await client.post('6:4hello2:4€3:4😀'), [200, 'ok']);
  assert.deepEqual(await client.get(), [200, '6:4hello2:4€3:4😀']);
});

test('EIO v3 – JSONP: an answer is a script, a POST is a form', async () => {
  const [status, script] = await engine.answer('EIO=3&transport=polling&j=0');
  assert.equal(status, 200);
  const [, payload] = /^___eio\[0\]\((".*")\);$/.exec(script);
  const { sid } = JSON.parse(JSON.parse(payload).replace(/^\d+:0/, ''));
  const query = `EIO=3&transport=polling&j=1&sid=${sid}`;
  const body = new URLSearchParams({ d: '4:4a\\nb6:4"\u2028\\\\n<' });
  assert.deepEqual(await engine.answer(query, { method: 'POST', body }), [200, 'ok']);
  const polled = await engine.request(query);
  assert.equal(polled.headers.get('content-type'), 'text/javascript; charset=UTF-8');
  assert.equal(await polled.text(), '___eio[1]("4:4a\\nb6:4\\"\\u2028\\\\n<");');
});
