// The connection lab: numbered messages, a network that is hurt, and what has become of them.

/** What the numbers say; `n` and `heard` are the highest that came back. */
const lab = { sent: 0, received: 0, lost: 0, duplicate: 0, n: 0, heard: 0 };
let beat;
/** Since when there is no connection, or one that is hurt. */
let hurt;
let clockwork;

function listenToLab() {
  primus.on('open', () => (lab.heard = 0));
  primus.on('probe', probe);
  primus.on('close', () => (hurt ??= performance.now()));
  primus.on('resumed', resumed);
}

/** Sends the next number; while there is no connection only as many as are well kept. */
function send() {
  if (primus.buffer.length < 100 && primus.emit('probe', lab.sent + 1)) lab.sent += 1;
  showLab();
}

/** The server has heard number `n`, as its message number `heard` of this session. Both count upwards by one, or something is wrong. */
function probe({ n, heard }) {
  const asked = n - lab.n;
  const answered = heard - lab.heard;
  if (answered < 1) {
    // Said twice.
    lab.duplicate += 1;
  } else {
    // Answers that are missing, and numbers that the server heard never, or more than once.
    lab.lost += answered - 1 + Math.max(0, asked - answered);
    lab.duplicate += Math.max(0, answered - asked);
    lab.received += 1;
    Object.assign(lab, { n: Math.max(n, lab.n), heard });
  }
  showLab();
}

function showLab() {
  const { lost, duplicate } = lab;
  for (const name of ['sent', 'received', 'lost', 'duplicate']) $(name).textContent = lab[name];
  $('verdict').textContent = `${lost} lost, ${duplicate} duplicate`;
  $('lost').classList.toggle('bad', lost > 0);
  $('duplicate').classList.toggle('bad', duplicate > 0);
  $('verdict').classList.toggle('bad', lost + duplicate > 0);
}

function news(text, left = 0) {
  clearTimeout(clockwork);
  $('news').textContent = left ? text.replace('…', ` for ${left} s`) : text;
  if (left) clockwork = setTimeout(news, 1000, text, left - 1);
}

/** Does something to the network, with a message under way. */
function injure(how, ...told) {
  hurt = performance.now();
  news(...told);
  how();
  send();
}

function resumed(same, why) {
  const time = ((performance.now() - hurt) / 1000).toFixed(1);
  news(`Back over ${primus.transport} after ${time} s: ${same ? 'the same session goes on.' : `a new session, the old one is gone (${why}).`}`);
  hurt = undefined;
}

$('lab').addEventListener('toggle', () => {
  clearInterval(beat);
  if ($('lab').open) beat = setInterval(send, 200);
});
$('cut').addEventListener('click', () => injure(cut, 'Cut.'));
$('freeze').addEventListener('click', () => injure(() => freeze(10_000), 'Frozen: nothing passes…', 10));
$('switch').addEventListener('click', () => {
  const all = [...$('transport').options].filter(({ disabled, value }) => !disabled && value !== 'auto');
  const at = all.findIndex(({ value }) => value === primus.transport);
  $('transport').value = all[(at + 1) % all.length].value;
  turn();
});
$('transport').addEventListener('change', turn);

/** The session moves to the chosen transport: the client uses what its options say when it comes back. */
function turn() {
  sessionStorage.transport = $('transport').value;
  if (!primus || primus.state === 'closed') return;
  primus.options.transports = transports();
  injure(cut, 'Changing the transport.');
}

// A window that is loaded again is the same person in the same rooms.
if (sessionStorage.nick) hello(sessionStorage.nick);
