// npm's `sockjs-client` in Chromium, over each transport that a browser has, from a page of the server's origin and of
// another one.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { browser } from '../lib/browser.mjs';
import { config, Server } from '../lib/server.mjs';

const require = createRequire(import.meta.url);
const SAME = ['websocket', 'xhr-streaming', 'eventsource', 'htmlfile', 'xhr-polling', 'jsonp-polling'];
const CROSS = ['websocket', 'xhr-streaming', 'eventsource', 'iframe-eventsource', 'iframe-htmlfile', 'iframe-xhr-polling', 'jsonp-polling'];
/** Chromium says this of the page in the iframe, whose form is fixed. */
const DOMAIN = [/document\.domain/];

const open = browser();
let library;
let files;
let server;
before(async (t) => {
  library = await readFile(require.resolve('sockjs-client/dist/sockjs.min.js'), 'utf8');
  // Where the page of the iframe loads the client from.
  files = createServer((_, response) => response.setHeader('content-type', 'text/javascript').end(library));
  await new Promise((resolve) => files.listen(0, '127.0.0.1', resolve));
  const toml = `sockjs_url = "http://127.0.0.1:${files.address().port}/sockjs.js"\n`;
  server = await Server.start('conformance', ['--suite', 'sockjs', ...await config(t, toml)]);
});
after(async () => {
  await server?.kill();
  files?.close();
});

/** In the page: what a client of one transport gets that sends these texts, one after the other. */
async function talk([url, transport, texts]) {
  // With time to open: by itself the client gives a transport up on a slow machine.
  const socket = new window.SockJS(url, null, { transports: [transport], timeout: 30_000 });
  const log = [];
  return new Promise((resolve) => {
    socket.onopen = () => {
      log.push(socket.transport);
      socket.send(texts[0]);
    };
    socket.onmessage = ({ data }) => {
      log.push(data);
      if (log.length > texts.length) socket.close(3001, 'enough');
      else socket.send(texts[log.length - 1]);
    };
    socket.onclose = ({ code, reason }) => resolve([...log, code, reason]);
  });
}

/** In the page: how many clients hear what they say, of so many that come and go, three at a time: a browser has six connections to a server. */
async function again([url, transport, times]) {
  let begun = 0;
  let heard = 0;
  const lane = async () => {
    while (begun < times) {
      const said = `${begun++}`;
      const socket = new window.SockJS(url, null, { transports: [transport], timeout: 30_000 });
      const closed = new Promise((resolve) => (socket.onclose = resolve));
      socket.onopen = () => socket.send(said);
      socket.onmessage = ({ data }) => {
        heard += data === said;
        socket.close();
      };
      await closed;
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  return heard;
}

const TEXTS = ['x', 'Grüße, 世界 🦀', 'line\u2028and\u2029', '"\\/\b\n\r\t\0%25%', '</script><!--', 'ä'.repeat(100_000), 'last'];

for (const [page, transports] of [['the same origin', SAME], ['another origin', CROSS]]) {
  for (const transport of transports) {
    test(`sockjs-client in Chromium over ${transport}, from a page of ${page}`, async (t) => {
      const from = page === 'the same origin' ? server.url : server.url.replace('127.0.0.1', 'localhost');
      const window = await open(t, `${from}/echo`, { allow: DOMAIN });
      await window.addScriptTag({ content: library });
      const said = await window.evaluate(talk, [`${server.url}/echo`, transport, TEXTS]);
      assert.deepEqual(said, [transport, ...TEXTS, 3001, 'enough']);
      const closed = await window.evaluate(talk, [`${server.url}/close`, transport, ['x']]);
      assert.deepEqual(closed, [transport, 3000, 'Go away!']);
      assert.equal(await window.evaluate(again, [`${server.url}/echo`, transport, 100]), 100);
    });
  }
}
