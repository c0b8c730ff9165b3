// Renames the npm scope of all packages, everywhere that it is written: names, imports, the lock file, the docs. With an
// address it also says where the packages' code is, which a release with provenance needs. The channels of diagnostics
// (`@ws:open`) are names of the API, and stay.
//   pnpm rename-scope @acme https://github.com/acme/websocket
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';

type Manifest = Record<string, unknown> & { readonly name: string };

const [scope = '', address, ...rest] = process.argv.slice(2);
const [from = ''] = readManifest('packages/codec').name.split('/');

// What npm takes as the scope of a new package.
const isScope = /^@[a-z0-9][a-z0-9._-]*$/.test(scope);
const isAddress = address === undefined || /^https:\/\/[^/]+\/.+$/.test(address);
if (!isScope || !isAddress || rest.length > 0) {
  console.error('usage: pnpm rename-scope @acme [https://github.com/acme/websocket]');
  console.error('A scope is made of lower case letters, digits, ".", "_" and "-".');
  process.exit(2);
}
if (scope === from && address === undefined) {
  console.error(`the scope is ${from} already`);
  process.exit(2);
}

if (address !== undefined) {
  for (const name of readdirSync('packages')) {
    const directory = `packages/${name}`;
    const url = `git+${address.replace(/(?:\.git|\/)+$/, '')}.git`;
    const repository = { type: 'git', url, directory };
    const manifest = { ...readManifest(directory), repository };
    writeFileSync(`${directory}/package.json`, `${JSON.stringify(manifest, undefined, 2)}\n`);
  }
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
  // A link to a folder, or a file that is deleted already.
  if (scope === from || !statSync(file, { throwIfNoEntry: false })?.isFile()) continue;
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

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as Manifest;
}
