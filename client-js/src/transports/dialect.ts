import { closing } from '../close';
import { reserved } from '../faces';
import { control, escape, parse, toFrame, type Payload } from '../frames';
import { parsers, toPayload, type Parser } from '../parsers';
import type { Session } from '../session';
import type { AttachReply, Carrier, Dial, Transport } from '../transport';

/** More than this in the buffer below, and writers wait. */
const BUSY = 65536;

/** What is seen of a server: it asks so often for a sign of life, and so do we, and waits so long. */
const PING = 30000;
const TIMEOUT = 10000;

/** What carries messages for us, in a protocol of others. */
export interface Line {
  /** Sends a message. */
  _send(message: Payload): void;
  /** Bytes that wait below; without end, if nothing can be sent any more. */
  _waiting(): number;
  /** Ends it, behind all that was sent. */
  _end(): void;
}

/** What it tells. */
export interface Told {
  _opened(): void;
  /** A message has come. */
  _message(message: Payload): void;
  /** The server lives. */
  _alive(): void;
  /** It is over. */
  _closed(code: number, reason?: string): void;
}

/** An event or an answer as it travels here. */
interface Packet {
  type: number;
  data: any[];
  id?: number;
}

const MARK = 'primus::';

/** What the server writes begins so, if it is an event or an answer. */
const PACKET = /^\{"type":[01],"data":\[/;

/**
 * A transport that reaches a server by a protocol of others. Over that it speaks as the client of Primus 8 does, whose messages are what the parser makes; control
 * messages are strings among them, and in JSON an event or a request is `{"type":0,"data":[name,args],"id":1}`, an answer `{"type":1,"data":[value],"id":1}`.
 *
 * It knows neither numbers nor acknowledgements, so what was sent counts as received, and each connection is a session of its own. There are no rooms and
 * no channels in it.
 */
export const dialect = (
  _name: string,
  _needs: Transport['_needs'],
  /** Whether it carries text alone. */
  texts: boolean,
  connect: (dial: Dial, query: string, told: Told) => Line,
): Transport => ({
  _name,
  _needs,
  _dial(dial, carrier): any {
    const { auth, parser: given } = dial._options;
    if (auth != null) return carrier._down(closing(4400, `${_name} has no place for the option auth: use query`, { reconnect: false }));
    const parser: Parser = parsers[given as string] || given;
    let session: Session | undefined;
    let next = 1;
    /** Whether the server has said that it is over for good. */
    let over: boolean | undefined;
    /** What has come before the answer to our first question. */
    let early: Payload[] | undefined = [];

    const say = (words: string) => line._send(toPayload(parser.encoder(MARK + words)));

    /** What the server says that is no data. */
    const heard = (message: Payload): string | undefined => {
      // A parser may put something before a string.
      const head: any = message.slice(0, 16);
      if (!(head.trim ? head : new TextDecoder().decode(head)).includes(MARK)) return;
      try {
        const value = parser.decoder(message);
        if (typeof value == 'string' && value.startsWith(MARK)) return value.slice(MARK.length);
      } catch {}
    };

    /** A message as our own protocol has it. */
    const toOurs = (message: Payload): Payload => {
      if (given == 'json' && PACKET.test(message as string))
        try {
          const { type, data: [first, second = null], id }: Packet = JSON.parse(message as string);
          if (!type && typeof first == 'string' && !reserved(first)) return control((id ? `request:${id}:` : 'event:') + escape(first), JSON.stringify(second));
          // A refusal has a status.
          if (type && id) return control((first?.status > 399 && 'error' in first ? 'refuse:' : 'reply:') + id, JSON.stringify(first));
        } catch {}
      // It only looked like one.
      return toFrame(message);
    };

    /** Says to the application that this cannot be sent, as the server would: not before it waits for that. */
    const refuse = async (event?: string, request?: string) => {
      await 0;
      const error = { event, status: 501, error: `${_name} cannot carry this: set native = true on the server, or a native transformer` };
      carrier._frame(control(request ? 'refuse:' + request : 'event:primus.error', JSON.stringify(error)));
    };

    /** Sends a frame as it is put here. */
    const put = (frame: Payload) => {
      const { _kind, _numbers: [id], _name: event, _body } = parse(frame);
      if (_kind == 'data') {
        // What the server would take for its own is not sent either.
        if ((texts && typeof _body != 'string') || heard(_body) != undefined) refuse();
        else line._send(_body);
      } else if (given != 'json' || typeof _body != 'string' || /^primus\./.test(event!)) refuse(event, _kind == 'request' ? id : undefined);
      else {
        const packet = event ? `{"type":0,"data":[${JSON.stringify(event)},${_body}]` : `{"type":1,"data":[${_body}]`;
        line._send(packet + (id ? `,"id":${id}}` : '}'));
      }
    };

    const line = connect(dial, '&_primuscb=1' + dial._query, {
      _opened: () => say('id::'),
      _alive: () => carrier._alive(),
      _message(message) {
        carrier._alive();
        const words = heard(message);
        if (words == undefined) {
          if (early) early.push(message);
          else carrier._frame(toOurs(message));
          return;
        }
        const [, kind, value] = /^(.*?)::([^]*)$/.exec(words) || [];
        if (kind == 'ping') say('pong::' + value);
        else if (kind == 'server') over = true;
        else if (kind == 'id' && early) {
          const reply: Partial<AttachReply> = { id: value, recv: 0, next: 1, resumed: false, reason: dial._leave ? undefined : 'expired', ping: PING, timeout: TIMEOUT, ack: [2 ** 50, 2 ** 50] };
          const waiting = early;
          early = undefined;
          carrier._frame(control('attach', JSON.stringify(reply)));
          for (const message of waiting) carrier._frame(toOurs(message));
        }
      },
      _closed(code, reason) {
        // Who was not told that it is over comes back, however politely it was closed.
        if (over) carrier._down(closing(code > 3999 ? code : 4000, 'ended', { reconnect: false }));
        else carrier._down(closing(code, reason, code == 1000 ? { reconnect: true } : {}));
      },
    });
    Object.assign(carrier, <Partial<Carrier>>{
      _attached(one) {
        session = one;
        next = one._place().next;
      },
      _flush(frame) {
        // Of what we have to say beside messages only the question for a sign of life has a form here.
        if (frame && parse(frame)._kind.startsWith('ping')) say('id::');
        let message: Payload | undefined;
        while (session && line._waiting() < Infinity && (message = session._peek(next)) != undefined) {
          session._take(next);
          session._ack(next++);
          put(message);
        }
      },
      _busy: () => line._waiting() > BUSY,
      _pause() {},
      _close: () => line._end(),
    });
  },
});
