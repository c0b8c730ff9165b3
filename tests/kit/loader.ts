import process from 'node:process';

/** Arguments of Node for a program in TypeScript on the sources of the packages. */
const ON_SOURCES: readonly string[] = ['--conditions=@ws/source', '--import', 'tsx'];

/**
 * The arguments of Node without those that load sources of packages, when the packages are built:
 * `pnpm long slow` builds them and sets WS_BUILT. A program starts in a third of the CPU time then.
 */
export function onBuilt(args: readonly string[]): string[] {
  return args.filter((arg) => arg !== ON_SOURCES[0] || process.env['WS_BUILT'] === undefined);
}

/** Arguments of Node for a program in TypeScript, on built packages if {@link onBuilt} says so. */
export const LOADER: readonly string[] = onBuilt(ON_SOURCES);
