// curl alone is a client: streams, polls and posts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CurlStream, curl } from '../lib/curl.mjs';
import { serve } from '../lib/server.mjs';

const TOKEN = /^[A-Za-z0-9_-]{22}$/;

/** The token and the number in an event's `id:` line. */
function identity(event) {
  const [token, number] = event.id.split('.');
  assert.match(token, TOKEN);
  return { token, number: Number(number) };
}

/** A stream that has seen a broadcast, and so knows its token. */
async function stream(t, server) {
  const events = new CurlStream(t, `${server.url}/primus/sse`);
  assert.equal((await events.head()).status, 200);
  await curl('-d', '"begin"', `${server.url}/primus`);
  const event = await events.event();
  assert.equal(event.data, '"begin"');
  return { events, ...identity(event) };
}

test('curl -N shows a broadcast as text', async (t) => {
  const server = await serve(t, 'echo');
  const { events, token, number } = await stream(t, server);
  await curl('-d', '"bravo to everyone"', `${server.url}/primus`);
  const event = await events.event();
  assert.equal(event.data, '"bravo to everyone"');
  assert.equal(identity(event).token, token);
  assert.equal(identity(event).number, number + 1);
});

test('curl -N gets an event stream, by path or by what it accepts', async (t) => {
  const server = await serve(t, 'echo');
  const streams = [
    new CurlStream(t, `${server.url}/primus/sse`),
    new CurlStream(t, '-H', 'Accept: text/event-stream', `${server.url}/primus`),
  ];
  for (const stream of streams) {
    const { status, headers } = await stream.head();
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/event-stream/);
    assert.match(headers['cache-control'], /no-(cache|store)/);
  }
});

test('curl -d with the token of a stream speaks for it', async (t) => {
  const server = await serve(t, 'echo');
  const { events, token } = await stream(t, server);
  const answer = await curl('-d', '{"hello":"stream"}', `${server.url}/primus/sse?token=${token}`);
  assert.equal(answer.status, 204);
  assert.equal(answer.body, '');
  const event = await events.event();
  assert.equal(event.data, '{"hello":"stream"}');
  assert.equal(identity(event).token, token);
});

test('curl -d with a token in the header speaks for a stream', async (t) => {
  const server = await serve(t, 'echo');
  const { events, token } = await stream(t, server);
  const answer = await curl('-d', '{"by":"header"}', '-H', `Primus-Token: ${token}`, `${server.url}/primus/sse`);
  assert.equal(answer.status, 204);
  assert.equal((await events.event()).data, '{"by":"header"}');
});

test('curl -d alone is a whole conversation', async (t) => {
  const server = await serve(t, 'echo');
  for (const path of ['/primus', '/primus/sse', '/primus/poll']) {
    const answer = await curl('-d', '{"hello":"world"}', server.url + path);
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers['content-type'], /^text\/plain/);
    assert.equal(answer.body.trimEnd(), '{"hello":"world"}');
  }
});

test('curl -d to the raw endpoint gets its text back', async (t) => {
  const server = await serve(t, 'echo');
  const answer = await curl('-d', 'hello, wire', `${server.url}/ws`);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.trimEnd(), 'hello, wire');
});

test('curl polls and posts', async (t) => {
  const server = await serve(t, 'echo');
  const first = await curl(`${server.url}/primus/poll`);
  const token = first.headers['primus-token'];
  assert.match(token, TOKEN);
  assert.ok([200, 204].includes(first.status), `${first.status}`);
  assert.equal(first.body, '');

  // A poll that is held, and a post that gives it its answer.
  const poll = curl(`${server.url}/primus/poll?token=${token}`);
  const post = await curl('-d', '{"hello":"poll"}', `${server.url}/primus/poll?token=${token}`);
  assert.equal(post.status, 204);
  const answer = await poll;
  assert.equal(answer.status, 200);
  assert.equal(answer.body.trimEnd(), '{"hello":"poll"}');
});

test('curl polls with the token in a header', async (t) => {
  const server = await serve(t, 'echo');
  const token = (await curl(`${server.url}/primus/poll`)).headers['primus-token'];
  const header = ['-H', `Primus-Token: ${token}`];
  assert.equal((await curl(...header, '-d', '[1]', `${server.url}/primus/poll`)).status, 204);
  assert.equal((await curl(...header, `${server.url}/primus/poll`)).body.trimEnd(), '[1]');
});

test('each line of a curl post in ndjson is a message', async (t) => {
  const server = await serve(t, 'echo');
  const url = `${server.url}/primus/poll?token=${(await curl(`${server.url}/primus/poll`)).headers['primus-token']}`;
  const post = await curl('-H', 'Content-Type: application/x-ndjson', '--data-binary', '1\n{"two":2}\n"three"\n', url);
  assert.equal(post.status, 204);
  const lines = [];
  // The handler writes one by one; a poll may come between.
  while (lines.length < 3) lines.push(...(await curl(url)).body.split('\n').filter(Boolean));
  assert.deepEqual(lines, ['1', '{"two":2}', '"three"']);
});

test('curl with an unknown token gets 404 and a reason', async (t) => {
  const server = await serve(t, 'echo');
  const unknown = 'AAAAAAAAAAAAAAAAAAAAAA';
  const answers = [
    await curl(`${server.url}/primus/poll?token=${unknown}`),
    await curl('-d', '1', `${server.url}/primus/poll?token=${unknown}`),
    await curl('-d', '1', `${server.url}/primus/sse?token=${unknown}`),
  ];
  for (const { status, headers, body } of answers) {
    assert.equal(status, 404);
    assert.match(headers['content-type'], /^application\/json/);
    assert.equal(typeof JSON.parse(body).error, 'string');
  }
});

test('a second poll is refused and leaves the first alone', async (t) => {
  const server = await serve(t, 'echo');
  const url = `${server.url}/primus/poll?token=${(await curl(`${server.url}/primus/poll`)).headers['primus-token']}`;
  // Two at once: whichever comes second is the one that is refused.
  const polls = [curl(url), curl(url)];
  const refused = await Promise.race(polls);
  assert.equal(refused.status, 409);
  assert.equal((await curl('-d', '"kept"', url)).status, 204);
  const answers = await Promise.all(polls);
  const kept = answers.find((answer) => answer !== refused);
  assert.equal(kept.status, 200);
  assert.equal(kept.body.trimEnd(), '"kept"');
});
