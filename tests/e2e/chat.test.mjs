// The chat, as two people see it: each in a Chromium window of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { proxy } from '../lib/proxy.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();
const TRANSPORTS = ['websocket', 'sse', 'polling'];
const PHONE = { width: 375, height: 667 };

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

  /** The bubbles whose text begins with `words`, in the order in which they stand. */
  async lines(words) {
    const all = await this.page.locator('#log .bubble').allTextContents();
    return all.filter((text) => text.startsWith(words));
  }

  /** Opens or closes the connection lab: while it is open, numbered messages flow. */
  lab() {
    return this.page.click('#lab summary');
  }

  /** Hurts the connection, by a button of the lab. */
  press(button) {
    return this.page.click(`#${button}`);
  }

  /** Waits until the lab says that it is connected again, and how. */
  back(how = 'the same session goes on\\.', timeout) {
    return this.shows('#news', `Back over \\w+ after \\d+\\.\\d s: ${how}`, timeout);
  }

  /** Waits until as many numbered messages have come back as are wanted. */
  received(count) {
    return this.page.waitForFunction((count) => lab.received >= count, count);
  }

  /** Ends the flow of numbered messages, and returns what the page shows once all of them have come back or are known to be lost. */
  async settled() {
    await this.lab();
    await this.page.waitForFunction(() => lab.n === lab.sent);
    return this.page.evaluate(() => {
      const shown = ['sent', 'received', 'lost', 'duplicate'].map((name) => [name, Number(document.getElementById(name).textContent)]);
      // As what number of its session the server heard the last one.
      return { ...Object.fromEntries(shown), heard: lab.heard };
    });
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

/** Everything that was sent was received, once, and one handler has heard it all. */
function whole({ sent, ...rest }, presses) {
  assert.deepEqual(rest, { received: sent, lost: 0, duplicate: 0, heard: sent });
  // At least the message that each button sends while it does its work.
  assert.ok(sent > presses, `${sent} messages`);
}

const numbered = (words, count) => Array.from({ length: count }, (_, n) => `${words} ${n}`);

for (const transport of TRANSPORTS) {
  test(`cut and switched in the middle of everything, nothing is lost and nothing comes twice, from ${transport} on`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport, allow: NETWORK_ERRORS });
    const bob = await Person.join(t, server.url, 'Bob', { viewport: PHONE });
    const id = await ada.page.evaluate(() => primus.id());
    await ada.lab();
    await ada.received(3);
    const presses = ['cut', 'cut', 'switch', 'cut', 'switch', 'cut', 'switch', 'switch', 'cut', 'cut'];
    for (const [n, button] of presses.entries()) {
      const before = await ada.page.textContent('#current');
      await ada.press(button);
      // Said into a dead wire, both ways.
      await ada.say(`from Ada ${n}`);
      await bob.say(`from Bob ${n}`);
      await ada.back();
      const next = TRANSPORTS[(TRANSPORTS.indexOf(before) + 1) % 3];
      await ada.uses(button === 'switch' ? next : before);
    }
    await ada.received(presses.length + 3);
    whole(await ada.settled(), presses.length);
    assert.equal(await ada.page.evaluate(() => primus.id()), id);

    await Promise.all([bob.hears(`from Ada ${presses.length - 1}`), ada.hears(`from Bob ${presses.length - 1}`)]);
    for (const person of [ada, bob]) {
      assert.deepEqual(await person.lines('from Ada'), numbered('from Ada', presses.length));
      assert.deepEqual(await person.lines('from Bob'), numbered('from Bob', presses.length));
    }
    assert.equal(await ada.page.locator('#log .pending').count(), 0);
    // Nobody need know.
    assert.equal(await bob.page.locator('#log li.notice').filter({ hasText: 'Ada' }).count(), 0);
  });

  test(`without replay the counters show what is lost over ${transport}, and the chat says it again`, async (t) => {
    const server = await serve(t, 'chat', await config(t, 'resume_window = "0"\n'));
    const ada = await Person.join(t, server.url, 'Ada', { transport, allow: NETWORK_ERRORS });
    const bob = await Person.join(t, server.url, 'Bob');
    await ada.lab();
    await ada.received(3);
    for (const n of [0, 1, 2]) {
      await ada.press('cut');
      await ada.say(`from Ada ${n}`);
      await ada.back('a new session, the old one is gone \\(\\w+\\)\\.');
      await bob.hears(`from Ada ${n}`);
    }
    const { sent, received, lost, duplicate } = await ada.settled();
    assert.ok(lost > 0, 'some are lost');
    assert.equal(received + lost, sent);
    assert.equal(duplicate, 0);
    await ada.shows('#verdict', `${lost} lost, 0 duplicate`);
    await bob.say('that was all');
    await ada.hears('that was all');
    for (const person of [ada, bob]) assert.deepEqual(await person.lines('from Ada'), numbered('from Ada', 3));
    assert.equal(await ada.page.locator('#log .pending').count(), 0);
  });
}

