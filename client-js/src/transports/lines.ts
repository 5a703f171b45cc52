import type { Carrier } from '../transport';

/**
 * Finds the frames in a text that arrives in pieces, cut anywhere: each is the rest of a line that begins with `begin`.
 *
 * It reads event streams as well as batches, because a frame has no line feed: there, every `data:` line is a whole frame. The empty lines that
 * end events, and those that a CRLF leaves when it is cut at both of its characters, mean nothing.
 */
export const lineReader = (begin: RegExp, carrier: Pick<Carrier, '_frame'>): ((piece: string) => void) => {
  let rest = '';
  return (piece) => {
    const lines = (rest + piece).split(/[\r\n]/);
    rest = lines.pop()!;
    for (const line of lines) if (begin.test(line)) carrier._frame(line.replace(begin, ''));
  };
};

/** What the lines of an event stream begin with, as far as they matter. */
export const EVENT = /^data: ?/;

/** What the lines of a batch begin with: anything but their end. */
export const BATCH = /^(?=.)/;
