import { dialect } from './dialect';

/** Engine.IO 4 over a WebSocket: each message has a digit before it that says what it is. */
export const engineio = dialect('engine.io', 'WebSocket', false, ({ _url, _options }, query, told) => {
  const socket: WebSocket = new (_options.WebSocket as any)(`${_url.replace('http', 'ws')}/?EIO=4&transport=websocket${query}`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }) => {
    told._alive();
    if (typeof data != 'string' || data[0] == '4') told._message(data.slice(+(typeof data == 'string')));
    else if (data[0] == '0') told._opened();
    else if (data[0] == '2') socket.send('3' + data.slice(1));
  };
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => told._closed(code, reason);
  return {
    _send: (message) => socket.send(typeof message == 'string' ? '4' + message : message),
    _waiting: () => (socket.readyState == 1 ? socket.bufferedAmount : Infinity),
    _end: () => socket.close(1000),
  };
});
