// Renames the npm scope of all packages, everywhere that it is written: names, imports, the lock file, the docs and their
// title, the license, the channels of diagnostics (`@ws:open`). With an address it also says where the packages' code is,
// which a release with provenance needs, and where a hole is told of in private.
//   pnpm rename-scope @acme https://github.com/acme/websocket
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';

type Manifest = Record<string, unknown> & { readonly name: string };

const USAGE = `usage: pnpm rename-scope @acme [https://github.com/acme/websocket]
A scope is made of lower case letters, digits, ".", "_" and "-".
It is renamed wherever it stands, in the channels of diagnostics as well: who subscribes to them notices.
With an address, package.json says where the code is, and the issue templates link to private reports there.`;

const [scope = '', address, ...rest] = process.argv.slice(2);
const [from = ''] = readManifest('packages/codec').name.split('/');

if (scope === '--help') {
  console.log(USAGE);
  process.exit(0);
}
// What npm takes as the scope of a new package.
const isScope = /^@[a-z0-9][a-z0-9._-]*$/.test(scope);
const isAddress = address === undefined || /^https:\/\/[^/]+\/.+$/.test(address);
if (!isScope || !isAddress || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
if (scope === from && address === undefined) {
  console.error(`the scope is ${from} already`);
  process.exit(2);
}

if (address !== undefined) {
  const home = address.replace(/(?:\.git|\/)+$/, '');
  for (const name of readdirSync('packages')) {
    const directory = `packages/${name}`;
    const repository = { type: 'git', url: `git+${home}.git`, directory };
    const manifest = { ...readManifest(directory), repository };
    writeFileSync(`${directory}/package.json`, `${JSON.stringify(manifest, undefined, 2)}\n`);
  }
  writeFileSync(
    '.github/ISSUE_TEMPLATE/config.yml',
    `blank_issues_enabled: true
contact_links:
  - name: A peer can harm others
    url: ${home}/security/advisories/new
    about: Tell it in private. SECURITY.md says what counts, and when you hear from us.
`,
  );
}

// The scope itself, not the beginning of a longer name, nor the end of somebody's address.
const name = new RegExp(`(?<!\\w)${from.replaceAll('.', '\\.')}(?![\\w-]|\\.\\w)`, 'g');
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
  const changed = text.replace(name, scope);
  // A file that is no text stays as it is.
  if (changed === text || !Buffer.from(text).equals(bytes)) continue;
  writeFileSync(file, changed);
  renamed++;
}
console.log(
  `${from} is ${scope} in ${renamed} files. Now: pnpm install, pnpm run format, pnpm test; and README.md, "Install".`,
);

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as Manifest;
}
