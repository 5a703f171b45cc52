import { http } from './http';
import { EVENT } from './lines';

/**
 * An event stream, read by `fetch` rather than `EventSource`: the first request can carry the attach frame, and a refusal can be
 * read.
 */
export const sse = http('sse', EVENT);
