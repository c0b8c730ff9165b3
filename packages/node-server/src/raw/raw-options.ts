import { Server as HttpServer } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import { checkOptionNames, kind, optionHint } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';
import { type UpgraderOptions, upgraderOptionNames } from '../options.ts';
import { type HeadCallbacks, headCallbackNames } from '../policies/head-callbacks.ts';

/** Options of a raw upgrade, in addition to those of an Upgrader. */
export interface RawOptions extends HeadCallbacks {
  /**
   * Gets each stream whose first request asks for no WebSocket, with all its bytes unread: one port
   * serves both. A head that is malformed here goes there too, so that only one parser judges it.
   * Such a stream is this server's until it closes, with all its later requests; close the server
   * yourself. It may listen on another port too, or on none. Default: none, such requests get 426.
   */
  readonly fallback?: HttpServer | undefined;
}

/** Options of a {@link RawUpgrader}. Their functions get the head as {@link RequestFacts}. */
export interface RawUpgraderOptions<Result = undefined>
  extends UpgraderOptions<Result, RequestFacts>,
    RawOptions {}

/** The names of {@link RawOptions}. */
export const rawOptionNames: readonly (keyof RawOptions)[] = [...headCallbackNames, 'fallback'];

const NAMES = [...upgraderOptionNames, ...rawOptionNames];

/**
 * Checks the options of a RawUpgrader that an Upgrader does not have.
 *
 * @throws TypeError that names the option.
 */
export function checkRawOptions(options: RawUpgraderOptions<unknown>): void {
  checkOptionNames('RawUpgrader', options, NAMES, 'ignore', optionHint);
  for (const name of headCallbackNames) {
    const value = options[name];
    if (value !== undefined) assertOption(name, value, typeof value === 'function', 'a function');
  }
  const { fallback, unmatched } = options;
  if (fallback !== undefined && !(fallback instanceof HttpServer)) {
    throw new TypeError(
      `fallback: expected a server of node:http, also behind TLS, got ${kind(fallback)}; pass http.createServer(app)`,
    );
  }
  if (unmatched === 'leave' && fallback === undefined) {
    throw new TypeError(
      "unmatched: 'leave' needs the option fallback; otherwise nothing could answer",
    );
  }
}
