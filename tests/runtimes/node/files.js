// fs in its three forms: callbacks, promises and synchronous, and streams.
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const { pipeline } = require('stream/promises');
const zlib = require('zlib');

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'kiln-'));
const at = (name) => path.join(directory, name);

async function main() {
  fs.writeFileSync(at('sync'), 'clay\n');
  fs.appendFileSync(at('sync'), 'glaze\n');
  console.log(JSON.stringify(fs.readFileSync(at('sync'), 'utf8')), fs.statSync(at('sync')).size);

  await new Promise((resolve, reject) =>
    fs.writeFile(at('callback'), Buffer.alloc(100000, 'k'), (error) => (error ? reject(error) : resolve())));
  console.log(fs.statSync(at('callback')).size);

  const names = Array.from({ length: 200 }, (_, n) => at(`f${n}`));
  await Promise.all(names.map((name, n) => fs.promises.writeFile(name, `${n}`)));
  const texts = await Promise.all(names.map((name) => fs.promises.readFile(name, 'utf8')));
  console.log(texts.reduce((sum, text) => sum + Number(text), 0));
  await Promise.all(names.map((name) => fs.promises.rm(name)));

  const handle = await fs.promises.open(at('handle'), 'w+');
  await handle.write('0123456789');
  await handle.write('xx', 4);
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(6), 0, 6, 2);
  console.log(bytesRead, buffer.toString());
  await handle.truncate(3);
  console.log((await handle.stat()).size);
  await handle.sync();
  await handle.close();

  const input = Buffer.from(Array.from({ length: 1 << 20 }, (_, n) => (n * n) >> 7));
  fs.writeFileSync(at('big'), input);
  await pipeline(fs.createReadStream(at('big')), zlib.createGzip(), fs.createWriteStream(at('big.gz')));
  console.log(zlib.gunzipSync(fs.readFileSync(at('big.gz'))).equals(input));

  fs.mkdirSync(at('a/b/c'), { recursive: true });
  fs.symlinkSync('a/b', at('link'));
  fs.linkSync(at('sync'), at('hard'));
  fs.renameSync(at('hard'), at('a/b/c/moved'));
  fs.copyFileSync(at('sync'), at('copy'));
  fs.chmodSync(at('copy'), 0o600);
  console.log(fs.readlinkSync(at('link')), fs.statSync(at('sync')).nlink, (fs.statSync(at('copy')).mode & 0o777).toString(8));
  console.log(fs.readdirSync(directory).sort().join(' '));
  console.log(fs.readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).join());
  fs.utimesSync(at('copy'), 1, 2);
  console.log(fs.statSync(at('copy')).mtimeMs, path.relative(directory, fs.realpathSync(at('link/c/moved'))));
  for (const attempt of [
    () => fs.readFileSync(at('nothing')),
    () => fs.mkdirSync(at('a')),
    () => fs.rmdirSync(at('a')),
    () => fs.readdirSync(at('sync')),
    () => fs.readFileSync(directory),
  ]) {
    try {
      attempt();
      console.log('no error');
    } catch (error) {
      console.log(error.code, error.syscall);
    }
  }
  fs.rmSync(directory, { recursive: true });
  console.log(fs.existsSync(directory));
}

main();
