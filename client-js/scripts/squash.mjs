// Renames what a minified script has names for, its variables and its private properties, and reorders what may stand in any order, so that gzip
// finds more repetitions. That is worth a twentieth. What is best is found by trying, which takes minutes: the build does it when the program has
// changed, and else takes the committed script.
import { parse } from 'acorn';
import { deflated } from './deflate.mjs';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$'];

/** What is evaluated without an effect, and whenever that happens with the same result. */
const still = (node) =>
  !node ||
  /Function|^Literal$/.test(node.type) ||
  (node.type == 'UnaryExpression' && node.argument.type == 'Literal') ||
  (/^(Array|Object)Expression$/.test(node.type) && (node.elements || node.properties).every((one) => !one || (!one.computed && one.kind != 'get' && still(one.value || one)))) ||
  (node.type == 'NewExpression' && /^(Map|Set)$/.test(node.callee.name) && !node.arguments.length);

/** What binds more tightly than a comparison. */
const TIGHT = /^(Literal|Identifier|(Member|Chain|Call|Unary)Expression|TemplateLiteral)$/;

/**
 * A script in pieces: texts, and places where something is named. `variables` and `properties` are what has names; those that `clash` must have
 * different ones. `groups` are lists whose members may stand in any order; after a change of one, `flow` makes the pieces anew. `privates` has the
 * names of the private properties, each with those that it clashes with.
 */
