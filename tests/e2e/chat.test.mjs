// The chat, as two people see it: each in a Chromium window of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { CurlStream } from '../lib/curl.mjs';
import { proxy } from '../lib/proxy.mjs';
import { config, serve } from '../lib/server.mjs';

const open = browser();
const TRANSPORTS = ['websocket', 'sse', 'polling'];
const PHONE = { width: 375, height: 667 };
/** The lines of the place that is shown. */
const LOG = '.log:not([hidden])';

/** Someone in the chat. */
class Person {
  constructor(page) {
    this.page = page;
  }

  /** Opens the page in a window of its own and joins as `nick`. */
  static async join(t, url, nick, { transport = 'auto', ...options } = {}) {
    const person = new Person(await open(t, url, options));
    if (transport !== 'auto') await person.choose(transport);
    await person.enter(nick);
    await person.isIn('lobby');
    return person;
  }

  /** Ends the session. A page that is closed may not come to say so, and over polling its silence tells it late. */
  leave() {
    return this.page.evaluate(() => void primus.end());
  }

  async enter(nick) {
    await this.page.fill('#nick', nick);
    await this.page.click('#join');
  }

  /** Waits until this room is shown and its members are known. */
  async isIn(room) {
    await this.connected();
    await this.shows('#place', `# ${room}`);
    await this.page.locator('#members .count').waitFor({ state: 'attached' });
  }

  /** The button of a room, or of a person with an @. */
  door(name) {
    return this.page.locator(`[data-key="${name}"] .door`);
  }

  async goTo(name) {
    await this.door(name).click();
    await this.shows('#place', name.startsWith('@') ? name : `# ${name}`);
  }

  /** Makes a room. */
  async create(name) {
    await this.page.fill('#name', name);
    await this.page.press('#name', 'Enter');
    await this.isIn(name);
  }

  /** Who is shown to be here. */
  members() {
    return this.page.locator('#members .where').allTextContents();
  }

  /** Says something, without waiting for it. */
  async send(text) {
    await this.page.fill('#text', text);
    await this.page.click('#send');
  }

  /** Types, and types the last letter anew until it is seen: what is volatile may get lost, above all between two polls. */
  async types(text, seen) {
    const field = this.page.locator('#text');
    await field.pressSequentially(text);
    for (let tries = 1; !(await seen().then(() => true, () => false)); tries++) {
      assert.ok(tries < 10, `nobody sees who types ${text}`);
      await field.press('Backspace');
      await field.pressSequentially(text.at(-1));
    }
  }

  /** The notices that name somebody. */
  about(nick) {
    return this.page.locator(`${LOG} li.notice`).filter({ hasText: nick }).allTextContents();
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
    await this.send(text);
    await this.page.locator(`${LOG} li.mine`).filter({ hasText: text }).waitFor();
  }

  /** Says many things in the lobby, faster than anybody types. */
  speak(texts) {
    return this.page.evaluate(async (texts) => {
      for (const text of texts) await primus.request('say', { room: 'lobby', text });
    }, texts);
  }

  hears(text, timeout = 10_000, whose = ':not(.mine)') {
    return this.page.locator(`${LOG} li.message${whose}`).filter({ hasText: text }).waitFor({ timeout });
  }

  notices(text) {
    return this.page.locator(`${LOG} li.notice`).filter({ hasText: text }).first().waitFor();
  }

  count(text) {
    return this.page.locator(`${LOG} li`).filter({ hasText: text }).count();
  }

  /** The bubbles whose text begins with `words`, in the order in which they stand. */
  async lines(words) {
    const all = await this.page.locator(`${LOG} .bubble`).allTextContents();
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
    // The page hears of it a moment after the lab has closed, and may send another number until then.
    const closed = this.page.evaluate(
      () => new Promise((resolve) => document.getElementById('lab').addEventListener('toggle', () => resolve(), { once: true })),
    );
    await this.lab();
    await closed;
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
    assert.equal(await ada.page.locator(`${LOG} .pending`).count(), 0);
    // Nobody need know.
    assert.equal(await bob.page.locator(`${LOG} li.notice`).filter({ hasText: 'Ada' }).count(), 0);
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
    assert.equal(await ada.page.locator(`${LOG} .pending`).count(), 0);
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
  await ada.shows('#here', '1');
  const bob = await Person.join(t, server.url, 'Bob');
  await ada.notices('Bob joined');
  await ada.shows('#here', '2');
  await bob.shows('#here', '2');
  assert.deepEqual(await bob.members(), ['Ada', 'Bob']);
  await bob.page.close();
  await ada.notices('Bob left');
  await ada.shows('#here', '1');
  assert.deepEqual(await ada.about('Bob'), ['Bob joined', 'Bob left']);
  assert.deepEqual(await ada.members(), ['Ada']);
});

