// The chat: one client, and the places that somebody talks in.

let primus;

const random = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

/** Who I am: the key makes me the same person in my other windows, and when I come back. */
const me = { nick: '', key: (localStorage.secret ??= random()) };
/** All rooms that there are: how many people are in each, by their names. */
let rooms = new Map();
/** Where I talk: rooms by their names, people by their nicks with an @. */
const places = new Map();
/** The one that is shown. */
let current;

// ---- the connection ----

/** The chosen transports; nothing: the client chooses. */
const transports = () => ($('transport').value === 'auto' ? undefined : [$('transport').value]);

function connect() {
  // `auth` is asked at every attempt: who comes back to a session that is gone comes back with his nick.
  primus = new Primus({ transports: transports(), auth: () => me, ...network });
  for (const event of ['readyStateChange', 'transport', 'close', 'reconnect scheduled', 'online', 'offline', 'end']) {
    primus.on(event, showConnection);
  }
  primus.on('error', (error) => console.warn(error.message));
  // A session has begun. One that is resumed goes on where it was, and there is nothing to do.
  primus.on('open', () => me.nick && enter());
  // 1000: the page goes.
  primus.on('end', ({ code, reason }) => code !== 1000 && goOut(reason));

  primus.on('room', ({ name, people }) => {
    rooms.set(name, people);
    showPlaces();
  });
  primus.on('joined', (presence) => come(presence, 'joined'));
  primus.on('left', (presence) => come(presence, 'left'));
  primus.on('typing', ({ room, nick }) => places.get(room)?.typing(nick));
  primus.on('told', (line) => {
    const mine = line.nick === me.nick;
    const place = talkTo(mine ? line.to : line.nick);
    if (place.log.line(line, mine)) place.heard(mine);
  });
  primus.on('missed', (room) => places.get(room)?.missed());
  listenToLab();
  showConnection();
}

function showConnection() {
  document.querySelector('.app').dataset.state = primus.state;
  $('state').textContent = primus.state;
  $('current').textContent = primus.state === 'open' ? primus.transport : '…';
}

// ---- coming in ----

/** Takes the nick, and shows what there is. */
async function enter() {
  try {
    const list = await primus.request('nick', me);
    rooms = new Map(list.map(({ name, people }) => [name, people]));
  } catch (error) {
    // Where its session is gone it is asked again in the next one.
    if (error.name === 'RefusedError') goOut(error.data);
    return;
  }
  $('hello').hidden = true;
  $('chat').hidden = false;
  $('me').textContent = sessionStorage.nick = me.nick;
  if (places.size) places.forEach((place) => place.ask?.());
  else for (const room of (sessionStorage.rooms ?? 'lobby').split('/').filter(Boolean)) goTo(room);
  show(current);
  $('text').focus();
}

/** Asks for another nick, and says why. */
function goOut(reason) {
  $('chat').hidden = true;
  $('hello').hidden = false;
  places.forEach((place) => place.close());
  delete sessionStorage.nick;
  $('me').textContent = me.nick = '';
  $('refusal').hidden = false;
  $('refusal').textContent = reason;
  $('nick').select();
}

function hello(nick) {
  localStorage.nick = me.nick = nick.trim();
  $('refusal').hidden = true;
  if (primus && primus.state !== 'closed') enter();
  else connect();
}

$('nick').value = localStorage.nick ?? '';
$('transport').value = sessionStorage.transport ?? 'auto';
$('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  hello($('nick').value);
});

// Only what this server speaks can be chosen.
fetch('/primus/spec')
  .then((answer) => answer.json())
  .then(({ transports }) => {
    for (const option of $('transport').options) {
      option.disabled = option.value !== 'auto' && !transports.includes(option.value);
    }
    $('switch').disabled = transports.length < 2;
  });

// ---- places ----

/** Where somebody talks: to a room, or to one person. */
class Place {
  constructor(name) {
    this.name = name;
    this.log = new Log();
    /** What nobody has looked at yet. */
    this.unread = 0;
    /** Who types, and until when we believe it. */
    this.typists = new Map();
    places.set(name, this);
  }

  /** Something was said. */
  heard(mine) {
    if (!mine && this !== current) this.unread += 1;
    showPlaces();
  }

