import {
  acceptDeflate,
  type DeflateLimits,
  type DeflateParameters,
  type ExtensionOffer,
  formatExtensions,
  negotiateDeflate,
  ProtocolError,
  parseExtensions,
} from '@ws/codec';
import { Input } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { acceptanceOf, agreementOf } from '../oracles/deflate-negotiation.ts';
import { type Element, elementsOf } from '../oracles/header-fields.ts';

const NAMES = [
  'permessage-deflate',
  'server_no_context_takeover',
  'client_no_context_takeover',
  'server_max_window_bits',
  'client_max_window_bits',
];

/** Compares `parseExtensions` with the grammar, and the negotiation with the tables of RFC 7692. */
export function extensionsHeader(
  parse: typeof parseExtensions = parseExtensions,
  negotiate: typeof negotiateDeflate = negotiateDeflate,
  accept: typeof acceptDeflate = acceptDeflate,
): Target {
  return {
    name: 'extensions-header',
    description:
      'Sec-WebSocket-Extensions follows its grammar, and the negotiation follows RFC 7692',
    covers: ['packages/codec/src/handshake/'],
    maxLength: 600,
    dictionary: bytesOf(
      ...NAMES,
      '; ',
      ', ',
      '=',
      '"',
      '\\',
      '8',
      '"15"',
      '16',
      '; x=1',
      '__proto__',
      '\t',
    ),
    separators: bytesOf(',', ';', '\0'),
    seeds: bytesOf(
      '\0\0\0permessage-deflate',
      '\0\0\0permessage-deflate; client_max_window_bits\0permessage-deflate; client_max_window_bits=9',
      '\0\x11\0permessage-deflate; server_max_window_bits="10"; server_no_context_takeover, permessage-deflate',
      '\0\x02\0x-other; a=1; b="c", permessage-deflate; client_max_window_bits=12',
    ),
    run(input) {
      const read = new Input(input);
      const repeat = read.byte();
      const limits = limitsOf(read);
      const [offers, answer = ''] = Buffer.from(read.rest()).toString('latin1').split('\0');
      const text = Array.from({ length: repeat < 200 ? 1 : repeat - 198 }, () => offers).join(',');
      const elements = elementsOf(text);
      const parsed = parse(text);
      ensureSame(print(parsed), printElements(elements), 'elements');
      if (parsed === undefined || elements === undefined) return;
      if (parsed.every((one) => one.repeated !== true)) {
        ensureSame(
          print(parse(formatExtensions(parsed))),
          print(parsed),
          'elements after formatting and parsing',
        );
      }
      const agreed = negotiate(parsed, limits);
      ensureSame(
        printParameters(agreed?.parameters),
        printParameters(agreementOf(elements, limits)),
        'agreement',
      );
      if (agreed !== undefined) checkAnswer(agreed.answer, agreed.parameters, parsed, limits);
      compareAcceptance(answer, parsed[0], elements[0], parse, accept);
    },
  };

  /** Checks that the client of the offer reads the server's parameters from the answer. */
  function checkAnswer(
    answer: ExtensionOffer,
    parameters: DeflateParameters,
    offers: readonly ExtensionOffer[],
    limits: DeflateLimits,
  ): void {
    const offer = offers.find((one) => negotiate([one], limits) !== undefined)!;
    const [read] = parse(formatExtensions([answer])) ?? [];
    ensure(read !== undefined, 'the answer is well-formed');
    ensureSame(
      printParameters(accept(read, [offer])),
      printParameters(parameters),
      'parameters of the client',
    );
  }
}

function compareAcceptance(
  answer: string,
  offer: ExtensionOffer | undefined,
  element: Element | undefined,
  parse: typeof parseExtensions,
  accept: typeof acceptDeflate,
): void {
  const response = parse(answer)?.[0];
  const expected = elementsOf(answer)?.[0];
  if (
    response === undefined ||
    expected === undefined ||
    offer === undefined ||
    element === undefined
  ) {
    return;
  }
  // A client sends only valid offers.
  if (agreementOf([element], {}) === undefined) return;
  const wanted = acceptanceOf(expected, element);
  try {
    ensureSame(printParameters(accept(response, [offer])), printParameters(wanted), 'acceptance');
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    ensureSame(undefined, printParameters(wanted), 'a rejected answer');
  }
}

function limitsOf(read: Input): DeflateLimits {
  const flags = read.byte();
  const bits = read.byte();
  return {
    serverNoContextTakeover: (flags & 1) === 1,
    clientNoContextTakeover: (flags & 2) === 2,
    serverMaxWindowBits: (flags & 4) === 4 ? 8 + (bits & 7) : undefined,
    clientMaxWindowBits: (flags & 8) === 8 ? 8 + ((bits >> 3) & 7) : undefined,
  };
}

function print(list: readonly ExtensionOffer[] | undefined): string | undefined {
  return list
    ?.map(
      ({ name, params, repeated = false }) => `${name} ${repeated} ${JSON.stringify([...params])}`,
    )
    .join();
}

function printElements(list: readonly Element[] | undefined): string | undefined {
  return print(
    list?.map(({ name, params }) => {
      // The first of repeated parameters counts.
      const first = new Map(params.toReversed());
      const ordered = new Map(params.map(([key]) => [key, first.get(key)!]));
      return { name, params: ordered, repeated: ordered.size < params.length };
    }),
  );
}

function printParameters(parameters: DeflateParameters | undefined): string | undefined {
  if (parameters === undefined) return undefined;
  const {
    serverNoContextTakeover,
    clientNoContextTakeover,
    serverMaxWindowBits,
    clientMaxWindowBits,
  } = parameters;
  return `${serverNoContextTakeover} ${clientNoContextTakeover} ${serverMaxWindowBits} ${clientMaxWindowBits}`;
}
