import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The root folder of the workspace that contains this command, built or not.
 *
 * @throws Error outside of a checkout.
 */
export function workspaceRoot(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'pnpm-workspace.yaml'))) return folder;
  }
  throw new Error('this command needs a checkout of the workspace');
}