for (const transport of TRANSPORTS) {
  test(`rooms are separate over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport });
    const bob = await Person.join(t, server.url, 'Bob', { transport });
    await Promise.all([ada.uses(transport), bob.uses(transport)]);
    await ada.create('tea');
    // Everybody sees that it is there, and how many are in it.
    await bob.door('tea').filter({ hasText: /tea\s*1$/ }).waitFor();
    assert.deepEqual(await ada.members(), ['Ada']);
    await ada.say('said in tea');
    await ada.goTo('lobby');
    await ada.say('said in the lobby');
    await bob.hears('said in the lobby');
    assert.deepEqual(await bob.lines(''), ['said in the lobby']);
    assert.deepEqual(await ada.lines(''), ['said in the lobby']);

    await bob.goTo('tea');
    await bob.isIn('tea');
    await bob.hears('said in tea');
    await bob.say('also in tea');
    // Where nobody looks it is counted.
    await ada.door('tea').filter({ hasText: /tea\s*1$/ }).locator('.unread').waitFor();
    await ada.goTo('tea');
    assert.deepEqual(await ada.lines(''), ['said in tea', 'also in tea']);
    assert.deepEqual(await ada.about('Bob'), ['Bob joined']);
    assert.deepEqual(await ada.members(), ['Ada', 'Bob']);
    await ada.door('tea').filter({ hasText: /tea\s*2$/ }).waitFor();

    await bob.page.click('#leave');
    await bob.shows('#place', '# lobby');
    await ada.notices('Bob left');
    await ada.say('alone with my tea');
    await ada.goTo('lobby');
    await ada.say('back in the lobby');
    await bob.hears('back in the lobby');
    assert.deepEqual(await bob.lines(''), ['said in the lobby', 'back in the lobby']);
    assert.equal(await bob.door('tea').locator('.unread').count(), 0);
  });

  test(`a private message reaches one over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const [ada, bob, eve] = await Promise.all(['Ada', 'Bob', 'Eve'].map((nick) => Person.join(t, server.url, nick, { transport })));
    await ada.page.click('[data-key="Bob"] .member');
    await ada.shows('#place', '@Bob');
    await ada.say('between us');
    await bob.door('@Ada').locator('.unread').filter({ hasText: /^1$/ }).waitFor();
    await bob.goTo('@Ada');
    await bob.hears('between us');
    await bob.say('not a word');
    await ada.hears('not a word');
    for (const one of [ada, bob]) assert.deepEqual(await one.lines(''), ['between us', 'not a word']);
    // What comes behind it is there, and it is not.
    await ada.goTo('lobby');
    await ada.say('to all');
    await eve.hears('to all');
    assert.deepEqual(await eve.lines(''), ['to all']);
    assert.deepEqual(await eve.page.locator('#privates .door').count(), 0);

    await bob.leave();
    await ada.notices('Bob left');
    await ada.goTo('@Bob');
    await ada.send('are you there?');
    const failed = ada.page.locator(`${LOG} li.failed`);
    await failed.filter({ hasText: 'are you there?' }).filter({ hasText: 'not sent: nobody is called Bob' }).waitFor();
    assert.equal(await ada.page.locator(`${LOG} .pending`).count(), 0);
  });

  test(`that somebody types appears and vanishes over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport });
    const bob = await Person.join(t, server.url, 'Bob', { transport });
    await ada.types('He', () => bob.shows('#typing', 'Ada is typing…', 1000));
    const began = performance.now();
    await bob.shows('#typing', '');
    assert.ok(performance.now() - began > 2000, 'believed for a while');
    await ada.types('llo', () => bob.shows('#typing', 'Ada is typing…', 1000));
    await ada.page.click('#send');
    await bob.hears('Hello');
    await bob.shows('#typing', '', 1000);
    // Nobody types for himself, and nobody in another room sees it.
    assert.equal(await ada.page.textContent('#typing'), '');
    await bob.create('tea');
    const sent = () => Date.now() - lastTyped < 2000 && primus.buffer.length === 0;
    await ada.types('Bo', () => ada.page.waitForFunction(sent, null, { timeout: 1000 }));
    await ada.page.click('#send');
    await bob.door('lobby').locator('.unread').waitFor();
    assert.equal(await bob.page.textContent('#typing'), '');
  });

  test(`a nick that is taken is refused over ${transport}, and the page says so`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport });
    const eve = new Person(await open(t, server.url));
    await eve.choose(transport);
    await eve.enter('Ada');
    await eve.shows('#refusal', 'somebody is called Ada already');
    await eve.uses(transport);
    assert.equal(await eve.page.locator('#chat').isVisible(), false);
    const id = await eve.page.evaluate(() => primus.id());
    const refusal = await eve.page.evaluate(() =>
      primus.request('nick', { nick: 'Ada', key: 'mine' }).catch(({ name, status, data }) => ({ name, status, data })),
    );
    assert.deepEqual(refusal, { name: 'RefusedError', status: 409, data: 'somebody is called Ada already' });
    await eve.enter('Eve');
    await eve.isIn('lobby');
    assert.equal(await eve.page.evaluate(() => primus.id()), id);
    await ada.notices('Eve joined');
    assert.deepEqual(await ada.members(), ['Ada', 'Eve']);
  });

  test(`a reload and a reconnect are no leave over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport, allow: NETWORK_ERRORS });
    const bob = await Person.join(t, server.url, 'Bob', { transport });
    await ada.say('before');
    // Its own page shows it at once, which a reload would take with it.
    await bob.hears('before');
    await ada.page.reload();
    await ada.isIn('lobby');
    await ada.uses(transport);
    await ada.hears('before', undefined, '.mine');
    await ada.lab();
    await ada.press('cut');
    await ada.back();
    await ada.say('after');
    await bob.hears('after');
    // Longer than a leave takes to be told: somebody else's has been.
    const eve = await Person.join(t, server.url, 'Eve', { transport });
    await eve.leave();
    await bob.notices('Eve left');
    assert.deepEqual(await bob.about('Ada'), []);
    assert.deepEqual(await bob.members(), ['Ada', 'Bob']);
    assert.deepEqual(await ada.about('Bob'), []);
  });

  test(`what was said meanwhile is there after a lost session over ${transport}, or said to be missing`, async (t) => {
    const server = await serve(t, 'chat', await config(t, 'resume_window = "0"\n'));
    const line = await proxy(t, server);
    const ada = await Person.join(t, line.url, 'Ada', { transport, allow: NETWORK_ERRORS });
    const bob = await Person.join(t, server.url, 'Bob');
    const missing = ada.page.locator(`${LOG} li.notice`).filter({ hasText: 'not available any more' });
    const id = () => ada.page.evaluate(() => primus.id());
    /** Ada is away while Bob speaks, and comes back to a new session. */
    const away = async (words, count) => {
      const before = await id();
      await line.down();
      await ada.shows('#state', '(?!open).+');
      await bob.speak(numbered(words, count));
      await line.up();
      await ada.page.evaluate(() => dispatchEvent(new Event('online')));
      await ada.connected();
      await ada.hears(`${words} ${count - 1}`);
      assert.notEqual(await id(), before);
    };
    await away('kept', 3);
    assert.equal(await missing.count(), 0);
    await away('missed', 55);
    await missing.waitFor();
    await ada.page.waitForFunction((count) => document.querySelectorAll('.log .bubble').length === count, 53);
    assert.deepEqual(await ada.lines(''), [...numbered('kept', 3), ...numbered('missed', 55).slice(5)]);
    await talk(ada, bob);
  });
}

