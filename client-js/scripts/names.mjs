// Renames what a minified script has names for, its variables and its private properties, so that gzip finds more repetitions. That is worth a
// twentieth. What is best is found by trying, which takes a minute: the build does it when the program has changed, and else takes the names
// from the committed script.
import { parse } from 'acorn';
import { deflateRawSync } from 'node:zlib';
import { deflated } from './deflate.mjs';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$'];

/**
 * A script in pieces: texts, and places where something is named. `names` are the variables and the properties; those that `clash` must
 * have different names, and all properties must. `properties` are the names of the private ones.
 */
export const dissect = (text, properties) => {
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
    if (!properties.has(name)) return { name };
    if (!known.has(name)) known.set(name, { name, property: true });
    return known.get(name);
  };
  const use = (id, where, key) => places.push({ start: id.start, end: id.end, id: id.name, where, key: key && property(key.name) });
  const key = ({ computed, key, property: name = key }, where) => {
    if (computed) visit(name, where);
    else if (properties.has(name.name)) places.push({ start: name.start, end: name.end, what: property(name.name) });
  };

  /** What is assigned to, or declared in the scope `to`. */
  const target = (node, where, to) => {
    if (!node) return;
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
        throw new Error(`${type}${what}: names.mjs does not know it`);
      };
  const visit = (node, where) => {
    if (Array.isArray(node)) for (const one of node) visit(one, where);
    else if (!node?.type) return;
    else if (visitors[node.type]) visitors[node.type](node, where);
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

  const pieces = [];
  let end = 0;
  for (const place of places.sort((a, b) => a.start - b.start)) {
    pieces.push(text.slice(end, place.start), place);
    end = place.end;
  }
  pieces.push(text.slice(end));
  return { pieces, variables, properties: [...known.values()], globals };
};

/** The script again. */
export const assemble = ({ pieces }) => {
  let text = '';
  for (const piece of pieces) {
    if (typeof piece == 'string') text += piece;
    else if (piece.key && piece.key.name != piece.what.name) text += piece.key.name + ':' + piece.what.name;
    else text += piece.what.name;
  }
  return text;
};

/** The same text for two scripts that differ in nothing but names. */
export const skeleton = (text, properties) => {
  const script = dissect(text, properties);
  let count = 0;
  for (const { key, what } of script.pieces) {
    for (const one of [key, what]) if (one?.property || one?.clash) one.skeleton ||= '#' + count++;
  }
  return script.pieces
    .map((piece) => {
      if (typeof piece == 'string') return piece;
      const [key, what] = [piece.key, piece.what].map((one) => one && (one.skeleton || one.name));
      return key ? key + ':' + what : what;
    })
    .join('');
};

/** Numbers at random, the same in every run. */
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
};

/**
 * Renames at random, keeps what makes the script smaller, and does so `rounds` times. `open` is what will be replaced by an expression that may use
 * the globals of a page: none of the usual ones may be hidden from it. `finish` makes the whole file.
 */
export const rename = (text, properties, { rounds, open, finish, report = () => {} }) => {
  const script = dissect(text, properties);
  const { variables, globals } = script;
  for (const one of variables) if (one.clash.has(globals.get(open))) for (const name of ['$', '_']) one.clash.add({ name });
  const chance = random(1);
  const pick = (list, of = list.length) => list[Math.floor(chance() * Math.min(of, list.length))];
  let changes;
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
      changes.push([next, next.name]);
      next.name = its;
      for (const other of next.clash) if (other.name == its) waiting.push([other, its == name ? old : name]);
    }
    return true;
  };
  const swap = (one, other) => {
    changes.push([one, one.name], [other, other.name]);
    [one.name, other.name] = [other.name, one.name];
    return one != other;
  };
  const guess = (file) => deflateRawSync(file, { level: 9 }).length;

  let file = finish(assemble(script));
  let best = deflated(file);
  let near = guess(file);
  for (let round = 0; round < rounds; round++) {
    changes = [];
    const fine = chance() < 0.12 ? swap(pick(script.properties), pick(script.properties)) : give(pick(variables), pick(LETTERS, chance() < 0.7 ? 16 : 54));
    if (fine) {
      file = finish(assemble(script));
      // Node's zlib is ten times as fast, and never far from the truth.
      const about = guess(file);
      if (about <= near + SLACK) {
        const size = deflated(file);
        if (size <= best) {
          best = size;
          near = about;
          continue;
        }
      }
    }
    for (const [one, name] of changes.reverse()) one.name = name;
    if (round % 5000 == 0) report(round, best / 8);
  }
  return assemble(script);
};

/** By how many bytes the quick guess may be worse. */
const SLACK = 1;
