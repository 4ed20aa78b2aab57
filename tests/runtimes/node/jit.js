// Work that the compiler of V8 has to optimize, deoptimize and collect after.
'use strict';

function fannkuch(n) {
  const perm = Array.from({ length: n }, (_, i) => i);
  const count = new Int32Array(n);
  let flips = 0;
  let checksum = 0;
  for (let r = n, turn = 0; ; turn++) {
    for (; r !== 1; r--) count[r - 1] = r;
    const work = perm.slice();
    let steps = 0;
    for (let first = work[0]; first !== 0; first = work[0]) {
      for (let i = 0, j = first; i < j; i++, j--) [work[i], work[j]] = [work[j], work[i]];
      steps++;
    }
    flips = Math.max(flips, steps);
    checksum += turn % 2 === 0 ? steps : -steps;
    for (;; r++) {
      if (r === n) return `${checksum} ${flips}`;
      perm.splice(r, 0, perm.shift());
      if (--count[r] > 0) break;
    }
  }
}

function bodies(steps) {
  const all = Array.from({ length: 5 }, (_, n) => ({ x: n * 1.5, y: n * n * 0.3, z: -n, vx: 0.1 * n, vy: 0.2, vz: -0.05 * n, mass: 1 + n }));
  for (let step = 0; step < steps; step++) {
    for (let i = 0; i < 5; i++) {
      for (let j = i + 1; j < 5; j++) {
        const [a, b] = [all[i], all[j]];
        const [dx, dy, dz] = [a.x - b.x, a.y - b.y, a.z - b.z];
        const distance = dx * dx + dy * dy + dz * dz + 0.01;
        const magnitude = 0.001 / (distance * Math.sqrt(distance));
        a.vx -= dx * b.mass * magnitude; a.vy -= dy * b.mass * magnitude; a.vz -= dz * b.mass * magnitude;
        b.vx += dx * a.mass * magnitude; b.vy += dy * a.mass * magnitude; b.vz += dz * a.mass * magnitude;
      }
    }
    for (const body of all) { body.x += 0.001 * body.vx; body.y += 0.001 * body.vy; body.z += 0.001 * body.vz; }
  }
  return all.map((body) => body.x.toFixed(6)).join();
}

class Node {
  constructor(left, right) { this.left = left; this.right = right; }
  count() { return this.left ? 1 + this.left.count() + this.right.count() : 1; }
}
const tree = (depth) => (depth === 0 ? new Node(null, null) : new Node(tree(depth - 1), tree(depth - 1)));

function sieve(limit) {
  const composite = new Uint8Array(limit);
  let primes = 0;
  for (let i = 2; i < limit; i++) {
    if (composite[i]) continue;
    primes++;
    for (let j = i * i; j < limit; j += i) composite[j] = 1;
  }
  return primes;
}

// The same function for integers, floats, strings and objects.
function add(a, b) { return a + b; }
function changing() {
  let total = 0;
  for (let n = 0; n < 300000; n++) total = add(total, n);
  let real = 0;
  for (let n = 0; n < 300000; n++) real = add(real, n / 2);
  let text = '';
  for (let n = 0; n < 1000; n++) text = add(text, n);
  return `${total} ${real} ${text.length} ${add({}, [])}`;
}

console.log(fannkuch(8));
console.log(bodies(100000));
let nodes = 0;
for (let n = 0; n < 40; n++) nodes += tree(14).count();
console.log(nodes);
console.log(sieve(3000000));
console.log(changing());
const words = new Map();
for (let n = 0; n < 300000; n++) words.set(`w${n % 5000}`, (words.get(`w${n % 5000}`) || 0) + 1);
console.log(words.size, words.get('w42'), /(\d+)-(\w+)/.exec('x 2024-kiln')[2]);
const wasm = new WebAssembly.Module(Uint8Array.from(Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex')));
console.log(new WebAssembly.Instance(wasm).exports.add(40, 2));
