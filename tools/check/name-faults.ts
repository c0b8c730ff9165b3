// Names of packages on pages, in recipes and in packages. Until the scope is decided, npm may have packages of others under
// our names, so no text runs or installs them from there.

/** What the rules depend on. */
export interface Names {
  /** That of tools/scope.json. */
  readonly scope: string;
  /** Names without a scope: `conn`. */
  readonly packages: readonly string[];
  readonly commands: readonly string[];
}

/** Packages of others that pages run. */
const RUN_BY_PAGES = ['next', 'node', 'pnpm', 'tsx', 'vitepress', 'vitest'];

/** Programs that run a package of npm, with the options before its name. */
const RUN =
  /\b(?:npx|pnpx|bunx|npm exec|(?:pnpm|yarn) dlx)((?: +(?:(?:-p|--package)[ =]+[^\s`]+|-{1,2}[\w-]+))*) +([@\w][\w./@-]*)/g;
const PACKAGE = /(?<=(?:-p|--package)[ =]+)[^\s`]+/g;
/** The rest of a command that installs packages of npm. */
const INSTALL =
  /\b(?:npm|pnpm|yarn|bun|deno)(?: -{1,2}[\w-]+)* (?:i|install|add|ci)\b((?: +[^\s`'"]+)+)/g;
const CDN =
  /\b(?:esm\.sh|unpkg\.com|jsdelivr\.net\/npm|skypack\.dev|esm\.run|npm:)\/?(@[\w.-]+\/)/g;

/**
 * Reasons to change a text.
 *
 * @param file - Its path. In pages, every name after `npx` is checked.
 */
export function nameFaults(file: string, text: string, names: Names): string[] {
  const { scope, packages, commands } = names;
  const isPage = file.endsWith('.md');
  const faults: string[] = [];
  const isOurs = (name: string): boolean => name.startsWith(`${scope}/`) || commands.includes(name);

  const scoped = new RegExp(
    `(?<![\\w/.])(@[a-z0-9][\\w.-]*)/(?:${packages.join('|')})(?![\\w-])`,
    'g',
  );
  for (const [found, other] of text.matchAll(scoped)) {
    if (other !== scope && !OTHERS.includes(found)) {
      faults.push(`${found} is not in the scope ${scope} of tools/scope.json`);
    }
  }
  for (const [found, options = '', name = ''] of text.matchAll(RUN)) {
    // With -p, the name is a program of those packages.
    const packages = options.match(PACKAGE) ?? [name];
    const bare = packages.map((each) => each.replace(/(?<=.)@.*$/, ''));
    const isWrong = bare.some((each) => isOurs(each) || (isPage && !RUN_BY_PAGES.includes(each)));
    if (isWrong) faults.push(`"${found}" runs a package of npm that is not ours`);
  }
  for (const [found, rest = ''] of text.matchAll(INSTALL)) {
    if (rest.trim().split(/ +/).some(isOurs)) {
      faults.push(`"${found}" installs our packages from npm, which has none of ours`);
    }
  }
  for (const [found, of = ''] of text.matchAll(CDN)) {
    if (of === `${scope}/`) faults.push(`"${found}" loads our packages from npm`);
  }
  return faults.map((fault) => `${file}: ${fault}`);
}

/** Packages of others whose names look like ours in another scope. */
const OTHERS: readonly string[] = [
  '@arethetypeswrong/cli',
  '@changesets/cli',
  '@hono/node-server',
  '@vitest/browser',
];
