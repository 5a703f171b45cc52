// curl, as a person at a terminal would use it.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { defer } from './scope.mjs';
import { Inbox, within } from './within.mjs';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

function run(args) {
  // An empty config: what a person has in ~/.curlrc is not part of the test. No proxy either.
  const child = spawn('curl', ['-q', '-sS', '--noproxy', '*', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  child.said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (child.said += text));
  child.exited = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  }).finally(() => running.delete(child));
  return child;
}

/** Runs curl to its end: `{ status, headers, body }`, header names in lower case. */
export async function curl(...args) {
  const child = run(['--max-time', '30', '--include', '--suppress-connect-headers', ...args]);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  const code = await child.exited;
  if (code !== 0) throw new Error(`curl ${args.join(' ')} ended with code ${code}: ${child.said}`);
  // `100 Continue` and its like come before the answer.
  const answer = /^(?:HTTP\/\S+ 1\d\d.*?\r\n\r\n)*HTTP\/\S+ (\d+)[^\r]*\r\n(.*?\r\n)?\r\n(.*)$/s.exec(text);
  if (!answer) throw new Error(`curl ${args.join(' ')} printed no answer: ${text}`);
  const headers = fields((answer[2] ?? '').split('\r\n').filter(Boolean));
  return { status: Number(answer[1]), headers, body: answer[3] };
}

const fields = (lines) =>
  Object.fromEntries(lines.map((line) => /^([^:]+): *(.*)$/.exec(line).slice(1)).map(([name, value]) => [name.toLowerCase(), value]));

/** `curl -N` on a stream, for the length of a test. */
export class CurlStream {
  #child;
  #head;
  #lines;

  constructor(t, ...args) {
    // Verbose, for the headers on stderr: on stdout curl keeps them back until there is a body.
    this.#child = run(['-N', '--verbose', ...args]);
    this.#head = new Inbox(createInterface({ input: this.#child.stderr }), 'line', 'header of curl -N');
    this.#lines = new Inbox(createInterface({ input: this.#child.stdout }), 'line', 'line of curl -N');
    defer(t, () => this.stop());
  }

  /** `{ status, headers }`. Once they are here the server knows the stream. */
  async head() {
    const lines = [];
    for (let line; (line = await this.#head.next()) !== '< '; ) if (line.startsWith('< ')) lines.push(line.slice(2));
    return { status: Number(lines[0].split(' ')[1]), headers: fields(lines.slice(1)) };
  }

  /** The next line, whatever it is. */
  line(ms) {
    return this.#lines.next(ms);
  }

  /** The next event: its fields, several `data:` lines joined by LF. Comments between events are left out. */
  async event(ms = 5000) {
    const event = {};
    for (;;) {
      const line = await this.line(ms);
      if (line === '' && Object.keys(event).length) return event;
      const [, field, value] = /^([^:]+): ?(.*)$/s.exec(line) ?? [];
      if (field) event[field] = field in event ? `${event[field]}\n${value}` : value;
    }
  }

  /** Resolves with curl's exit code once the server ends the stream. */
  ended(ms = 5000) {
    return within(ms, 'the stream ends', this.#child.exited, () => this.#child.said);
  }

  async stop() {
    this.#child.kill('SIGKILL');
    await this.#child.exited;
  }
}
