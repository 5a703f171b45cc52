// The scripts that npm's `primus` 8 generates for browsers, one for each of its transformers, in Chromium.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { config, serve } from '../lib/server.mjs';
import { scriptFor } from '../lib/stock.mjs';
import { until } from '../lib/within.mjs';

const open = browser();
const VALUES = [{ a: [1, null, { b: true }] }, 0, '', false, 'Grüße, 世界 🦀', 'line\u2028and\u2029', '"\\/\b\n\t\0%25 &a=b +</script>', 'ä'.repeat(100_000)];

/** In the page: what a client gets back, and how it comes back and ends. */
async function talk(values) {
  const primus = new window.Primus();
  const events = [];
  for (const name of ['reconnected', 'end', 'close']) primus.on(name, () => events.push(name));
  const once = (name) => new Promise((resolve) => primus.once(name, resolve));
  const exchange = (value) => {
    const answer = once('data');
    primus.write(value);
    return answer;
  };
  await once('open');
  const got = [];
  for (const value of values) got.push(await exchange(value));
  const id = await new Promise((resolve) => primus.id(resolve));
  const spark = await exchange({ cmd: 'id' });
  const back = once('reconnected');
  primus.write({ cmd: 'reconnect' });
  await back;
  const again = await exchange('again');
  const ended = once('end');
  const bye = await exchange({ cmd: 'endWith', message: 'bye' });
  await ended;
  return { got, ids: [id, spark.id], again, bye, events };
}

for (const transformer of ['websockets', 'engine.io', 'sockjs', 'browserchannel', 'faye']) {
  test(`the stock client for ${transformer} in Chromium gets its values back, comes back, and ends`, async (t) => {
    const ours = transformer === 'websockets' ? 'websocket' : transformer;
    const server = await serve(t, 'fixture', await config(t, `transformers = ["${ours}"]\n`));
    // That of browserchannel learns by a refusal that it is to come back, and then looks whether there is a network.
    const allow = transformer === 'browserchannel' ? NETWORK_ERRORS : [];
    const page = await open(t, `${server.url}/primus/spec`, { allow });
    await page.addScriptTag({ content: scriptFor(transformer) });
    const { ids, ...said } = await page.evaluate(talk, VALUES);
    const events = ['close', 'reconnected', 'close', 'end'];
    assert.deepEqual(said, { got: VALUES, again: 'again', bye: 'bye', events });
    assert.match(ids[0], /^[A-Za-z0-9_-]{22}$/);
    assert.equal(ids[1], ids[0]);
    const stats = () => fetch(`${server.url}/stats`).then((it) => it.json());
    const { opened } = await until('the disconnections', stats, ({ disconnections }) => disconnections === 2);
    assert.equal(opened, 2);
  });
}
