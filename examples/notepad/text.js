// A text as a list of letters with names, in the order of the server; `text.rs` is the same, and says why. What this adds are the
// edits of this page that the server has not made yet: their letters are `pending`.
//
// The rule for those: the list is what the server has, and the pending edits made behind it. The server puts a letter directly
// behind its anchor. So of the letters behind one anchor those that are pending, which come later, stand before all others: a
// letter of the server's goes behind the pending ones, and one that stops to be pending stays where it is.

/** What stands before the first letter. */
export const START = [0, 0];

const key = ([by, n]) => `${by}.${n}`;

export class Text {
  #start = { id: START, gone: true };
  #letters = new Map([[key(START), this.#start]]);

  /** The text that the server sent: `[by, first, text]` or, of letters that are gone, `[by, first, count]`. */
  constructor(runs = []) {
    let last = this.#start;
    for (const [by, first, piece] of runs) {
      const letters = typeof piece === 'string' ? [...piece] : Array(piece).fill('');
      letters.forEach((letter, n) => {
        last = this.#put(last, { id: [by, first + n], letter, gone: !letter });
      });
    }
  }

  #put(before, letter) {
    letter.next = before.next;
    before.next = letter;
    this.#letters.set(key(letter.id), letter);
    return letter;
  }

  /** Makes an edit; twice is no harm. */
  apply({ by, text, after, first, gone }, pending = false) {
    let at = this.#letters.get(key(after));
    if (at && text && !this.#letters.has(key([by, first]))) {
      if (!pending) while (at.next?.pending) at = at.next;
      [...text].forEach((letter, n) => {
        at = this.#put(at, { id: [by, first + n], letter, pending });
      });
    }
    for (const [by, first, count] of gone) {
      for (let n = first; n < first + count; n++) {
        const letter = this.#letters.get(key([by, n]));
        if (letter) letter.gone = true;
      }
    }
  }

  /** The server has made an edit of this page: `made` is what it took of it. */
  settle(edit, made) {
    for (const letter of this.inserted(edit)) {
      if (!letter) continue; // its anchor is unknown
      letter.pending = false;
      if (!made.text) letter.gone = true;
    }
  }

  /** The letters that an edit has inserted. */
  inserted({ by, text, first }) {
    return [...text].map((_, n) => this.#letters.get(key([by, first + n])));
  }

  /** What is to be read: the letters, and where in the text (as an index of JavaScript's) one is behind each of these. */
  read(ids = []) {
    const places = new Map(ids.map((id) => [key(id), 0]));
    const letters = [];
    let value = '';
    for (let letter = this.#start; letter; letter = letter.next) {
      if (!letter.gone) {
        letters.push(letter);
        value += letter.letter;
      }
      if (places.has(key(letter.id))) places.set(key(letter.id), value.length);
    }
    return { value, letters, place: (id) => places.get(key(id)) };
  }
}

/**
 * What makes `value` of these letters, where `caret` is behind what was written: the edit, and how many letters go at which place. Nothing, if they
 * are the same.
 */
export function difference(letters, value, caret) {
  const now = [...value];
  const behind = [...value.slice(caret)].length;
  let last = 0;
  while (last < Math.min(behind, letters.length) && letters.at(-1 - last).letter === now.at(-1 - last)) last++;
  const most = Math.min(letters.length, now.length) - last;
  let first = 0;
  while (first < most && letters[first].letter === now[first]) first++;
  const removed = letters.slice(first, letters.length - last);
  const text = now.slice(first, now.length - last).join('');
  if (!removed.length && !text) return undefined;
  const gone = [];
  for (const { id: [by, n] } of removed) {
    const run = gone.at(-1);
    if (run && run[0] === by && run[1] + run[2] === n) run[2]++;
    else gone.push([by, n, 1]);
  }
  return { edit: { text, after: first ? letters[first - 1].id : START, gone }, place: first, count: removed.length };
}
