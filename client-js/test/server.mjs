// A small server that speaks docs/protocol.md, for the tests: what it is to do wrong is set from outside.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

/** Whether a frame is a message, and has a number. */
const isData = (frame) => typeof frame !== 'string' || !/^primus::(?!data|binary|event|request|reply|refuse:|room|channel)/.test(frame);

/**
 * One session, whatever carries it. A carrier is `{ name, count, write(frame), push(), cut(), finish(end) }`: `count` is the number of the last
 * message that came by it, `write` sends a control frame, `push` what is kept and was not sent by it.
 */
class Session {
  generation = 0; client = 0; attempt = 0; recv = 0; sent = 0; acked = 0; kept = []; carrier; latest;
  /** What came: messages and control frames other than acknowledgements, which are in `acks`, as are those of pings. */
  received = []; acks = []; batches = []; ended = undefined; closed = undefined;
  #waiting = []; #read = 0;

  constructor(server, id) { Object.assign(this, { server, id, key: 'key of ' + id }); }
  get transport() { return this.carrier?.name; }

  /** Sends a frame: a message is kept until it is acknowledged. */
  send(frame) {
    if (!isData(frame)) return this.carrier?.write(frame);
    this.kept.push({ number: ++this.sent, frame });
    this.carrier?.push();
  }
  /** Cuts the connection without a word. */
  cut() { const { carrier } = this; this.carrier = undefined; carrier?.cut(); }
  /** Ends the session as protocol.md says. */
  end(json) {
    const { carrier } = this;
    this.forget();
    carrier?.write('primus::end::' + JSON.stringify(json));
    carrier?.finish(json);
  }
  /** From now on nobody knows it. */
  forget() { this.server.sessions.delete(this.id); }
  /** The next frame that arrives. */
  frame() { return new Promise((resolve) => { this.#waiting.push(resolve); this.#deliver(); }); }
  #deliver() { while (this.#waiting.length && this.#read < this.received.length) this.#waiting.shift()(this.received[this.#read++]); }

  ack(number) {
    if (number > this.sent) this.server.errors.push(`acknowledged ${number} of ${this.sent}`);
    this.acked = Math.max(this.acked, number);
    this.kept = this.kept.filter((one) => one.number > number);
  }
  /** A frame has come by a carrier; one that is not the session's any more is fenced. */
  accept(frame, carrier) {
    if (carrier !== this.latest) return;
    const [, kind, first, second] = typeof frame === 'string' ? /^primus::(ack|ping|pong):(\d+)(?::(\d+))?::$/.exec(frame) ?? [] : [];
    if (kind === 'ack') {
      this.acks.push(frame.slice(12, -2));
      this.ack(+first);
      if (second) carrier.count = second - 1;
      if (second > this.recv + 1) this.server.errors.push(`goes on from ${second} after ${this.recv}`);
      return;
    }
    if (kind && second) this.ack(+second);
    if (isData(frame)) {
      // Meant for a session that is no more, until it says where it goes on.
      if (carrier.count === undefined) return;
      if (++carrier.count <= this.recv) return this.server.repeated++;
      this.recv++;
    }
    if (frame === 'primus::end::') {
      this.ended = true;
      this.onended?.();
      this.server.log.push(`${carrier.name} end`);
      this.forget();
    }
    this.received.push(frame);
    this.server.hooks.frame?.(this, frame);
    this.#deliver();
  }
}

/**
 * `hooks.attach(body, transport, request)` may return `{ status, error, retryAfter }` to refuse, or `'never'` to be silent.
 * `hooks.resume(session, body)` may return a reason why the session cannot be had.
 * `hooks.attached(session, transport)` may return true: then the answer is lost.
 * `hooks.upgrade(request, socket)` and `hooks.request(request, response)` may return true: then the request is their business.
 * `hooks.send(session, frames, response)` may return true: then the batch is; `hooks.sent` the same for its answer.
 * `hooks.answer(session, text)` may return another text for a poll: it is cut off there, or lost if empty.
 */
export async function serve(hooks = {}) {
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] });
  const tokens = new Map();
  const log = [];
  const sessions = new Map();
  let count = 0;

  const self = {
    http, hooks, log, sessions, raw: new Set(), last: undefined, epoch: 'one',
    /** All sessions that there ever were. */
    made: [],
    /** What the client did against the protocol. */
    errors: [],
    /** How many messages came again. */
    repeated: 0,
    arrivals: [],
    /** The next session that attaches. */
    arrival() { return new Promise((resolve) => self.arrivals.push(resolve)); },
    /** All sessions are forgotten. */
    restart() { self.epoch += '+'; for (const one of sessions.values()) one.cut(); sessions.clear(); },
    async close() {
      for (const socket of self.raw) socket.destroy();
      http.closeAllConnections();
      if (http.listening) { http.close(); await once(http, 'close'); }
    },
  };

