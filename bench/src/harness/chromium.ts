import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import type { Browser } from 'playwright-core';
import { UsageError } from '../command-line/usage-error.ts';
import { lackOfPackage } from './optional-package.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/**
 * Starts Chromium without a window: `CHROMIUM_BIN`, or the first on the `PATH`. Nothing is
 * downloaded.
 *
 * @throws (rejects) UsageError when there is none.
 */
export async function startChromium(): Promise<Browser> {
  const { PATH = '', CHROMIUM_BIN } = process.env;
  const paths = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  const executablePath = CHROMIUM_BIN || paths.find(isExecutable);
  if (executablePath === undefined) {
    throw new UsageError('browser: no chromium on the PATH, nor in CHROMIUM_BIN');
  }
  const lack = lackOfPackage('playwright-core');
  if (lack !== undefined) throw new UsageError(`browser: ${lack}`);
  const { chromium } = await import('playwright-core');
  // The sandbox does not work for root.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
