// Which keywords this page follows, and what comes.

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');

/** With `?transport=polling` there is only that. */
const transport = new URLSearchParams(location.search).get('transport');
const primus = new Primus({ transports: transport ? [transport] : undefined });

/** How long a post keeps a slow page busy, in ms. */
const BUSY = 2;
let slow = false;

/** What has come: how many posts, the number of the newest, and the last ones, newest first. */
let received = 0;
let newest = 0;
let feed = [];
/** How old posts were when they came, since the last look, in ms. */
let ages = [];
/** How much the clock of the server is ahead, in ms. */
let ahead = 0;

// ---- keywords ----

/** The keywords that are followed: `{ subscription, last, skipped }`, where `last` is the number of the last post among those of the keyword. */
const words = new Map();
/** What keywords that are not followed any more have skipped. */
let before = 0;

function follow(word) {
  if (words.has(word)) return;
  const one = { last: undefined, skipped: 0 };
  words.set(word, one);
  one.subscription = primus.subscribe(word, (post) => hear(one, post.of[word], post));
  one.subscription.ready.catch((error) => {
    if (words.get(word) !== one) return;
    words.delete(word);
    $('refusal').textContent = `${word}: ${error.message}`;
    $('refusal').hidden = false;
    showWords();
  });
  showWords();
}

function unfollow(word) {
  const { subscription, skipped } = words.get(word);
  before += skipped;
  subscription.unsubscribe();
  words.delete(word);
  showWords();
}

function showWords() {
  const chips = [...words.keys()].map((word) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.textContent = word;
    button.title = `Do not follow ${word} any more`;
    button.addEventListener('click', () => unfollow(word));
    item.append(button);
    return item;
  });
  $('words').replaceChildren(...chips);
  history.replaceState(null, '', `#${[...words.keys()].map(encodeURIComponent).join(',')}`);
}

$('add').addEventListener('submit', (event) => {
  event.preventDefault();
  $('refusal').hidden = true;
  const word = $('word').value.trim();
  if (word) follow(word);
  $('word').value = '';
});

// ---- posts ----

/** A post of a keyword has come. The numbers of the keyword tell what was skipped before it. */
function hear(one, count, post) {
  pass(one, count - 1);
  one.last = count;
  // One that has two of the keywords comes once, and is heard of twice.
  if (post.n <= newest) return;
  newest = post.n;
  received++;
  ages.push(Date.now() + ahead - post.at);
  feed.unshift(post);
  if (feed.length > 30) feed.pop();
  if (slow) for (const end = performance.now() + BUSY; performance.now() < end; );
}

/** All posts of a keyword up to this one have been written, and who does not have them will not get them. */
function pass(one, count) {
  if (one.last !== undefined && count > one.last) one.skipped += count - one.last;
  one.last = count;
}

const skipped = () => [...words.values()].reduce((sum, one) => sum + one.skipped, before);

let written;

primus.on('tally', ({ made, at, of }) => {
  if (written && made < written.made) newest = 0; // the server has begun anew
  for (const [word, one] of words) if (one.last !== undefined) pass(one, of[word] ?? 0);
  if (written && at > written.at) $('made').textContent = number.format(Math.round(((made - written.made) / (at - written.at)) * 1000));
  if (!written || at - written.at > 900) written = { made, at };
});

for (const word of (location.hash.slice(1) || 'rust,space').split(',')) follow(decodeURIComponent(word));
