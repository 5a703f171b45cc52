// Events, requests, subscriptions, channels and parsers in Chromium, over each transport.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();
const TRANSPORTS = ['websocket', 'sse', 'polling'];

/** A page with a client, `primus`, over one transport. */
async function connect(t, server, transport) {
  const page = await open(t, server.url, { allow: NETWORK_ERRORS });
  await page.evaluate(async (transport) => {
    window.primus = new Primus({ transports: [transport], reconnect: { min: 10, max: 50 } });
    await primus.ready;
    window.heard = [];
    /** Fulfilled once `count` things have been heard. */
    window.until = (count) =>
      new Promise((resolve) => {
        const look = () => (heard.length >= count ? resolve(heard) : setTimeout(look, 5));
        look();
      });
  }, transport);
  return page;
}

for (const transport of TRANSPORTS) {
  test(`one room is read through primus.js and through EventSource over ${transport}`, async (t) => {
    const server = await serve(t, 'rooms');
    const page = await connect(t, server, transport);
    const heard = await page.evaluate(async () => {
      const stream = [];
      const events = new EventSource('/primus?subscribe=open.prices');
      await new Promise((resolve) => (events.onopen = resolve));
      events.onmessage = ({ data }) => stream.push(['message', JSON.parse(data)]);
      events.addEventListener('tick', ({ data }) => stream.push(['tick', JSON.parse(data)]));
      const done = new Promise((resolve) => events.addEventListener('done', resolve));

      primus.on('data', () => heard.push('data, though it subscribed'));
      primus.on('tick', () => heard.push('tick, though it subscribed'));
      const prices = primus.subscribe('open.prices', (value, event, room) => heard.push([event ?? null, value, room]));
      await prices.ready;
      const members = await primus.request('members', 'open.prices');
      await primus.request('say', { room: 'open.prices', data: 101.5 });
      await primus.request('say', { room: 'open.prices', event: 'tick', data: { p: 1 } });
      await primus.request('say', { room: 'open.prices', event: 'done', data: null });
      await done;
      await until(3);
      prices.unsubscribe();
      events.close();
      return { members, stream, heard };
    });
    assert.deepEqual(heard, {
      members: 2,
      stream: [
        ['message', 101.5],
        ['tick', { p: 1 }],
      ],
      heard: [
        [null, 101.5, 'open.prices'],
        ['tick', { p: 1 }, 'open.prices'],
        ['done', null, 'open.prices'],
      ],
    });
  });

  test(`requests both ways, and refusals, over ${transport}`, async (t) => {
    const server = await serve(t, 'rooms');
    const page = await connect(t, server, transport);
    const said = await page.evaluate(async () => {
      primus.on('double', (n) => n * 2);
      primus.on('later', async (n) => {
        await null;
        return n + 1;
      });
      primus.on('never', () => {
        throw Object.assign(new Error('no'), { status: 451, data: { why: 'law' } });
      });
      const refused = await primus.request('unknown').catch(({ name, status, data }) => ({ name, status, data }));
      const misfit = new Promise((resolve) => primus.once('error', ({ message, event, status }) => resolve({ message, event, status })));
      primus.emit('say', { room: 7 });
      const abort = new AbortController();
      const aborted = primus.request('echo', 1, { signal: abort.signal }).catch(({ name }) => name);
      abort.abort();
      return {
        echo: await primus.request('echo', { a: [1, '☃', null] }),
        double: await primus.request('ask', { name: 'double', args: 21 }),
        later: await primus.request('ask', { name: 'later', args: 1 }),
        never: await primus.request('ask', { name: 'never', args: null }),
        nobody: await primus.request('ask', { name: 'nobody', args: null }),
        refused,
        aborted: await aborted,
        misfit: await misfit,
        reserved: (() => {
          try {
            primus.emit('open', 1);
          } catch (error) {
            return error.message.includes('open');
          }
        })(),
      };
    });
    assert.deepEqual(said, {
      echo: { a: [1, '☃', null] },
      double: { answer: 42 },
      later: { answer: 2 },
      never: { refused: { why: 'law' }, status: 451 },
      nobody: { refused: 'nobody listens for nobody', status: 404 },
      refused: { name: 'RefusedError', status: 404, data: 'nobody listens for unknown' },
      aborted: 'AbortError',
      misfit: {
        message: 'the arguments of say do not fit: room: invalid type: integer `7`, expected a string at line 1 column 9',
        event: 'say',
        status: 400,
      },
      reserved: true,
    });
  });

  test(`subscriptions and channels are there again in a new session over ${transport}`, async (t) => {
    const server = await serve(t, 'rooms');
    const page = await connect(t, server, transport);
    const said = await page.evaluate(async () => {
      const kept = primus.subscribe('open.kept', (value) => heard.push(value), { last: 2 });
      await kept.ready;
      const echo = primus.channel('/echo');
      const opened = [];
      echo.on('open', () => opened.push('open'));
      echo.on('welcome', (name) => opened.push(name));
      echo.on('data', (value) => heard.push(value));
      await new Promise((resolve) => echo.once('welcome', resolve));
      await primus.request('say', { room: 'open.kept', data: 'one' });
      await until(1);
      const again = new Promise((resolve) => primus.once('resumed', (resumed) => resolve(resumed)));
      primus.emit('forget', null);
      const resumed = await again;
      await new Promise((resolve) => (opened.length >= 4 ? resolve() : echo.on('welcome', resolve)));
      await primus.request('say', { room: 'open.kept', data: 'two' });
      echo.write('in the channel');
      const answer = await echo.request('echo', { b: 2 });
      await until(3);
      return { resumed, opened, heard: [...heard].sort(), answer };
    });
    assert.deepEqual(said, {
      resumed: false,
      opened: ['open', '/echo', 'open', '/echo'],
      heard: ['in the channel', 'one', 'two'],
      answer: { b: 2 },
    });
  });

  test(`a refused channel and a refused room touch nothing else over ${transport}`, async (t) => {
    const server = await serve(t, 'rooms');
    const page = await connect(t, server, transport);
    const said = await page.evaluate(async () => {
      const closed = primus.channel('/closed', { auth: { secret: 1 } });
      const refused = await new Promise((resolve) => closed.on('error', ({ status, data }) => resolve({ status, data })));
      const room = await primus.subscribe('secret', () => {}).ready.catch(({ status, data }) => ({ status, data }));
      return { refused, room, echo: await primus.request('echo', 'still here'), state: primus.state };
    });
    assert.deepEqual(said, {
      refused: { status: 403, data: { 'you said': { secret: 1 } } },
      room: { status: 403, data: 'that room is closed' },
      echo: 'still here',
      state: 'open',
    });
  });

  test(`bytes of the json parser, and msgpack from primus.js, over ${transport}`, async (t) => {
    const json = await serve(t, 'rooms');
    const bytes = (page) =>
      page.evaluate(async () => {
        primus.on('data', (data) => heard.push([...new Uint8Array(data)]));
        primus.emit('bytes', null);
        return (await until(1))[0];
      });
    assert.deepEqual(await bytes(await connect(t, json, transport)), [0, 1, 254, 255]);

    const packed = await serve(t, 'rooms', await config(t, 'parser = "msgpack"'));
    const page = await connect(t, packed, transport);
    assert.deepEqual(await bytes(page), [0, 1, 254, 255]);
    const echo = await page.evaluate(() => primus.request('echo', { text: '☃', n: [1, -7, 2.5, null, true], deep: { er: 1e9 } }));
    assert.deepEqual(echo, { text: '☃', n: [1, -7, 2.5, null, true], deep: { er: 1e9 } });
    const room = await page.evaluate(async () => {
      const values = [];
      await primus.subscribe('open.x', (value) => values.push(value)).ready;
      await primus.request('say', { room: 'open.x', event: 'e', data: { a: 1 } });
      return values;
    });
    assert.deepEqual(room, [{ a: 1 }]);
  });
}
