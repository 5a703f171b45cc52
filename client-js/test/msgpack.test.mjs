// MessagePack: both ways, by the specification, with whatever a seeded generator makes, and with what is none.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { msgpack } from '../dist/msgpack.mjs';
import { Primus } from '../dist/node.mjs';
import { next, serve, WebSocket } from './server.mjs';

/** A file of the crate. */
const served = (name) => readFileSync(new URL('../../crates/primus-library/client/' + name, import.meta.url), 'utf8');
const expression = served('msgpack.js');
const buffer = (bytes) => new Uint8Array(bytes).slice().buffer;
const encode = (value) => Buffer.from(msgpack.encoder(value)).toString('hex');
const decode = (hex) => msgpack.decoder(buffer(Buffer.from(hex, 'hex')));
const nested = (depth) => { let value = 1; while (depth--) value = depth % 2 ? [value] : { a: value }; return value; };

/** mulberry32. */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Any value, of which msgpack has all. */
function any(random, depth = 0) {
  const below = (n) => Math.floor(random() * n);
  const length = () => [below(4), below(20), below(40), below(300)][below(depth ? 2 : 4)];
  const text = () => Array.from({ length: length() }, () => ['a', '\u00fc', '\u2603', '\ud83d\ude00', '\0', '__proto__'][below(6)]).join('');
  switch (below(depth > 4 ? 9 : 12)) {
    case 0: return null;
    case 1: return random() < 0.5;
    case 2: return below(300) - 150;
    case 3: return Math.round((random() - 0.5) * 2 ** (below(53) + 1)) || 0;
    case 4: return (random() - 0.5) * 10 ** below(300);
    case 5: return random() < 0.5 ? 2n ** 64n - 1n - BigInt(below(1000)) : -(2n ** 63n) + BigInt(below(1000));
    case 6: return text();
    case 7: return Uint8Array.from({ length: length() }, () => below(256));
    case 8: return new Date([below(2 ** 31) * 1000, below(2 ** 40), -below(2 ** 40), below(2 ** 53) - 2 ** 52][below(4)]);
    case 9: case 10: return Array.from({ length: length() }, () => any(random, depth + 1));
    default: return Object.fromEntries(Array.from({ length: length() }, () => [text(), any(random, depth + 1)]));
  }
}

