// A thread that squashes one script.
import { parentPort, workerData } from 'node:worker_threads';
import { TOKEN, typical } from './bundle.mjs';
import { squash } from './squash.mjs';

const { name, text, privates, rounds } = workerData;
parentPort.postMessage(squash(text, privates, { rounds, open: TOKEN, finish: (text) => typical(name, text) }));
