import { http } from './http';
import { BATCH } from './lines';

/** Long polling: a GET is held until there is something to say. */
export const polling = http('polling', BATCH, true);
