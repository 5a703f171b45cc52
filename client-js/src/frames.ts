/** What travels: the parser's text, or bytes. */
export type Payload = string | ArrayBuffer;

const PREFIX = 'primus::';

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

const toUtf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Whether it is a text that looks like a control frame. */
const isControl = (frame: Payload): frame is string => typeof frame == 'string' && frame.startsWith(PREFIX);

/** How many bytes a payload has on the wire. */
export const byteLength = (payload: Payload): number =>
  (typeof payload == 'string' ? toUtf8(payload) : payload).byteLength;

/** A control frame. */
export const control = (kind: string, body = ''): string => PREFIX + kind + '::' + body;

/** A message as one frame for a WebSocket: bytes stay bytes. */
export const toFrame = (payload: Payload): Payload =>
  isControl(payload) ? control('data', payload) : payload;

/** A message as one line for the HTTP transports, where frames are separated by line feeds. */
export const toLine = (payload: Payload): string =>
  typeof payload != 'string'
    ? control('binary', toBase64(new Uint8Array(payload)))
    : /[\r\n]/.test(payload)
      ? control('data:b64', toBase64(toUtf8(payload)))
      : payload
        ? (toFrame(payload) as string)
        : control('data');

/**
 * Takes a frame apart: its head, that is kind and fields (`ping:7:12`), and its body. A message that is its own frame has no head.
 * Throws when it is malformed, or of a kind that this version does not know.
 */
export const parse = (frame: Payload): [head: string, body: any] => {
  if (!isControl(frame)) return ['', frame];
  const [, head, body] =
    /^primus::(attach|refuse|end|binary|data(?::b64)?|p[io]ng(?::\d+){1,2}|ack:\d+(?::[1-9]\d*)?(?=::$))::([^]*)$/.exec(frame)!;
  // A number that a double cannot hold exactly comes out as another one.
  if (head.split(':').some((field) => +field >= 0 && '' + +field != field)) throw 0;
  return [head, body];
};

/** The message in a frame, or nothing if it is a control frame; throws when it is malformed. */
export const payloadOf = (head: string, body: any): Payload | undefined =>
  !ALONE && head == 'binary'
    ? (fromBase64(body).buffer as ArrayBuffer)
    : !ALONE && head == 'data:b64'
      ? new TextDecoder(undefined, { fatal: true, ignoreBOM: true }).decode(fromBase64(body))
      : !head || head == 'data'
        ? body
        : undefined;
