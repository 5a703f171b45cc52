import type { Config, Options, Packet, Plugin, Primus, Recovery } from './api';
import { delay, type ReconnectOptions } from './backoff';
import { closing, failure, type CloseReason } from './close';
import { emitter } from './emitter';
import { byteLength, control, parse, payloadOf, type Payload } from './frames';
import { heartbeat, type Heartbeat } from './heartbeat';
import { watch } from './network';
import { merge } from './options';
import { parsers, toPayload, type Parser } from './parsers';
import type { Connect } from './race';
import { iterate, readable, writable } from './streams';
import type { AttachReply, Carrier, Wire } from './transport';

const OPENING = 1;
const CLOSED = 2;
const OPEN = 3;

/** 23 days: a timer that is to wait for more than 2^31 ms goes off at once. */
const EVER = 2e9;

/**
 * Makes a client: a state machine in a closure, with the public face of `Primus`.
 *
 * ```text
 *            open()              attached             lost
 *  CLOSED ──────────▶ OPENING ──────────────▶ OPEN ────────▶ CLOSED ── schedule ──▶ OPENING …
 *                        │ failed               │ end(), or the server's word
 *                        └──▶ schedule          └────▶ CLOSED, for good: `ended` says why
 * ```
 *
 * `turn` is the number of what it is doing. Everything that waits for something remembers the number, and is void when it has
 * changed; so listeners may call `end` or `open` at any event.
 */
