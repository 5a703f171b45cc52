// The README's server, its lines for Cargo.toml and its page are a working project.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { browser } from '../lib/browser.mjs';
import { freePort } from '../lib/port.mjs';
import { ROOT, blocks, lines } from '../lib/readme.mjs';
import { defer } from '../lib/scope.mjs';
import { within, until } from '../lib/within.mjs';

const open = browser();
const run = promisify(execFile);

/** Cargo's own target folder, in which what this project depends on is built already. */
const TARGET = process.env.XTASK_BIN_DIR
  ? resolve(process.env.XTASK_BIN_DIR, '..', '..')
  : resolve(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'));

/** Only the port is changed, so that the test disturbs nobody who runs the real thing. */
async function onFreePort(...codes) {
  const port = await freePort();
  return [port, ...codes.map((code) => code.replaceAll('8080', String(port)))];
}

async function project(t, manifest, server, page) {
  const folder = await mkdtemp(join(tmpdir(), 'primus-readme-'));
  defer(t, () => rm(folder, { recursive: true, force: true }));
  const dependencies = manifest.includes('[dependencies]') ? manifest : `[dependencies]\n${manifest}`;
  const files = {
    'Cargo.toml': `[package]
name = "primus-readme"
version = "0.0.0"
edition = "2024"

${dependencies}
[patch.crates-io]
primus-rs = { path = ${JSON.stringify(join(ROOT, 'crates/primus-rs'))} }
`,
    'src/main.rs': server,
  };
  // The page lies where the server includes it from.
  const included = /include_str!\("([^"]+\.html)"\)/.exec(server)?.[1] ?? 'index.html';
  files[join('src', included)] = page;
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  await copyFile(join(ROOT, 'Cargo.lock'), join(folder, 'Cargo.lock'));
  return folder;
}

async function build(folder) {
  const env = { ...process.env, CARGO_TARGET_DIR: TARGET };
  await run('cargo', ['build', '--quiet'], { cwd: folder, env, maxBuffer: 1 << 24 });
  return join(TARGET, 'debug', 'primus-readme');
}

async function start(t, path, cwd, url) {
  const child = spawn(path, { cwd, stdio: 'inherit' });
  const exited = new Promise((resolve) => child.once('close', resolve));
  defer(t, async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const answers = () => fetch(`${url}/primus/spec`).then((answer) => answer.ok, () => false);
  await within(15_000, 'the server answers', until('an answer', answers, Boolean, 15_000));
}

test('the first page of the README is a server of at most 12 lines and a page of at most 6', async () => {
  const [server, page] = await blocks('rust', 'html');
  assert.ok(lines(server).length <= 12, `${lines(server).length} lines of Rust`);
  assert.ok(lines(page).length <= 6, `${lines(page).length} lines of HTML`);
});

// What is typed into the page's input goes to the server; what the server says appears on the page.
test('the server and the page of the README exchange a message', { timeout: 600_000 }, async (t) => {
  const [manifest, ...codes] = await blocks('toml', 'rust', 'html');
  const [port, server, page] = await onFreePort(...codes);
  const folder = await project(t, manifest, server, page);
  const path = await build(folder);
  const url = `http://127.0.0.1:${port}`;
  await start(t, path, folder, url);

  const window = await open(t, url);
  const text = 'hello from the README';
  await window.locator('input').first().fill(text);
  await window.locator('input').first().press('Enter');
  await window.locator('body').filter({ hasText: text }).waitFor();
});
