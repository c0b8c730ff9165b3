// Renames the npm scope of all packages, that of tools/scope.json: names, imports, the lock file, the docs and their title,
// the license, the channels of diagnostics (`@ws:open`). With an address, it also sets the
// repository, which a release with provenance needs, and the place for private security reports.
//   node --import tsx tools/rename-scope.ts @acme https://github.com/acme/websocket
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { publishedPackages, scopeOf } from './published.ts';

const USAGE = `usage: node --import tsx tools/rename-scope.ts @acme [https://github.com/acme/websocket]
A scope consists of lower case letters, digits, ".", "_" and "-".
It is also renamed in the channels of diagnostics, so their subscribers have to change.
An address is set in every package.json and in the link to private security reports.`;

const [scope = '', address, ...rest] = process.argv.slice(2);
const from = scopeOf();

if (scope === '--help') {
  console.log(USAGE);
  process.exit(0);
}
// A scope that npm accepts for a new package.
const isScope = /^@[a-z0-9][a-z0-9._-]*$/.test(scope);
const isAddress = address === undefined || /^https:\/\/[^/]+\/.+$/.test(address);
if (!isScope || !isAddress || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
if (scope === from && address === undefined) {
  console.error(`the scope is already ${from}`);
  process.exit(2);
}

if (address !== undefined) {
  const home = address.replace(/(?:\.git|\/)+$/, '');
  for (const { folder, manifest } of publishedPackages()) {
    const repository = { type: 'git', url: `git+${home}.git`, directory: folder };
    const text = JSON.stringify({ ...manifest, repository }, undefined, 2);
    writeFileSync(`${folder}/package.json`, `${text}\n`);
  }
  writeFileSync(
    '.github/ISSUE_TEMPLATE/config.yml',
    `blank_issues_enabled: true
contact_links:
  - name: A peer can harm others
    url: ${home}/security/advisories/new
    about: Report it in private. SECURITY.md defines the scope and the time of our answer.
`,
  );
}

// The scope itself, not the start of a longer name or the end of an e-mail address.
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
  // A link to a folder, or a deleted file.
  if (scope === from || !statSync(file, { throwIfNoEntry: false })?.isFile()) continue;
  const bytes = readFileSync(file);
  const text = bytes.toString();
  const changed = text.replace(name, scope);
  // Binary files do not change.
  if (changed === text || !Buffer.from(text).equals(bytes)) continue;
  writeFileSync(file, changed);
  renamed++;
}
console.log(
  `${from} is ${scope} in ${renamed} files. Now: pnpm install, pnpm run format, pnpm test; and README.md, "Install".`,
);
