// A refused connection says why, in the browser, on every transport, and no handler runs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK_ERRORS, browser } from '../lib/browser.mjs';
import { serve } from '../lib/server.mjs';

const open = browser();

const stats = (server) => fetch(`${server.url}/stats`).then((answer) => answer.json());

/** The fixture's page, which connects by `transport` with `auth` and shows what became of it. */
function connect(t, server, transport, auth) {
  const query = new URLSearchParams({ transport, auth: JSON.stringify(auth) });
  return open(t, `${server.url}/?${query}`, { allow: NETWORK_ERRORS });
}

const shown = async (page, selector) => (await page.textContent(selector)).trim();
const reaches = (page, state) => page.locator('#state').filter({ hasText: new RegExp(`^${state}$`) }).waitFor();

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a refusal shows its status and reason over ${transport}`, async (t) => {
    const server = await serve(t, 'fixture');
    const page = await connect(t, server, transport, { reject: 403 });
    await reaches(page, 'end');
    assert.equal(await shown(page, '#status'), '403');
    assert.equal(await shown(page, '#code'), '4403');
    assert.equal(await shown(page, '#reason'), 'you may not');
    const { opened, connections, messages, authorizations } = await stats(server);
    assert.deepEqual({ opened, connections, messages }, { opened: 0, connections: 0, messages: 0 });
    assert.equal(authorizations, 1, 'asked once');
  });

  test(`an unauthorized client learns so over ${transport}`, async (t) => {
    const server = await serve(t, 'fixture');
    const page = await connect(t, server, transport, { reject: 401 });
    await reaches(page, 'end');
    assert.equal(await shown(page, '#status'), '401');
    assert.equal((await stats(server)).opened, 0);
  });

  test(`an accepted client is authorized once over ${transport}`, async (t) => {
    const server = await serve(t, 'fixture');
    const page = await connect(t, server, transport, { user: 'Ada' });
    await reaches(page, 'open');
    // Several round trips: on the HTTP transports each is a request of its own.
    for (let n = 0; n < 3; n += 1) {
      const user = await page.evaluate(() => window.ask({ cmd: 'user' }));
      assert.deepEqual(user, { user: 'Ada' });
    }
    const { opened, authorizations } = await stats(server);
    assert.deepEqual({ opened, authorizations }, { opened: 1, authorizations: 1 });
  });
}
