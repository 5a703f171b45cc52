// npm primus with the transformer `websockets`, which is ws inside, and its parser JSON.
const http = require('http');
const Primus = require('primus');

const server = http.createServer();
const primus = new Primus(server, { transformer: 'websockets', parser: 'JSON' });
primus.on('connection', (spark) => {
  spark.on('error', () => {});
  spark.on('data', (text) => (text[0] === 'b' ? primus : spark).write(text));
});
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
