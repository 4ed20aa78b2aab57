// crypto, on the main thread and in the thread pool.
'use strict';
const crypto = require('crypto');
const { promisify } = require('util');

async function main() {
  console.log(crypto.createHash('sha256').update('clay').digest('hex'));
  console.log(crypto.createHmac('sha512', 'key').update('glaze').digest('base64'));
  const pbkdf2 = promisify(crypto.pbkdf2);
  const keys = await Promise.all(Array.from({ length: 8 }, (_, n) => pbkdf2(`fire${n}`, 'salt', 5000, 16, 'sha256')));
  console.log(keys.map((key) => key.toString('hex').slice(0, 8)).join());
  console.log((await promisify(crypto.scrypt)('wood', 'salt', 24, { N: 4096 })).toString('hex'));

  const key = Buffer.alloc(32, 7);
  const nonce = Buffer.alloc(12, 9);
  const cipher = crypto.createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([cipher.update('in the kiln'.repeat(1000)), cipher.final()]);
  const decipher = crypto.createDecipheriv('aes-256-gcm', key, nonce).setAuthTag(cipher.getAuthTag());
  console.log(crypto.createHash('md5').update(sealed).digest('hex'), decipher.update(sealed, null, 'utf8').length);

  const pair = await promisify(crypto.generateKeyPair)('ed25519');
  const signature = crypto.sign(null, Buffer.from('text'), pair.privateKey);
  console.log(crypto.verify(null, Buffer.from('text'), pair.publicKey, signature), crypto.verify(null, Buffer.from('other'), pair.publicKey, signature));
  const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 1024 });
  console.log(crypto.privateDecrypt(rsa.privateKey, crypto.publicEncrypt(rsa.publicKey, Buffer.from('secret'))).toString());

  const random = (await promisify(crypto.randomBytes)(4096)).reduce((seen, byte) => seen.add(byte), new Set()).size;
  console.log(random > 200, crypto.randomUUID().length, crypto.timingSafeEqual(key, Buffer.alloc(32, 7)));
  const digest = await crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('clay'));
  console.log(Buffer.from(digest).toString('hex').slice(0, 16));
}

main();
