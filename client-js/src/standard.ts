import type { Config } from './api';

/** What a client of this package has in the place of a server's configuration. `package.json` says the same version. */
export const standard: Config = { path: '/primus', transports: ['websocket', 'sse', 'polling'], version: '0.1.0' };
