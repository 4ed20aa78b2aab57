// worker_threads: messages, shared memory with Atomics, errors, termination.
'use strict';
const { Worker, isMainThread, parentPort, workerData, MessageChannel, receiveMessageOnPort } = require('worker_threads');

if (!isMainThread) {
  const { kind, number, shared, port } = workerData;
  if (kind === 'sum') {
    let sum = 0;
    for (let n = 0; n < 1e6; n++) sum += (n * (number + 1)) % 7;
    parentPort.postMessage(sum);
  } else if (kind === 'count') {
    const cells = new Int32Array(shared);
    for (let n = 0; n < 20000; n++) Atomics.add(cells, 0, 1);
    Atomics.add(cells, 1, 1);
    Atomics.notify(cells, 1);
  } else if (kind === 'echo') {
    port.on('message', (value) => (value === null ? port.close() : port.postMessage(value * 2)));
  } else if (kind === 'throw') {
    throw new TypeError('from a worker');
  } else if (kind === 'spin') {
    parentPort.postMessage('spinning');
    for (;;);
  } else if (kind === 'exit') {
    process.exit(7);
  }
} else {
  const start = (data, transferList) => new Worker(__filename, { workerData: data, transferList });
  const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));
  const main = async () => {
    const sums = await Promise.all([0, 1, 2, 3].map((number) => once(start({ kind: 'sum', number }), 'message')));
    console.log('sums', sums.join());

    const shared = new SharedArrayBuffer(8);
    const cells = new Int32Array(shared);
    const counters = [0, 1, 2, 3].map(() => start({ kind: 'count', shared }));
    for (let done = 0; done < 4; done = Atomics.load(cells, 1)) Atomics.wait(cells, 1, done, 30000);
    console.log('counted', Atomics.load(cells, 0));
    await Promise.all(counters.map((worker) => worker.terminate()));
    console.log(Atomics.wait(cells, 0, cells[0], 10));

    const { port1, port2 } = new MessageChannel();
    const echo = start({ kind: 'echo', port: port2 }, [port2]);
    const got = [];
    port1.on('message', (value) => {
      got.push(value);
      if (got.length === 100) port1.postMessage(null);
    });
    for (let n = 0; n < 100; n++) port1.postMessage(n);
    await once(echo, 'exit');
    console.log('echo', got.reduce((a, b) => a + b));

    const error = await once(start({ kind: 'throw' }), 'error');
    console.log(error.name, error.message);
    console.log('exit code', await once(start({ kind: 'exit' }), 'exit'));

    const spinner = start({ kind: 'spin' });
    await once(spinner, 'message');
    console.log('terminated', await spinner.terminate());
    console.log(receiveMessageOnPort(new MessageChannel().port1) === undefined);
  };
  main();
}
