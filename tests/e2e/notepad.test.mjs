// The notepad: people in Chromium windows of their own write one text at the same time, while their connections are cut again and again.
// No letter is lost that nobody deleted, and all have the same text. XTASK_SEED repeats what they wrote, and when it was cut; with XTASK_FULL it
// takes longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { hostileProxy } from '../lib/hostile.mjs';
import { Random, seed } from '../lib/random.mjs';
import { config, serve } from '../lib/server.mjs';
import { until, within } from '../lib/within.mjs';

const FULL = Boolean(process.env.XTASK_FULL);
const TOKENS = FULL ? 120 : 40;

const open = browser();

const LOWER = [...'abcdefghijklmnopqrstuvwxyz'];
const UPPER = LOWER.map((letter) => letter.toUpperCase());

/** Milliseconds from one cut to the next, from and to; and so many cuts there are while somebody writes, at least. */
const BETWEEN_CUTS = [300, 1500];
const CUTS = 3;

/** Somebody who writes with an alphabet of his own. `mine`: his letters, as they have to stand in the text. */
class Writer {
  mine = [];
  typed = 0;
  /** How often the connection was cut. */
  cuts = 0;

  constructor(page, alphabet, random) {
    Object.assign(this, { page, alphabet, random });
  }

  static async open(t, url, name, { alphabet = LOWER, random = new Random(seed), transport = '', hash = '#welcome', ...options } = {}) {
    const page = await open(t, `${url}/?transport=${transport}${hash}`, { allow: NETWORK_ERRORS, ...options });
    const writer = new Writer(page, alphabet, random);
    await page.locator('#text:enabled').waitFor();
    await page.fill('#name', name);
    await page.evaluate(() => {
      globalThis.resumed = { true: 0, false: 0 };
      primus.on('resumed', (how) => resumed[how]++);
    });
    return writer;
  }

  text() {
    return this.page.inputValue('#text');
  }

  saved() {
    return this.page.textContent('#saved');
  }

  resumed() {
    return this.page.evaluate(() => resumed);
  }

  /** Puts the cursor behind the `count`th of the own letters, in the text of this moment. */
  goTo(count) {
    return this.page.evaluate(
      ([count, alphabet]) => {
        const area = document.getElementById('text');
        let place = 0;
        for (let left = count; left; place++) if (alphabet.includes(area.value[place])) left--;
        area.focus();
        area.setSelectionRange(place, place);
      },
      [count, this.alphabet],
    );
  }

  /** A token: its number, in letters. */
  #token() {
    let number = this.random.between(26 ** 2, 26 ** 4 - 1);
    const letters = [];
    for (; number; number = Math.floor(number / 26)) letters.push(this.alphabet[number % 26]);
    return letters;
  }

  async #type(place) {
    const token = this.#token();
    await this.goTo(place);
    await this.page.keyboard.type(token.join(''), { delay: this.random.between(0, 12) });
    this.mine.splice(place, 0, ...token);
    this.typed += token.length;
  }

  /** Whether to write on, after `written` of so many tokens: the cuts have to be enough, and one of them more than a request that is repeated. */
  async #goesOn(written, tokens) {
    if (written < tokens || this.cuts < CUTS) return true;
    const { true: resumed, false: lost } = await this.resumed();
    return !(resumed || lost);
  }

  /** Writes so many tokens between the own letters, and now and then deletes one of these; more, until its connection has been cut as it has to be. */
  async write(tokens) {
    for (let n = 0; await this.#goesOn(n, tokens); n++) {
      await this.#type(this.random.between(0, this.mine.length));
      for (let deletes = this.random.between(0, 2); deletes; deletes--) {
        const place = this.random.between(1, this.mine.length);
        await this.goTo(place);
        await this.page.keyboard.press('Backspace');
        this.mine.splice(place - 1, 1);
      }
    }
  }

  /** Writes so many tokens anywhere, over what is selected by chance, and deletes whatever is there, of others, too; more, as `write` does. */
  async scribble(tokens) {
    for (let n = 0; await this.#goesOn(n, tokens); n++) {
      const selected = this.random.chance(40) ? this.random.between(1, 6) : 0;
      const key = selected ? this.random.pick(['Delete', 'Backspace', 'x']) : undefined;
      await this.page.evaluate(
        ([fraction, selected]) => {
          const area = document.getElementById('text');
          const place = Math.floor(fraction * area.value.length);
          area.focus();
          area.setSelectionRange(place, place + selected);
        },
        [this.random.fraction(), selected],
      );
      if (key) await this.page.keyboard.press(key);
      else await this.page.keyboard.type(this.#token().join(''), { delay: this.random.between(0, 12) });
    }
  }
}