test('the forms of the specification', () => {
  for (const [value, hex] of [
    [null, 'c0'], [undefined, 'c0'], [false, 'c2'], [true, 'c3'], [0, '00'], [127, '7f'], [128, 'cc80'], [255, 'ccff'], [256, 'cd0100'], [65535, 'cdffff'], [65536, 'ce00010000'],
    [4294967295, 'ceffffffff'], [4294967296, 'cf0000000100000000'], [Number.MAX_SAFE_INTEGER, 'cf001fffffffffffff'], [-1, 'ff'], [-32, 'e0'], [-33, 'd0df'], [-128, 'd080'], [-129, 'd1ff7f'],
    [-32768, 'd18000'], [-32769, 'd2ffff7fff'], [-2147483648, 'd280000000'], [-2147483649, 'd3ffffffff7fffffff'], [5n, '05'], [2n ** 64n - 1n, 'cfffffffffffffffff'], [-(2n ** 63n), 'd38000000000000000'],
    [1.5, 'cb3ff8000000000000'], [Infinity, 'cb7ff0000000000000'], ['', 'a0'], ['abc', 'a3616263'], ['x'.repeat(31), 'bf' + '78'.repeat(31)], ['x'.repeat(32), 'd920' + '78'.repeat(32)],
    ['x'.repeat(256), 'da0100' + '78'.repeat(256)], ['x'.repeat(65536), 'db00010000' + '78'.repeat(65536)], [new Uint8Array([1, 2]), 'c4020102'], [new Uint8Array(256), 'c50100' + '00'.repeat(256)],
    [new Uint8Array(65536), 'c600010000' + '00'.repeat(65536)], [[], '90'], [[1, [2]], '92019102'], [Array(16).fill(0), 'dc0010' + '00'.repeat(16)], [Array(65536).fill(0), 'dd00010000' + '00'.repeat(65536)],
    [{}, '80'], [{ a: 1, b: undefined }, '82a16101a162c0'], [new Date(1000), 'd6ff00000001'], [new Date(1500), 'd7ff7735940000000001'], [new Date(2 ** 34 * 1000), 'c70cff000000000000000400000000'],
    [new Date(-1), 'c70cff3b8b87c0' + 'f'.repeat(16)],
  ]) {
    assert.equal(encode(value), hex, hex.slice(0, 20));
    const back = decode(hex);
    if (value === undefined || value?.b === undefined && value?.a) continue;
    assert.deepEqual(back, typeof value === 'bigint' && value === 5n ? 5 : value, hex.slice(0, 20));
  }
  for (const [hex, value] of [['ca3fc00000', 1.5], ['cf0000000000000001', 1], ['d3ffffffffffffffff', -1], ['d9016f', 'o'], ['da00016f', 'o'], ['db000000016f', 'o'], ['dc000101', [1]], ['de0001a16101', { a: 1 }], ['df00000001a16101', { a: 1 }],
    ['c704ff00000001', new Date(1000)], ['c708ff7735940000000001', new Date(1500)]]) assert.deepEqual(decode(hex), value, hex);
  assert.equal(encode(new DataView(new Uint8Array([0, 1, 2, 3]).buffer, 1, 2)), 'c4020102');
  assert.equal(encode(new Uint16Array([258])), 'c4020201');
  assert.equal(encode(new Uint8Array([9]).buffer), 'c40109');
  assert.equal(encode([, 1]), '92c001');
});

test('whatever the generator makes comes back', () => {
  for (let seed = 1; seed <= 600; seed++) {
    const value = any(generator(seed));
    assert.deepEqual(msgpack.decoder(buffer(msgpack.encoder(value))), value, `seed ${seed}`);
  }
});

test('what is cut off or changed throws, or is another value, and never hangs', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = generator(seed);
    const bytes = msgpack.encoder(any(random));
    for (let n = 0; n < 10; n++) {
      const cut = Math.floor(random() * bytes.length);
      assert.throws(() => msgpack.decoder(buffer(bytes.subarray(0, cut))), Error, `seed ${seed}, ${cut} bytes`);
      const changed = new Uint8Array(bytes);
      changed[cut] = random() * 256;
      try { msgpack.decoder(buffer(changed)); } catch (error) { assert.ok(error instanceof Error); }
    }
    assert.throws(() => msgpack.decoder(buffer([...bytes, 0])), /more than one/);
  }
});

test('what it does not have', () => {
  const circular = [];
  circular.push(circular);
  for (const value of [() => {}, Symbol('x'), 2n ** 64n, -(2n ** 63n) - 1n, new Date(NaN), circular, { a: () => {} }]) assert.throws(() => msgpack.encoder(value));
  for (const hex of ['', 'c1', 'd4010a', 'd401', 'c70001', 'd6fe00000001', 'd5ff0000', 'd7ffffffffff00000000', 'c70cff00000000' + '7fffffffffffffff', 'c70cffffffffff0000000000000001', '8101c0', '81c0c0', 'a1ff', 'a2c328', 'a3edA080',
    'dd' + 'ffffffff', 'df' + 'ffffffff', 'db' + 'ffffffff', 'c6' + 'ffffffff00', 'd9', 'dcffff']) assert.throws(() => decode(hex), Error, hex);
  assert.throws(() => msgpack.decoder('text'));
});

test('nested as deep as is allowed, and deeper', () => {
  assert.deepEqual(msgpack.decoder(buffer(msgpack.encoder(nested(128)))), nested(128));
  assert.throws(() => msgpack.encoder(nested(129)), /deep/);
  assert.throws(() => decode('91'.repeat(129) + '01'), /deep/);
  assert.throws(() => decode('91'.repeat(1e6) + '01'), /deep/);
  assert.throws(() => decode('81a161'.repeat(129) + '01'), /deep/);
  assert.doesNotThrow(() => decode('91'.repeat(127) + '90'));
});

