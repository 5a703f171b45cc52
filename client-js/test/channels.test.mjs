// Subscriptions and channels, on all transports, over a resume and over the loss of a session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Primus } from '../dist/node.mjs';
import { next, record, serve, WebSocket } from './server.mjs';

const fast = { min: 1, max: 5 };
const TRANSPORTS = [['websocket'], ['sse'], ['polling']];

async function connected(t, options, hooks) {
  const server = await serve(hooks);
  const primus = new Primus(server.url, { WebSocket, reconnect: fast, ...options });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  await next(primus, 'open');
  return { server, primus, session: server.last, events: record(primus) };
}

const failure = (promise) => promise.then(() => assert.fail('not rejected'), (error) => error);

/** The next request to the protocol: its id and arguments. */
async function command(session, name, channel) {
  const frame = await session.frame();
  const begin = channel ? `primus::channel:${channel}::primus::request:` : 'primus::request:';
  assert.ok(frame.startsWith(begin) && frame.includes(`:${name}::`), `${frame} is no ${name}`);
  const [id, ...rest] = frame.slice(begin.length).split(':');
  return { id, args: JSON.parse(rest.join(':').replace(`${name}::`, '')), reply: (value) => session.send(`primus::reply:${id}::${JSON.stringify(value)}`), refuse: (value) => session.send(`primus::refuse:${id}::${JSON.stringify(value)}`) };
}

/** Calls of a subscription's listener, and a promise for the next. */
function listener() {
  const calls = [];
  const listen = (...args) => { calls.push(args); listen.heard?.(); };
  return Object.assign(listen, { calls, next: () => new Promise((resolve) => { listen.heard = resolve; }) });
}