const dissect = (text, privates) => {
  /** In the order of the text, and what each of them is: a variable, found by its scope in the end, or a property. */
  const places = [];
  const scopes = [];
  const known = new Map();

  const scope = (up, whole) => {
    const one = { up, whole, variables: new Map(), seen: new Set() };
    scopes.push(one);
    return one;
  };
  const declare = (id, where) => {
    if (!where.variables.has(id.name)) where.variables.set(id.name, { name: id.name, scope: where, spread: new Set([where]) });
  };
  const property = (name) => {
    if (!privates.has(name)) return { name };
    if (!known.has(name)) known.set(name, { name, property: true });
    return known.get(name);
  };
  const use = (id, where, key) => places.push({ start: id.start, end: id.end, id: id.name, where, key: key && property(key.name) });
  const key = ({ computed, key, property: name = key }, where) => {
    if (computed) visit(name, where);
    else if (privates.has(name.name)) places.push({ start: name.start, end: name.end, what: property(name.name) });
  };

  const groups = [];
  /** Where so many nodes in a row are `fine`, with nothing but `separator` between them, they are a group. Those that are `free` may go before any other. */
  const group = (nodes, fine, separator = ',', free = () => true) => {
    let run = [];
    const end = () => {
      if (run.length > 1) groups.push({ start: run[0].start, end: run.at(-1).end, nodes: run, separator, free });
      run = [];
    };
    for (const node of nodes) {
      if (run.length && text.slice(run.at(-1).end, node.start) != separator) end();
      if (fine(node)) run.push(node);
      else end();
    }
    end();
  };
  const grouping = {
    VariableDeclaration: ({ declarations }) => group(declarations, ({ id }) => id.type == 'Identifier', ',', ({ init }) => still(init)),
    ObjectPattern: ({ properties }) => group(properties, ({ computed, value }) => !computed && value?.type == 'Identifier'),
    // The order of what others may see, in JSON for example, stays what it is.
    ObjectExpression: ({ properties }) =>
      group(properties, ({ computed, key, kind, value }) => !computed && key && (kind != 'init' || /Function/.test(value.type) || (privates.has(key.name) && (still(value) || value.type == 'Identifier')))),
    BinaryExpression({ left, right, start, end, operator }) {
      const constant = [left, right].some(({ type, operator }) => type == 'Literal' || operator == 'void') || left.type + right.type == 'IdentifierIdentifier';
      const alone = left.start == start && right.end == end && !/[\w$]/.test(text[start - 1] + text[end]);
      if (/^[=!]==?$/.test(operator) && constant && alone) group([left, right], ({ type }) => TIGHT.test(type), operator);
    },
  };

  /** What is assigned to, or declared in the scope `to`. */
  const target = (node, where, to) => {
    if (!node) return;
    grouping[node.type]?.(node);
    if (node.type == 'Identifier') {
      if (to) declare(node, to);
      use(node, where);
    } else if (node.type == 'ArrayPattern') for (const one of node.elements) target(one, where, to);
    else if (node.type == 'RestElement') target(node.argument, where, to);
    else if (node.type == 'AssignmentPattern') {
      target(node.left, where, to);
      visit(node.right, where);
    } else if (node.type == 'ObjectPattern')
      for (const one of node.properties) {
        if (!one.shorthand) {
          if (one.key) key(one, where);
          target(one.value || one.argument, where, to);
          continue;
        }
        const { left = one.value, right } = one.value;
        if (to) declare(left, to);
        use(left, where, one.key);
        visit(right, where);
      }
    else visit(node, where);
  };

  const visitors = {
    BlockStatement: ({ body }, where) => visit(body, scope(where)),
    ForStatement: ({ init, test, update, body }, where) => visit([init, test, update, body], scope(where)),
    ForInStatement: (node, where) => visitors.ForOfStatement(node, where),
    ForOfStatement({ left, right, body }, where) {
      const inner = scope(where);
      if (left.type == 'VariableDeclaration') visit(left, inner);
      else target(left, inner);
      visit([right, body], inner);
    },
    CatchClause({ param, body }, where) {
      const inner = scope(where);
      target(param, inner, inner);
      visit(body.body, inner);
    },
    ArrowFunctionExpression({ id, params, body }, where) {
      const inner = scope(where, true);
      if (id) target(id, inner, inner);
      for (const one of params) target(one, inner, inner);
      visit(body.type == 'BlockStatement' ? body.body : body, inner);
    },
    FunctionExpression: (node, where) => visitors.ArrowFunctionExpression(node, where),
    FunctionDeclaration({ id, ...node }, where) {
      target(id, where, where);
      visitors.ArrowFunctionExpression(node, where);
    },
    VariableDeclaration({ kind, declarations }, where) {
      let to = where;
      if (kind == 'var') while (!to.whole) to = to.up;
      for (const { id, init } of declarations) {
        target(id, where, to);
        visit(init, where);
      }
    },
    AssignmentExpression({ left, right }, where) {
      target(left, where);
      visit(right, where);
    },
    MemberExpression(node, where) {
      visit(node.object, where);
      key(node, where);
    },
    Property(node, where) {
      if (node.shorthand) return use(node.value, where, node.key);
      key(node, where);
      visit(node.value, where);
    },
    Identifier: use,
    MetaProperty() {},
  };
  for (const type of ['Class', 'Label', 'Switch', 'With', 'Import', 'Export'])
    for (const what of ['Declaration', 'Expression', 'edStatement', 'Statement', 'NamedDeclaration'])
      visitors[type + what] = () => {
        throw new Error(`${type}${what}: squash.mjs does not know it`);
      };
  const visit = (node, where) => {
    if (Array.isArray(node)) for (const one of node) visit(one, where);
    if (!node?.type) return;
    grouping[node.type]?.(node);
    if (visitors[node.type]) visitors[node.type](node, where);
    else for (const one of Object.values(node)) visit(one, where);
  };
  const top = scope(undefined, true);
  visit(parse(text, { ecmaVersion: 2021 }), top);

  const globals = new Map();
  for (const place of places) {
    const { id, where } = place;
    if (place.what) continue;
    const way = [];
    let at = where;
    while (at && !at.variables.has(id)) {
      way.push(at);
      at = at.up;
    }
    if (!at && !globals.has(id)) globals.set(id, { name: id, spread: new Set() });
    const what = at ? at.variables.get(id) : globals.get(id);
    if (at) way.push(at);
    for (const one of way) what.spread.add(one);
    place.what = what;
  }
  const variables = scopes.flatMap((one) => [...one.variables.values()]);
  for (const one of [...variables, ...globals.values()]) for (const where of one.spread) where.seen.add(one);
  for (const one of variables) {
    one.clash = new Set();
    for (const where of one.spread) for (const other of where.seen) if (other != one) one.clash.add(other);
  }

  places.sort((a, b) => a.start - b.start);
  groups.sort((a, b) => a.start - b.start || b.end - a.end);
  const [names, sets] = [[...places], [...groups]];
  /** The text from `start` to `end`: texts, places and groups. */
  const cut = (start, end) => {
    const list = [];
    for (;;) {
      const [name, set] = [names, sets].map(([one]) => (one?.start < end ? one : undefined));
      const one = set && !(name?.start < set.start) ? sets.shift() : name && names.shift();
      list.push(text.slice(start, one ? one.start : end));
      if (!one) return list;
      if (one == set) one.list = one.nodes.map((node, at) => ({ at, free: one.free(node), pieces: cut(node.start, node.end) }));
      list.push(one);
      start = one.end;
    }
  };
  const tree = cut(0, text.length);
  const pieces = [];
  const add = (list) => {
    for (const one of list) {
      if (!one.list) pieces.push(one);
      else
        one.list.forEach((member, n) => {
          if (n) pieces.push(one.separator);
          add(member.pieces);
        });
    }
  };
  const flow = () => {
    pieces.length = 0;
    add(tree);
  };
  flow();
  return { pieces, variables, properties: [...known.values()], globals, groups, flow };
};

/** The script again. */
const assemble = ({ pieces }) => {
  let text = '';
  for (const piece of pieces) {
    const { key, what } = piece;
    if (!what) text += piece;
    else if (key && key.name != what.name) text += key.name + ':' + what.name;
    else text += what.name;
  }
  return text;
};

/** Numbers at random, the same in every run. */
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
};

