// Prints a signed assertion of the application `certificate`, as another token service would issue it.
//   node assertion.mjs KEY AUDIENCE
import crypto from 'node:crypto';
import fs from 'node:fs';

const [, , file, audience] = process.argv;
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = Math.floor(Date.now() / 1000);
const claims = { iss: 'certificate', sub: 'certificate', aud: audience, iat: now, exp: now + 60, jti: crypto.randomUUID() };
const text = `${part({ alg: 'PS256' })}.${part(claims)}`;
const key = {
  key: fs.readFileSync(file),
  padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
  saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
};
console.log(`${text}.${crypto.sign('sha256', text, key).toString('base64url')}`);