for (const transports of TRANSPORTS) {
  const [name] = transports;

  test(`${name}: a subscription, and in a new session again`, async (t) => {
    const { server, primus, session, events } = await connected(t, { transports });
    const heard = listener();
    const subscription = primus.subscribe('prices', heard, { last: 2 });
    const first = await command(session, 'primus.subscribe');
    assert.deepEqual(first.args, { room: 'prices', last: 2 });
    session.send('primus::room:prices@4::1');
    session.send('primus::room:prices@5::primus::event:tick::2');
    first.reply({ epoch: 'e', offset: 5, recovered: true });
    assert.deepEqual(await subscription.ready, { epoch: 'e', offset: 5, recovered: true });
    session.cut();
    session.send('primus::room:prices@6::3');
    await heard.next();
    assert.deepEqual(heard.calls, [[1, undefined, 'prices'], [2, 'tick', 'prices'], [3, undefined, 'prices']]);
    server.restart();
    await server.arrival();
    const second = await command(server.last, 'primus.subscribe');
    assert.deepEqual(second.args, { room: 'prices', since: { epoch: 'e', offset: 6 } });
    server.last.send('primus::room:prices@7::4');
    second.reply({ epoch: 'e', offset: 7, recovered: true });
    await heard.next();
    assert.deepEqual(heard.calls[3], [4, undefined, 'prices']);
    server.restart();
    await server.arrival();
    const third = await command(server.last, 'primus.subscribe');
    assert.deepEqual(third.args, { room: 'prices', since: { epoch: 'e', offset: 7 } });
    third.reply({ epoch: 'f', offset: 1, recovered: false });
    assert.deepEqual(await next(primus, 'missed'), ['prices']);
    assert.equal(events.args.data, undefined);
    assert.equal(events.args.error, undefined);
  });

  test(`${name}: a channel, and in a new session again`, async (t) => {
    const { server, primus, session } = await connected(t, { transports });
    let asked = 0;
    const channel = primus.channel('/admin', { auth: async () => ++asked });
    assert.equal(channel.name, '/admin');
    assert.equal(primus.channel('/admin'), channel);
    channel.write('early');
    primus.write('beside');
    // What is for the channel waits for it, what is not does not.
    assert.equal(await session.frame(), '"beside"');
    const open = await command(session, 'primus.open');
    assert.deepEqual(open.args, { channel: '/admin', auth: 1 });
    open.reply({ id: 'spark' });
    await next(channel, 'open');
    assert.equal(channel.id, 'spark');
    assert.equal(await session.frame(), 'primus::channel:%2Fadmin::"early"');

    session.send('primus::channel:%2Fadmin::1');
    assert.deepEqual(await next(channel, 'data'), [1, '1']);
    session.send('primus::channel:%2Fadmin::primus::event:tick::2');
    assert.deepEqual(await next(channel, 'tick'), [2]);
    channel.emit('e', 3);
    assert.equal(await session.frame(), 'primus::channel:%2Fadmin::primus::event:e::3');
    const reply = channel.request('r', 4);
    assert.equal(await session.frame(), 'primus::channel:%2Fadmin::primus::request:2:r::4');
    session.send('primus::reply:2::5');
    assert.equal(await reply, 5);
    channel.on('ask', (args) => args + 1);
    session.send('primus::channel:%2Fadmin::primus::request:9:ask::6');
    assert.equal(await session.frame(), 'primus::reply:9::7');
    const heard = listener();
    channel.subscribe('room', heard);
    (await command(session, 'primus.subscribe', '%2Fadmin')).reply({});
    session.send('primus::channel:%2Fadmin::primus::room:room::primus::event:tick::8');
    await heard.next();
    assert.deepEqual(heard.calls, [[8, 'tick', 'room']]);

    // A resume keeps it.
    session.cut();
    channel.write('kept');
    assert.equal(await session.frame(), 'primus::channel:%2Fadmin::"kept"');

    const pending = channel.request('pending');
    await session.frame();
    server.restart();
    await next(primus, 'close');
    channel.write('later');
    assert.equal((await failure(pending)).name, 'ClosedError');
    if (primus.state !== 'open') await next(primus, 'open');
    const again = await command(server.last, 'primus.open');
    assert.deepEqual(again.args, { channel: '/admin', auth: 2 });
    // In the new session nothing of the channel is heard before the answer.
    server.last.send('primus::channel:%2Fadmin::"too early"');
    again.reply({ id: 'second' });
    const opened = next(channel, 'open');
    channel.once('data', (value) => assert.equal(value, 'now'));
    server.last.send('primus::channel:%2Fadmin::"now"');
    await opened;
    assert.equal(channel.id, 'second');
    const rest = [await server.last.frame(), await server.last.frame()];
    assert.ok(rest.includes('primus::channel:%2Fadmin::"later"'));
    assert.ok(rest.some((frame) => /^primus::channel:%2Fadmin::primus::request:\d+:primus.subscribe::/.test(frame)));
  });
}

test('subscriptions of one room share one on the server', async (t) => {
  const { primus, session } = await connected(t);
  const [a, b] = [listener(), listener()];
  const one = primus.subscribe('room', a);
  const two = primus.subscribe('room', b);
  const three = primus.subscribe('room', a);
  assert.equal(one.room, 'room');
  (await command(session, 'primus.subscribe')).reply({});
  assert.deepEqual([await one.ready, await two.ready, await three.ready], [{}, {}, {}]);
  session.send('primus::room:room::1');
  await b.next();
  assert.deepEqual([a.calls, b.calls], [[[1, undefined, 'room']], [[1, undefined, 'room']]]);
  one.unsubscribe();
  one.unsubscribe();
  two.unsubscribe();
  session.send('primus::room:room::2');
  await a.next();
  assert.deepEqual([a.calls.length, b.calls.length], [2, 1]);
  three.unsubscribe();
  assert.deepEqual((await command(session, 'primus.unsubscribe')).args, { room: 'room' });
  session.send('primus::room:room::3');
  assert.deepEqual(await next(primus, 'data'), [3, '3']);
  // And anew, after that.
  primus.subscribe('room', a);
  (await command(session, 'primus.subscribe')).reply({});
});

