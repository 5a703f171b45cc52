// Stock clients of Socket.IO from npm, as old as they come, and over each transport.
import { createRequire } from 'node:module';
import { defer } from './scope.mjs';
import { once } from './within.mjs';

const require = createRequire(import.meta.url);

/** Those whose protocol is 5; then those that speak 4 over Engine.IO 3. */
export const CLIENTS = [
  { name: '4.8', module: 'socket.io-client', protocol: 5 },
  { name: '3.1', module: 'socket.io-client-3', protocol: 5 },
  { name: '2.5', module: 'socket.io-client-2', protocol: 4 },
  { name: '1.7', module: 'socket.io-client-1', protocol: 4 },
];

export const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

/** A socket of a version, for the length of a test. It does not come back unless `options` say so. */
export function socket(t, url, { module = 'socket.io-client' } = {}, options = {}) {
  const io = require(module);
  const made = (io.io ?? io)(url, { forceNew: true, reconnection: false, ...options });
  defer(t, () => made.disconnect());
  return made;
}

/** The same, in its namespace. */
export async function connected(t, url, client, options) {
  const made = socket(t, url, client, options);
  await once(made, 'connect');
  return made;
}

/** The configuration of a server for them. */
export const TOML = `
path = "/socket.io"
transformers = ["socket.io"]
engine_io_3 = true
`;
