// How small `gzip -9` makes a text, to the bit, and in every environment the same: Node's own zlib is another one, whose result is larger.

/** Symbols: a literal is its byte, the end is 256, a length and a distance have a code and so many extra bits. */
const lengthCode = new Uint16Array(259);
const lengthExtra = new Uint8Array(259);
for (let code = 257, length = 3; code < 285; code++) {
  const extra = code < 265 ? 0 : (code - 261) >> 2;
  for (let n = 0; n < 1 << extra && length < 259; n++, length++) [lengthCode[length], lengthExtra[length]] = [code, extra];
}
[lengthCode[258], lengthExtra[258]] = [285, 0];
const distanceCode = new Uint8Array(32769);
const distanceExtra = new Uint8Array(32769);
for (let code = 0, distance = 1; code < 30; code++) {
  const extra = code < 4 ? 0 : (code - 2) >> 1;
  for (let n = 0; n < 1 << extra; n++, distance++) [distanceCode[distance], distanceExtra[distance]] = [code, extra];
}

const LIMIT = 32768;
const head = new Int32Array(1 << 15);
const previous = new Int32Array(LIMIT);
const bytes = new Uint8Array(LIMIT);
const literals = new Uint32Array(286);
const distances = new Uint32Array(30);
const codes = new Uint32Array(19);

/** The lengths of the codes of a Huffman tree, and how many bits all symbols have together. The rule for ties is that of zlib. */
const tree = (frequency, lengths) => {
  const count = frequency.length;
  const weight = new Uint32Array(count * 2 + 2);
  const depth = new Uint8Array(count * 2 + 2);
  const parent = new Int32Array(count * 2 + 2);
  const heap = [0];
  const less = (n, m) => weight[n] < weight[m] || (weight[n] == weight[m] && depth[n] <= depth[m]);
  const down = (at) => {
    const value = heap[at];
    for (let next = at * 2; next < heap.length; next *= 2) {
      if (next + 1 < heap.length && less(heap[next + 1], heap[next])) next++;
      if (less(value, heap[next])) break;
      heap[at] = heap[next];
      at = next;
    }
    heap[at] = value;
  };
  let last = -1;
  for (let n = 0; n < count; n++) {
    lengths[n] = 0;
    if ((weight[n] = frequency[n])) heap.push((last = n));
  }
  // There are always two codes.
  while (heap.length < 3) {
    const n = last < 2 ? ++last : 0;
    weight[n] = 1;
    heap.push(n);
  }
  for (let n = (heap.length - 1) >> 1; n >= 1; n--) down(n);
  let node = count;
  while (heap.length > 2) {
    const n = heap[1];
    heap[1] = heap.pop();
    down(1);
    const m = heap[1];
    weight[node] = weight[n] + weight[m];
    depth[node] = Math.max(depth[n], depth[m]) + 1;
    parent[n] = parent[m] = node;
    heap[1] = node++;
    down(1);
  }
  const level = new Uint8Array(node);
  let bits = 0;
  for (let n = node - 2; n >= 0; n--) {
    if (!weight[n]) continue;
    level[n] = level[parent[n]] + 1;
    if (n < count) {
      lengths[n] = level[n];
      bits += frequency[n] * level[n];
    }
  }
  return { bits, last };
};

const literalLengths = new Uint8Array(286);
const distanceLengths = new Uint8Array(30);
const codeLengths = new Uint8Array(19);
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Counts the codes by which the lengths of a tree are told, and gives their extra bits. */
const tell = (lengths, last) => {
  let extra = 0;
  for (let n = 0, before = -1; n <= last; ) {
    const length = lengths[n];
    let run = 1;
    const most = length ? (length == before ? 6 : 7) : 138;
    while (n + run <= last && run < most && lengths[n + run] == length) run++;
    n += run;
    if (run < (length && length != before ? 4 : 3)) codes[length] += run;
    else if (length) {
      if (length != before) codes[length]++;
      codes[16]++;
      extra += 2;
    } else if (run <= 10) {
      codes[17]++;
      extra += 3;
    } else {
      codes[18]++;
      extra += 7;
    }
    before = length;
  }
  return extra;
};

/** The bits of an ASCII text of less than 32 KiB, as one block, with the head and the tail of gzip. */
export const deflated = (text) => {
  const size = text.length;
  if (size > LIMIT) throw new Error('too long');
  for (let at = 0; at < size; at++) bytes[at] = text.charCodeAt(at);
  head.fill(-1);
  literals.fill(0);
  distances.fill(0);
  codes.fill(0);
  let bits = 0;
  const insert = (at) => {
    if (at + 2 >= size) return -1;
    const hash = ((bytes[at] << 10) ^ (bytes[at + 1] << 5) ^ bytes[at + 2]) & 32767;
    const found = head[hash];
    previous[at] = found;
    head[hash] = at;
    return found;
  };
  let length = 2;
  let start = 0;
  let waiting = false;
  for (let at = 0; at < size; at++) {
    let candidate = insert(at);
    const before = length;
    const from = start;
    length = 2;
    if (candidate > 0 && before < 258) {
      let best = before;
      let chain = before >= 32 ? 1024 : 4096;
      const most = Math.min(258, size - at);
      if (best < most)
        for (; candidate > 0 && chain--; candidate = previous[candidate]) {
          if (bytes[candidate + best] != bytes[at + best] || bytes[candidate + best - 1] != bytes[at + best - 1] || bytes[candidate] != bytes[at]) continue;
          let same = 1;
          while (same < most && bytes[candidate + same] == bytes[at + same]) same++;
          if (same > best) {
            best = same;
            start = candidate;
            if (best >= most) break;
          }
        }
      length = best;
      if (length == 3 && at - start > 4096) length = 2;
    }
    if (before >= 3 && length <= before) {
      const distance = at - 1 - from;
      literals[lengthCode[before]]++;
      distances[distanceCode[distance]]++;
      bits += lengthExtra[before] + distanceExtra[distance];
      for (let n = before - 2; n--; ) insert(++at);
      waiting = false;
      length = 2;
    } else {
      if (waiting) literals[bytes[at - 1]]++;
      waiting = true;
    }
  }
  if (waiting) literals[bytes[size - 1]]++;
  literals[256] = 1;

  const one = tree(literals, literalLengths);
  const two = tree(distances, distanceLengths);
  bits += one.bits + two.bits + tell(literalLengths, one.last) + tell(distanceLengths, two.last);
  bits += tree(codes, codeLengths).bits;
  let most = 18;
  while (!codeLengths[ORDER[most]]) most--;
  return bits + 3 + 14 + 3 * (most + 1) + 18 * 8;
};
