// An HTTP proxy in front of a server that fails in the ways networks do: it refuses WebSocket upgrades or
// lets them hang, cuts what is open, goes down and comes back on the same port.
import http from 'node:http';
import net from 'node:net';
import { defer } from './scope.mjs';

export class Proxy {
  #target;
  #sockets = new Set();
  #server;

  /** What happens to WebSocket upgrades: `pass`, `refuse` (400) or `hang` (no answer, ever). */
  websocket = 'pass';
  /** What was asked for, whatever came of it: `{ time, method, path, upgrade }`, time in ms by `performance.now()`. */
  requests = [];

  constructor(target) {
    this.#target = new URL(target);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts listening; a second time on the port it had. */
  async up() {
    const server = http.createServer((request, response) => this.#pass(request, response));
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.on('connection', (socket) => this.#keep(socket));
    // A stream that is silent for long is not ours to end.
    server.requestTimeout = 0;
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port ?? 0, '127.0.0.1', resolve);
    });
    this.#server = server;
    this.port = server.address().port;
  }

  /** Stops listening and cuts everything, so that connections are refused. */
  async down() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  /** Cuts all connections, without a word to either side. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }

  #note({ method, url: path }, upgrade) {
    this.requests.push({ time: performance.now(), method, path, upgrade });
  }

  #pass(request, response) {
    this.#note(request, false);
    const { hostname, port } = this.#target;
    const { method, url: path, rawHeaders: headers } = request;
    // The agent is off: a connection of its own each, so that a cut is a cut.
    const onward = http.request({ hostname, port, method, path, headers, agent: false });
    onward.on('socket', (socket) => this.#keep(socket));
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  #upgrade(request, socket, head) {
    this.#note(request, true);
    if (this.websocket === 'hang') return;
    if (this.websocket === 'refuse') {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const onward = net.connect(this.#target.port, this.#target.hostname);
    this.#keep(onward);
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
    onward.write(`${lines.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    onward.pipe(socket).pipe(onward);
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  }
}

/** A proxy in front of `server` for the length of a test. */
export async function proxy(t, server, websocket = 'pass') {
  const made = new Proxy(server.url);
  made.websocket = websocket;
  await made.up();
  defer(t, () => made.down());
  return made;
}