test('a message to several rooms reaches each listener once, and nobody else', async (t) => {
  const { primus, session, events } = await connected(t);
  const [a, b] = [listener(), listener()];
  primus.subscribe('a', a);
  primus.subscribe('b', a);
  primus.subscribe('b', b);
  (await command(session, 'primus.subscribe')).reply({});
  (await command(session, 'primus.subscribe')).reply({});
  primus.on('tick', () => assert.fail('not subscribed'));
  session.send('primus::room:c,b,a::primus::event:tick::1');
  await b.next();
  assert.deepEqual([a.calls, b.calls], [[[1, 'tick', 'b']], [[1, 'tick', 'b']]]);
  session.send('primus::room:c@1::primus::event:tock::1');
  assert.deepEqual(await next(primus, 'tock'), [1]);
  assert.equal(events.args.data, undefined);
  assert.ok(primus);
});

test('a subscription that is refused, at first and later', async (t) => {
  const { server, primus, session, events } = await connected(t);
  const first = primus.subscribe('a', () => {});
  (await command(session, 'primus.subscribe')).refuse({ status: 403, error: 'not you' });
  const error = await failure(first.ready);
  assert.deepEqual([error.name, error.status, error.data], ['RefusedError', 403, 'not you']);
  assert.equal(events.args.error, undefined);
  first.unsubscribe();
  const second = primus.subscribe('a', () => {});
  (await command(session, 'primus.subscribe')).reply({});
  await second.ready;
  server.restart();
  await server.arrival();
  (await command(server.last, 'primus.subscribe')).refuse({ status: 403, error: 'not any more' });
  const [refusal] = await next(primus, 'error');
  assert.deepEqual([refusal.name, refusal.status, refusal.data], ['RefusedError', 403, 'not any more']);
  server.restart();
  await next(primus, 'open');
  // It is gone.
  primus.write('next');
  assert.equal(await server.last.frame(), '"next"');
});

test('subscriptions while there is no connection', async (t) => {
  const { server, primus, session } = await connected(t);
  session.accept = () => {};
  const sent = primus.subscribe('sent', () => {});
  primus.request('x').catch(() => {});
  server.restart();
  await next(primus, 'close');
  const queued = primus.subscribe('queued', () => {});
  const both = [];
  await next(primus, 'open');
  for (let n = 0; n < 2; n++) {
    const one = await command(server.last, 'primus.subscribe');
    both.push(one.args.room);
    one.reply({});
  }
  assert.deepEqual(both.sort(), ['queued', 'sent']);
  assert.deepEqual([await sent.ready, await queued.ready], [{}, {}]);
  primus.end();
  const late = primus.subscribe('late', () => {});
  assert.equal((await failure(late.ready)).name, 'ClosedError');
});

test('the end is the end of subscriptions and channels', async (t) => {
  const { server, primus, session } = await connected(t);
  const one = primus.subscribe('one', () => assert.fail('ended'));
  const asked = await command(session, 'primus.subscribe');
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  const inside = channel.request('r');
  const ended = next(channel, 'end');
  primus.end();
  assert.equal((await ended)[0].code, 1000);
  assert.equal((await failure(one.ready)).name, 'ClosedError');
  assert.equal((await failure(inside)).name, 'ClosedError');
  assert.ok(asked);
  assert.deepEqual([channel.write(1), channel.emit('e')], [false, false]);
  primus.open();
  await next(primus, 'open');
  server.last.send('primus::room:one::1');
  assert.deepEqual(await next(primus, 'data'), [1, '1']);
  assert.notEqual(primus.channel('c'), channel);
  assert.equal((await command(server.last, 'primus.open')).args.channel, 'c');
});

test('a channel that is refused touches nothing else', async (t) => {
  const { primus, session, events } = await connected(t);
  const channel = primus.channel('c', { auth: { token: 1 } });
  channel.write('never');
  const request = channel.request('never');
  const subscription = channel.subscribe('never', () => {});
  const open = await command(session, 'primus.open');
  assert.deepEqual(open.args, { channel: 'c', auth: { token: 1 } });
  open.refuse({ status: 403, error: { why: 'not you' } });
  const [error] = await next(channel, 'error');
  assert.deepEqual([error.name, error.status, error.data, error.message], ['RefusedError', 403, { why: 'not you' }, '{"why":"not you"}']);
  assert.equal((await failure(request)).name, 'ClosedError');
  assert.equal((await failure(subscription.ready)).name, 'ClosedError');
  assert.equal(channel.write(1), false);
  assert.deepEqual(primus.buffer, []);
  const other = primus.channel('c');
  assert.notEqual(other, channel);
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(other, 'open');
  assert.equal(events.args.error, undefined);
});

