// The firehose: thousands of posts a second for pages in Chromium, one of which does not keep up. It gets fewer posts; the others get all of theirs,
// the server goes on writing, and what waits for the slow page stays within its bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { CurlStream } from '../lib/curl.mjs';
import { hostileProxy } from '../lib/hostile.mjs';
import { serve } from '../lib/server.mjs';
import { until } from '../lib/within.mjs';

const open = browser();

/** Posts a second: a debug build writes as many beside three windows, and beside another file of tests. */
const RATE = 1000;

/** A page that is so many posts behind gets none. */
const BEHIND = 3 * RATE;

/** Every post has one of these, most have two. */
const TAGS = 'rust,async,cats,coffee,linux,music,news,physics,pizza,rain,retro,robots,space,sports,travel,web';

/** What may wait for a page: `pressure`, and the post that goes beyond it, and one tally. */
const BOUND = (64 + 4) * 1024;

/** A page that follows these keywords. */
class Reader {
  constructor(page, id) {
    Object.assign(this, { page, id });
  }

  static async open(t, url, words, { transport = 'websocket', ...options } = {}) {
    const page = await open(t, `${url}/?transport=${transport}#${words}`, options);
    return new Reader(page, await page.evaluate(() => primus.id()));
  }

  async number(id) {
    return Number((await this.page.textContent(`#${id}`)).replace(/\D/g, ''));
  }

  received(count, ms = 20_000) {
    return until(`${count} posts`, () => this.number('received'), (received) => received >= count, ms);
  }

  /** The posts of a keyword that come from now on, by their numbers among all of these. */
  listen(word) {
    return this.page.evaluate((word) => {
      globalThis.numbers = [];
      return primus.subscribe(word, (post) => numbers.push(post.of[word])).ready;
    }, word);
  }

  numbers() {
    return this.page.evaluate(() => numbers);
  }
}

const stats = async (server) => (await fetch(`${server.url}/stats`)).json();

test('a page that does not keep up gets fewer posts, and that harms nobody else', async (t) => {
  const server = await serve(t, 'firehose', ['--rate', RATE]);
  const proxy = await hostileProxy(t, server);
  const fast = [await Reader.open(t, server.url, 'rust'), await Reader.open(t, server.url, 'cats')];
  const slow = await Reader.open(t, proxy.url, TAGS, { allow: NETWORK_ERRORS });
  await Promise.all([...fast, slow].map((reader) => reader.received(100)));
  await Promise.all([fast[0].listen('rust'), fast[1].listen('cats')]);

  const ages = [];
  /** Looks at the server until `good`: what waits and what is kept is within bounds all the time. */
  const watch = async (what, good, ms) => {
    let last = 0;
    return until(
      what,
      async () => {
        const now = await stats(server);
        const of = ({ id }) => now.pages.find((page) => page.id === id);
        for (const page of now.pages) assert.ok(page.queued <= BOUND, `${page.queued} bytes wait`);
        // What waits, and what was written and is not acknowledged: each up to 64 KiB.
        assert.ok(now.kept <= 2 * BOUND * now.pages.length, `${now.kept} bytes are kept`);
        for (const reader of fast) if (Date.now() - last > 250) ages.push(of(reader).latency);
        last = Date.now();
        return { now, slow: of(slow) };
      },
      good,
      ms,
    );
  };

  const before = (await watch('all are well', () => true)).now;
  assert.ok(before.pages.every(({ queued }) => queued <= BOUND));
  const read = proxy.stall([1]);
  const full = await watch('it is three seconds behind', ({ slow }) => slow.behind >= BEHIND, 30_000);
  // What is on its way still comes; then it is sent nothing more, and is neither more nor less behind.
  let rest = full;
  const resting = ({ now, slow }) => {
    if (slow.behind !== rest.slow.behind) rest = { now, slow };
    return now.made > rest.now.made + 3 * RATE;
  };
  await watch('it gets no posts, and the server goes on', resting, 30_000);
  const began = await slow.number('received');
  read();
  await watch('it has caught up', ({ slow }) => slow.behind < BEHIND / 2, 30_000);
  await watch('it knows that it has skipped posts', ({ slow }) => slow.skipped > RATE, 30_000);
  await slow.received(began + 2 * RATE, 30_000);
  assert.ok((await slow.number('skipped')) > RATE);
  const after = await watch('all are well again', ({ slow }) => slow.queued < BOUND / 2, 30_000);

  for (const reader of fast) {
    assert.equal(await reader.number('skipped'), 0);
    const numbers = await reader.numbers();
    assert.ok(numbers.length > 100, `${numbers.length} posts`);
    assert.deepEqual(numbers, numbers.map((_, n) => numbers[0] + n), 'each post, once, in order');
  }
  const typical = ages.sort((a, b) => a - b)[ages.length >> 1];
  assert.ok(typical < 1000, `posts are ${typical} ms old`);
  // Each post is encoded once, for however many; four tallies a second are, too.
  assert.ok(after.now.encoded <= after.now.made * 1.02 + 100, `${after.now.encoded} of ${after.now.made}`);
  t.diagnostic(`made ${after.now.made}, encoded ${after.now.encoded}, skipped by the slow page ${after.slow.skipped}, typical age ${typical} ms`);
});

