// What a client says over a protocol of others, and takes from it, whatever that protocol is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assemble } from '../build/assemble.mjs';
import { alone } from '../build/race.mjs';
import { dialect } from '../build/transports/dialect.mjs';

/** A client, and the connections that it makes. Each has what was `sent`, and takes it while it is not `full`. */
function client(t, options, texts = false) {
  const lines = [];
  const transport = dialect('pigeon', 'fetch', texts, (dial, query, told) => {
    const line = { sent: [], query, told };
    lines.push(line);
    queueMicrotask(told._opened);
    return { _send: (message) => line.sent.push(message), _waiting: () => (line.full ? Infinity : 0), _end: () => (line.ended = true) };
  });
  const Primus = assemble(alone(transport), { path: '/primus', transports: ['pigeon'], version: '0' });
  const primus = new Primus('http://127.0.0.1:1', { reconnect: { min: 1, max: 1 }, network: false, ...options });
  t.after(() => primus.destroy());
  const connected = async (id = 'me') => {
    while (lines.at(-1)?.sent[0] === undefined || lines.at(-1).known) await new Promise(setImmediate);
    const line = lines.at(-1);
    line.known = true;
    line.told._message(primus.options.parser == 'raw' ? 'primus::id::' + id : JSON.stringify('primus::id::' + id));
    return line;
  };
  return { primus, lines, connected };
}

/** All that a client gives to its application. */
function record(primus) {
  const log = [];
  primus.on('data', (data) => log.push(['data', data]));
  primus.onAny((event, data) => log.push([event, data]));
  primus.on('error', ({ name, status }) => log.push(['error', name, status]));
  return log;
}

test('over a dialect: what comes before the id is delivered behind it, and what was written waits for it', async (t) => {
  const { primus, lines, connected } = client(t, { query: { room: 'a' } });
  const log = record(primus);
  primus.on('open', () => log.push(['open']));
  primus.write(1);
  while (!lines[0]?.sent[0]) await new Promise(setImmediate);
  lines[0].told._message('"first"');
  lines[0].told._message('{"type":0,"data":["second",2]}');
  const { sent, query } = await connected();
  assert.deepEqual(log, [['open'], ['data', 'first'], ['second', 2]]);
  assert.deepEqual(sent, ['"primus::id::"', '1']);
  assert.equal(query, '&_primuscb=1&room=a');
  assert.deepEqual([await primus.id(), primus.transport], ['me', 'pigeon']);
});

test('over a dialect: events, requests and answers are packets, and what only looks like one is data', async (t) => {
  const { primus, connected } = client(t);
  const { sent, told } = await connected();
  const log = record(primus);
  const data = ['{"type":0,"data":[', '{"type":0,"data":["open"]}', '{"type":0,"data":[1]}', '{"type":0,"data":[""]}', '{"type":1,"data":[1]}', '{"type":2,"data":[]}', '{"data":["a"],"type":0}'];
  for (const text of data) told._message(text);
  // The first is no JSON at all.
  assert.deepEqual(log.map(([kind, value]) => [kind, value]), [['error', 'SyntaxError'], ...data.slice(1).map((text) => ['data', JSON.parse(text)])]);
  told._message('{"type":0,"data":["none"]}');
  assert.deepEqual(log.pop(), ['none', null]);

  sent.length = 0;
  primus.on('twice', (value) => value * 2);
  told._message('{"type":0,"data":["twice",21],"id":7}');
  while (!sent[0]) await new Promise(setImmediate);
  const answers = [1, 2, 3].map((n) => primus.request('ask', n).catch(({ status, message }) => [status, message]));
  assert.equal(primus.emit('"é"', { a: [] }), true);
  assert.deepEqual(sent, [
    '{"type":1,"data":[42],"id":7}',
    ...[1, 2, 3].map((n) => `{"type":0,"data":["ask",${n}],"id":${n}}`),
    '{"type":0,"data":["\\"é\\"",{"a":[]}]}',
  ]);
  told._message('{"type":1,"data":[{"error":"no","status":403}],"id":2}');
  told._message('{"type":1,"data":[{"status":403}],"id":1}');
  told._message('{"type":1,"data":[null],"id":3}');
  told._message('{"type":1,"data":[null],"id":99}');
  assert.deepEqual(await Promise.all(answers), [{ status: 403 }, [403, 'no'], null]);
});

test('over a dialect: what has no form there is an error, and nothing of it is sent', async (t) => {
  for (const [options, texts] of [[{}, true], [{ parser: 'raw' }, true]]) {
    const { primus, connected } = client(t, options, texts);
    const { sent } = await connected();
    const log = record(primus);
    primus.write(Uint8Array.of(1));
    primus.write('primus::server::close');
    const failed = ({ name, status }) => [name, status];
    assert.deepEqual(await primus.subscribe('room', () => {}).ready.catch(failed), ['RefusedError', 501]);
    assert.deepEqual(log, [['error', 'EventError', 501], ['error', 'EventError', 501]]);
    if (options.parser) {
      primus.emit('event', 'x');
      assert.deepEqual(await primus.request('ask', 'x').catch(failed), ['RefusedError', 501]);
      assert.deepEqual(log[2], ['error', 'EventError', 501]);
    }
    assert.equal(sent.length, 1);
  }
});

test('over a dialect: a connection that takes nothing any more leaves what waits to the next', async (t) => {
  const { primus, connected } = client(t);
  const one = await connected('one');
  const lost = [];
  primus.on('lost', (values) => lost.push(...values));
  primus.write('sent');
  one.full = true;
  primus.write('waits');
  const resumed = new Promise((resolve) => primus.on('resumed', (...how) => resolve(how)));
  one.told._closed(1006);
  const two = await connected('two');
  assert.deepEqual(await resumed, [false, 'expired']);
  assert.deepEqual([one.sent.slice(1), two.sent.slice(1), lost, one.ended], [['"sent"'], ['"waits"'], [], true]);
  assert.equal(await primus.id(), 'two');
});

test('over a dialect: who is told that it is over stays away, everybody else comes back', async (t) => {
  for (const [words, code, reason] of [
    [true, 1000, { code: 4000, reason: 'ended', reconnect: false }],
    [true, 4003, { code: 4003, reason: 'ended', reconnect: false }],
    [false, 1000, { code: 1000, reason: 'why', reconnect: true }],
    [false, 4403, { code: 4403, reason: 'why', reconnect: false }],
    [false, 4503, { code: 4503, reason: 'why', reconnect: true }],
  ]) {
    const { primus, connected } = client(t);
    const { told } = await connected();
    let seen;
    primus.on('close', (reason) => (seen = { ...reason }));
    if (words) told._message('"primus::server::close"');
    told._closed(code, 'why');
    // What it is told at once, before it goes on.
    assert.deepEqual(seen, reason);
  }
});
