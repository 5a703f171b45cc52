// npm ws, without compression as by default.
const { WebSocket, WebSocketServer } = require('ws');

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096 });
server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (message, binary) => {
    if (message[0] !== 98) return socket.send(message, { binary });
    for (const other of server.clients) {
      if (other.readyState === WebSocket.OPEN) other.send(message, { binary });
    }
  });
});
