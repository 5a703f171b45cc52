import { dialect } from './dialect';

/** SockJS over a WebSocket: lists of messages, each a string, with a letter before the list. */
export const sockjs = dialect('sockjs', 'WebSocket', true, ({ _url, _options }, query, told) => {
  // For balancers, and for nobody.
  const place = `/${10000 * Math.random() | 0}/${(2 ** 53 * Math.random()).toString(36)}`;
  const socket: WebSocket = new (_options.WebSocket as any)(`${_url.replace('http', 'ws')}${place}/websocket${query.replace('&', '?')}`);
  let end: [code: number, reason: string] | undefined;
  socket.onmessage = ({ data }) => {
    told._alive();
    if (data == 'o') told._opened();
    else if (data[0] == 'a') JSON.parse(data.slice(1)).forEach(told._message);
    else if (data[0] == 'c') end = JSON.parse(data.slice(1));
  };
  socket.onerror = () => {};
  socket.onclose = ({ code, reason }) => told._closed(...(end || ([code, reason] as const)));
  return {
    _send: (message) => socket.send(JSON.stringify([message])),
    _waiting: () => (socket.readyState == 1 ? socket.bufferedAmount : Infinity),
    _end: () => socket.close(1000),
  };
});
