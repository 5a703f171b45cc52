import type { Parser } from './parsers';

/** How deep values may be nested. */
const DEPTH = 128;

/** The numbers from 0xca on, as `DataView` calls them. */
const NUMBERS = ['Float32', 'Float64', 'Uint8', 'Uint16', 'Uint32', 'BigUint64', 'Int8', 'Int16', 'Int32', 'BigInt64'];
const [FLOAT64, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64] = [0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3];

/** And how many bytes they have. */
const SIZES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

const sizeOf = (code: number) => SIZES[code - 0xca];

const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The depth of what is in a value of this depth. */
const deep = (depth: number) => {
  if (depth >= DEPTH) throw new Error('nested too deep');
  return depth + 1;
};

/** Encodes a value; what MessagePack does not have throws. */
const encoder = (value: unknown): Uint8Array => {
  let bytes = new Uint8Array(256);
  let view: any = new DataView(bytes.buffer);
  let size = 0;

  /** Where the next `length` bytes go. Twice as much room each time: what is there is copied only so often. */
  const grow = (length: number) => {
    const at = size;
    size += length;
    if (size > bytes.length) {
      const old = bytes;
      bytes = new Uint8Array(size * 2);
      bytes.set(old);
      view = new DataView(bytes.buffer);
    }
    return at;
  };
  /** A number as that of a code is written. */
  const raw = (code: number, number: number | bigint) => {
    const at = grow(sizeOf(code));
    view['set' + NUMBERS[code - 0xca]](at, number);
  };
  const byte = (number: number) => raw(UINT8, number);
  const coded = (code: number, number: number | bigint) => {
    byte(code);
    raw(code, number);
  };
  /** What comes before so many bytes or values: `fix` with the length in it if that is below `limit`, else one of the codes from `code` on. */
  const head = (length: number, fix: number, limit: number, code: number, sizes: number[]) => {
    if (length < limit) return byte(fix + length);
    const index = sizes.findIndex((one) => length < 2 ** (8 * sizeOf(one)));
    byte(code + index);
    raw(sizes[index], length);
  };
  const copy = (source: Uint8Array) => {
    const at = grow(source.length);
    bytes.set(source, at);
  };

  const integer = (number: number) =>
    number >= -32 && number < 128
      ? byte(number & 255)
      : number < 0
        ? number >= -128
          ? coded(INT8, number)
          : number >= -32768
            ? coded(INT16, number)
            : number >= -(2 ** 31)
              ? coded(INT32, number)
              : coded(INT64, BigInt(number))
        : number < 256
          ? coded(UINT8, number)
          : number < 65536
            ? coded(UINT16, number)
            : number < 2 ** 32
              ? coded(UINT32, number)
              : coded(UINT64, BigInt(number));

  const big = (number: bigint) => {
    if (Number.isSafeInteger(Number(number))) integer(Number(number));
    else if (BigInt.asUintN(64, number) == number) coded(UINT64, number);
    else if (BigInt.asIntN(64, number) == number) coded(INT64, number);
    else throw new Error('integer of more than 64 bits');
  };

  /** The shortest of the three forms of a timestamp. */
  const date = (time: number) => {
    const seconds = Math.floor(time / 1000);
    const nanoseconds = (time - seconds * 1000) * 1e6;
    if (!(seconds >= 0 && seconds < 2 ** 34)) {
      copy(new Uint8Array([0xc7, 12, 255]));
      raw(UINT32, nanoseconds);
      // Throws if the date is none.
      raw(INT64, BigInt(seconds));
    } else if (nanoseconds || seconds >= 2 ** 32) {
      copy(new Uint8Array([0xd7, 255]));
      raw(UINT64, (BigInt(nanoseconds) << 34n) + BigInt(seconds));
    } else {
      copy(new Uint8Array([0xd6, 255]));
      raw(UINT32, seconds);
    }
  };

  const put = (value: any, depth: number): void => {
    if (value == null) byte(0xc0);
    else if (typeof value == 'boolean') byte(value ? 0xc3 : 0xc2);
    else if (typeof value == 'number') Number.isSafeInteger(value) ? integer(value) : coded(FLOAT64, value);
    else if (typeof value == 'bigint') big(value);
    else if (typeof value == 'string') {
      const text = toUtf8.encode(value);
      head(text.length, 0xa0, 32, 0xd9, [UINT8, UINT16, UINT32]);
      copy(text);
    } else if (typeof value != 'object') throw new Error('cannot send ' + typeof value);
    else if (value instanceof Date) date(+value);
    else if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
      const { buffer = value, byteOffset, byteLength } = value as any;
      head(byteLength, 0, 0, 0xc4, [UINT8, UINT16, UINT32]);
      copy(new Uint8Array(buffer, byteOffset, byteLength));
    } else if (Array.isArray(value)) {
      head(value.length, 0x90, 16, 0xdc, [UINT16, UINT32]);
      const inner = deep(depth);
      // Holes are nil, too.
      for (const one of value) put(one, inner);
    } else {
      const entries = Object.entries(value);
      head(entries.length, 0x80, 16, 0xde, [UINT16, UINT32]);
      const inner = deep(depth);
      for (const [key, one] of entries) {
        put(key, inner);
        put(one, inner);
      }
    }
  };
  put(value, 0);
  return bytes.subarray(0, size);
};

