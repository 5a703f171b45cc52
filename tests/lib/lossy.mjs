// A proxy that loses answers: what was asked reaches the server, and what it says does not come back.
import http from 'node:http';
import { defer } from './scope.mjs';

/** A proxy in front of `server`. `lose(request)` says for each request whether its answer is lost, and after how many bytes. */
export async function lossy(t, server, lose) {
  const { hostname, port } = new URL(server.url);
  const stats = { requests: 0, lost: 0 };
  const proxy = http.createServer((request, response) => {
    stats.requests += 1;
    const left = lose(request);
    const { method, url: path, headers } = request;
    const onward = http.request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      if (left === undefined) {
        response.writeHead(answer.statusCode, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
        answer.on('error', () => response.destroy());
        return;
      }
      // The server has answered, so it believes that this has arrived.
      answer.once('data', (chunk) => {
        stats.lost += 1;
        // An answer that is whole to HTTP: npm's client takes a broken connection for a refusal by the server.
        response.writeHead(answer.statusCode, { 'Content-Type': answer.headers['content-type'] });
        response.end(chunk.subarray(0, left));
        onward.destroy();
      });
      answer.on('error', () => {});
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  proxy.requestTimeout = 0;
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  defer(t, () => {
    proxy.closeAllConnections();
    return new Promise((resolve) => proxy.close(resolve));
  });
  return { url: `http://127.0.0.1:${proxy.address().port}`, stats };
}
