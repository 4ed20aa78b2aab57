// child_process: in order, so that what is printed does not depend on who is faster.
const { exec, execFile, execSync, fork, spawn, spawnSync } = require('child_process');
const { once } = require('events');

async function main() {
    console.log(execSync('echo sync | cat').toString().trim());
    console.log(spawnSync('sh', ['-c', 'echo "$A" >&2; exit 5'], { env: { A: 'b', ...process.env } }).status);

    const cat = spawn('cat');
    let bytes = 0;
    cat.stdout.on('data', (data) => { bytes += data.length; });
    cat.stdin.end(Buffer.alloc(300000));
    console.log('cat', ...await once(cat, 'close'), bytes);

    const sleep = spawn('sleep', ['100']);
    setTimeout(() => sleep.kill(), 50);
    console.log('sleep', ...await once(sleep, 'exit'));

    execFile('/nothing', (error) => console.log(error.code));
    await new Promise((done) => setTimeout(done, 50));

    const [error] = await new Promise((done) => exec('exit 9', (...all) => done(all)));
    console.log('exec', error.code);

    const child = fork(__filename, ['child'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.send({ number: 21 });
    console.log('message', (await once(child, 'message'))[0]);
    console.log('fork', ...await once(child, 'exit'));

    const many = Array.from({ length: 20 }, (_, n) => spawn('sh', ['-c', `exit ${n}`]));
    const codes = await Promise.all(many.map((one) => once(one, 'exit').then(([code]) => code)));
    console.log(codes.join(' '));

    const detached = spawn('sleep', ['100'], { detached: true, stdio: 'ignore' });
    process.kill(-detached.pid, 'SIGKILL');
    console.log('group', ...await once(detached, 'exit'));
}

if (process.argv[2] === 'child') {
    process.on('message', ({ number }) => {
        process.send({ twice: number * 2 });
        process.disconnect();
    });
} else {
    main();
}
