// npm socket.io: the event `m` with a string.
const http = require('http');
const { Server } = require('socket.io');

const server = http.createServer();
const io = new Server(server, { serveClient: false });
io.on('connection', (socket) => {
  socket.on('m', (text) => (text[0] === 'b' ? io : socket).emit('m', text));
});
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