test('a key named __proto__ is a key', () => {
  const value = decode('81a95f5f70726f746f5f5f81a178c3');
  assert.equal(value.x, undefined);
  assert.deepEqual(Object.keys(value), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(encode(value), '81a95f5f70726f746f5f5f81a178c3');
  assert.equal({}.x, undefined);
});

test('large values take time in proportion', () => {
  const list = Array.from({ length: 200000 }, (_, n) => 'text ' + n);
  assert.deepEqual(msgpack.decoder(buffer(msgpack.encoder(list))), list);
});

test('the file of the crate is one expression', () => {
  assert.doesNotMatch(expression, /;\s*$/);
  const parser = runInNewContext(`({ parser: ${expression} }).parser`, { TextEncoder, TextDecoder, ArrayBuffer, Uint8Array, DataView, Date, Object, Array });
  assert.deepEqual(Object.keys(parser).sort(), ['decoder', 'encoder']);
  assert.deepEqual([...parser.decoder(buffer(parser.encoder([1, 'a'])))], [1, 'a']);
});

for (const transports of [['websocket'], ['sse'], ['polling']])
  test(`${transports}: a client with MessagePack`, async (t) => {
    const server = await serve();
    const primus = new Primus(server.url, { WebSocket, transports, parser: msgpack });
    t.after(() => primus.destroy());
    t.after(() => server.close());
    await next(primus, 'open');
    const { last } = server;
    const http = transports[0] !== 'websocket';
    const bytes = (frame) => http ? Buffer.from(frame.replace('primus::binary::', ''), 'base64').toString('latin1') : frame.toString('latin1');
    const send = (text) => last.send(http ? 'primus::binary::' + Buffer.from(text, 'latin1').toString('base64') : Buffer.from(text, 'latin1'));
    primus.write([1, 2]);
    assert.equal(bytes(await last.frame()), '\x92\x01\x02');
    primus.emit('tick');
    assert.equal(bytes(await last.frame()), 'primus::event:tick::\xc0');
    const sum = primus.request('sum', [3]);
    assert.equal(bytes(await last.frame()), 'primus::request:1:sum::\x91\x03');
    send('primus::reply:1::\xa2\xc3\xbc');
    assert.equal(await sum, '\u00fc');
    const bad = primus.request('bad');
    await last.frame();
    last.send('primus::refuse:2::{"status":400,"error":"bad"}');
    await assert.rejects(bad, { name: 'RefusedError', data: 'bad' });
    // Requests to the protocol are JSON all the same.
    const { ready } = primus.subscribe('room', () => {});
    assert.equal(await last.frame(), 'primus::request:3:primus.subscribe::{"room":"room"}');
    last.send('primus::reply:3::{"epoch":"e","offset":1}');
    assert.deepEqual(await ready, { epoch: 'e', offset: 1 });
    const channel = primus.channel('c');
    await last.frame();
    last.send('primus::reply:4::{"id":"x"}');
    await next(channel, 'open');
    send('primus::channel:c::primus::event:e::\x07');
    assert.deepEqual(await next(channel, 'e'), [7]);
    channel.write({});
    assert.equal(bytes(await last.frame()), 'primus::channel:c::\x80');
  });

test('a served script with a parser of its own', () => {
  const text = served('websocket-sse-polling.js').replace('__PRIMUS_CONFIG__', () => `{"path":"/primus","parser":${expression}}`);
  const context = { URL, URLSearchParams, TextEncoder, TextDecoder, ArrayBuffer, Uint8Array, DataView, setTimeout, clearTimeout };
  runInNewContext(text, context);
  const primus = new context.Primus('http://h', { manual: true });
  primus.write([1]);
  assert.deepEqual([...new Uint8Array(primus.buffer[0])], [0x91, 1]);
});
