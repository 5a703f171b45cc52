// The chat, as two people see it: each in a Chromium window of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { proxy } from '../lib/proxy.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();
const TRANSPORTS = ['websocket', 'sse', 'polling'];

/** Someone in the chat. */
class Person {
  constructor(page) {
    this.page = page;
  }

  /** Opens the page in a window of its own and joins as `nick`. */
  static async join(t, url, nick, { transport = 'auto', ...options } = {}) {
    const person = new Person(await open(t, url, options));
    if (transport !== 'auto') await person.choose(transport);
    await person.page.fill('#nick', nick);
    await person.page.click('#join');
    await person.connected();
    return person;
  }

  choose(transport) {
    return this.page.selectOption('#transport', transport);
  }

  /** Waits until the text of an element is as wanted. */
  async shows(selector, wanted, timeout = 10_000) {
    await this.page.locator(selector).filter({ hasText: new RegExp(`^\\s*${wanted}\\s*$`) }).waitFor({ timeout, state: 'attached' });
  }

  connected(timeout) {
    return this.shows('#state', 'open', timeout);
  }

  uses(transport, timeout) {
    return this.shows('#current', transport, timeout);
  }

  async say(text) {
    await this.page.fill('#text', text);
    await this.page.click('#send');
    await this.page.locator('#log li.mine').filter({ hasText: text }).waitFor();
  }

  hears(text, timeout = 10_000) {
    return this.page.locator('#log li.message:not(.mine)').filter({ hasText: text }).waitFor({ timeout });
  }

  notices(text) {
    return this.page.locator('#log li.notice').filter({ hasText: text }).first().waitFor();
  }

  count(text) {
    return this.page.locator('#log li').filter({ hasText: text }).count();
  }
}

async function talk(ada, bob, words = 'talk') {
  await ada.say(`${words}: hello Bob`);
  await bob.hears(`${words}: hello Bob`);
  await bob.say(`${words}: hello Ada`);
  await ada.hears(`${words}: hello Ada`);
}

for (const transport of TRANSPORTS) {
  test(`two windows see each other's messages over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport });
    const bob = await Person.join(t, server.url, 'Bob', { transport });
    await Promise.all([ada.uses(transport), bob.uses(transport)]);
    await talk(ada, bob);
  });

  test(`with transformer = "${transport}" in primus.toml the same chat works`, async (t) => {
    const server = await serve(t, 'chat', await config(t, `transformer = "${transport}"\n`));
    const ada = await Person.join(t, server.url, 'Ada');
    const bob = await Person.join(t, server.url, 'Bob');
    await Promise.all([ada.uses(transport), bob.uses(transport)]);
    await talk(ada, bob);
  });

  test(`after a restart of the server both are back over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const windows = { transport, allow: NETWORK_ERRORS };
    const ada = await Person.join(t, server.url, 'Ada', windows);
    const bob = await Person.join(t, server.url, 'Bob', windows);
    await talk(ada, bob, 'before');
    const away = [ada, bob].map((person) => person.shows('#state', '(?!open).+'));
    await server.kill();
    await Promise.all(away);
    await serve(t, 'chat', [], { listen: server.host });
    await Promise.all([ada.connected(20_000), bob.connected(20_000)]);
    await talk(ada, bob, 'after');
  });
}

for (const blocked of ['refuse', 'hang']) {
  test(`behind a proxy whose WebSockets ${blocked} the chat falls back within a second`, async (t) => {
    const server = await serve(t, 'chat');
    const wall = await proxy(t, server, blocked);
    const windows = { allow: NETWORK_ERRORS };
    const ada = await Person.join(t, wall.url, 'Ada', windows);
    assert.notEqual((await ada.page.textContent('#current')).trim(), 'websocket');
    // Seen from the proxy, so that the test's own round trips are not in it.
    const tried = wall.requests.find((request) => request.upgrade);
    const attached = wall.requests.find(({ method, path }) => method === 'POST' && /\/(sse|poll)\?/.test(path));
    assert.ok(attached.time - tried.time < 1000, `${Math.round(attached.time - tried.time)} ms`);

    const bob = await Person.join(t, wall.url, 'Bob', windows);
    await talk(ada, bob);
  });
}

test('windows on different transports are in the same chat', async (t) => {
  const server = await serve(t, 'chat');
  const [ada, bob, eve] = await Promise.all(
    TRANSPORTS.map((transport, n) => Person.join(t, server.url, ['Ada', 'Bob', 'Eve'][n], { transport })),
  );
  for (const speaker of [ada, bob, eve]) {
    const words = `to all from ${[ada, bob, eve].indexOf(speaker)}`;
    await speaker.say(words);
    await Promise.all([ada, bob, eve].filter((other) => other !== speaker).map((other) => other.hears(words)));
  }
});

test('switching the transport keeps the chat going', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const bob = await Person.join(t, server.url, 'Bob');
  for (const transport of ['polling', 'sse', 'websocket']) {
    await ada.choose(transport);
    await ada.uses(transport);
    await ada.connected();
    await talk(ada, bob, transport);
  }
});

test('connections that are cut come back', async (t) => {
  const server = await serve(t, 'chat');
  const line = await proxy(t, server);
  const windows = { allow: NETWORK_ERRORS };
  const ada = await Person.join(t, line.url, 'Ada', windows);
  const bob = await Person.join(t, line.url, 'Bob', windows);
  await line.down();
  await ada.shows('#state', '(?!open).+');
  await line.up();
  await Promise.all([ada.connected(20_000), bob.connected(20_000)]);
  await talk(ada, bob);
});

test('people are announced and counted', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  await ada.shows('#online', '\\D*1\\D*');
  const bob = await Person.join(t, server.url, 'Bob');
  await ada.notices('Bob');
  await ada.shows('#online', '\\D*2\\D*');
  await bob.shows('#online', '\\D*2\\D*');
  const notices = await ada.page.locator('#log li.notice').filter({ hasText: 'Bob' }).count();
  await bob.page.close();
  await ada.page.locator('#log li.notice').filter({ hasText: 'Bob' }).nth(notices).waitFor();
  await ada.shows('#online', '\\D*1\\D*');
});

test('whoever joins sees the last fifty messages', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  for (let n = 1; n <= 52; n += 1) await ada.say(`message #${String(n).padStart(3, '0')}`);
  const bob = await Person.join(t, server.url, 'Bob');
  await bob.hears('message #052');
  await bob.hears('message #003');
  assert.equal(await bob.count('message #002'), 0);
  assert.equal(await bob.count('message #'), 50);
});

test('what people write is shown as text', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const bob = await Person.join(t, server.url, '<b>Bob</b>');
  const text = '<img src=x onerror="document.title=1"> & <script>document.title=2</script>';
  await bob.say(text);
  await ada.hears(text);
  assert.equal(await ada.page.locator('#log img, #log script, #log b').filter({ hasText: 'Bob</b>' }).count(), 0);
  assert.equal(await ada.page.locator('#log img').count(), 0);
});

test('the chat fits a phone', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada', { viewport: { width: 375, height: 667 } });
  await ada.say('a long word: ' + 'Donaudampfschifffahrtsgesellschaft'.repeat(4));
  const { width, scroll } = await ada.page.evaluate(() => ({
    width: innerWidth,
    scroll: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth),
  }));
  assert.ok(scroll <= width, `${scroll} px wide on a screen of ${width}`);
  for (const selector of ['#text', '#send', '#online', '#transport']) {
    const box = await ada.page.locator(selector).boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= width && box.y + box.height <= 667, `${selector} is on the screen`);
  }
});