  /** Says something: `request` makes the request that says it. */
  async speak(text, request, again) {
    const key = again ?? random();
    if (!again) this.log.sending(me.nick, text, key);
    try {
      await primus.request(...request(key, !!again), { timeout: false });
    } catch (error) {
      // Its session is gone, and nobody knows whether it has arrived. The server takes each key once.
      if (error.name === 'ClosedError' && primus.state !== 'closed') return this.speak(text, request, key);
      this.log.failed(key, error.data ?? error.message);
    }
  }

  typing(nick) {
    clearTimeout(this.typists.get(nick));
    this.typists.set(nick, setTimeout(() => this.stopped(nick), 3000));
    showTypists();
  }

  stopped(nick) {
    clearTimeout(this.typists.get(nick));
    if (this.typists.delete(nick)) showTypists();
  }

  close() {
    places.delete(this.name);
    this.log.list.remove();
    if (current === this) show([...places.values()][0]);
    else showPlaces();
  }
}

class Room extends Place {
  /** Those who are here, as far as they are shown, and where the list goes on. Unknown until it is answered. */
  members = null;
  people = 0;
  next = null;
  title = `# ${this.name}`;

  /** What is said here comes from now on, and the last of what was said before. In a new session the client goes on where it was. */
  subscribe() {
    this.subscription = primus.subscribe(this.name, (line, event) => event === 'said' && this.said(line), { last: 50 });
    this.subscription.ready.then(
      () => this.ask(),
      (error) => {
        if (error.name !== 'RefusedError') return;
        if (!rooms.get(this.name)) rooms.delete(this.name);
        this.close();
        complain(error.data);
      },
    );
  }

  said(line) {
    const mine = line.nick === me.nick;
    this.stopped(line.nick);
    if (this.log.line(line, mine)) this.heard(mine);
  }

  /** A session is gone, and the room does not keep all that was said meanwhile. */
  async missed() {
    this.log.notice('Some of what was said meanwhile is not available any more');
    const lines = await primus.request('recent', this.name).catch(() => []);
    for (const line of lines) this.said(line);
  }

  /** Asks who is here; again, if somebody comes or goes meanwhile. */
  async ask(after) {
    do {
      this.changed = false;
      const { nicks, people, next } = await primus.request('members', { room: this.name, after }).catch(() => ({}));
      if (!nicks) return;
      this.members = new Set([...(after ? this.members : []), ...nicks]);
      Object.assign(this, { people, next });
    } while (this.changed && !after);
    showMembers();
  }

  say(text) {
    return this.speak(text, (key, again) => ['say', { room: this.name, text, key, again }]);
  }

  close() {
    this.subscription.unsubscribe();
    super.close();
  }
}

class Person extends Place {
  title = this.name;

  say(text) {
    return this.speak(text, (key) => ['tell', { to: this.name.slice(1), text, key }]);
  }
}

/** Goes to a room: into it, if I am not there. */
function goTo(name) {
  const room = places.get(name) ?? new Room(name);
  if (!room.subscription) room.subscribe();
  show(room);
}

const talkTo = (nick) => places.get(`@${nick}`) ?? new Person(`@${nick}`);

/** Somebody came to a room, or left it. */
function come({ room, nick, people }, what) {
  const place = places.get(room);
  if (!place) return;
  place.people = people;
  place.changed = true;
  // One behind those who are shown is seen when those are.
  if (what === 'left') place.members?.delete(nick);
  else if (!place.next || nick < place.next) place.members?.add(nick);
  place.stopped(nick);
  if (nick !== me.nick) place.log.notice(`${nick} ${what}`);
  showMembers();
}

// ---- what is shown ----