test('an auth that fails ends the channel', async (t) => {
  const { primus } = await connected(t);
  const mine = new Error('mine');
  const [error] = await next(primus.channel('c', { auth: () => { throw mine; } }), 'error');
  assert.equal(error, mine);
  assert.notEqual(primus.channel('c'), undefined);
});

test('a channel that is left', async (t) => {
  const { primus, session } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  const reasons = [];
  channel.on('end', (reason) => reasons.push(reason));
  channel.write('last');
  assert.equal(channel.end(), channel);
  channel.end();
  assert.equal(await session.frame(), 'primus::channel:c::"last"');
  assert.equal(await session.frame(), 'primus::channel:c::primus::event:primus.end::{}');
  assert.deepEqual(reasons, [{ code: 1000, reason: 'normal', reconnect: false }]);
  session.send('primus::channel:c::1');
  session.send('primus::channel:unknown::1');
  session.send('1');
  await next(primus, 'data');
  assert.equal(channel.write(1), false);
});

test('a channel that is left before the answer, and one of the same name after it', async (t) => {
  const { primus, session } = await connected(t);
  const channel = primus.channel('c');
  const open = await command(session, 'primus.open');
  channel.write('never');
  channel.end();
  const other = primus.channel('c');
  assert.notEqual(other, channel);
  assert.equal(primus.channel('c'), other);
  primus.write('beside');
  assert.equal(await session.frame(), '"beside"');
  open.reply({ id: 'one' });
  assert.equal(await session.frame(), 'primus::channel:c::primus::event:primus.end::{}');
  (await command(session, 'primus.open')).reply({ id: 'two' });
  await next(other, 'open');
  assert.deepEqual([channel.id, other.id], [undefined, 'two']);
});

test('a channel that the server ends', async (t) => {
  const { server, primus, session } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  const request = channel.request('r');
  session.send('primus::channel:c::primus::event:primus.end::{"code":4000,"reason":"ended"}');
  assert.deepEqual(await next(channel, 'end'), [{ code: 4000, reason: 'ended', reconnect: false }]);
  assert.equal((await failure(request)).name, 'ClosedError');
  server.restart();
  await next(primus, 'open');
  primus.write('next');
  assert.equal(await server.last.frame(), '"next"');
});

test('reserved names in a channel', async (t) => {
  const { primus, session } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  assert.throws(() => channel.emit('open'), /reserved/);
  session.send('primus::channel:c::primus::event:open::1');
  assert.equal((await next(primus, 'close'))[0].code, 4400);
});

test('channels: errors, any event, transforms, lost messages', async (t) => {
  const { server, primus, session, events } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  const seen = [];
  primus.transform('outgoing', ({ event }) => { seen.push(event); });
  channel.onAny((...args) => seen.push(args)).onAnyOutgoing((...args) => seen.push(args));
  session.send('primus::channel:c::primus::event:e::1');
  await next(channel, 'e');
  session.send('primus::channel:c::{');
  assert.ok((await next(channel, 'error'))[0] instanceof SyntaxError);
  assert.equal(events.args.error, undefined);
  session.accept = () => {};
  channel.emit('f', 2);
  channel.write(3);
  session.send('0');
  await next(primus, 'data');
  server.restart();
  const [lost] = await next(primus, 'lost');
  assert.deepEqual(lost, [{ channel: 'c', event: 'f', data: 2 }, { channel: 'c', data: 3 }]);
  assert.deepEqual(seen, [['e', 1], 'f', ['f', 2], undefined]);
});