/** Decodes one value, and throws if that is not all there is. */
const decoder = (payload: string | ArrayBuffer): any => {
  if (typeof payload == 'string') throw new Error('text is no MessagePack');
  const view: any = new DataView(payload);
  let at = 0;

  const take = (length: number) => {
    const from = at;
    at += length;
    // Also for lengths that are only claimed: each value has one byte at least.
    if (at > payload.byteLength) throw new Error('MessagePack that is cut off');
    return from;
  };
  const raw = (code: number): any => {
    const value = view['get' + NUMBERS[code - 0xca]](take(sizeOf(code)));
    return typeof value == 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };
  const binary = (length: number) => new Uint8Array(payload.slice(take(length), at));
  const text = (length: number) => fromUtf8.decode(binary(length));
  const array = (length: number, depth: number) => {
    const inner = deep(depth);
    const values = [];
    while (length--) values.push(get(inner));
    return values;
  };
  const map = (length: number, depth: number) => {
    const inner = deep(depth);
    const entries = [];
    while (length--) {
      const key = get(inner);
      if (typeof key != 'string') throw new Error('a key that is no text');
      entries.push([key, get(inner)]);
    }
    // Makes own properties of all keys, even of `__proto__`.
    return Object.fromEntries(entries);
  };
  const timestamp = (length: number) => {
    if (raw(INT8) != -1) throw new Error('an extension that is no timestamp');
    let seconds: any;
    let nanoseconds: any = 0;
    if (length == 4) seconds = raw(UINT32);
    else if (length == 8) {
      const both = BigInt(raw(UINT64));
      nanoseconds = both >> 34n;
      seconds = BigInt.asUintN(34, both);
    } else if (length == 12) {
      nanoseconds = raw(UINT32);
      seconds = raw(INT64);
    }
    const date = new Date(Number(seconds) * 1000 + Math.floor(Number(nanoseconds) / 1e6));
    if (nanoseconds > 999999999 || isNaN(+date)) throw new Error('a timestamp that is none');
    return date;
  };

  const get = (depth: number): any => {
    const code = raw(UINT8);
    if (code < 0x80) return code;
    if (code < 0x90) return map(code & 15, depth);
    if (code < 0xa0) return array(code & 15, depth);
    if (code < 0xc0) return text(code & 31);
    if (code > 0xdf) return code - 256;
    if (code < 0xca) {
      if (code == 0xc0) return null;
      if (code == 0xc1) throw new Error('a byte that MessagePack does not use');
      if (code < 0xc4) return code == 0xc3;
      return code < 0xc7 ? binary(raw(UINT8 + code - 0xc4)) : timestamp(raw(UINT8 + code - 0xc7));
    }
    if (code < 0xd4) return raw(code);
    if (code < 0xd9) return timestamp(2 ** (code - 0xd4));
    if (code < 0xdc) return text(raw(UINT8 + code - 0xd9));
    const length = raw(code & 1 ? UINT32 : UINT16);
    return code < 0xde ? array(length, depth) : map(length, depth);
  };

  const value = get(0);
  if (at < payload.byteLength) throw new Error('more than one value');
  return value;
};

/**
 * MessagePack, for the option `parser`. Bytes are `Uint8Array`, integers that a number cannot hold are `BigInt`, timestamps are `Date`.
 */
export const msgpack: Parser = { encoder: encoder as Parser['encoder'], decoder };