function show(place) {
  current?.log.show(false);
  current = place;
  if (place) place.unread = 0;
  place?.log.show(true);
  $('nowhere').hidden = !!place;
  for (const id of ['text', 'send']) $(id).disabled = !place;
  $('leave').hidden = !place;
  $('place').textContent = place?.title ?? 'Nowhere';
  $('leave').textContent = place instanceof Person ? 'Close' : 'Leave';
  $('text').placeholder = place instanceof Person ? `Only ${place.name.slice(1)} will read it` : 'Write something';
  gather(false);
  showPlaces();
  showMembers();
  showTypists();
  // On a phone the places are a strip.
  document.querySelector('.door[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

/** Makes a list show these keys: by buttons that stay what they are, so that nobody loses what he is about to press. */
function showList(list, keys, press, look) {
  const before = new Map([...list.children].map((item) => [item.dataset.key, item]));
  keys.forEach((key, at) => {
    const item = before.get(key) ?? document.createElement('li');
    if (!before.delete(key)) {
      const button = document.createElement('button');
      button.type = 'button';
      button.addEventListener('click', () => press(key));
      item.dataset.key = key;
      item.append(button);
    }
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    look(item.firstChild, key);
  });
  before.forEach((item) => item.remove());
}

/** How the button of a place looks. */
function door(button, name) {
  const place = places.get(name);
  button.className = place ? 'door in' : 'door';
  button.ariaCurrent = place && place === current ? 'page' : null;
  button.replaceChildren(element('span', 'where', name));
  if (place?.unread) button.append(element('b', 'unread', place.unread));
  else if (rooms.has(name)) button.append(element('span', 'count', rooms.get(name)));
}

function showPlaces() {
  const inside = [...places.values()];
  for (const { name } of inside) if (!name.startsWith('@') && !rooms.has(name)) rooms.set(name, 0);
  const people = inside.filter((place) => place instanceof Person).map(({ name }) => name);
  showList($('rooms'), [...rooms.keys()].sort(), goTo, door);
  showList($('privates'), people, (name) => show(places.get(name)), door);
  $('private').hidden = !people.length;
  const unread = inside.reduce((sum, place) => sum + place.unread, 0);
  document.title = unread ? `(${unread}) Chat` : 'Chat';
  if (!$('chat').hidden) sessionStorage.rooms = inside.filter((place) => place instanceof Room).map(({ name }) => name).join('/');
}

function showMembers() {
  const room = current instanceof Room ? current : undefined;
  $('who').hidden = $('people').hidden = !room;
  $('here').textContent = room?.people ?? 0;
  $('more').hidden = !room?.next;
  showList($('members'), [...(room?.members ?? [])].sort(), (nick) => show(talkTo(nick)), (button, nick) => {
    const mine = nick === me.nick;
    button.className = 'member';
    button.disabled = mine;
    button.title = mine ? '' : `Talk to ${nick} in private`;
    button.replaceChildren(avatar(nick), element('span', 'where', nick), ...(mine ? [element('span', 'count', 'you')] : []));
  });
}

function showTypists() {
  const names = [...(current?.typists.keys() ?? [])];
  const [who, verb] = names.length > 3 ? ['Several people', 'are'] : [names.join(', '), names.length > 1 ? 'are' : 'is'];
  $('typing').textContent = names.length ? `${who} ${verb} typing…` : '';
}

/** Shows who is here, on a screen that has no place for that beside the messages. */
function gather(on) {
  $('people').classList.toggle('shown', on);
  $('who').ariaExpanded = on;
}

/** Says what went wrong, where it is read. */
function complain(text) {
  if (current) current.log.notice(text);
  else $('nowhere').textContent = text;
}

// ---- talking ----

$('compose').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !current) return;
  $('text').value = '';
  lastTyped = 0;
  // Without a connection it is said as soon as there is one.
  current.say(text);
});

let lastTyped = 0;
$('text').addEventListener('input', () => {
  if (!$('text').value || !(current instanceof Room) || Date.now() - lastTyped < 2000) return;
  // What would have to wait is not sent: then the next key tries it again.
  if (primus.emit('typing', current.name, { volatile: true })) lastTyped = Date.now();
});

$('create').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  $('name').value = '';
  if (name) goTo(name);
});
$('leave').addEventListener('click', () => current.close());
$('more').addEventListener('click', () => current.ask(current.next));
$('who').addEventListener('click', () => gather(!$('people').classList.contains('shown')));
$('newer').addEventListener('click', () => current.log.follow());
// A keyboard that opens must not hide the newest line.
new ResizeObserver(() => {
  if (current && !current.log.newer) current.log.follow();
}).observe($('logs'));
