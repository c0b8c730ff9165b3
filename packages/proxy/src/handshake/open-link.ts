import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  acceptDeflate,
  acceptKey,
  type DeflateParameters,
  type Extension,
  formatExtensions,
  parseExtensions,
  type RequestFacts,
} from '@ws/codec';
import { offerDeflate } from '@ws/codec/internal';
import { Conn } from '@ws/conn';
import { deflateLimits, ResolvedOptions, type Settings } from '@ws/conn/internal';
import { isThenable } from '@ws/http-shared';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { negotiateCompression, serverFault, unexpectedResult } from '@ws/node-server/internal';
import { ProxyError } from '../errors.ts';
import type { CheckedOptions } from '../options.ts';
import { ByteTunnel } from '../tunnel/byte-tunnel.ts';
import { FrameTunnel } from '../tunnel/frame-tunnel.ts';
import type { Link } from '../tunnel/link.ts';
import { MessageLink } from '../tunnel/message-link.ts';
import type { Offer } from './answer.ts';
import type { Answer } from './connect.ts';
import { endToEnd, formatLines, type HeaderLine, headersOf, linesFrom } from './header-lines.ts';

/** How a mode answers the client and joins the two sides. */
export interface Opening {
  /** The values for the 101 to the client. */
  readonly subprotocol: string;
  readonly extensions: string;
  /** Joins the sockets after the 101 was written. `early` came from the client before. */
  open(early: Uint8Array): Link;
}

/** What the request to a target offers: in `messages`, extensions of the proxy's own. */
export function offerFor(plan: CheckedOptions, facts: RequestFacts): Offer {
  const subprotocols = facts.list('sec-websocket-protocol');
  if (plan.mode !== 'messages') {
    const key = facts.once('sec-websocket-key')!;
    return { key, subprotocols, extensions: facts.list('sec-websocket-extensions') };
  }
  const offers = deflateOffers(plan.client);
  const extensions = offers.length === 0 ? '' : formatExtensions(offers);
  return { key: randomBytes(16).toString('base64'), subprotocols, extensions };
}

/**
 * Prepares the answer to the client.
 *
 * @param report - Gets the errors of `transform`.
 * @throws ProxyError 502 for extensions of the target that do not fit the offer.
 */
export function openingOf(
  plan: CheckedOptions,
  facts: RequestFacts,
  client: Duplex,
  answer: Answer,
  report: (error: unknown) => void,
): Opening {
  const subprotocol = answer.head.list('sec-websocket-protocol');
  const extensions = answer.head.list('sec-websocket-extensions');
  if (plan.mode === 'messages') return messages(plan, facts, client, answer, report);
  const Tunnel = plan.mode === 'bytes' ? ByteTunnel : FrameTunnel;
  const open = (early: Uint8Array): Link => {
    const tunnel = new Tunnel(client, answer.stream.stream, plan.tunnel);
    tunnel.start(early, answer.rest);
    return tunnel;
  };
  return { subprotocol, extensions, open };
}

function messages(
  plan: CheckedOptions,
  facts: RequestFacts,
  client: Duplex,
  answer: Answer,
  report: (error: unknown) => void,
): Opening {
  const { stream } = answer.stream;
  const subprotocol = answer.head.list('sec-websocket-protocol');
  const ofTarget = acceptedDeflate(plan, answer);
  const ofClient = negotiateCompression(facts, plan.server.compression);
  const extensions = ofClient === undefined ? '' : formatExtensions([ofClient.answer]);
  const { highWaterMark, idleTimeout } = plan.tunnel;
  const open = (early: Uint8Array): Link => {
    const options = (role: 'server' | 'client', deflate: DeflateParameters | undefined) =>
      new ResolvedOptions(role, nodePlatform, plan[role], subprotocol, '', deflate);
    const downstream = socketTransport(client, { head: early, highWaterMark });
    const upstream = socketTransport(stream, { head: answer.rest, highWaterMark });
    return new MessageLink(
      new Conn(downstream, options('server', ofClient?.parameters)),
      new Conn(upstream, options('client', ofTarget)),
      plan.transform,
      idleTimeout,
      report,
    );
  };
  return { subprotocol, extensions, open };
}

function acceptedDeflate(plan: CheckedOptions, { head }: Answer): DeflateParameters | undefined {
  const accepted = parseExtensions(head.list('sec-websocket-extensions')) ?? [];
  try {
    if (accepted.length > 1) throw new TypeError('it accepted an extension twice');
    return accepted[0] && acceptDeflate(accepted[0], deflateOffers(plan.client));
  } catch (cause) {
    const message = 'the target accepted parameters of an extension that were not offered';
    throw new ProxyError('WS_ERR_PROXY_TARGET', 502, message, { cause });
  }
}

function deflateOffers({ compression }: Settings): readonly Extension[] {
  const limits = deflateLimits(compression, 'client', nodePlatform);
  if (compression === false || limits === undefined) return [];
  const offer = offerDeflate(limits);
  if (compression.mode === 'takeover' || offer.fallback === undefined) return [offer];
  return [offer, offer.fallback];
}

/** The target's end-to-end lines, after the last word of `response`. */
export function answerLines(
  { response }: CheckedOptions,
  answer: Answer,
  req: IncomingMessage,
): HeaderLine[] {
  const lines = endToEnd(answer.head.all());
  if (response === undefined) return lines;
  try {
    const headers = headersOf(lines);
    const result: unknown = response(headers, req);
    if (isThenable(result)) throw unexpectedResult('response', 'no result', result);
    return linesFrom(headers, 'response');
  } catch (cause) {
    throw serverFault('response', cause);
  }
}

/** Formats the 101 for the client. */
export function formatSwitch(
  key: string,
  { subprotocol, extensions }: Opening,
  lines: readonly HeaderLine[],
): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n` +
    (subprotocol === '' ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
    (extensions === '' ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    `${formatLines(lines)}\r\n`
  );
}
