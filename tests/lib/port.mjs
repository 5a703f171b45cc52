import net from 'node:net';

/** A port that nobody listens on at the moment, for programs that cannot be asked to find one themselves. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
