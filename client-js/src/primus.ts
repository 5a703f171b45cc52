import type { Config, Options, Plugin, Primus, Recovery } from './api';
import { delay, EVER, type ReconnectOptions } from './backoff';
import { closing, ending, failure, type CloseReason } from './close';
import { emitter } from './emitter';
import { faces, reserved } from './faces';
import { control, parse, type Payload } from './frames';
import { heartbeat, type Heartbeat } from './heartbeat';
import { watch } from './network';
import { asked, merge } from './options';
import { parsers, type Parser } from './parsers';
import type { Connect, Stop } from './race';
import { session } from './session';
import { iterate, readable, writable } from './streams';
import type { AttachReply, Carrier, Dial } from './transport';

const OPENING = 1;
const CLOSED = 2;
const OPEN = 3;

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
 * To open, to come back, to fall back and to upgrade are one thing: a carrier attaches (`opened`). `turn` is the number of what it
 * is doing. Everything that waits for something remembers the number, and is void when it has changed; a carrier is, when it is not
 * `carrier` any more. So listeners may call `end` or `open` at any event.
 */
export const create = (
  prototype: object,
  connect: Connect,
  config: Config,
  url?: any,
  given?: Options,
): Primus => {
  /** Who does not want to read at the moment. */
  const holders = new Set<unknown>();
  /** Names this client, as long as it lives. */
  const client = Math.round(Math.random() * 2 ** 53);

  /** Counts attach frames. */
  let attempts = 0;
  let box = session();
  /** The session to come back to. */
  let named: Pick<AttachReply, 'id' | 'key' | 'generation' | 'epoch'> | undefined;
  /** Why there is none any more. */
  let why: string | undefined;
  /** What was sent in sessions that are gone, and never acknowledged. */
  let missed: Payload[] = [];

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
  let cancel: Stop | undefined;
  let recovery: Recovery | undefined;
  /** Whether the server has told when to come back. */
  let told = false;
  let carrier: Carrier | undefined;
  let reply: AttachReply | undefined;
  let heart: Heartbeat | undefined;
  let pings = 0;
  let watching: AbortController | undefined;
  let reading: ReadableStream | undefined;
  let writing: WritableStream | undefined;

  if (Object(url) === url && !url.href) {
    given = url;
    url = url.url || url.uri;
  }
  const options: Options & { reconnect: ReconnectOptions } = [config.options, given].reduce(merge, {
    timeout: 10000,
    strategy: 'disconnect,online,timeout',
    queueSize: 262144,
    requestTimeout: 30000,
    pathname: config.path,
    transports: config.transports,
    parser: config.parser || 'json',
    WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch,
    reconnect: {
      min: 500,
      max: 30000,
      factor: 2,
      retries: Infinity,
      'reconnect timeout': 30000,
    },
  });
  // A page from a file has no server.
  const home = [config.home, globalThis.location?.origin, 'http://127.0.0.1'].find((one) => /^http/.test(one!));
  const mount = new URL(url || '/', home);
  const path = mount.pathname != '/' ? mount.pathname : options.pathname!;
  const base = mount.origin.replace(/^ws/, 'http') + path.replace(/\/$/, '');

  const primus: { -readonly [K in keyof Primus]: Primus[K] } = {
    __proto__: prototype,
    options,
    url: base,
    readyState: CLOSED,
    online: true,
    transport: '',
    get buffer() {
      return box._waiting();
    },
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
          if (!ended && primus.readyState != OPEN) return;
          primus.off('readyStateChange', settle).off('end', settle);
          if (ended) reject(failure(ended));
          else resolve(primus);
        };
        primus.on('readyStateChange', settle).on('end', settle);
        settle();
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
          watching = watch(target, {
            offline() {
              if (away) return;
              away = true;
              reachable(false);
              if (live) lost(closing(1006, 'offline'));
            },
            online() {
              if (!away) return wake();
              away = false;
              recovery = undefined;
              reachable(true);
              if (live) schedule(0, true);
            },
            // Somebody looks at the page again, perhaps after a long sleep.
            pageshow: wake,
            visibilitychange: () => target.document?.visibilityState == 'hidden' || wake(),
            // The page goes, and will not come back.
            pagehide: (event) => event.persisted || (primus as any).end(undefined, 2),
          });
        }
        primus.online = !away;
        // Without a network, its return starts it.
        if (!away) attempt();
      }
      return primus;
    },
    // `how` is 2 where the page goes: see `Carrier._close`.
    end(data?: unknown, how: 1 | 2 = 1) {
      if (live || timer) {
        if (data !== undefined) primus.write(data);
        const leaving = carrier;
        still(false);
        carrier = undefined;
        // It keeps this session to its end; what is written later must not get into it.
        box = session();
        missed = [];
        leaving?._close(how);
        finish(closing(1000, 'normal'));
      }
      return primus;
    },
    destroy() {
      primus.end();
      emit('destroy');
      return primus.removeAllListeners();
    },
    id(callback?: (id: string) => void) {
      const id = primus.ready.then(() => reply!.id);
      id.then(callback, () => {});
      return id;
    },
    plugin(plugin: Plugin, more?: unknown) {
      plugin.call(primus, primus, options, more);
      return primus;
    },
    reserved,
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

  /** The same for `online`. */
  const reachable = (yes: boolean) => {
    if (primus.online != yes) {
      primus.online = yes;
      emit(yes ? 'online' : 'offline');
    }
  };

  /** Stops whatever is under way, and gives the next thing its number. */
  const abandon = () => {
    clearTimeout(timer);
    timer = undefined;
    heart?._stop();
    // Whoever does not come back ends the session, if an attempt has reached it.
    cancel?.(live ? undefined : 1);
    cancel = undefined;
    return ++turn;
  };

  /** Makes one attempt to connect: the first, or the next of a recovery. */
  const attempt = async () => {
    const mine = abandon();
    const again = recovery;
    const time = again ? again['reconnect timeout'] : options.timeout;
    // Under way from now on, though the race begins a moment later.
    cancel = () => {};
    become(OPENING);
    if (mine != turn) return;
    if (time) timer = setTimeout(() => failed(closing(1006, 'timeout'), true), time);
    if (again) emit('reconnect', again);
    try {
      const dial = await ask();
      if (mine == turn) cancel = connect(dial, opened, failed);
    } catch (error: any) {
      if (mine == turn) failed(closing(1006, error.message));
    }
  };

  /** What a transport needs to know, with credentials of this moment. */
  const ask = async (): Promise<Dial> => {
    const auth = await asked(options.auth);
    const query = await asked(options.query);
    return {
      _url: base,
      _query: (mount.search + '&' + new URLSearchParams(query)).replace('?', '&').replace(/&$/, ''),
      _attach() {
        const attempt = ++attempts;
        return () => {
          if (!ALONE && carrier) still(true);
          return control('attach', JSON.stringify({ auth, ...box._place(), client, attempt, session: named }));
        };
      },
      _leave: named ? 0 : 1,
      _repeat: named && !carrier && box,
      _fits: box._fits,
      _options: options,
      ...(ALONE
        ? ({} as any)
        : {
            _again: ask,
            _vain: () => still(false),
          }),
    };
  };

  /** Nothing may overtake an attach frame beside a living carrier: nothing new is sent, and nothing read, until that is over. */
  const still = (on: boolean) => {
    if (!ALONE) box._still(on);
    hold(still, on);
    if (!on) carrier?._flush();
  };

  /** The session is gone: what was sent in it is not repeated. */
  const forget = (reason?: string) => {
    why = reason;
    named = undefined;
    missed.push(...box._renew());
  };

  /** Hands messages to the application that nobody will send. */
  const handOver = (frames: Payload[]) => {
    const values = frames.flatMap((frame) => {
      const { _kind, _name: event, _channel: channel, _body } = parse(frame);
      // An answer, or a word to the protocol.
      if (/^re[pf]/.test(_kind) || reserved(event)) return [];
      let data: unknown = _body;
      try {
        data = parser.decoder(_body);
      } catch {}
      return [event || channel ? { ...(channel && { channel }), ...(event && { event }), data } : data];
    });
    if (values.length) emit('lost', values);
  };

  /** A carrier has attached: the first, the next, or a better one than that which is at work. */
  const opened = (one: Carrier, stop?: Stop) => {
    const again = recovery;
    const old = ALONE ? undefined : carrier;
    const before = reply;
    const previous = primus.transport;
    const { _name, _reply } = one;
    const { id, key, generation, epoch, resumed, ping, timeout } = _reply;
    clearTimeout(timer);
    heart?._stop();
    old?._close(0);
    cancel = stop;
    recovery = undefined;
    primus.transport = _name;
    reply = _reply;
    if (!resumed) {
      forget(_reply.reason || why);
      talk._renew();
    }
    named = { id, key, generation, epoch };
    box._attached(_reply);
    heart = heartbeat(
      options.ping ?? (ping && ping + timeout / 2),
      options.pingTimeout ?? timeout / 2,
      () => one._flush(control(`ping:${++pings}:${box._seen()}`)),
      () => {
        // Who does not read cannot hear; but the server hears that we are still there.
        if (holders.size) return heart!._ask();
        reachable(false);
        one._down(closing(4004, 'heartbeat'));
      },
    );
    one._alive = heart._heard;
    one._down = (reason) => carrier == one && lost(reason);
    one._frame = (data) => carrier == one && receive(data);
    one._attached(box);
    // Only now, because nothing can be sent by it before.
    carrier = one;
    still(false);

    const tell = (event: string, ...args: unknown[]) => carrier == one && emit(event, ...args);
    if (_name != previous) tell('transport', _name, previous);
    if (!old) {
      if (again) {
        again.duration = Date.now() - again.start;
        tell('reconnected', again);
      }
      if (before) tell('resumed', resumed, resumed ? undefined : why);
      handOver(missed.splice(0));
    }
    if (carrier == one) reachable(true);
    if (carrier == one) become(OPEN);
    if (carrier == one) {
      one._flush();
      if (!old && (!resumed || options.openOnReconnect)) emit('open');
    }
  };

  /** One attempt has failed, or took too long. It is followed by another one, if the options want that. */
  const failed = (reason: CloseReason, late?: boolean) => {
    const again = recovery;
    const mine = abandon();
    if (late) {
      if (again) emit('reconnect timeout', failure(reason), again);
      else emit('timeout');
    }
    // While it is coming back, an attempt that failed is no news, but that it may not come back is.
    else if (!again || !reason.reconnect) emit('error', failure(reason));
    if (mine != turn) return;
    if (reason.reconnect && (again || strategy('timeout'))) schedule(reason.after);
    else finish(reason);
    if (!late) become(CLOSED);
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
      const reason = closing(1006, 'Unable to recover');
      finish(reason, true);
      emit('reconnect failed', failure(reason), again);
      become(CLOSED);
    } else {
      told = after > 0;
      again.attempt++;
      again.scheduled = soon ? 0 : Math.min(after + delay(again, again.attempt), EVER);
      timer = setTimeout(attempt, again.scheduled);
      emit('reconnect scheduled', again);
    }
  };

  /** The connection is lost, or the network; if it is `over`, the session as well. */
  const lost = (reason: CloseReason, over = reason.code == 1009) => {
    const mine = abandon();
    const was = carrier;
    was?._close(0);
    carrier = undefined;
    still(false);
    if (over) forget(reason.reason);
    reason.reconnect &&= strategy(away ? 'online' : 'disconnect');
    become(CLOSED);
    // An attempt that is given up because the network has gone was never open.
    if (was) emit('close', reason);
    if (mine != turn) return;
    if (!reason.reconnect) finish(reason);
    else if (!away) schedule(reason.after);
  };

  /** Stops everything for good, and tells. While it was waiting to come back, `close` has been told already. */
  const finish = (reason: CloseReason, known = primus.readyState == CLOSED && live) => {
    live = away = reason.reconnect = false;
    ended = reason;
    abandon();
    watching?.abort();
    recovery = undefined;
    forget();
    const rest = missed.splice(0).concat(primus.buffer);
    box = session();
    if (!known) become(CLOSED);
    talk._renew(reason);
    if (!known) emit('close', reason);
    handOver(rest);
    emit('end', reason);
  };

  /** A frame has come. */
  const receive = (data: Payload) => {
    heart!._heard();
    try {
      const frame = parse(data);
      const { _kind, _numbers, _body } = frame;
      const [first, second] = _numbers;
      // A refusal without a number is that of an attach.
      if (/^(data|event|re.*\d)/.test(_kind + first)) {
        if (!box._came(data)) return;
        if (box._due(reply!.ack)) carrier!._flush(control('ack:' + box._seen()));
        talk._receive(frame);
      } else if (_kind == 'end') {
        const reason = ending(_body);
        box._ack(reason.recv!);
        // Over HTTP, these are said of a carrier: it was given up, or replaced.
        if (!ALONE && /400[46]/.test(reason.code as any)) carrier!._down(reason);
        else lost(reason, true);
      } else {
        // `attach` and `refuse` have no numbers, and no place here.
        if (!first) throw 0;
        box._ack(+(_kind == 'ack' ? first : second));
        if (_kind == 'ping') carrier!._flush(control(`pong:${first}:${box._seen()}`));
      }
    } catch {
      lost(closing(4400, 'protocol error'));
    }
  };

  /** `who` does not want to read, or does again. */
  const hold = (who?: unknown, on?: boolean) => {
    holders[on ? 'add' : 'delete'](who);
    // Behind what nobody reads may be the answer that somebody waits for.
    carrier?._pause(holders.has(still) || (holders.size && !talk._asking()));
  };

  /** Whether a writer had better wait. */
  const busy = () => carrier?._busy() ?? !ended;

  /** Now is better than later, but the server's word stands. */
  const wake = () => {
    if (carrier) heart!._ask();
    else if (timer && !cancel && !told) attempt();
  };

  const parser: Parser = parsers[options.parser as string] || options.parser;
  const talk = faces(primus, emit, {
    _parser: parser,
    _send(frame, gate, how) {
      box._put(frame, how && (!carrier || gate._held) ? options.queueSize : Infinity, how?.conflate, gate);
      carrier?._flush();
    },
    _drop: (what) => box._drop(what),
    _ended: () => ended,
    _busy: busy,
    _changed() {
      hold();
      carrier?._flush();
    },
  });
  for (const one of [config.plugins, options.plugins].flat()) if (one) primus.plugin(...([one].flat() as [Plugin]));
  if (!options.manual) timer = setTimeout(primus.open);
  return primus;
};
