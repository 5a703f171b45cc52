// Starts the programs of this repository and ends them with the test.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { defer } from './scope.mjs';
import { within } from './within.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The path of an example, or of a program of the tests, which cargo puts one folder higher. */
export function program(name) {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const examples = process.env.XTASK_BIN_DIR ?? join(target, 'debug', 'examples');
  const found = [join(examples, name), join(examples, '..', name)].find(existsSync);
  if (!found) throw new Error(`no program ${name} in ${examples}; run: cargo build --workspace --examples --bins`);
  return found;
}

/** A program that listens. */
export class Server {
  #child;
  #exited;
  #said = [];

  /** Starts `name`, or any program if it is a path, on a free port and waits until it says where it listens. */
  static async start(name, args = [], { listen = '127.0.0.1:0', env = {}, cwd } = {}) {
    const server = new Server();
    const path = name.includes('/') ? name : program(name);
    await server.#run(path, listen ? ['--listen', listen, ...args] : args, env, cwd);
    return server;
  }

  async #run(path, args, env, cwd) {
    const child = spawn(path, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(child);
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(`did not start: ${error.message}`));
      // `close` rather than `exit`: by then everything it said has been read.
      child.once('close', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    }).finally(() => running.delete(child));
    createInterface({ input: child.stderr }).on('line', (line) => this.#said.push(line));

    const listening = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.#said.push(line);
        const url = /\blistening on (http:\/\/[^\s/]+)/.exec(line)?.[1];
        if (url) resolve(url);
      });
      this.#exited.then((how) => reject(new Error(`${path} ${args.join(' ')} ${how}\n${this.said()}`)));
    });
    try {
      this.url = await within(15000, `${path} listens`, listening, () => this.said());
    } catch (error) {
      await this.kill();
      throw error;
    }
    this.port = Number(new URL(this.url).port);
    this.pid = child.pid;
  }

  /** `host:port`, for `ws://` addresses and `--listen`. */
  get host() {
    return new URL(this.url).host;
  }

  /** What it wrote so far, for the report of a failure. */
  said() {
    return this.#said.slice(-40).join('\n');
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

/** A server for the length of a test. */
export async function serve(t, name, args, options) {
  const server = await Server.start(name, args, options);
  defer(t, () => server.kill());
  return server;
}

/** The arguments that make a program read `toml` as its `primus.toml`. */
export async function config(t, toml) {
  const folder = await mkdtemp(join(tmpdir(), 'primus-config-'));
  defer(t, () => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'primus.toml');
  await writeFile(file, toml);
  return ['--config', file];
}
