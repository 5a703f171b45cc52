import { closing } from '../close';
import { control, type Payload } from '../frames';
import type { Session } from '../session';
import type { Carrier, Transport } from '../transport';

/** More than this in the socket's own buffer, and writers wait. */
const BUSY = 65536;

/** A WebSocket: text frames are text, binary frames are bytes, heartbeats are frames of ours. */
export const websocket: Transport = {
  _name: 'websocket',
  _needs: 'WebSocket',
  _dial(dial, carrier) {
    const { _repeat } = dial;
    const attach = dial._attach();
    const socket: WebSocket = new (dial._options.WebSocket as any)(dial._url.replace('http', 'ws') + dial._query.replace('&', '?'), 'primus.2');
    let session: Session | undefined;
    /** The number of the next message on this carrier. */
    let next: number;
    const send = (frame: any) => socket.readyState == 1 && socket.send(frame);
    /** Sends from number `next` on. A socket that is closing swallows what it is given: then it waits for the next carrier. */
    const write = (last = Infinity) => {
      let frame: Payload | undefined;
      while (next <= last && socket.readyState == 1 && (frame = session!._peek(next)) != undefined) {
        session!._take(next++);
        socket.send(frame);
      }
    };
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      send(attach());
      if (_repeat) {
        session = _repeat;
        const place = session._place();
        next = place.next;
        write(place.sent);
      }
      carrier._alive();
    };
    socket.onmessage = (event) => carrier._frame(event.data);
    // Always followed by `close`; without a listener Node's `ws` would throw.
    socket.onerror = () => {};
    socket.onclose = (event) => carrier._down(closing(event.code, event.reason));
    Object.assign(carrier, <Partial<Carrier>>{
      _attached(one) {
        session = one;
        const place = one._place();
        next = _repeat ? place.sent + 1 : place.next;
        if (!dial._leave) send(control(`ack:${place.recv}:${next}`));
      },
      _flush(frame) {
        if (frame) send(frame);
        write();
      },
      _busy: () => socket.bufferedAmount > BUSY,
      _pause(on) {
        // Browsers cannot; Node's `ws` can, while it is open.
        if (socket.readyState == 1) (socket as any)[on ? 'pause' : 'resume']?.();
      },
      _close(how) {
        if (how) {
          if (session) send(control('ack:' + session._seen()));
          send(control('end'));
        }
        carrier._pause(false);
        socket.close(how ? 1000 : undefined);
      },
    });
  },
};