test('two windows of one person are one member, and both get what is private', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const bob = await Person.join(t, server.url, 'Bob');
  const other = new Person(await ada.page.context().newPage());
  await other.page.goto(server.url);
  await other.enter('Ada');
  await other.isIn('lobby');
  await bob.shows('#here', '2');
  assert.deepEqual(await bob.members(), ['Ada', 'Bob']);
  await bob.page.click('[data-key="Ada"] .member');
  await bob.say('hello to both');
  for (const window of [ada, other]) {
    await window.goTo('@Bob');
    await window.hears('hello to both');
  }
  // What is said in one of them is shown in the other.
  await ada.say('hello Bob');
  await other.page.locator(`${LOG} li.mine`).filter({ hasText: 'hello Bob' }).waitFor();
  await other.page.close();
  await ada.goTo('lobby');
  await bob.goTo('lobby');
  await talk(ada, bob);
});

test('who is here is shown a page at a time', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const nicks = Array.from({ length: 45 }, (_, n) => `P${String(n).padStart(2, '0')}`);
  const crowd = await open(t, server.url);
  await crowd.evaluate(
    (nicks) => Promise.all(nicks.map((nick) => new Primus({ transports: ['websocket'], auth: { nick, key: nick } }).subscribe('lobby', () => {}).ready)),
    nicks,
  );
  const bob = await Person.join(t, server.url, 'Bob');
  await bob.shows('#here', '47');
  const all = ['Ada', 'Bob', ...nicks];
  assert.deepEqual(await bob.members(), all.slice(0, 20));
  for (const count of [40, 47]) {
    await bob.page.click('#more');
    await bob.page.waitForFunction((count) => document.querySelectorAll('#members .member').length === count, count);
    assert.deepEqual(await bob.members(), all.slice(0, count));
  }
  assert.equal(await bob.page.locator('#more').isVisible(), false);
  await ada.shows('#here', '47');
});

