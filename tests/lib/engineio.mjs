// Engine.IO as a test of the wire sees it: its requests, clients that poll, and sockets with what they say.
import { WebSocket } from 'ws';
import { Inbox, until } from './within.mjs';

/** The answer of a server that refuses. */
export const refused = (code, message) => [400, JSON.stringify({ code, message })];
export const UNKNOWN = refused(1, 'Session ID unknown');
export const BAD = refused(3, 'Bad request');

/** The Engine.IO of `server`. `asked` says how many requests have come; the conformance server says it by itself. */
export class EngineIo {
  constructor(server, { path = '/engine.io', asked } = {}) {
    this.url = `${server.url}${path}/`;
    this.asked = asked ?? (async () => Number((await this.answer('asked'))[1]));
  }

  request(query, options) {
    return fetch(`${this.url}?${query}`, options);
  }

  async answer(query, options) {
    const response = await this.request(query, options);
    return [response.status, await response.text()];
  }

  /** A request as `answer`, begun: what is returned holds its `answer` once the server has it. */
  async begin(query, options) {
    const before = await this.asked();
    const answer = this.answer(query, options);
    answer.catch(() => {}); // Whoever awaits it is told.
    await until('the request is there', this.asked, (asked) => asked > before);
    return { answer };
  }

  /** A client that polls; `said` is the answer to its handshake. */
  async polling(eio = 4, more = '') {
    const base = `EIO=${eio}&transport=polling`;
    const said = await this.answer(`${base}${more}`);
    const handshake = JSON.parse(said[1].slice(said[1].indexOf('0{') + 1));
    const query = `${base}&sid=${handshake.sid}`;
    return {
      said,
      handshake,
      query,
      get: () => this.answer(query),
      /** A poll that waits; see `begin`. */
      wait: (options) => this.begin(query, options),
      post: (body, headers = {}) => this.answer(query, { method: 'POST', body, headers }),
    };
  }

  /** A WebSocket, for the length of a test. */
  socket(t, query) {
    const it = new WebSocket(`${this.url.replace('http', 'ws')}?${query}`);
    t.after(() => it.terminate());
    it.on('error', () => {});
    it.inbox = new Inbox({ on: (_, hear) => it.on('message', (data, binary) => hear(binary ? data : data.toString())) }, 'message');
    it.opened = new Promise((resolve) => it.once('open', resolve));
    it.closed = new Promise((resolve) => it.once('close', (code, reason) => resolve([code, reason.toString()])));
    return it;
  }
}
