// A thread that looks for the best names in one script.
import { parentPort, workerData } from 'node:worker_threads';
import { TOKEN, typical } from './bundle.mjs';
import { rename } from './names.mjs';

const { name, text, properties } = workerData;
parentPort.postMessage(rename(text, properties, { rounds: 60000, open: TOKEN, finish: (text) => typical(name, text) }));