  /** Docs/protocol.md §4: the session, and the reason if it is not the one that was asked for; or a refusal. */
  const find = (attach) => {
    const { session: asked, client = 0, attempt = 0, recv = 0, next = 1, sent = next - 1 } = attach;
    if (!asked) return {};
    const one = sessions.get(asked.id);
    if (asked.epoch !== self.epoch) return { reason: 'restarted' };
    if (!one || one.key !== asked.key) return { reason: 'unknown' };
    if (client === one.client && attempt <= one.attempt) return { refusal: { status: 409, error: 'a later attempt was here' } };
    // Made before the carrier that the same client has now: it was overtaken.
    if (client === one.client && (sent < one.recv || recv < one.acked)) return { refusal: { status: 409, error: 'you have gone on since' } };
    const reason = hooks.resume?.(one, attach);
    if (reason) return { reason };
    if ((client !== one.client && asked.generation !== one.generation) || sent < one.recv) return { reason: 'conflict' };
    if (recv > one.sent) return { refusal: { status: 400, error: 'acknowledged more than was sent' } };
    if (next > one.recv + 1 || recv < (one.kept[0]?.number ?? one.sent + 1) - 1) return { reason: 'overflow' };
    return { one };
  };

  /** Attaches a carrier, and answers: `carrier` makes one for the session. Returns a refusal if there is one. */
  const enter = async (text, transport, request, make) => {
    if (!/^primus::attach::/.test(text)) throw new Error('bad attach ' + text);
    const attach = JSON.parse(text.slice(16));
    const refusal = await hooks.attach?.(attach, transport, request);
    if (refusal) return refusal;
    const found = find(attach);
    if (found.refusal) return found.refusal;
    const resumed = !!found.one;
    const one = found.one ?? new Session(self, 'id' + ++count);
    if (!resumed) { sessions.set(one.id, one); self.made.push(one); }
    const old = one.carrier;
    const { client = 0, attempt = 0 } = attach;
    Object.assign(one, { attach, client, attempt, url: request.url, generation: one.generation + 1, closed: undefined });
    if (resumed) one.ack(attach.recv);
    const token = transport === 'websocket' ? undefined : `token${one.generation}of${one.id}`;
    const reply = {
      id: one.id, key: one.key, generation: one.generation, epoch: self.epoch, recv: one.recv, next: (one.kept[0]?.number ?? one.sent + 1), resumed,
      reason: found.reason, ping: 30000, timeout: 10000, maxMessage: 1048576, ack: [128, 32768], token, ...hooks.reply,
    };
    const carrier = make(one, token);
    carrier.name = transport;
    carrier.count = resumed || !attach.session ? attach.next - 1 : undefined;
    one.carrier = one.latest = carrier;
    old?.replaced();
    log.push(`${transport} attach`);
    if (hooks.attached?.(one, transport)) one.cut();
    else {
      carrier.write('primus::attach::' + JSON.stringify(reply));
      carrier.push();
    }
    self.last = one;
    self.arrivals.splice(0).forEach((resolve) => resolve(one));
  };

  /** What a carrier sends of the messages that are kept, each once. */
  const pusher = (one, write) => {
    let done = 0;
    return () => { for (const { number, frame } of one.kept) if (number > done) { done = number; write(frame); } };
  };