/** How many bits worse a step may be at first, by and large. */
const HEAT = 2;

/**
 * Renames and reorders at random, `rounds` times, and keeps what makes the script smaller; at first also what makes it a little larger, so as not to
 * end in the next best place. `open` is what will be replaced by an expression that may use the globals of a page: none of the usual ones may
 * be hidden from it. `finish` makes the whole file.
 */
export const squash = (text, privates, { rounds, open, finish }) => {
  const script = dissect(text, privates);
  const { variables, properties, globals, groups, pieces } = script;
  for (const one of properties) one.clash = new Set(properties.filter(({ name }) => privates.get(one.name).has(name)));
  if (assemble(script) != text) throw new Error('squash.mjs does not understand the script');

  const chance = random(1);
  const under = (limit) => Math.floor(chance() * limit);
  const pick = (list, of = list.length) => list[under(of)];

  // What counts is the whole file.
  const value = finish(open);
  globals.get(open).name = value;

  let undo;
  const rename = (one, name) => {
    const { name: old } = one;
    undo.push(() => (one.name = old));
    one.name = name;
  };
  /** Gives `one` another name. Who has that one already takes the old one, and so on. */
  const give = (one, name) => {
    const { name: old } = one;
    const waiting = [[one, name]];
    const done = new Set();
    while (waiting.length) {
      const [next, its] = waiting.pop();
      if (done.has(next)) continue;
      if (!next.clash || done.size > 40) return false;
      done.add(next);
      rename(next, its);
      for (const other of next.clash) if (other.name == its) waiting.push([other, its == name ? old : name]);
    }
    return true;
  };

  for (const one of variables) {
    if (!one.clash.has(globals.get(open))) continue;
    for (const name of ['$', '_']) one.clash.add({ name });
    if (!'$_'.includes(one.name)) continue;
    const fits = (name) => {
      undo = [];
      if (give(one, name)) return true;
      for (const back of undo.reverse()) back();
    };
    // Two letters are better than none.
    [...LETTERS.slice(0, 52), ...LETTERS.map((letter) => 'a' + letter)].find(fits);
  }

  let file;
  let spots;
  /** Takes down the file, and where it names what. */
  const look = (next) => {
    file = next;
    spots = new Map();
    let at = 0;
    for (const piece of pieces) {
      const { key, what } = piece;
      if (what) {
        if (key && key.name != what.name) at += key.name.length + 1;
        if (!spots.has(what)) spots.set(what, []);
        spots.get(what).push(at);
      }
      at += what ? what.name.length : piece.length;
    }
  };
  /** What stands elsewhere behind the text that is before a name. */
  const likely = (one) => {
    const at = pick(spots.get(one));
    const before = file.slice(at - 1 - under(6), at);
    const start = under(file.length);
    const found = [file.indexOf(before, start), file.indexOf(before)].find((n) => n >= 0) + before.length;
    return /^[a-zA-Z$_]$/.test(/^[\w$]*/.exec(file.slice(found, found + 9))[0]) ? file[found] : one.name;
  };

  /** A name that is in use: that of any place. */
  const used = () => {
    for (;;) {
      const { what } = pick(pieces);
      if (what?.clash && what.name.length == 1) return what.name;
    }
  };
  const another = (one) => {
    const name = chance() < 0.3 ? likely(one) : chance() < 0.8 ? used() : pick(LETTERS);
    return name != one.name && give(one, name);
  };

  const moves = [
    /** A property gets another name. */
    () => another(pick(properties)),
    /** A variable gets another name. */
    () => another(pick(variables)),
    /** A member of a group gets another place. */
    () => {
      const set = pick(groups);
      const { list } = set;
      const [from, to] = [under(list.length), under(list.length)];
      const one = list[from];
      // Whoever comes to stand before one that was before it must be free.
      for (let n = to; n != from; n += Math.sign(from - to)) {
        const [first, second] = from > to ? [one, list[n]] : [list[n], one];
        if (first.at > second.at && !first.free) return false;
      }
      undo.push(() => {
        set.list = list;
        script.flow();
      });
      set.list = list.filter((_, n) => n != from);
      set.list.splice(to, 0, one);
      script.flow();
      return from != to;
    },
  ];

  look(assemble(script));
  let size = deflated(file);
  let best = { size, text: file };
  for (let round = 0; round < rounds; round++) {
    undo = [];
    const dice = chance();
    if (moves[dice < 0.15 ? 0 : dice < 0.85 ? 1 : 2]()) {
      const next = assemble(script);
      const bits = deflated(next);
      const heat = Math.max(0, HEAT * (1 - (1.1 * round) / rounds));
      if (bits <= size - heat * Math.log(chance())) {
        size = bits;
        look(next);
        if (bits < best.size) best = { size, text: next };
        continue;
      }
    }
    for (const back of undo.reverse()) back();
  }
  return best.text.replace(value, () => open);
};