test('in one batch: the answer, and the end of its session', async (t) => {
  const { server, primus, session } = await connected(t, { transports: ['polling'] });
  const heard = listener();
  const subscription = primus.subscribe('room', heard);
  const channel = primus.channel('c');
  const subscribe = await command(session, 'primus.subscribe');
  const open = await command(session, 'primus.open');
  const { push } = session.carrier;
  session.carrier.push = () => {};
  subscribe.reply({});
  open.reply({ id: 'x' });
  session.carrier.push = push;
  session.end({ code: 4001, reason: 'reconnect' });
  await subscription.ready;
  const names = [];
  await server.arrival();
  for (let n = 0; n < 2; n++) names.push(/primus\.(subscribe|open)/.exec(await server.last.frame())[1]);
  assert.deepEqual(names.sort(), ['open', 'subscribe']);
  assert.ok(channel.name);
});

test('a channel before there is a connection, and one that was made by a client that has not begun', async (t) => {
  const server = await serve();
  const primus = new Primus(server.url, { WebSocket, reconnect: fast, manual: true });
  t.after(() => primus.destroy());
  t.after(() => server.close());
  const channel = primus.channel('c');
  channel.write(1);
  primus.open();
  await next(primus, 'open');
  (await command(server.last, 'primus.open')).reply({ id: 'x' });
  assert.equal(await server.last.frame(), 'primus::channel:c::1');
});

test('a channel of a client that has ended, and one that is made as it ends', async (t) => {
  const { server, primus, session } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  let other;
  channel.on('end', () => { other = primus.open().channel('c'); });
  primus.end();
  await next(primus, 'open');
  (await command(server.last, 'primus.open')).reply({ id: 'y' });
  await next(other, 'open');
  primus.end();
  const [error] = await next(primus.channel('d'), 'error');
  assert.equal(error.name, 'ClosedError');
});

test('the end of a session in the middle of a batch of writes', async (t) => {
  const { server, primus, session } = await connected(t);
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  session.end({ code: 4001, reason: 'reconnect' });
  await next(primus, 'close');
  // There is no session now: what is for the channel waits until the next one has let it in.
  channel.write('one');
  const request = channel.request('two');
  const subscription = channel.subscribe('room', () => {});
  primus.write('beside');
  await next(primus, 'open');
  assert.equal(await server.last.frame(), '"beside"');
  (await command(server.last, 'primus.open')).reply({ id: 'y' });
  assert.equal(await server.last.frame(), 'primus::channel:c::"one"');
  const frame = await server.last.frame();
  server.last.send(`primus::reply:${/request:(\d+):two/.exec(frame)[1]}::2`);
  assert.equal(await request, 2);
  (await command(server.last, 'primus.subscribe', 'c')).reply({});
  assert.deepEqual(await subscription.ready, {});
});

test('an event that the server could not handle is an error where it was sent', async (t) => {
  const { primus, session, events } = await connected(t, { transports: ['websocket'] });
  const channel = primus.channel('c');
  (await command(session, 'primus.open')).reply({ id: 'x' });
  await next(channel, 'open');
  const bad = { event: 'chat', status: 400, error: 'the arguments of chat do not fit: user.age: missing' };
  const tell = (head, body) => session.send(`primus::${head}event:primus.error::${body}`);
  tell('', JSON.stringify(bad));
  const [error] = await next(primus, 'error');
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.message, error.reason], ['EventError', bad.error, bad.error]);
  assert.deepEqual([error.event, error.status, error.data], ['chat', 400, bad.error]);
  tell('channel:c::primus::', JSON.stringify({ ...bad, error: { age: 1 } }));
  const [other] = await next(channel, 'error');
  assert.deepEqual([other.name, other.message, other.event, other.data], ['EventError', '{"age":1}', 'chat', { age: 1 }]);
  assert.equal(events.args.error.length, 1);
  assert.equal(primus.readyState, Primus.OPEN);
});

for (const frame of ['primus::event:primus.error::{', 'primus::event:primus.errors::{}', 'primus::event:primus.end::{}', 'primus::event:error::{}'])
  test(`a protocol error: ${frame}`, async (t) => {
    const { primus, session } = await connected(t, { transports: ['websocket'] });
    session.send(frame);
    assert.equal((await next(primus, 'close'))[0].code, 4400);
  });
