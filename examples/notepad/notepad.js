// The window: who writes, which document, and how the connection is.
import { Document } from './document.js';
import { Sheet } from './sheet.js';
import { START } from './text.js';

const $ = (id) => document.getElementById(id);
const NAMES = ['Heron', 'Otter', 'Lynx', 'Swift', 'Badger', 'Wren', 'Hare', 'Newt'];

/** Who writes here: a number for the letters, a name for people, and the letters behind which the selection begins and ends. */
const me = {
  by: crypto.getRandomValues(new Uint32Array(1))[0] || 1,
  name: localStorage.getItem('name') ?? NAMES[Math.floor(Math.random() * NAMES.length)],
  from: START,
  to: START,
};

// With `?transport=polling` there is only that.
const transport = new URLSearchParams(location.search).get('transport');
const primus = new Primus({ transports: transport ? [transport] : undefined });
globalThis.primus = primus; // for the console

// ---- documents ----

const sheet = new Sheet(me);
let shown;
/** All that were opened here: what is to be saved is saved, whichever is shown. */
const documents = new Map();

function turn() {
  const name = decodeURIComponent(location.hash.slice(1)) || 'welcome';
  if (!documents.has(name)) documents.set(name, new Document(primus.channel(`/doc/${name}`), me, (changed) => changed === shown && sheet.show()));
  shown = documents.get(name);
  sheet.turn(shown);
  $('title').textContent = `#${name}`;
  document.title = `${name} — Notepad`;
  moved();
}

addEventListener('hashchange', turn);
$('new').addEventListener('click', () => (location.hash = Math.random().toString(36).slice(2, 8)));
addEventListener('beforeunload', (event) => {
  if ([...documents.values()].some(({ pending }) => pending.length)) event.preventDefault();
});

// ---- who ----

let moving;

/** The cursor has moved, or has another name: others see it soon. */
function moved() {
  moving ??= setTimeout(() => {
    moving = undefined;
    sheet.select();
    shown.point();
  }, 80);
}

document.addEventListener('selectionchange', moved);
$('text').addEventListener('input', moved);

$('name').value = me.name;
$('name').addEventListener('input', ({ target }) => {
  me.name = target.value.trim() || 'Somebody';
  localStorage.setItem('name', me.name);
  sheet.show();
  moved();
});

// ---- the connection ----

$('offline').addEventListener('click', ({ target }) => {
  const away = target.getAttribute('aria-pressed') !== 'true';
  target.setAttribute('aria-pressed', away);
  // As a browser tells it.
  dispatchEvent(new Event(away ? 'offline' : 'online'));
});

function showConnection() {
  document.body.dataset.state = primus.state;
  $('state').textContent = primus.state;
  $('transport').textContent = primus.transport || '…';
}

for (const event of ['readyStateChange', 'transport', 'close', 'reconnect scheduled', 'resumed', 'online', 'offline', 'end']) {
  primus.on(event, showConnection);
}
primus.on('resumed', () => {
  for (const each of documents.values()) each.send();
  moved();
});
primus.on('error', (error) => console.warn(error.message));
turn();
