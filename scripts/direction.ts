import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

/** What each package may import of its neighbours: codec <- conn <- node-io <- node-server | node-client. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  codec: [],
  conn: ['codec'],
  'node-io': ['codec', 'conn'],
  'node-server': ['codec', 'conn', 'node-io'],
  'node-client': ['codec', 'conn', 'node-io'],
  // It judges by itself, and nothing imports it.
  conformance: [],
};
/** Packages that run anywhere: no Node, no DOM, no global beyond their own `globals.d.ts`. */
const PURE: readonly string[] = ['codec', 'conn'];
/** The only package that may have runtime dependencies from elsewhere: the proxies it loads when first needed. */
const MAY_DEPEND: readonly string[] = ['node-client'];
/** Folders that use the packages by their public names only. */
const OUTSIDE: readonly string[] = ['testkit', 'bench', 'fuzz', 'examples'];

/**
 * Every breach of the direction of dependencies in the tree under `root`, a sentence each: imports and package.json of
 * each package, circles of files within a package (types included), and what keeps the pure packages pure.
 */
export function directionFaults(root: string): string[] {
  const faults: string[] = [];
  for (const name of Object.keys(MAY_IMPORT)) {
    const folder = join(root, 'packages', name);
    if (existsSync(folder)) faults.push(...packageFaults(root, folder, name));
  }
  for (const folder of OUTSIDE) faults.push(...outsideFaults(root, join(root, folder)));
  return faults;
}

function packageFaults(root: string, folder: string, name: string): string[] {
  const faults: string[] = [];
  const src = join(folder, 'src');
  const dependencies = dependenciesOf(folder);
  for (const dependency of dependencies) {
    const fault = neighbourFault(name, dependency);
    if (fault !== undefined) faults.push(`packages/${name}/package.json: ${fault}`);
  }

  const graph = new Map<string, string[]>();
  for (const file of sources(src)) {
    const at = relative(root, file);
    const info = ts.preProcessFile(readFileSync(file, 'utf8'), true, true);
    const local: string[] = [];
    for (const { fileName: specifier } of info.importedFiles) {
      if (specifier.startsWith('.')) {
        const target = resolve(dirname(file), specifier);
        if (!target.startsWith(src + sep))
          faults.push(`${at}: ${specifier} leaves the package's src`);
        else if (!existsSync(target)) faults.push(`${at}: ${specifier} is no file`);
        else if (target === join(src, 'index.ts'))
          faults.push(`${at}: import the file, not index.ts`);
        else local.push(target);
        continue;
      }
      const fault = specifierFault(name, specifier, dependencies);
      if (fault !== undefined) faults.push(`${at}: ${fault}`);
    }
    graph.set(file, local);
    if (PURE.includes(name)) {
      for (const { fileName } of [
        ...info.typeReferenceDirectives,
        ...info.libReferenceDirectives,
      ]) {
        faults.push(`${at}: a reference to ${fileName} brings globals in`);
      }
      if (file.endsWith('.d.ts') && file !== join(src, 'globals.d.ts')) {
        faults.push(`${at}: globals are declared in src/globals.d.ts only`);
      } else if (
        !file.endsWith('.d.ts') &&
        /^\s*declare\s+(global|var|let|const|function|class|module|namespace)\b/m.test(
          readFileSync(file, 'utf8'),
        )
      ) {
        faults.push(`${at}: an ambient declaration; globals are declared in src/globals.d.ts only`);
      }
    }
  }
  for (const circle of circles(graph)) {
    faults.push(`circle: ${circle.map((file) => relative(root, file)).join(' -> ')}`);
  }
  if (PURE.includes(name)) faults.push(...configFaults(root, folder));
  return faults;
}

/** Why the package `name` may not import or depend on `specifier`, a neighbour or not. */
function neighbourFault(name: string, specifier: string): string | undefined {
  if (specifier.startsWith('@ws/')) {
    const neighbour = specifier.slice('@ws/'.length);
    if (!MAY_IMPORT[name]!.includes(neighbour)) return `${name} must not know ${specifier}`;
  } else if (!MAY_DEPEND.includes(name)) {
    return `${name} has no dependency from elsewhere, and ${specifier} is one`;
  }
  return undefined;
}

function specifierFault(
  name: string,
  specifier: string,
  dependencies: readonly string[],
): string | undefined {
  if (specifier.startsWith('node:')) {
    return PURE.includes(name) ? `${specifier} in a package that runs anywhere` : undefined;
  }
  const fault = neighbourFault(name, specifier);
  if (fault !== undefined) return fault;
  if (!dependencies.includes(specifier))
    return `${specifier} is not in package.json's dependencies`;
  return undefined;
}

function dependenciesOf(folder: string): string[] {
  const manifest: Record<string, Record<string, string> | undefined> = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  );
  return ['dependencies', 'peerDependencies', 'optionalDependencies'].flatMap((field) =>
    Object.keys(manifest[field] ?? {}),
  );
}

/** The compiler keeps a pure package pure by `types: []` and a lib without the DOM: this keeps those two. */
function configFaults(root: string, folder: string): string[] {
  const path = join(folder, 'tsconfig.json');
  const at = relative(root, path);
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path, (file) => ts.sys.readFile(file)).config,
    ts.sys,
    folder,
  );
  const faults: string[] = [];
  if (options.types?.length !== 0) faults.push(`${at}: types must be []`);
  if (
    options.lib === undefined ||
    options.lib.some((lib) => /dom|webworker|scripthost/i.test(lib))
  ) {
    faults.push(`${at}: lib must be set, without the DOM`);
  }
  return faults;
}

/** Relative imports that leave one of the folders that use public names only. */
function outsideFaults(root: string, folder: string): string[] {
  const faults: string[] = [];
  for (const file of sources(folder)) {
    const info = ts.preProcessFile(readFileSync(file, 'utf8'), true, true);
    for (const { fileName: specifier } of info.importedFiles) {
      const leaves =
        specifier.startsWith('.') && !resolve(dirname(file), specifier).startsWith(folder + sep);
      if (leaves || !isPublic(root, specifier)) {
        faults.push(`${relative(root, file)}: ${specifier} is not a public name`);
      }
    }
  }
  return faults;
}

/** Whether what stands behind a package's name is one of its entry points. */
function isPublic(root: string, specifier: string): boolean {
  const [, name, entry] = /^@ws\/([^/]+)\/(.+)$/.exec(specifier) ?? [];
  if (name === undefined) return true;
  const manifest = [join(root, 'packages', name), join(root, name)]
    .map((folder) => join(folder, 'package.json'))
    .find((path) => existsSync(path));
  if (manifest === undefined) return false;
  const { exports = {} }: { exports?: object } = JSON.parse(readFileSync(manifest, 'utf8'));
  return Object.hasOwn(exports, `./${entry}`);
}

/** Circles of imports, each told once, as the files on the way back to its first. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const seen = path.indexOf(file);
    if (seen !== -1) found.push([...path.slice(seen), file]);
    if (seen !== -1 || done.has(file)) return;
    path.push(file);
    for (const next of graph.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}

function sources(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}