/** Cuts the connection of somebody who writes, again and again until `calm` is aborted, and counts how often. */
async function weather(writer, proxy, random, calm) {
  const told = () => writer.cuts++;
  while (!calm.aborted) {
    await sleep(random.between(...BETWEEN_CUTS));
    const [direction, fraction] = [random.between(0, 1), random.fraction()];
    const how = random.pick(['reset', 'finish', 'truncate', 'ambush', 'stall']);
    if (how === 'truncate') proxy.truncate(direction, fraction, { told });
    else if (how === 'ambush') writer.cuts += proxy.ambush(direction, fraction, { told }) && 1;
    else if (how === 'stall') {
      proxy.stall([direction]);
      await sleep(300);
      writer.cuts += proxy.reset() && 1;
    } else writer.cuts += proxy[how]() && 1;
  }
}

const read = async (server) => (await fetch(`${server.url}/text/welcome`)).text();

/** Two people write, each behind a proxy that cuts, and then all have the same text, which is returned. */
async function together(t, settings, transport, work) {
  t.diagnostic(`XTASK_SEED=${seed}`);
  const server = await serve(t, 'notepad', await config(t, settings));
  const random = new Random(seed);
  const people = [];
  for (const [name, alphabet] of [['Ada', LOWER], ['Bob', UPPER]]) {
    const proxy = await hostileProxy(t, server);
    const writer = await Writer.open(t, proxy.url, name, { alphabet, random: random.fork(), transport });
    people.push({ proxy, writer });
  }
  const calm = new AbortController();
  const cutting = people.map(({ writer, proxy }) => weather(writer, proxy, random.fork(), calm.signal));
  const writers = people.map(({ writer }) => writer);
  await within(120_000, 'they write', Promise.all(writers.map(work))).finally(() => calm.abort());
  await Promise.all(cutting);
  const look = async () => [await read(server), ...(await Promise.all(writers.map((each) => each.text())))];
  const same = ([first, ...others]) => others.every((other) => other === first);
  await until('everything is saved', () => Promise.all(writers.map((each) => each.saved())), (all) => all.every((saved) => saved === 'All saved'), 30_000);
  const [text] = await until('all have the same text', look, same, 10_000);
  const resumed = await Promise.all(writers.map((each) => each.resumed()));
  t.diagnostic(`${text.length} letters, cuts ${writers.map((each) => each.cuts)}, resumed ${JSON.stringify(resumed)}`);
  assert.ok(writers.every((each) => each.cuts >= CUTS));
  return { text, writers, resumed };
}

const only = (text, alphabet) => [...text].filter((letter) => alphabet.includes(letter)).join('');

/** Nobody deletes what another one wrote: so the letters of each are those he wrote and left, in his order. */
async function exact(t, settings, transport) {
  const { text, writers, resumed } = await together(t, settings, transport, (writer) => writer.write(TOKENS));
  for (const { mine, alphabet, typed } of writers) {
    assert.equal(only(text, alphabet), mine.join(''));
    assert.ok(typed >= 3 * TOKENS, `${typed} letters`);
  }
  assert.equal(text.length, writers.reduce((sum, { mine }) => sum + mine.length, 0));
  return resumed;
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`two people write at once while their connections are cut, and no letter is lost over ${transport}`, async (t) => {
    const resumed = await exact(t, '', transport);
    assert.deepEqual(resumed.map((each) => each.false), [0, 0], 'no session was lost');
    assert.ok(resumed.every((each) => each.true), 'sessions were resumed');
  });

  // What is different about the carrier the test above shows.
  if (transport !== 'websocket' && !FULL) continue;
  test(`no letter is lost where every cut ends the session over ${transport}`, async (t) => {
    const resumed = await exact(t, 'resume_window = "0"\n', transport);
    assert.ok(resumed.every((each) => each.false), 'sessions were lost');
  });
}

for (const [name, settings] of [['', ''], [' and end sessions', 'resume_window = "0"\n']]) {
  test(`people who write over and delete what others write have the same text in the end, whatever cuts come${name}`, async (t) => {
    const { text } = await together(t, settings, 'websocket', (writer) => writer.scribble(TOKENS));
    assert.notEqual(text, '');
  });
}

