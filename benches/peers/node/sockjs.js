// npm sockjs, with its own framing over its WebSocket (faye-websocket inside).
const http = require('http');
const sockjs = require('sockjs');

const server = http.createServer();
const everybody = new Set();
const echo = sockjs.createServer({ log: () => {} });
echo.on('connection', (connection) => {
  if (!connection) return;
  everybody.add(connection);
  connection.on('close', () => everybody.delete(connection));
  connection.on('data', (text) => {
    if (text[0] !== 'b') return connection.write(text);
    for (const other of everybody) other.write(text);
  });
});
echo.installHandlers(server, { prefix: '/echo' });
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
