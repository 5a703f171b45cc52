// A small server that speaks docs/protocol.md, for the tests: what it is to do wrong is set from outside.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

/**
 * `hooks.attach(body, transport, request)` may return `{ status, error, retryAfter }` to refuse.
 * `hooks.upgrade(request, socket)` may return true: then the upgrade is its business.
 * `hooks.request(request, response)` may return true: then the request is its business.
 */
export async function serve(hooks = {}) {
  const sessions = new Map();
  const log = [];
  let count = 0;
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] });

  const session = (transport, request, attach) => {
    const id = 'id' + ++count;
    const one = {
      id, transport, attach, url: request.url, token: transport === 'websocket' ? undefined : 'token' + count + '_'.repeat(10),
      received: [], ended: undefined, waiting: [], out: [],
      reply: { id, key: 'k', generation: 1, recv: 0, next: 1, resumed: false, ping: 30000, timeout: 10000, maxMessage: 1048576, ...hooks.reply },
      /** Sends a frame. */
      send(frame) { one.out.push(frame); one.flush(); },
      flush() {},
      /** Cuts the connection without a word. */
      cut() {},
      /** Ends the session as protocol.md says. */
      end(json) { one.send('primus::end::' + JSON.stringify(json)); one.finish(json); },
      finish() {},
      /** The next frame that arrives. */
      frame() { return new Promise((resolve) => { one.waiting.push(resolve); deliver(); }); },
      accept(frame) {
        if (frame === 'primus::end::') { one.ended = true; log.push(`${transport} end`); one.onend?.(); }
        one.received.push(frame);
        hooks.frame?.(one, frame);
        deliver();
      },
    };
    let read = 0;
    const deliver = () => {
      while (one.waiting.length && read < one.received.length) one.waiting.shift()(one.received[read++]);
    };
    if (one.token) one.reply.token = one.token;
    one.out.push('primus::attach::' + JSON.stringify(one.reply));
    sessions.set(one.token ?? id, one);
    log.push(`${transport} attach`);
    return one;
  };
  const announce = (one) => { server.last = one; hooks.session?.(one); server.arrivals.splice(0).forEach((resolve) => resolve(one)); };

  const parseAttach = (text) => {
    if (!/^primus::attach::/.test(text)) throw new Error('bad attach ' + text);
    return JSON.parse(text.slice(16));
  };

  http.on('upgrade', (request, socket, head) => {
    log.push('upgrade');
    server.raw.add(socket);
    if (hooks.upgrade?.(request, socket)) return;
    sockets.handleUpgrade(request, socket, head, (ws) => {
      ws.binaryType = 'arraybuffer';
      ws.once('message', async (data) => {
        const attach = parseAttach(data.toString());
        const refusal = await hooks.attach?.(attach, 'websocket', request);
        if (refusal === 'never') return;
        if (refusal) {
          ws.send('primus::refuse::' + JSON.stringify(refusal));
          return ws.close(4000 + refusal.status, 'refused');
        }
        const one = session('websocket', request, attach);
        one.ws = ws;
        one.protocol = ws.protocol;
        one.flush = () => { while (one.out.length && ws.readyState === 1) ws.send(one.out.shift()); };
        one.cut = () => ws.terminate();
        one.finish = ({ code, reason }) => ws.close(code, reason);
        ws.on('message', (frame, binary) => one.accept(binary ? frame : frame.toString()));
        ws.on('close', (code) => { one.closed = code; one.onclose?.(code); });
        one.flush();
        announce(one);
      });
    });
  });

  const cors = { 'Access-Control-Allow-Origin': '*' };
  const problem = (response, status, error, headers) =>
    response.writeHead(status, { 'Content-Type': 'application/json', ...cors, ...headers }).end(JSON.stringify({ error }));

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
      const attach = parseAttach(body);
      const refusal = await hooks.attach?.(attach, transport, request);
      if (refusal === 'never') return;
      if (refusal) return problem(response, refusal.status, refusal.error, refusal.retryAfter && { 'Retry-After': refusal.retryAfter });
      const one = session(transport, request, attach);
      one.contentType = request.headers['content-type'];
      if (transport === 'sse') {
        response.writeHead(200, { 'Content-Type': 'text/event-stream', ...cors });
        one.response = response;
        one.flush = () => { while (one.out.length) response.write(`data: ${one.out.shift()}\n\n`); };
        one.cut = () => response.destroy();
        one.finish = () => response.end();
        response.on('close', () => { one.closed = true; one.onclose?.(); });
        one.flush();
      } else {
        response.writeHead(200, { 'Content-Type': 'text/plain', ...cors }).end(one.out.splice(0).join('\n'));
        one.cut = () => { sessions.delete(one.token); one.poll?.destroy(); };
        // Ended, but the next poll still hears why.
        one.finish = () => { one.over = true; one.flush(); };
        one.flush = () => {
          if (!one.poll || !one.out.length) return;
          one.poll.writeHead(200, { 'Content-Type': 'text/plain' }).end(one.out.splice(0).join('\n'));
          one.poll = undefined;
          if (one.over) sessions.delete(one.token);
        };
      }
      return announce(one);
    }
    const one = sessions.get(token);
    if (!one) return problem(response, 404, 'unknown session');
    if (route === 'poll') {
      if (one.poll) return problem(response, 409, 'a poll is open');
      one.poll = response;
      response.on('close', () => { if (one.poll === response) one.poll = undefined; });
      hooks.poll?.(one);
      return one.flush();
    }
    const frames = body.split('\n').filter((line) => line);
    (one.batches ??= []).push(frames);
    if (await hooks.send?.(one, frames, response)) return;
    for (const frame of frames) one.accept(frame);
    response.writeHead(204, cors).end();
  });

  const server = {
    http, log, sessions, raw: new Set(), arrivals: [], last: undefined,
    /** The next session that attaches. */
    arrival() { return new Promise((resolve) => server.arrivals.push(resolve)); },
    async close() {
      for (const socket of server.raw) socket.destroy();
      http.closeAllConnections();
      if (http.listening) { http.close(); await once(http, 'close'); }
    },
    async listen(port = 0) {
      http.listen(port, '127.0.0.1');
      await once(http, 'listening');
      server.port = http.address().port;
      server.url = `http://127.0.0.1:${server.port}`;
      return server;
    },
  };
  return server.listen(hooks.port);
}

const EVENTS = ['open', 'close', 'end', 'error', 'readyStateChange', 'reconnect scheduled', 'reconnect', 'reconnected', 'reconnect timeout',
  'reconnect failed', 'timeout', 'online', 'offline', 'destroy', 'data'];

/** Writes down all events: names, `readyStateChange` with its state. `events.args` has the arguments. */
export function record(primus) {
  const events = [];
  events.args = {};
  for (const name of EVENTS)
    primus.on(name, (...args) => {
      events.push(name === 'readyStateChange' ? `${name}(${args[0]})` : name);
      events.args[name] = args;
    });
  return events;
}

/** The arguments of the next `event`. */
export const next = (primus, event) => new Promise((resolve) => primus.once(event, (...args) => resolve(args)));

export { WebSocket };
