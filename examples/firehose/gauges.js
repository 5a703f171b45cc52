// How it is here, and with everybody.

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

/** The rate of the last seconds. */
const looks = [];
let latency = 0;

function look() {
  looks.push({ at: performance.now(), received });
  if (looks.length > 9) looks.shift();
  const [first, last] = [looks[0], looks.at(-1)];
  const rate = last.at > first.at ? ((last.received - first.received) / (last.at - first.at)) * 1000 : 0;
  $('rate').textContent = number.format(Math.round(rate));
  $('received').textContent = number.format(received);
  $('skipped').textContent = number.format(skipped());
  $('skipped').classList.toggle('bad', skipped() > 0);
  if (ages.length) latency = Math.max(0, median(ages));
  $('latency').textContent = received ? number.format(Math.round(latency)) : '–';
  ages = [];
  const show = ({ n, text }) => {
    const item = document.createElement('li');
    const parts = text.split(/([a-z]+)/).map((part) => {
      if (!words.has(part)) return part;
      return Object.assign(document.createElement('b'), { textContent: part });
    });
    const place = Object.assign(document.createElement('span'), { textContent: ` ${number.format(n)}` });
    item.append(...parts, place);
    return item;
  };
  $('feed').replaceChildren(...feed.map(show));
}

const bytes = (count) => (count < 1024 ? `${count} B` : `${number.format(Math.round(count / 1024))} KiB`);

/** The server learns how it is here, so that it can leave us out until we have caught up. */
function tell() {
  primus.emit('seen', { received, skipped: skipped(), newest, latency }, { volatile: true });
}

async function ask() {
  if (primus.state !== 'open') return;
  const [id, stats] = await Promise.all([primus.id(), primus.request('stats')]);
  const rows = stats.pages.map((page) => {
    const row = document.createElement('tr');
    const cells = [page.id === id ? 'this one' : page.id.slice(0, 6), number.format(page.received), number.format(page.skipped), number.format(page.behind), bytes(page.queued)];
    for (const cell of cells) row.insertCell().textContent = cell;
    row.className = page.id === id ? 'me' : '';
    row.cells[2].className = page.skipped ? 'bad' : '';
    row.title = page.transport;
    return row;
  });
  $('pages').replaceChildren(...rows);
  $('kept').textContent = bytes(stats.kept);
  $('total').textContent = number.format(stats.made);
  $('encoded').textContent = number.format(stats.encoded);
}

setInterval(look, 250);
setInterval(tell, 250);
setInterval(() => ask().catch((error) => console.warn(error.message)), 1000);

$('slow').addEventListener('click', () => {
  slow = !slow;
  $('slow').setAttribute('aria-pressed', slow);
});

// ---- the connection ----

/** Finds out how much the clock of the server is ahead: by the quickest of a few answers. */
async function compare() {
  let best = Infinity;
  for (let n = 0; n < 5; n++) {
    const began = Date.now();
    const theirs = await primus.request('clock');
    const took = Date.now() - began;
    if (took < best) [best, ahead] = [took, theirs - began - took / 2];
  }
}

const opened = () => compare().catch((error) => console.warn(error.message));
function showLink() {
  document.body.dataset.state = primus.state;
  $('state').textContent = primus.state;
  $('transport').textContent = primus.transport || '…';
}
for (const event of ['readyStateChange', 'transport', 'close', 'reconnect scheduled', 'resumed', 'online', 'offline', 'end']) primus.on(event, showLink);
primus.on('open', opened);
// It may have opened before this script was there.
showLink();
if (primus.state === 'open') opened();
primus.on('error', (error) => console.warn(error.message));