test('cursors and selections of others are shown, with names and in colours, and go with them', async (t) => {
  const server = await serve(t, 'notepad', await config(t, 'detach_grace = "500ms"\n'));
  const ada = await Writer.open(t, server.url, 'Ada');
  await ada.page.locator('#text').pressSequentially('one two three');
  const bob = await Writer.open(t, server.url, 'Bob');
  // Who comes late has the text, and sees who is here.
  assert.equal(await bob.text(), 'one two three');
  const cursor = (writer, name) => writer.page.locator(`#marks i[data-name="${name}"]`);
  await cursor(bob, 'Ada').waitFor();
  const left = (writer, name) => writer.page.evaluate((name) => document.querySelector(`#marks i[data-name="${name}"]`)?.getBoundingClientRect().x, name);
  const end = await until('her cursor is behind the text', () => left(bob, 'Ada'), (x) => x > 180, 10_000);
  await ada.page.keyboard.press('Home');
  await until('the cursor moves', () => left(bob, 'Ada'), (now) => now < end - 50, 10_000);
  await bob.page.evaluate(() => {
    document.getElementById('text').focus();
    document.getElementById('text').setSelectionRange(4, 7);
  });
  await ada.page.locator('#marks mark').filter({ hasText: /^two$/ }).waitFor();
  const colour = (writer, name) => cursor(writer, name).evaluate((element) => getComputedStyle(element).borderLeftColor);
  assert.notEqual(await colour(ada, 'Bob'), await colour(bob, 'Ada'));
  // The cursor of who writes is behind what he wrote, and a name can be changed.
  await ada.page.keyboard.type('zero ');
  await until('it follows', () => bob.page.evaluate(() => document.querySelector('#marks i')?.previousSibling?.textContent), (text) => text === 'zero ', 10_000);
  await ada.page.fill('#name', 'Ada Lovelace');
  await cursor(bob, 'Ada Lovelace').waitFor();
  assert.deepEqual(await bob.page.locator('#people li').allTextContents(), ['Bob (you)', 'Ada Lovelace']);
  await ada.page.close();
  await cursor(bob, 'Ada Lovelace').waitFor({ state: 'detached' });
  assert.deepEqual(await bob.page.locator('#people li').allTextContents(), ['Bob (you)']);
});

test('what is written without a network is there when it is back, and pages do not mix', async (t) => {
  const server = await serve(t, 'notepad');
  const ada = await Writer.open(t, server.url, 'Ada');
  const bob = await Writer.open(t, server.url, 'Bob');
  const write = (writer, text) => writer.page.locator('#text').pressSequentially(text);
  const have = (text) => until(`both have ${text}`, async () => [await ada.text(), await bob.text()], (all) => all.every((one) => one === text));
  await write(ada, 'beer');
  await have('beer');
  await ada.page.click('#offline');
  await ada.page.locator('[data-state=offline]').waitFor();
  await write(ada, ' and wine');
  await ada.page.locator('#saved').filter({ hasText: '9 changes to be saved' }).waitFor();
  await bob.page.locator('#text').press('Home');
  await bob.page.keyboard.type('no ');
  assert.deepEqual([await ada.text(), await bob.text()], ['beer and wine', 'no beer']);
  await ada.page.click('#offline');
  await have('no beer and wine');
  await ada.page.locator('#saved').filter({ hasText: 'All saved' }).waitFor();

  await ada.page.click('#new');
  await until('another page', () => ada.text(), (text) => text === '');
  await ada.page.locator('#text:enabled').waitFor();
  await write(ada, 'elsewhere <b>');
  const hash = new URL(ada.page.url()).hash;
  const eve = await Writer.open(t, server.url, 'Eve', { hash });
  assert.equal(await eve.text(), 'elsewhere <b>');
  assert.equal(await bob.text(), 'no beer and wine');
  await ada.page.goBack();
  await until('the first page', () => ada.text(), (text) => text === 'no beer and wine');
  assert.equal(await read(server), 'no beer and wine');
  assert.equal((await fetch(`${server.url}/text/nowhere`)).status, 404);
});

test('the notepad fits a phone', async (t) => {
  const server = await serve(t, 'notepad');
  const ada = await Writer.open(t, server.url, 'Ada', { viewport: { width: 375, height: 667 } });
  await ada.page.locator('#text').pressSequentially('Donaudampfschifffahrtsgesellschaft'.repeat(4));
  const scroll = await ada.page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth));
  assert.ok(scroll <= 375, `${scroll} px wide`);
  for (const selector of ['#name', '#offline', '#new', '#people', '#text', '#state', '#saved']) {
    const box = await ada.page.locator(selector).boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= 375 && box.y + box.height <= 667, `${selector} is on the screen`);
  }
});
