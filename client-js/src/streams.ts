import type { Primus } from './api';
import { failure, type CloseReason } from './close';

/** How often a waiting writer looks whether it may go on, in milliseconds: a WebSocket does not tell. */
const LOOK = 4;

/** The messages as a stream. While nobody reads them, `hold` asks the carrier to stop reading, and the server's writer feels it. */
export const readable = (
  primus: Primus,
  hold: (who: unknown, on: boolean) => void,
  ended: CloseReason | undefined,
): ReadableStream => {
  let stop: () => void;
  return new ReadableStream({
    start(controller) {
      const data = (value: unknown) => {
        controller.enqueue(value);
        hold(controller, controller.desiredSize! <= 0);
      };
      const end = (reason: CloseReason) => {
        stop();
        // A normal end ends the stream; that the server can no longer be reached is an error.
        if (/^[14]000|4003/.test('' + reason.code)) controller.close();
        else controller.error(failure(reason));
      };
      stop = () => {
        hold(controller, false);
        primus.off('data', data).off('end', end);
      };
      primus.on('data', data).on('end', end);
      if (ended) end(ended);
    },
    pull: (controller) => hold(controller, false),
    cancel: () => stop(),
  });
};

/** A sink whose writes take as long as the network does. */
export const writable = (primus: Primus, busy: () => boolean): WritableStream => {
  const drained = async () => {
    while (busy()) await (primus.readyState == 3 ? new Promise((look) => setTimeout(look, LOOK)) : primus.ready);
  };
  const end = () => {
    primus.end();
  };
  return new WritableStream({
    async write(value) {
      await drained();
      if (!primus.write(value)) throw new Error('not written');
    },
    close: () => drained().then(end),
    abort: end,
  });
};

/** The messages of a stream, one by one. Browsers that cannot iterate over streams themselves are still about. */
export const iterate = (stream: ReadableStream): AsyncIterableIterator<any> => {
  const reader = stream.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<any>>,
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
};
