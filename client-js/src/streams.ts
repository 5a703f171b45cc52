import type { Primus } from './api';
import { sleep } from './backoff';
import { failure, type CloseReason } from './close';

/** How often a waiting writer looks whether it may go on, in milliseconds: a WebSocket does not tell. */
const LOOK = 4;

/** The messages as a stream. While nobody reads them, `hold` asks the carrier to stop reading, and the server's writer feels it. */
export const readable = (
  primus: Primus,
  hold: (who: unknown, on: boolean) => void,
  ended: CloseReason | undefined,
): ReadableStream => {
  let data: (value: unknown) => void;
  let end: (reason: CloseReason) => void;
  const go = () => hold(go, false);
  const stop = () => {
    go();
    primus.off('data', data).off('end', end);
  };
  return new ReadableStream({
    start(controller) {
      data = (value) => {
        controller.enqueue(value);
        hold(go, controller.desiredSize! <= 0);
      };
      end = (reason) => {
        stop();
        // A normal end ends the stream; that the server can no longer be reached is an error.
        if (/[14]00[03]/.test(reason.code as any)) controller.close();
        else controller.error(failure(reason));
      };
      primus.on('data', data).on('end', end);
      if (ended) end(ended);
    },
    pull: go,
    cancel: stop,
  });
};

/** A sink whose writes take as long as the network does. */
export const writable = (primus: Primus, busy: () => boolean): WritableStream => {
  const drained = async () => {
    while (busy()) await (primus.readyState == 3 ? sleep(LOOK) : primus.ready);
  };
  const end = (): any => primus.end();
  return new WritableStream({
    async write(value) {
      await drained();
      if (!primus.write(value)) throw new Error('refused');
    },
    close: () => drained().then(end),
    abort: end,
  });
};

/** The messages of a stream, one by one. Browsers that cannot iterate over streams themselves are still about. */
export const iterate = (stream: ReadableStream): AsyncIterableIterator<any> => {
  const reader: any = stream.getReader();
  return Object.assign(reader, {
    next: reader.read,
    // After that there is nothing left to read but the end.
    return: () => reader.cancel().then(() => reader.read()),
    [Symbol.asyncIterator]: () => reader,
  });
};
