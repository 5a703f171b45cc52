/** What travels: text, or bytes. */
export type Payload = string | ArrayBuffer;

/** A frame, taken apart. */
export interface Frame {
  /** `data`, `event`, `request`, `reply`, `refuse` with an id, or that of a control frame. */
  _kind: string;
  /** The numbers in its head; the first one of a request and of its answer is their id. */
  _numbers: string[];
  /** Of an event or request. */
  _name?: string;
  /** The channel that it is in, if not the root. */
  _channel?: string;
  /** The rooms that it was sent to, each with its offset there, if that has one. */
  _rooms?: [room: string, offset?: any][];
  _body: any;
}

const PREFIX = 'primus::';

/** Numbers, or numbers and a name behind them, end the head; what a name has of its own is percent-encoded. */
const HEAD =
  /^primus::(?:(attach|refuse|end|binary|data(?::b64)?|p[io]ng(?::\d+){1,2}|ack:\d+(?::[1-9]\d*)?(?=::$)|re(?:ply|fuse):\d+)|(event|room|channel|request:\d+):([^:]+))::/;

/** What may be in bytes or base64. */
const MESSAGES = 'data event request room channel reply';

const toBase64 = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};

const fromBase64 = (base64: string): Uint8Array => {
  const text = atob(base64);
  // `atob` forgives missing padding and white space, the protocol does not.
  if (btoa(text) != base64) throw 0;
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
};

/** Of a stream of text, or of one that is whole. */
export const utf8 = () => new TextDecoder(undefined, { fatal: true, ignoreBOM: true });

const toUtf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A frame as text. A head has ASCII only: as far as that goes each byte is a character. */
const toText = (frame: Payload): string => (typeof frame == 'string' ? frame : new TextDecoder().decode(frame));

/** Whether it begins as only what has a head does. */
const isHeaded = (frame: Payload): boolean => toText(frame.slice(0, 8)) == PREFIX;

/** How many bytes a payload has on the wire. */
export const byteLength = (payload: Payload): number =>
  (typeof payload == 'string' ? toUtf8(payload) : payload).byteLength;

/** A frame with this head. */
export const control = <T extends Payload = string>(head: string, body: T = '' as T): T => {
  const start = PREFIX + head + '::';
  if (typeof body == 'string') return (start + body) as T;
  const bytes = new Uint8Array(start.length + body.byteLength);
  bytes.set(toUtf8(start));
  bytes.set(new Uint8Array(body), start.length);
  return bytes.buffer as T;
};

/** A message of the application as a frame. */
export const toFrame = (payload: Payload): Payload =>
  isHeaded(payload) ? control('data', payload) : payload;

/** A frame as one line for the HTTP transports, where frames are separated by line feeds. */
export const toLine = (frame: Payload): string =>
  typeof frame != 'string'
    ? control('binary', toBase64(new Uint8Array(frame)))
    : /[\r\n]/.test(frame)
      ? control('data:b64', toBase64(toUtf8(frame)))
      : frame || control('data');

/** A name of an event, a room or a channel, as it stands in a head. Throws if it can be none. */
export const escape = (name: string): string => {
  if (/^$|[\0-\x1f\x7f]/.test(name) || byteLength(name) > 256) throw new Error('invalid name');
  return encodeURIComponent(name);
};

const unescape = (field: string): string => {
  const name = decodeURIComponent(field);
  escape(name);
  return name;
};

/** A number that a double cannot hold exactly comes out as another one. */
const exact = (field: string): string => {
  if (+field >= 0 && '' + +field != field) throw 0;
  return field;
};

/**
 * Takes a frame apart, down to the message in it. Throws when it is malformed, or of a kind that has no place there:
 * `kinds` are those that have, if not all.
 */
export const parse = (frame: Payload, kinds = typeof frame == 'string' ? '' : MESSAGES): Frame => {
  if (!isHeaded(frame)) return { _kind: 'data', _numbers: [], _body: frame };
  const [start, plain, named, field] = HEAD.exec(toText(frame))!;
  const [_kind, ..._numbers] = (plain || named).split(/:(?=\d)/).map(exact);
  const _body: any = frame.slice(start.length);
  if (kinds && !kinds.includes(_kind)) throw 0;
  if (_kind == 'channel') return { ...parse(_body, 'data event request room'), _channel: unescape(field) };
  if (_kind == 'room')
    return {
      ...parse(_body, 'data event'),
      _rooms: field.split(',').map((one) => {
        const [, room, offset] = /^([^@]+)(?:@(\d+))?$/.exec(one)!;
        return [unescape(room), offset && +exact(offset)];
      }),
    };
  if (!ALONE) {
    if (_kind == 'binary') return parse(fromBase64(_body).buffer as ArrayBuffer);
    if (_kind == 'data:b64') return parse(utf8().decode(fromBase64(_body)), MESSAGES);
  }
  return { _kind, _numbers, _name: field && unescape(field), _body };
};
