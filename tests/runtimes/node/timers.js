// Timers, their order, and the phases of the event loop.
'use strict';
const timers = require('timers/promises');
const { performance } = require('perf_hooks');

const order = [];
setTimeout(() => order.push('timeout 20'), 20);
setTimeout(() => order.push('timeout 5'), 5);
setImmediate(() => order.push('immediate'));
process.nextTick(() => order.push('tick'));
Promise.resolve().then(() => order.push('microtask'));
queueMicrotask(() => order.push('queued'));
clearTimeout(setTimeout(() => order.push('cleared'), 1));

async function main() {
  await timers.setTimeout(60);
  console.log(order.filter((word) => !word.startsWith('timeout')).join(), order.filter((word) => word.startsWith('timeout')).join());

  let ticks = 0;
  await new Promise((resolve) => {
    const interval = setInterval(() => {
      if (++ticks === 10) {
        clearInterval(interval);
        resolve();
      }
    }, 2);
  });
  console.log('interval', ticks);

  const start = performance.now();
  await timers.setTimeout(50);
  console.log('slept', performance.now() - start >= 49);

  const many = await Promise.all(Array.from({ length: 2000 }, (_, n) => timers.setTimeout(n % 10, n)));
  console.log('many', many.reduce((a, b) => a + b));

  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  try {
    await timers.setTimeout(100000, null, { signal: controller.signal });
  } catch (error) {
    console.log(error.name);
  }
  setTimeout(() => console.log('never'), 100000).unref();
  let count = 0;
  for await (const value of timers.setInterval(1, 'x')) {
    if (value !== 'x' || ++count === 5) break;
  }
  console.log('iterated', count, process.hrtime.bigint() > 0n);
  process.on('exit', (code) => console.log('exit', code));
}

main();