export const create = (
  prototype: object,
  connect: Connect,
  config: Config,
  origin: string | undefined,
  url?: any,
  given?: Options,
): Primus => {
  const transformers: Record<string, ((packet: Packet) => unknown)[]> = { incoming: [], outgoing: [] };
  /** Who does not want to read at the moment. */
  const holders = new Set<unknown>();

  /** The size of the buffer, while there is no connection. */
  let bytes = 0;
  /** Whether it wants to be connected. */
  let live = false;
  /** Why it does not want that any more. */
  let ended: CloseReason | undefined;
  /** Whether the network is away, so that attempts are useless. */
  let away = false;
  let turn = 0;
  /** For the start, the end of an attempt, or the next attempt: it waits for one thing at a time. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Gives up the attempt under way. */
  let cancel: (() => void) | undefined;
  let recovery: Recovery | undefined;
  /** Whether the server has told when to come back. */
  let told = false;
  let carrier: Carrier | undefined;
  let reply: AttachReply | undefined;
  let heart: Heartbeat | undefined;
  let pings = 0;
  let unwatch: (() => void) | undefined;
  let reading: ReadableStream | undefined;
  let writing: WritableStream | undefined;

  if (url && typeof url == 'object' && !url.href) {
    given = url;
    url = url.url || url.uri;
  }
  const options: Options & { reconnect: ReconnectOptions } = [config.options, given].reduce(merge, {
    timeout: 10000,
    strategy: 'disconnect,online,timeout',
    queueSize: 262144,
    reconnect: {
      min: 500,
      max: 30000,
      factor: 2,
      retries: Infinity,
      'reconnect timeout': 30000,
    },
  });
  // A page from a file has no server.
  const home = /^http/.test(origin!) ? origin : 'http://127.0.0.1';
  const mount = new URL(url || '/', home);
  const path = mount.pathname != '/' ? mount.pathname : (options.pathname ?? config.path ?? '/primus');
  const base = mount.origin.replace(/^ws/, 'http') + path.replace(/\/$/, '');

  const primus: { -readonly [K in keyof Primus]: Primus[K] } = {
    __proto__: prototype,
    options,
    url: base,
    readyState: CLOSED,
    online: true,
    transport: '',
    buffer: [],
    get state() {
      return primus.readyState == OPEN
        ? 'open'
        : !live && !timer
          ? 'closed'
          : away
            ? 'offline'
            : reply
              ? 'resuming'
              : 'connecting';
    },
    get ready() {
      return new Promise((resolve, reject) => {
        const settle = () => {
          primus.off('open', settle).off('end', settle);
          if (ended) reject(failure(ended));
          else resolve(primus);
        };
        if (primus.readyState == OPEN || ended) settle();
        else primus.on('open', settle).on('end', settle);
      });
    },
    get readable() {
      return (reading ||= readable(primus, hold, ended));
    },
    get writable() {
      return (writing ||= writable(primus, busy));
    },
    open() {
      if (!live) {
        abandon();
        live = true;
        ended = reply = reading = writing = undefined;
        const { network = true } = options;
        const target: any = network === true ? globalThis : network;
        if (target.addEventListener) {
          away = target.navigator?.onLine === false;
          unwatch = watch(target, gone, back, wake, () => end(undefined, 2));
        }
        primus.online = !away;
        // Without a network, its return starts it.
        if (!away) attempt();
      }
      return primus;
    },
    write(value: unknown) {
      if (ended) return false;
      const packet = { data: value };
      const open = primus.readyState == OPEN;
      try {
        if (passes('outgoing', packet)) {
          const payload = toPayload(parser.encoder(packet.data));
          if (!open) {
            const size = byteLength(payload);
            // There is always room for one message.
            if (bytes && bytes + size > options.queueSize!) throw new Error('queue full');
            bytes += size;
          }
          primus.buffer.push(payload);
        }
      } catch (error) {
        emit('error', error);
        return false;
      }
      // A transform may have ended it.
      if (open) carrier?._flush();
      return true;
    },
    end: (data?: unknown) => end(data),
    destroy() {
      end();
      emit('destroy');
      return primus.removeAllListeners();
    },
    id(callback?: (id: string) => void) {
      const id = primus.ready.then(() => reply!.id);
      id.then(callback, () => {});
      return id;
    },
    transform(type: string, transformer: (packet: Packet) => unknown) {
      transformers[type].push(transformer);
      return primus;
    },
    plugin(plugin: Plugin) {
      plugin.call(primus, primus, options);
      return primus;
    },
    reserved: (event: string) =>
      /^(incom|outgo)ing::|^(open|data|close|end|error|readyStateChange|timeout|o..?line|destroy|reconnect.*)$/.test(event),
    emits:
      (event: string, parser?: (...args: any[]) => void) =>
      (...args: any[]) =>
        parser
          ? parser((error: unknown, ...rest: any[]) => (error ? emit('error', error) : emit(event, ...rest)), ...args)
          : emit(event, ...args),
    [Symbol.asyncIterator]: () => iterate(readable(primus, hold, ended)),
  } as any;
  const emit = emitter(primus);

  const strategy = (name: string) => ('' + options.strategy).includes(name);

  /** Sets `readyState`, and tells if it has changed. */
  const become = (state: 1 | 2 | 3) => {
    if (primus.readyState != state) {
      primus.readyState = state;
      emit('readyStateChange', [, 'opening', 'end', 'open'][state]);
    }
  };

  const reachable = (yes: boolean) => {
    primus.online = yes;
    emit(yes ? 'online' : 'offline');
  };

  /** Stops whatever is under way, and gives the next thing its number. */
  const abandon = () => {
    clearTimeout(timer);
    timer = undefined;
    heart?._stop();
    cancel?.();
    cancel = undefined;
    return ++turn;
  };

  /** Makes one attempt to connect: the first, or the next of a recovery. */
  const attempt = () => {
    const mine = abandon();
    const again = recovery;
    const time = again ? again['reconnect timeout'] : options.timeout;
    // Under way from now on, though the race begins a moment later.
    cancel = () => {};
    become(OPENING);
    if (mine != turn) return;

    if (time)
      timer = setTimeout(() => {
        abandon();
        if (again) emit('reconnect timeout', new Error('timeout'), again);
        else emit('timeout');
        retry(closing(1006, 'timeout'));
      }, time);

    const asked = (value: any) => (typeof value == 'function' ? value() : value);
    (async () => {
      const auth = await asked(options.auth);
      const query = await asked(options.query);
      if (mine != turn) return;
      cancel = connect(
        {
          _url: primus.url,
          _transports: options.transports || config.transports,
          _query: (mount.search + '&' + new URLSearchParams(query)).replace(/^[?&]+|&$/g, ''),
          _attach: control('attach', JSON.stringify({ auth, })),
          _socket: (options.WebSocket || globalThis.WebSocket) as typeof WebSocket,
          _fetch: options.fetch || globalThis.fetch,
          _credentials: options.credentials,
        },
        opened,
        failed,
      );
    })().catch((error) => mine == turn && failed(closing(1006, error.message)));

    if (again) emit('reconnect', again);
  };

  const opened = (name: string, one: Carrier, wire: Wire, attached: AttachReply) => {
    const mine = turn;
    const again = recovery;
    clearTimeout(timer);
    cancel = recovery = undefined;
    primus.transport = name;
    carrier = one;
    reply = attached;
    const { ping, timeout } = attached;
    const pulse = (heart = heartbeat(
      options.ping ?? (ping && ping + timeout / 2),
      options.pingTimeout ?? timeout / 2,
      () => one._flush(control('ping:' + ++pings)),
      () => {
        // Who does not read cannot hear; but the server hears that we are still there.
        if (holders.size) return pulse._ask();
        reachable(false);
        lost(closing(4004, 'heartbeat'));
      },
    ));
    wire._alive = pulse._heard;
    wire._down = (reason) => mine == turn && lost(reason);
    wire._frame = (data) => {
      pulse._heard();
      if (mine == turn) receive(data);
    };
    one._attached(attached, primus.buffer);
    hold();

    if (again) {
      again.duration = Date.now() - again.start;
      emit('reconnected', again);
    }
    if (mine == turn && !primus.online) reachable(true);
    if (mine == turn) become(OPEN);
    if (mine == turn) {
      one._flush();
      emit('open');
    }
  };

  /** One attempt has failed. */
  const failed = (reason: CloseReason) => {
    cancel = undefined;
    // While it is coming back, an attempt that failed is no news, but that it may not come back is.
    if (!reason.reconnect || !recovery) emit('error', failure(reason));
    if (!live) return;
    if (reason.reconnect) retry(reason);
    else finish(reason);
    become(CLOSED);
  };

  /** Tries again after a failed attempt, if the options want that. */
  const retry = (reason: CloseReason) => {
    if (!live) return;
    if (recovery || strategy('timeout')) schedule(reason.after);
    else finish(reason);
  };

  /** Waits for the next attempt: as long as the server asked for and chance adds, or not at all. */
  const schedule = (after = 0, soon?: boolean) => {
    abandon();
    const again = (recovery ||= <Recovery>{
      ...options.reconnect,
      start: Date.now(),
      duration: 0,
      attempt: 0,
      backoff: true,
    });
    if (again.attempt >= again.retries) {
      stop(closing(1006, 'Unable to recover'));
      emit('end', ended);
      emit('reconnect failed', failure(ended!), again);
      become(CLOSED);
      return;
    }
    told = after > 0;
    again.attempt++;
    again.scheduled = soon ? 0 : Math.min(after + delay(again, again.attempt), EVER);
    timer = setTimeout(attempt, again.scheduled);
    emit('reconnect scheduled', again);
  };

  /** The connection is lost, or the network. */
  const lost = (reason: CloseReason) => {
    abandon();
    const was = carrier;
    was?._close(0);
    carrier = undefined;
    bytes = primus.buffer.reduce((sum, payload) => sum + byteLength(payload), 0);
    reason.reconnect = reason.reconnect && strategy(away ? 'online' : 'disconnect');
    become(CLOSED);
    // An attempt that is given up because the network has gone was never open.
    if (was) emit('close', reason);
    if (!live) return;
    if (!reason.reconnect) finish(reason);
    else if (!away) schedule(reason.after);
  };

  /** Stops everything for good. */
  const stop = (reason: CloseReason) => {
    abandon();
    unwatch?.();
    reason.reconnect = false;
    ended = reason;
    live = away = false;
    recovery = undefined;
  };

  /** Stops everything for good, and tells. */
  const finish = (reason: CloseReason) => {
    // While it was waiting to come back, `close` has been told already.
    const known = primus.readyState == CLOSED && live;
    stop(reason);
    become(CLOSED);
    if (!known) emit('close', reason);
    emit('end', reason);
  };

  /** A frame has come. */
  const receive = (data: Payload) => {
    try {
      const [head, body] = parse(data);
      const payload = payloadOf(head, body);
      if (payload !== undefined) decode(payload);
      else if (head[1] == 'i') carrier!._flush(control(head.replace('i', 'o')));
      else if (head == 'end') {
        const end = JSON.parse(body);
        lost(closing(end.code, end.reason, end));
      } else if (head[1] != 'o') throw 0;
    } catch {
      lost(closing(4400, 'protocol error'));
    }
  };

  const passes = (type: string, packet: Packet) =>
    transformers[type].every((transformer) => transformer.call(primus, packet) !== false);

  const decode = (raw: Payload) => {
    try {
      const packet = { data: parser.decoder(raw) };
      if (passes('incoming', packet)) emit('data', packet.data, raw);
    } catch (error) {
      emit('error', error);
    }
  };

  /** `who` does not want to read, or does again. */
  const hold = (who?: unknown, on?: boolean) => {
    holders[on ? 'add' : 'delete'](who);
    carrier?._pause(holders.size > 0);
  };

  /** Whether a writer had better wait. */
  const busy = () => !ended && (primus.readyState != OPEN || carrier!._busy());

  const end = (data?: unknown, how: 1 | 2 = 1) => {
    if (live || timer) {
      if (data !== undefined) primus.write(data);
      const leaving = carrier;
      if (leaving) {
        // The carrier keeps this queue to its end; what is written later must not get into it.
        primus.buffer = [];
        bytes = 0;
        carrier = undefined;
        leaving._close(how);
      }
      finish(closing(1000, 'normal'));
    }
    return primus;
  };

  /** The network has gone. */
  const gone = () => {
    if (away) return;
    away = true;
    reachable(false);
    lost(closing(1006, 'offline'));
  };

  /** The network is back. */
  const back = () => {
    if (!away) return wake();
    away = false;
    recovery = undefined;
    reachable(true);
    schedule(0, true);
  };

  /** Now is better than later, but the server's word stands. */
  const wake = () => {
    if (carrier) heart!._ask();
    else if (timer && !cancel && !told) attempt();
  };

  [config, options].map(({ plugins }) => plugins?.map(primus.plugin));
  const named: any = options.parser || config.parser || 'json';
  const parser = parsers[named] || (named as Parser);
  if (!options.manual) timer = setTimeout(primus.open);
  return primus;
};
