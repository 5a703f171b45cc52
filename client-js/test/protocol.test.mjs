// The vectors of docs/protocol-vectors.json, and the arithmetic of coming back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { delay } from '../build/backoff.mjs';
import { closing, refusal } from '../build/close.mjs';
import { heartbeat } from '../build/heartbeat.mjs';
import { control, escape, parse, toFrame, toLine } from '../build/frames.mjs';
import { BATCH, EVENT, lineReader } from '../build/transports/lines.mjs';

const vectors = JSON.parse(readFileSync(new URL('../../docs/protocol-vectors.json', import.meta.url)));

const bytes = (base64) => new Uint8Array(Buffer.from(base64, 'base64')).buffer;
const payload = (message) => message.text ?? bytes(message.binary);
/** The message in a frame. */
const decode = (frame) => { const { _kind, _body } = parse(frame); assert.equal(_kind, 'data'); return _body; };

/** All frames that a reader finds in these pieces. */
const read = (begin, pieces) => {
  const frames = [];
  pieces.forEach(lineReader(begin, { _frame: (frame) => frames.push(frame) }));
  return frames;
};

test('frames', () => {
  assert.equal(vectors.frames.length, 14);
  for (const { text, kind, fields, body } of vectors.frames) {
    const { _kind, _numbers, _body } = parse(text);
    // What only wraps a message is taken off.
    if (/^(binary|data)$/.test(kind)) assert.deepEqual([_kind, _numbers], ['data', []], text);
    else assert.deepEqual({ kind: _kind, fields: _numbers, body: _body }, { kind, fields, body }, text);
  }
});

test('invalid frames', () => {
  assert.equal(vectors.invalid_frames.length, 56);
  for (const text of vectors.invalid_frames) assert.throws(() => parse(text), undefined, text);
});

test('messages', () => {
  assert.equal(vectors.messages.length, 18);
  for (const message of vectors.messages) {
    const { kind, id, name, channel, rooms, body } = message;
    const frame = parse(payload(message));
    assert.deepEqual(
      { kind: frame._kind, id: frame._numbers[0] && +frame._numbers[0], name: frame._name, channel: frame._channel, body: frame._body },
      { kind, id, name, channel, body: payload(body) },
    );
    assert.deepEqual(frame._rooms, rooms?.map(([room, offset]) => [room, offset ?? undefined]));
  }
});

test('heads are made as they are read', () => {
  const wrap = (name, frame) => control('channel:' + escape(name), frame);
  for (const { text, binary, kind, id, name, channel, rooms, body } of vectors.messages) {
    if (rooms || kind === 'refuse') continue;
    const inner = kind === 'data' ? toFrame(payload(body)) : control([kind, id, name && escape(name)].filter((part) => part !== undefined).join(':'), payload(body));
    assert.deepEqual(channel ? wrap(channel, inner) : inner, payload({ text, binary }));
  }
});

test('names', () => {
  for (const name of ['', 'a\nb', '\0', '\x7f', 'x'.repeat(257), '\u00fc'.repeat(129), '\ud800']) assert.throws(() => escape(name), Error, name);
  for (const name of ['x'.repeat(256), '\u00fc'.repeat(128), '007', '%', 'a:b,c@d', '\u2028']) assert.equal(parse(control('event:' + escape(name)))._name, name);
});

test('messages as WebSocket frames, both ways', () => {
  for (const { message, frame } of vectors.websocket_data) {
    assert.deepEqual(toFrame(payload(message)), payload(frame));
    assert.deepEqual(decode(payload(frame)), payload(message));
  }
});

test('messages and other frames as lines, both ways', () => {
  for (const { message, line } of vectors.line_data) {
    assert.equal(toLine(toFrame(payload(message))), line);
    assert.deepEqual(decode(line), payload(message));
  }
  assert.equal(vectors.message_lines.length, 3);
  for (const { frame, line } of vectors.message_lines) {
    assert.equal(toLine(payload(frame)), line);
    assert.deepEqual(parse(line), parse(payload(frame)));
  }
});

test('batches', () => {
  for (const { body, lines } of vectors.batches) assert.deepEqual(read(BATCH, [body, '\n']), lines);
});

test('an event stream in pieces of any size, with any line end', () => {
  const frames = ['1', 'primus::data::', ' lead', '{"a":"ü☃"}'];
  for (const end of ['\n', '\r\n', '\r']) {
    const text = ': comment' + end + frames.map((frame) => `id: 7${end}data: ${frame}${end}${end}`).join('') + 'data:bare' + end;
    for (let size = 1; size <= text.length; size++) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g'));
      assert.deepEqual(read(EVENT, pieces), [...frames, 'bare']);
    }
  }
});

test('close codes', () => {
  assert.equal(vectors.close_codes.length, 24);
  for (const { code, reason, reconnect } of vectors.close_codes) {
    const result = closing(code, reason);
    assert.equal(result.code, code);
    assert.equal(result.reconnect, reconnect, `code ${code}`);
    if (reason) assert.equal(result.reason, reason);
  }
});

test('refusals', () => {
  assert.deepEqual(refusal({ status: 401, error: 'no' }), { status: 401, body: { status: 401, error: 'no' }, after: undefined, code: 4401, reason: 'no', reconnect: false });
  assert.equal(refusal({ status: 400, error: 'bad' }).reconnect, false);
  assert.equal(refusal({ status: 503 }).reconnect, true);
  assert.equal(refusal({ status: 503 }).reason, 'refused');
  assert.equal(refusal({ status: 429, after: 10 }).after, 10);
  assert.equal(refusal({ status: 429, after: 10 }, 5000).after, 5000);
});

test('backoff: full jitter from the first attempt, bounded', (t) => {
  const options = { min: 500, max: 30000, factor: 2 };
  let chance = 1;
  t.mock.method(Math, 'random', () => chance);
  const bounds = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((attempt) => delay(options, attempt));
  assert.deepEqual(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  chance = 0;
  assert.equal(delay(options, 1), 0);
  chance = 0.25;
  assert.equal(delay(options, 3), 500);
});

test('heartbeat: quiet, ask, wait, dead; traffic begins anew; stopped is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const said = [];
  const pulse = heartbeat(100, 30, () => said.push('ask'), () => said.push('dead'));
  const after = (time) => {
    t.mock.timers.tick(time);
    return said.splice(0);
  };
  assert.deepEqual(after(99), []);
  pulse._heard();
  assert.deepEqual(after(99), []);
  assert.deepEqual(after(1), ['ask']);
  assert.deepEqual(after(29), []);
  pulse._heard();
  assert.deepEqual(after(99), []);
  assert.deepEqual(after(1), ['ask']);
  assert.deepEqual(after(30), ['dead']);
  pulse._ask();
  assert.deepEqual(after(0), ['ask']);
  pulse._stop();
  pulse._heard();
  assert.deepEqual(after(1e6), []);
  heartbeat(false, 30, () => said.push('ask'), () => said.push('dead'));
  heartbeat(100, false, () => said.push('ask'), () => said.push('dead'));
  assert.deepEqual(after(1e6), []);
});
