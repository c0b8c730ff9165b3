import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  acceptDeflate,
  type DeflateParameters,
  formatExtensions,
  isWebSocketKey,
  parseExtensions,
  type RequestFacts,
} from '@ws/codec';
import { Conn } from '@ws/conn';
import { isThenable, ResolvedOptions } from '@ws/conn/internal';
import { deflateOffers } from '@ws/node-client/internal';
import { nodePlatform } from '@ws/node-io';
import { endToEnd, serverFault, unexpectedResult } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import type { ProxiedConnection } from '../proxied.ts';
import { ByteTunnel } from '../tunnel/byte-tunnel.ts';
import { destroyOnError, duplexOf, transportOf } from '../tunnel/duplex.ts';
import { FrameTunnel } from '../tunnel/frame-tunnel.ts';
import type { Link } from '../tunnel/link.ts';
import { MessageLink } from '../tunnel/message-link.ts';
import type { Offer, TargetAnswer } from './answer.ts';
import { checkedLines, type HeaderLine, headersOf } from './end-to-end.ts';

/** What the request to a target offers: in `messages`, extensions of the proxy's own. */
export function offerFor({ mode, client }: CheckedOptions, facts: RequestFacts): Offer {
  const subprotocols = facts.list('sec-websocket-protocol');
  if (mode !== 'messages') {
    const key = facts.once('sec-websocket-key') ?? '';
    // A request of HTTP/2 needs none.
    return {
      key: isWebSocketKey(key) ? key : randomKey(),
      subprotocols,
      extensions: facts.list('sec-websocket-extensions'),
    };
  }
  const extensions = formatExtensions(deflateOffers(client));
  return { key: randomKey(), subprotocols, extensions };
}

function randomKey(): string {
  return randomBytes(16).toString('base64');
}

/** Joins the two streams. `early` came from the client before. */
export function openLink(
  plan: CheckedOptions,
  proxied: ProxiedConnection,
  client: Duplex,
  early: Uint8Array,
  { stream, rest }: TargetAnswer,
): Link {
  const Tunnel = plan.mode === 'bytes' ? ByteTunnel : FrameTunnel;
  const { highWaterMark } = plan.client;
  const target = duplexOf(stream, highWaterMark);
  const tunnel = new Tunnel(duplexOf(client, highWaterMark), target, plan, proxied);
  tunnel.start(early, rest);
  stream.off('error', destroyOnError);
  return tunnel;
}

/**
 * As {@link openLink}, in the mode `messages`.
 *
 * @param deflate - What it has agreed on with the client.
 * @param ofTarget - What it has agreed on with the target.
 * @param report - Gets the errors of `transform`.
 */
export function openMessageLink(
  plan: CheckedOptions,
  proxied: ProxiedConnection,
  client: Duplex,
  early: Uint8Array,
  { stream, head, rest }: TargetAnswer,
  deflate: DeflateParameters | undefined,
  ofTarget: DeflateParameters | undefined,
  report: (error: unknown) => void,
): Link {
  const subprotocol = head.list('sec-websocket-protocol');
  const { upgrader, client: settings } = plan;
  const { highWaterMark } = upgrader;
  return new MessageLink(
    new Conn(
      transportOf(client, early, highWaterMark),
      new ResolvedOptions('server', nodePlatform, upgrader.settings, {
        subprotocol,
        extensions: '',
        deflate,
      }),
    ),
    new Conn(
      transportOf(stream, rest, highWaterMark),
      new ResolvedOptions('client', nodePlatform, settings, {
        subprotocol,
        extensions: '',
        deflate: ofTarget,
      }),
    ),
    plan.transform,
    plan.idleTimeout,
    proxied,
    report,
  );
}

/**
 * Returns what the target has accepted of the proxy's own offer; undefined for no compression.
 *
 * @throws ProxyError 502 for extensions that do not fit the offer.
 */
export function acceptedDeflate(
  { client }: CheckedOptions,
  { head }: TargetAnswer,
): DeflateParameters | undefined {
  const accepted = parseExtensions(head.list('sec-websocket-extensions')) ?? [];
  try {
    if (accepted.length > 1) throw new TypeError('it accepted an extension twice');
    return accepted[0] && acceptDeflate(accepted[0], deflateOffers(client));
  } catch (cause) {
    const message = 'the target accepted parameters of an extension that were not offered';
    throw new ProxyError('WS_ERR_PROXY_TARGET', 502, message, { cause });
  }
}

/** The target's end-to-end lines, after the last word of `response`. */
export function answerLines(
  { response }: CheckedOptions,
  { head }: TargetAnswer,
  req: IncomingMessage,
): readonly HeaderLine[] {
  const lines = endToEnd(head.all());
  if (response === undefined) return lines;
  try {
    const headers = headersOf(lines);
    const result: unknown = response(headers, req);
    if (isThenable(result)) throw unexpectedResult('response', 'no result', result);
    return checkedLines('response', headers);
  } catch (cause) {
    throw serverFault('response', cause);
  }
}
