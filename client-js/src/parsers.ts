import type { Payload } from './frames';

/** Turns values into what travels, and back. What either of them throws becomes an `error` event. */
export interface Parser {
  encoder(value: any): string | ArrayBuffer | ArrayBufferView;
  decoder(payload: Payload): any;
}

const isBinary = (value: any): boolean => value instanceof ArrayBuffer || ArrayBuffer.isView(value);

const same = (value: any) => value;

/** The parsers by name. Binary messages pass both of them as they are. */
export const parsers: Record<string, Parser> = {
  json: {
    encoder: (value) => (isBinary(value) ? value : JSON.stringify(value)),
    decoder: (payload) => (typeof payload == 'string' ? JSON.parse(payload) : payload),
  },
  // An event without arguments has null, which is no text.
  raw: { encoder: (value) => value ?? '', decoder: same },
};

/** What an encoder made, as it travels: a copy of the bytes, because the caller may go on to use them. */
export const toPayload = (value: any): Payload => {
  if (typeof value == 'string') return value;
  if (!isBinary(value)) throw new Error('cannot send ' + typeof value);
  return new Uint8Array(value.buffer || value, value.byteOffset, value.byteLength).slice().buffer;
};