  http.on('upgrade', (request, socket, head) => {
    log.push('upgrade');
    self.raw.add(socket);
    if (hooks.upgrade?.(request, socket)) return;
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const early = [];
      let one;
      let carrier;
      const first = async (data) => {
        const refusal = await enter(data.toString(), 'websocket', request, (session) => {
          one = session;
          one.ws = ws;
          one.protocol = ws.protocol;
          const write = (frame) => ws.readyState === 1 && ws.send(frame);
          return carrier = { write, push: pusher(one, write), cut: () => ws.terminate(), replaced: () => ws.close(4006, 'replaced'), finish: ({ code, reason }) => ws.close(code, reason) };
        });
        if (refusal === 'never') return;
        if (refusal) {
          ws.send('primus::refuse::' + JSON.stringify(refusal));
          return ws.close(4000 + refusal.status, 'refused');
        }
        for (const frame of early) one.accept(frame, carrier);
        early.length = 0;
      };
      ws.on('message', (data, binary) => {
        const frame = binary ? data : data.toString();
        if (!early.first) { early.first = true; first(data); } else if (one && !early.length) one.accept(frame, carrier);
        else early.push(frame);
      });
      ws.on('close', (code) => {
        if (one && one.carrier === carrier) one.carrier = undefined;
        if (one) { one.closed = code; one.onclose?.(code); }
      });
    });
  });

  const cors = { 'Access-Control-Allow-Origin': '*' };
  const problem = (response, status, error, headers) =>
    response.writeHead(status, { 'Content-Type': 'application/json', ...cors, ...headers }).end(JSON.stringify({ error }));

  const stream = (response) => (one) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', ...cors });
    const write = (frame) => response.write(`data: ${frame}\n\n`);
    const carrier = { write, push: pusher(one, write), cut: () => response.destroy(), replaced: () => response.end(), finish: () => response.end() };
    one.response = response;
    response.on('close', () => {
      if (one.carrier === carrier) one.carrier = undefined;
      one.closed = true;
      one.onclose?.();
    });
    return carrier;
  };

  /** Its first answer is that to the attach; then each poll gets all that is kept. */
  const polled = (response) => (one, token) => {
    const commands = [];
    const carrier = {
      poll: response,
      write(frame) { commands.push(frame); carrier.push(); },
      push() {
        const { poll } = carrier;
        if (!poll || !(commands.length || one.kept.length)) return;
        carrier.poll = undefined;
        const ends = (frame) => /^primus::end/.test(frame);
        const all = [...commands.filter((frame) => !ends(frame)), ...one.kept.map(({ frame }) => frame), ...commands.filter(ends)];
        commands.length = 0;
        const text = all.map((frame) => frame + '\n').join('');
        const cut = hooks.answer?.(one, text) ?? text;
        if (!cut) return poll.destroy();
        poll.writeHead(200, { 'Content-Type': 'text/plain', ...cors }).end(cut);
        if (carrier.over) tokens.delete(token);
      },
      cut() { tokens.delete(token); carrier.poll?.destroy(); },
      replaced() { tokens.delete(token); if (carrier.poll) problem(carrier.poll, 409, 'another carrier has the session'); },
      // Ended, but the next poll still hears why.
      finish() { if (commands.length) carrier.over = true; else tokens.delete(token); },
    };
    return carrier;
  };

  http.on('request', async (request, response) => {
    const url = new URL(request.url, 'http://x');
    log.push(`${request.method} ${url.pathname}`);
    if (hooks.request?.(request, response)) return;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const route = url.pathname.split('/').pop();
    const token = request.headers['primus-token'];
    if (url.searchParams.get('v') !== '2') return problem(response, 404, 'not found');
    if (!token) {
      const transport = route === 'poll' ? 'polling' : route;
      const make = transport === 'sse' ? stream(response) : polled(response);
      const refusal = await enter(body, transport, request, (one, fresh) => {
        one.contentType = request.headers['content-type'];
        const carrier = make(one, fresh);
        tokens.set(fresh, [one, carrier]);
        return carrier;
      });
      if (refusal && refusal !== 'never') problem(response, refusal.status, refusal.error, refusal.retryAfter && { 'Retry-After': refusal.retryAfter });
      return;
    }
    const [one, carrier] = tokens.get(token) ?? [];
    if (!one) return problem(response, 404, 'unknown token');
    if (route === 'poll') {
      if (carrier.poll) return problem(response, 409, 'a poll is open');
      carrier.poll = response;
      response.on('close', () => { if (carrier.poll === response) carrier.poll = undefined; });
      one.ack(+url.searchParams.get('recv'));
      hooks.poll?.(one);
      return carrier.push();
    }
    const frames = body.split('\n').filter((line) => line);
    one.batches.push(frames);
    if (await hooks.send?.(one, frames, response)) return;
    const begin = /^primus::ack:\d+:(\d+)::$/.exec(frames[0])?.[1];
    if (begin > one.recv + 1) return response.writeHead(409, cors).end(JSON.stringify({ error: 'a gap', recv: one.recv }));
    for (const frame of frames) one.accept(frame, carrier);
    if (await hooks.sent?.(one, frames, response)) return response.destroy();
    response.writeHead(204, cors).end();
  });

  http.listen(hooks.port ?? 0, '127.0.0.1');
  await once(http, 'listening');
  self.url = `http://127.0.0.1:${http.address().port}`;
  return self;
}

const EVENTS = ['open', 'close', 'end', 'error', 'readyStateChange', 'reconnect scheduled', 'reconnect', 'reconnected', 'reconnect timeout',
  'reconnect failed', 'resumed', 'lost', 'timeout', 'online', 'offline', 'destroy', 'data'];

/**
 * Writes down all events: names, `readyStateChange` and `resumed` with what they say. `events.args` has the arguments, `events.transports` what
 * `transport` announced.
 */
export function record(primus) {
  const events = [];
  events.args = {};
  events.transports = [];
  primus.on('transport', (...args) => events.transports.push(args));
  for (const name of EVENTS)
    primus.on(name, (...args) => {
      events.push(/^(readyStateChange|resumed)$/.test(name) ? `${name}(${args[0]})` : name);
      events.args[name] = args;
    });
  return events;
}

/** The arguments of the next `event`. */
export const next = (primus, event) => new Promise((resolve) => primus.once(event, (...args) => resolve(args)));

/** There is a connection again, or at last. */
export const back = async (primus) => { while ((await next(primus, 'readyStateChange'))[0] !== 'open'); };

export { WebSocket };