for (const transport of ['sse', 'polling']) {
  test(`posts of a keyword come over ${transport}`, async (t) => {
    const server = await serve(t, 'firehose', ['--rate', 500]);
    const reader = await Reader.open(t, server.url, 'rust', { transport });
    await reader.received(20);
    assert.equal(await reader.page.textContent('#transport'), transport);
    // Volatile posts do not wait between two polls.
    if (transport === 'sse') assert.equal(await reader.number('skipped'), 0);
  });
}

test('the page says how it is connected, however late its gauges come', async (t) => {
  const server = await serve(t, 'firehose', ['--rate', 500]);
  const page = await open(t, `${server.url}/style.css`);
  await page.route('**/gauges.js', async (route) => {
    await page.waitForFunction(() => typeof primus === 'object' && primus.state === 'open');
    await route.continue();
  });
  await page.goto(`${server.url}/?transport=sse#rust`, { waitUntil: 'load' });
  assert.equal(await page.textContent('#state'), 'open');
  assert.equal(await page.textContent('#transport'), 'sse');
});

test('keywords are followed and left, each is a room, and one that is none is refused', async (t) => {
  const server = await serve(t, 'firehose', ['--rate', 500]);
  const reader = await Reader.open(t, server.url, 'rust');
  const { page } = reader;
  const words = () => page.locator('#words button').allTextContents();
  const marked = (word) => until(`posts with ${word}`, () => page.locator('#feed b').allTextContents(), (all) => all.includes(word));
  await marked('rust');
  const follow = async (word) => {
    await page.fill('#word', word);
    await page.click('#add button');
  };
  await follow('cats');
  await marked('cats');
  assert.deepEqual(await words(), ['rust', 'cats']);
  assert.equal(new URL(page.url()).hash, '#rust,cats');
  await page.locator('#words button').filter({ hasText: 'rust' }).click();
  await until('cats alone', () => page.locator('#feed li').allTextContents(), (posts) => posts.length > 5 && posts.every((text) => text.includes('#cats')));
  await follow('No Words');
  await page.locator('#refusal').filter({ hasText: 'No Words: a keyword is one word in lower case' }).waitFor();
  assert.deepEqual(await words(), ['cats']);
  // Who is not our client subscribes by the URL.
  const stream = new CurlStream(t, `${server.url}/primus/sse?subscribe=space`);
  for (let posts = 0; posts < 5; ) {
    const line = await stream.line();
    if (!line.startsWith('data: ') || !line.includes('"text"')) continue;
    assert.match(line, /#space/);
    posts += 1;
  }
});

test('a page can be made slow, and is quick again', async (t) => {
  const server = await serve(t, 'firehose', ['--rate', RATE]);
  const { page } = await Reader.open(t, server.url, TAGS);
  const look = async () => Number((await page.textContent('#latency')).replace(/\D/g, ''));
  // It takes its time to answer.
  const press = () => page.evaluate(() => document.getElementById('slow').click());
  await press();
  await until('posts are old', look, (latency) => latency > 300, 60_000);
  await press();
  await until('posts are new', look, (latency) => latency < 300, 60_000);
});

test('the firehose fits a phone', async (t) => {
  const server = await serve(t, 'firehose', ['--rate', 500]);
  const reader = await Reader.open(t, server.url, 'rust,space,coffee', { viewport: { width: 375, height: 667 } });
  await reader.received(50);
  await reader.page.locator('#pages tr.me').waitFor();
  const scroll = await reader.page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth));
  assert.ok(scroll <= 375, `${scroll} px wide`);
  for (const selector of ['#slow', '#word', '#add button', '#rate', '#skipped', '#latency', '#made']) {
    const box = await reader.page.locator(selector).boundingBox();
    assert.ok(box && box.x >= 0 && box.x + box.width <= 375 && box.y + box.height <= 667, `${selector} is on the screen`);
  }
});
