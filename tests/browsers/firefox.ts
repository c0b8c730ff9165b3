import process from 'node:process';
import puppeteer, { type Browser, type LaunchOptions } from 'puppeteer-core';
import { findProgram } from '../kit/programs.ts';

const NAMES = ['firefox', 'firefox-esr'];

/** Reports whether to skip a browser suite, and prints the reason. Never with REQUIRE_PROGRAMS set. */
export function lacksFirefox(): boolean {
  if (findFirefox() !== undefined || process.env['REQUIRE_PROGRAMS']) return false;
  console.log('skipped: no firefox on the PATH or in FIREFOX_BIN');
  return true;
}

/**
 * Starts Firefox without a window: `FIREFOX_BIN`, or the first on the PATH. The caller closes it.
 * Puppeteer drives a Firefox as it is, Playwright only its own or a new one.
 */
export async function launchFirefox(options: LaunchOptions = {}): Promise<Browser> {
  const executablePath = findFirefox();
  if (executablePath === undefined) throw new Error('firefox: not on the PATH, nor FIREFOX_BIN');
  return puppeteer.launch({ browser: 'firefox', executablePath, headless: true, ...options });
}

function findFirefox(): string | undefined {
  return process.env['FIREFOX_BIN'] || NAMES.map(findProgram).find((path) => path !== undefined);
}
