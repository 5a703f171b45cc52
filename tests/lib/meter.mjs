// Counts the bytes between a client and a server, which nothing else changes.
import net from 'node:net';
import { defer } from './scope.mjs';

/** A meter in front of `server` for the length of a test: `{ url, host, sent, received }`, as the client sees it. */
export async function meter(t, server) {
  const counts = { sent: 0, received: 0 };
  const sockets = new Set();
  const listener = net.createServer((client) => {
    const onward = net.connect(server.port, '127.0.0.1');
    for (const [from, to, name] of [
      [client, onward, 'sent'],
      [onward, client, 'received'],
    ]) {
      sockets.add(from);
      from.on('data', (bytes) => (counts[name] += bytes.length));
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
      from.pipe(to);
    }
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  defer(t, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => listener.close(resolve));
  });
  const host = `127.0.0.1:${listener.address().port}`;
  return Object.assign(counts, { host, url: `http://${host}` });
}
