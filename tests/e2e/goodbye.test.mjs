// A page that goes says so: its session does not wait for it, and counts no more at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { serve } from '../lib/server.mjs';
import { until } from '../lib/within.mjs';

const open = browser();

const stats = (server) => fetch(`${server.url}/stats`).then((answer) => answer.json());

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a page that goes ends its session at once over ${transport}`, async (t) => {
    const server = await serve(t, 'fixture');
    const page = await open(t, `${server.url}/?transport=${transport}`, { allow: NETWORK_ERRORS });
    await page.locator('#state').filter({ hasText: /^open$/ }).waitFor();
    assert.equal((await stats(server)).connections, 1);
    await page.goto('about:blank');
    // Sooner than the five seconds for which a lost connection counts.
    const { opened, connections } = await until('the end', () => stats(server), ({ disconnections }) => disconnections === 1, 3000);
    assert.deepEqual({ opened, connections }, { opened: 1, connections: 0 });
  });
}
