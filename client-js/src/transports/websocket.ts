import { closing } from '../close';
import { control, toFrame, type Payload } from '../frames';
import type { Transport } from '../transport';

/** More than this in the socket's own buffer, and writers wait. */
const BUSY = 65536;

/** A WebSocket: text frames are text, binary frames are bytes, heartbeats are frames of ours. */
export const websocket: Transport = {
  _name: 'websocket',
  _able: (dial) => dial._socket,
  _dial(dial, wire) {
    const socket = new dial._socket!(dial._url.replace('http', 'ws') + (dial._query && '?' + dial._query), 'primus.2');
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      socket.send(dial._attach);
      wire._opened();
    };
    socket.onmessage = (event) => wire._frame(event.data);
    // Always followed by `close`; without a listener Node's `ws` would throw.
    socket.onerror = () => {};
    socket.onclose = (event) => wire._down(closing(event.code, event.reason));
    const send = (frame: any) => socket.readyState == 1 && socket.send(frame);
    let queue: Payload[] = [];
    return {
      _attached(_reply, messages) {
        queue = messages;
      },
      _flush(frame) {
        if (frame) send(frame);
        // A socket that is closing swallows what it is given: then it stays in the queue, for the next connection.
        while (queue.length && socket.readyState == 1) socket.send(toFrame(queue.shift()!));
      },
      _busy: () => socket.bufferedAmount > BUSY,
      _pause(on) {
        // Browsers cannot; Node's `ws` can.
        (socket as any)[on ? 'pause' : 'resume']?.();
      },
      _close(how) {
        if (how) send(control('end'));
        this._pause(false);
        socket.close(how ? 1000 : undefined);
      },
    };
  },
};
