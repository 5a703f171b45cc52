// A TCP proxy in front of a server that treats its connections as bad networks do: it cuts them, in good order or
// not, lets them hang without a word in one direction or both, and delivers half of what was sent before it cuts.
import net from 'node:net';
import { defer } from './scope.mjs';

/** What a proxy between answers when it does not like a transport. */
const REFUSAL = 'HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/** How long a connection that has been cut may take for its last bytes, in ms. */
const LINGER = 500;

/** How the request of each transport begins, by which it can be refused. */
const REQUESTS = {
  websocket: /^GET [^\r\n]+\r\n(?:[^\r\n]+\r\n)*upgrade: websocket\r\n/i,
  sse: /^POST [^\r\n ]*\/sse\?/,
  polling: /^(?:GET|POST) [^\r\n ]*\/poll\?/,
};

/** One direction of a connection. */
class Lane {
  #from;
  #to;
  #cut;
  #waiting = false;
  #stalled = false;
  /** What is to be cut off: `{ skip, fraction, told }`. */
  #truncation;
  /** What came before it stalled and has not passed. */
  #held = [];
  #ended = false;

  constructor(from, to, cut) {
    [this.#from, this.#to, this.#cut] = [from, to, cut];
    to.on('drain', () => this.#flow((this.#waiting = false)));
  }

  stall(on) {
    this.#stalled = on;
    if (!on) this.#pass();
    this.#flow();
  }

  truncate(truncation) {
    this.#truncation = { ...truncation };
  }

  take(piece) {
    this.#held.push(piece);
    this.#pass();
  }

  /** Nothing more comes this way. */
  end() {
    this.#ended = true;
    this.#pass();
  }

  #pass() {
    while (!this.#stalled && this.#held.length) {
      const piece = this.#held.shift();
      if (this.#truncation && !this.#truncation.skip--) {
        const { fraction, told } = this.#truncation;
        told();
        return this.#cut(this.#to, piece.subarray(0, Math.floor(piece.length * fraction)));
      }
      if (!this.#to.write(piece)) this.#flow((this.#waiting = true));
    }
    if (this.#ended && !this.#stalled) this.#to.end();
  }

  #flow() {
    if (this.#stalled || this.#waiting) this.#from.pause();
    else this.#from.resume();
  }
}

/** One connection through the proxy. */
class Link {
  #sockets;
  #lanes;
  #over;
  alive = true;

  constructor(client, target, refuse, over) {
    const server = net.connect({ ...target, allowHalfOpen: true, noDelay: true });
    this.#sockets = [client, server];
    this.#over = over;
    const finish = (to, last) => this.cut('fin', to, last);
    this.#lanes = [new Lane(client, server, finish), new Lane(server, client, finish)];
    client.on('data', (piece) => {
      if (refuse(piece)) client.end(REFUSAL, () => this.cut('fin'));
      else this.#lanes[0].take(piece);
    });
    server.on('data', (piece) => this.#lanes[1].take(piece));
    for (const [index, socket] of this.#sockets.entries()) {
      socket.on('end', () => this.#lanes[index].end());
      socket.on('error', () => this.cut('reset'));
      socket.on('close', () => {
        if (this.#sockets.every((each) => each.destroyed)) this.#close();
      });
    }
  }

  #close() {
    if (this.alive) this.#over();
    this.alive = false;
  }

  /** Ends both sides, by FIN or by RST; `to` gets a few last bytes before. */
  cut(how, to, last) {
    this.#close();
    for (const socket of this.#sockets) {
      if (how === 'reset') {
        // Node loses one that is just about to shut its side: it says `reset EINVAL`, and leaves it open for ever.
        const shutting = socket.writableEnded && !socket.writableFinished && !socket.writableLength;
        if (shutting) socket.destroy();
        else socket.resetAndDestroy();
      } else if (socket === to && last.length) socket.end(last, () => socket.destroy());
      else socket.end(() => socket.destroy());
      // What it still hears it does not want to know, and a peer that does not read keeps nothing open.
      socket.removeAllListeners('data').resume();
      setTimeout(() => socket.destroy(), LINGER).unref();
    }
  }

  stall(directions, on) {
    for (const direction of directions) this.#lanes[direction].stall(on);
  }

  truncate(direction, truncation) {
    this.#lanes[direction].truncate(truncation);
  }
}

/** A port in front of a server. It does no harm by itself. */
export class HostileProxy {
  #target;
  #server;
  #links = new Set();
  /** What awaits the next connection. */
  #ambush;
  /** The transports whose requests it refuses, so that clients have to take others: any of `websocket`, `sse`, `polling`. */
  refused = [];

  constructor(target) {
    const { hostname: host, port } = new URL(target);
    this.#target = { host, port: Number(port) };
  }

  async up() {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const refuse = (piece) => this.refused.some((name) => REQUESTS[name].test(piece.toString('latin1')));
      const link = new Link(client, this.#target, refuse, () => this.#links.delete(link));
      this.#links.add(link);
      this.#ambush?.(link);
      this.#ambush = undefined;
    });
    await new Promise((resolve, reject) => this.#server.once('error', reject).listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  async down() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.reset();
    await closed;
  }

  /** How many connections there are. */
  get size() {
    return this.#links.size;
  }

  /** Cuts all connections without good manners: both sides get an RST. Returns how many. */
  reset() {
    return this.#cut('reset');
  }

  /** Cuts all connections in good order: both sides get a FIN. Returns how many. */
  finish() {
    return this.#cut('fin');
  }

  #cut(how) {
    const links = [...this.#links];
    for (const link of links) link.cut(how);
    return links.length;
  }

  /**
   * Each connection is cut within one of the next pieces that are sent in `direction` (0: to the server, 1: to the client): `skip` of them pass, and
   * `fraction` of the one after those. `told` is called at the first of these cuts.
   */
  truncate(direction, fraction, { skip = 0, told = () => {} } = {}) {
    let first = true;
    const tell = () => {
      if (first) told();
      first = false;
    };
    for (const link of this.#links) link.truncate(direction, { skip, fraction, told: tell });
  }

  /** Cuts all connections, and truncates the next one as soon as it is there: so an attach gets lost, or the answer to it. */
  ambush(direction, fraction, { skip = 0, told = () => {} } = {}) {
    const cut = this.reset();
    this.#ambush = (link) => link.truncate(direction, { skip, fraction, told });
    return cut;
  }

  /**
   * The connections of now hang: what is sent in these directions does not arrive, and nobody is
   * told. Returns a function that lets them go on, with all that was sent meanwhile. New connections are as good as ever.
   */
  stall(directions) {
    const links = [...this.#links];
    for (const link of links) link.stall(directions, true);
    return () => {
      for (const link of links) if (link.alive) link.stall(directions, false);
    };
  }
}

/** A proxy in front of `server` for the length of a test. */
export async function hostileProxy(t, server) {
  const made = new HostileProxy(server.url);
  await made.up();
  defer(t, () => made.down());
  return made;
}
