// Renames the npm scope of all packages, everywhere that it is written: names, imports, the lock file, the docs.
//   pnpm rename-scope @acme
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const [scope = '', ...rest] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync('packages/codec/package.json', 'utf8')) as {
  name: string;
};
const [from = ''] = manifest.name.split('/');

// What npm takes as the scope of a new package.
if (rest.length > 0 || !/^@[a-z0-9][a-z0-9._-]*$/.test(scope)) {
  console.error('usage: pnpm rename-scope @acme   (lower case letters, digits, ".", "_" and "-")');
  process.exit(2);
}
if (scope === from) {
  console.error(`the scope is ${from} already`);
  process.exit(2);
}

const files = execFileSync(
  'git',
  ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
  {
    encoding: 'utf8',
  },
).split('\0');
let renamed = 0;
for (const file of files) {
  if (file === '') continue;
  const bytes = readFileSync(file);
  const text = bytes.toString();
  // A file that is no text stays as it is.
  if (!text.includes(`${from}/`) || !Buffer.from(text).equals(bytes)) continue;
  writeFileSync(file, text.replaceAll(`${from}/`, `${scope}/`));
  renamed++;
}
console.log(
  `${from} is ${scope} in ${renamed} files. Now: pnpm install, pnpm run format, pnpm test`,
);