test('frozen for ten seconds, again and again, nothing is lost and nothing comes twice over any transport', async (t) => {
  const server = await serve(t, 'chat');
  const windows = await Promise.all(
    TRANSPORTS.map((transport, n) =>
      Person.join(t, server.url, `Eve ${n}`, { transport, allow: NETWORK_ERRORS, viewport: n ? undefined : PHONE }),
    ),
  );
  const bob = await Person.join(t, server.url, 'Bob');
  await Promise.all(
    windows.map(async (eve, n) => {
      await eve.lab();
      await eve.received(3);
      for (const round of [0, 1]) {
        await eve.press('freeze');
        await eve.say(`from Eve ${n} ${round}`);
        await eve.shows('#news', 'Frozen: nothing passes for 8 s');
        // Nobody has noticed yet.
        await eve.uses(TRANSPORTS[n]);
        assert.equal(await bob.count(`from Eve ${n} ${round}`), 0);
        await eve.back(undefined, 15_000);
        await bob.hears(`from Eve ${n} ${round}`);
      }
      await eve.received(80);
    }),
  );
  for (const [n, eve] of windows.entries()) {
    whole(await eve.settled(), 80);
    assert.deepEqual(await bob.lines(`from Eve ${n}`), numbered(`from Eve ${n}`, 2));
  }
});

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
  const id = await ada.page.evaluate(() => primus.id());
  for (const transport of ['polling', 'sse', 'websocket']) {
    await ada.choose(transport);
    await ada.uses(transport);
    await ada.connected();
    await talk(ada, bob, transport);
  }
  assert.equal(await ada.page.evaluate(() => primus.id()), id);
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

test('somebody whose connection broke is here for another five seconds, and is announced when he is back', async (t) => {
  const server = await serve(t, 'chat');
  const line = await proxy(t, server);
  const ada = await Person.join(t, server.url, 'Ada');
  const bob = await Person.join(t, line.url, 'Bob', { allow: NETWORK_ERRORS });
  await ada.notices('Bob joined');
  const began = performance.now();
  await line.down();
  await bob.shows('#state', 'resuming');
  await ada.say('are you there?');
  await ada.notices('Bob left');
  assert.ok(performance.now() - began > 4900, 'not at once');
  await ada.shows('#online', '1');
  await line.up();
  // As a browser tells it. By now the client waits for long between two attempts.
  await bob.page.evaluate(() => dispatchEvent(new Event('online')));
  await bob.connected();
  await ada.page.locator('#log li.notice').filter({ hasText: 'Bob joined' }).nth(1).waitFor();
  await ada.shows('#online', '2');
  await bob.hears('are you there?');
  // It is the same session: nobody was welcomed.
  assert.equal(await bob.page.locator('#log li.notice').filter({ hasText: 'You are back' }).count(), 0);
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
  const ada = await Person.join(t, server.url, 'Ada', { viewport: PHONE });
  await ada.lab();
  await ada.received(1);
  await ada.say('a long word: ' + 'Donaudampfschifffahrtsgesellschaft'.repeat(4));
  const { width, scroll } = await ada.page.evaluate(() => ({
    width: innerWidth,
    scroll: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth),
  }));
  assert.ok(scroll <= width, `${scroll} px wide on a screen of ${width}`);
  for (const selector of ['#text', '#send', '#online', '#transport', '#cut', '#freeze', '#switch', '#sent', '#duplicate', '#news']) {
    const box = await ada.page.locator(selector).boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= width && box.y + box.height <= 667, `${selector} is on the screen`);
  }
});