test('a room that cannot be is refused, and the page says so', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const before = await ada.page.locator('#rooms .where').allTextContents();
  await ada.page.fill('#name', 'tea/time');
  await ada.page.press('#name', 'Enter');
  await ada.notices('the name of a room has 1 to 24 characters');
  await ada.shows('#place', '# lobby');
  assert.deepEqual(await ada.page.locator('#rooms .where').allTextContents(), before);
});

test('curl and a bare EventSource are in the room', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const curl = new CurlStream(t, `${server.url}/primus/sse?nick=Eve&subscribe=lobby`);
  await ada.notices('Eve joined');
  await ada.say('hello Eve');
  const said = async () => {
    for (;;) if ((await curl.line()) === 'event: said') return JSON.parse((await curl.line()).slice('data: '.length));
  };
  const { nick, text } = await said();
  assert.deepEqual({ nick, text }, { nick: 'Ada', text: 'hello Eve' });

  // A guest, who only listens.
  await ada.page.evaluate(
    () =>
      new Promise((opened) => {
        const source = new EventSource('/primus/sse?subscribe=lobby');
        window.heard = new Promise((hear) => source.addEventListener('said', ({ data }) => hear(JSON.parse(data))));
        source.onopen = opened;
      }),
  );
  const post = async (nick) => {
    const body = JSON.stringify({ room: 'lobby', text: 'hello from a POST' });
    return (await fetch(`${server.url}/primus?nick=${nick}`, { method: 'POST', body })).status;
  };
  assert.equal(await post('Ada'), 409);
  assert.equal(await post('Bot'), 204);
  const heard = await ada.page.evaluate(() => window.heard);
  assert.deepEqual([heard.nick, heard.text], ['Bot', 'hello from a POST']);
  await ada.hears('hello from a POST');
  assert.deepEqual(await ada.members(), ['Ada', 'Eve']);
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
  await ada.shows('#here', '1');
  await line.up();
  // As a browser tells it. By now the client waits for long between two attempts.
  await bob.page.evaluate(() => dispatchEvent(new Event('online')));
  await bob.connected();
  await ada.page.locator(`${LOG} li.notice`).filter({ hasText: 'Bob joined' }).nth(1).waitFor();
  await ada.shows('#here', '2');
  await bob.hears('are you there?');
  // It is the same session: nobody was welcomed.
  assert.equal(await bob.page.locator(`${LOG} li.notice`).filter({ hasText: 'You are back' }).count(), 0);
});

for (const transport of TRANSPORTS) {
  test(`whoever joins sees the last fifty messages over ${transport}`, async (t) => {
    const server = await serve(t, 'chat');
    const ada = await Person.join(t, server.url, 'Ada', { transport });
    const all = numbered('message', 52);
    await ada.speak(all);
    const bob = await Person.join(t, server.url, 'Bob', { transport });
    await bob.hears('message 51');
    assert.deepEqual(await bob.lines('message'), all.slice(2));
  });
}

test('what people write is shown as text', async (t) => {
  const server = await serve(t, 'chat');
  const ada = await Person.join(t, server.url, 'Ada');
  const bob = await Person.join(t, server.url, '<b>Bob</b>');
  const text = '<img src=x onerror="document.title=1"> & <script>document.title=2</script>';
  await bob.say(text);
  await ada.hears(text);
  assert.equal(await ada.page.locator(`${LOG} img, ${LOG} script, ${LOG} b`).filter({ hasText: 'Bob</b>' }).count(), 0);
  assert.equal(await ada.page.locator(`${LOG} img`).count(), 0);
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
  for (const selector of ['#text', '#send', '#place', '#who', '#leave', '[data-key="lobby"] .door', '#transport', '#cut', '#freeze', '#switch', '#sent', '#duplicate', '#news']) {
    const box = await ada.page.locator(selector).boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= width && box.y + box.height <= 667, `${selector} is on the screen`);
  }
});
