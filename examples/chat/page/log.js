// What a place shows: lines and notices, at their places.

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat([], { timeStyle: 'short' });

/** An element; its content is always text. */
function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A letter and a colour for a nick. */
function avatar(nick) {
  const made = element('span', 'avatar', [...nick][0].toUpperCase());
  made.setAttribute('aria-hidden', 'true');
  made.style.setProperty('--hue', [...nick].reduce((hue, char) => (hue * 31 + char.codePointAt(0)) % 360, 7));
  return made;
}

const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 80;

class Log {
  constructor() {
    this.list = element('ol', 'log');
    this.list.role = 'log';
    this.list.tabIndex = 0;
    this.list.ariaLabel = 'Messages';
    this.list.hidden = true;
    /** The lines that are shown, by their times, which are their names. */
    this.shown = new Set();
    /** My lines that have not come back yet, by their keys. */
    this.pending = new Map();
    /** Whether something new is further down than somebody reads. */
    this.newer = false;
    $('logs').append(this.list);
    this.list.addEventListener('scroll', () => {
      if (atEnd(this.list)) this.seen();
    });
  }

  /** A line from the server. False if it is there. */
  line(line, mine) {
    if (this.shown.has(line.at)) return false;
    this.shown.add(line.at);
    const item = mine && this.pending.get(line.key);
    if (!item) {
      this.place(this.message(line, mine ? 'mine' : 'theirs'));
      return true;
    }
    // It has arrived, and stands where it stands for everybody.
    this.pending.delete(line.key);
    item.classList.remove('pending');
    item.querySelector('time').textContent = clock.format(line.at);
    if (this.list.lastElementChild !== item) this.place(item);
    return true;
  }

  /** A line of mine that is on its way. */
  sending(nick, text, key) {
    const item = this.message({ nick, text, at: Date.now() }, 'mine', 'pending');
    item.querySelector('time').textContent = 'sending…';
    this.pending.set(key, item);
    this.place(item, true);
  }

  /** It will not arrive. */
  failed(key, why) {
    const item = this.pending.get(key);
    if (!item) return;
    this.pending.delete(key);
    item.classList.replace('pending', 'failed');
    item.querySelector('time').textContent = `not sent: ${why}`;
  }

  notice(text) {
    this.place(element('li', 'notice', text));
  }

  message({ nick, text, at }, ...classes) {
    const item = element('li', ['message', ...classes].join(' '));
    const who = element('p', 'who');
    who.append(element('span', 'nick', `${nick} `), element('time', '', clock.format(at)));
    const body = element('div', 'body');
    body.append(who, element('p', 'bubble', text));
    item.append(avatar(nick), body);
    item.dataset.from = nick;
    item.dataset.at = at;
    return item;
  }

  /** Puts an item at the end, and follows it unless somebody reads further up. */
  place(item, follow = atEnd(this.list)) {
    item.remove();
    const last = this.list.lastElementChild;
    const { from, at } = item.dataset;
    item.classList.toggle('more', !!from && last?.dataset.from === from && at - last.dataset.at < 120_000);
    this.list.append(item);
    if (this.list.children.length > 500) this.list.firstElementChild.remove();
    if (follow) this.follow();
    else {
      this.newer = true;
      $('newer').hidden = this.list.hidden;
    }
  }

  /** Shows the newest. */
  follow() {
    this.list.scrollTop = this.list.scrollHeight;
    this.seen();
  }

  seen() {
    this.newer = false;
    if (!this.list.hidden) $('newer').hidden = true;
  }

  show(on) {
    this.list.hidden = !on;
    if (on) this.follow();
  }
}
