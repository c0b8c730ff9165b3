import { type Channel, channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import { excerpt } from '@ws/codec/internal';
import type { Diagnostics } from '@ws/node-io';

const debug = /* @__PURE__ */ debuglog('ws');
const dial = /* @__PURE__ */ channelOf('@ws:dial');
const dialFail = /* @__PURE__ */ channelOf('@ws:dial:fail');

function channelOf(name: keyof Diagnostics): Channel {
  return channel(name);
}

/** Publishes that a dial begins. */
export function publishDial(url: string): void {
  if (dial.hasSubscribers) dial.publish({ url });
  if (debug.enabled) debug('dial: %s', withoutQuery(url));
}

/** Publishes that a dial has failed. */
export function publishDialFailure(url: string, error: unknown): void {
  if (dialFail.hasSubscribers) dialFail.publish({ url, error });
  if (debug.enabled) debug('dial failed: %s: %s', withoutQuery(url), printed(error));
}

/** A query often contains a token. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*/s, '?...');
}

function printed(error: unknown): string {
  try {
    return excerpt(String(error), 1_000);
  } catch {
    // The reason of a signal is any value.
    return 'a value that cannot be printed';
  }
}
