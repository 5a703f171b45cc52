// HTTP as a test suite of a protocol sees it: bodies chunk by chunk, and every header as it came.
import { request } from 'node:http';
import { connect } from 'node:net';
import { defer } from './scope.mjs';
import { within } from './within.mjs';

/** An answer that is read as it comes. `headers` are in lower case. */
class Answer {
  #chunks = [];
  #waiting = [];
  #over = false;

  constructor(response) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.socket = response.socket;
    // Node's parser tells of each chunk for itself.
    response.on('data', (chunk) => this.#say(chunk));
    for (const event of ['end', 'error', 'aborted', 'close']) response.on(event, () => this.#end());
  }

  #say(chunk) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter(chunk);
    else this.#chunks.push(chunk);
  }

  #end() {
    this.#over = true;
    this.#waiting.splice(0).forEach((waiter) => waiter(Buffer.alloc(0)));
  }

  #next(ms) {
    if (this.#chunks.length) return Promise.resolve(this.#chunks.shift());
    if (this.#over) return Promise.resolve(Buffer.alloc(0));
    return within(ms, 'the next chunk', new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** The next chunk, as text; nothing at the end. */
  async read(ms = 5000) {
    return (await this.#next(ms)).toString('utf8');
  }

  async rest() {
    const chunks = [];
    for (let chunk; (chunk = await this.#next(15_000)).length; ) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  }

  close() {
    this.socket.destroy();
  }
}

/** Begins a request, for the length of a test: an `Answer` as soon as its head is there. */
export function open(t, method, url, { headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (response) => resolve(new Answer(response)));
    asked.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers });
    });
    asked.on('error', reject);
    defer(t, () => asked.destroy());
    asked.end(body);
  });
}

/** A whole request: `{ status, headers, body }`. */
export async function fetched(t, method, url, options) {
  const answer = await open(t, method, url, options);
  if (!answer.rest) return answer;
  return { status: answer.status, headers: answer.headers, body: await answer.rest() };
}

/** A connection on which a test speaks HTTP itself. */
export class Wire {
  #text = '';
  #ended = false;
  #wake = () => {};

  static async connect(t, url) {
    const wire = new Wire();
    const { hostname, port } = new URL(url);
    wire.socket = connect(Number(port), hostname);
    wire.socket.setEncoding('latin1').on('data', (text) => {
      wire.#text += text;
      wire.#wake();
    });
    for (const event of ['end', 'close', 'error']) {
      wire.socket.on(event, () => {
        wire.#ended = true;
        wire.#wake();
      });
    }
    defer(t, () => wire.socket.destroy());
    return wire;
  }

  async #until(good) {
    for (;;) {
      const found = good();
      if (found !== undefined) return found;
      if (this.#ended) throw new Error(`the connection ended behind ${JSON.stringify(this.#text.slice(0, 200))}`);
      await within(5000, 'more of the connection', new Promise((resolve) => (this.#wake = resolve)));
    }
  }

  /** The next `length` characters. */
  take(length) {
    return this.#until(() => {
      if (this.#text.length < length) return undefined;
      const taken = this.#text.slice(0, length);
      this.#text = this.#text.slice(length);
      return taken;
    });
  }

  async line() {
    const end = await this.#until(() => {
      const found = this.#text.indexOf('\r\n');
      return found < 0 ? undefined : found;
    });
    return (await this.take(end + 2)).slice(0, -2);
  }

  /** Sends a request and reads the head of its answer. */
  async request(method, path, version, headers) {
    const fields = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`${method} ${path} HTTP/${version}\r\n${fields.join('')}\r\n`);
    const status = Number((await this.line()).split(' ')[1]);
    const answer = {};
    for (let line; (line = await this.line()) !== ''; ) {
      const [name, ...value] = line.split(':');
      answer[name.toLowerCase()] = value.join(':').trim();
    }
    return { status, headers: answer };
  }

  async chunk() {
    const length = parseInt(await this.line(), 16);
    const chunk = await this.take(length);
    await this.take(2);
    return chunk;
  }

  /** Resolves with what else came once the other side has closed. */
  async closed() {
    while (!this.#ended) await within(5000, 'the end of the connection', new Promise((resolve) => (this.#wake = resolve)));
    return this.#text;
  }
}
