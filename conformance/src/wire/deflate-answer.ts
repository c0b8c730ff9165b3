import type { Extension } from './head.ts';

const TAKEOVERS = ['server_no_context_takeover', 'client_no_context_takeover'];
const WINDOW_BITS = ['server_max_window_bits', 'client_max_window_bits'];

/** Tests whether a server may accept a permessage-deflate offer (RFC 7692, 7.1). */
export function isValidOffer({ params }: Extension): boolean {
  const names = params.map(([name]) => name);
  return (
    new Set(names).size === names.length &&
    params.every(([name, value]) => {
      if (TAKEOVERS.includes(name)) return value === undefined;
      if (!WINDOW_BITS.includes(name)) return false;
      return value === undefined ? name === WINDOW_BITS[1] : isBits(value);
    })
  );
}

/** RFC 7692, 7.1.2: 8 to 15, without leading zeros. */
function isBits(value: string): boolean {
  return /^(?:[89]|1[0-5])$/.test(value);
}

/** Lists the rules of RFC 7692, 7.1, that an answer breaks, alone or against the offer. */
export function deflateAnswerFaults(answer: Extension, offer: Extension): string[] {
  const faults: string[] = [];
  const names = answer.params.map(([name]) => name);
  if (new Set(names).size < names.length) faults.push('the answer names a parameter twice (7.1)');
  for (const [name, value] of answer.params) {
    if (TAKEOVERS.includes(name)) {
      if (value !== undefined) faults.push(`the answer gives ${name} a value (7.1.1)`);
    } else if (WINDOW_BITS.includes(name)) {
      if (value === undefined || !isBits(value)) {
        faults.push(
          `the answer has ${name}=${value ?? ''}, expected a number from 8 to 15 (7.1.2)`,
        );
      }
    } else faults.push(`the answer has the unknown parameter ${name} (7.1)`);
  }
  const offered = (name: string): readonly [string, string | undefined] | undefined =>
    offer.params.find(([one]) => one === name);
  if (offered(TAKEOVERS[0]!) !== undefined && !names.includes(TAKEOVERS[0]!)) {
    faults.push('the answer omits the offered server_no_context_takeover (7.1.1.1)');
  }
  const limit = offered(WINDOW_BITS[0]!)?.[1];
  if (limit !== undefined) {
    const answered = answer.params.find(([name]) => name === WINDOW_BITS[0])?.[1];
    if (answered === undefined) {
      faults.push('the answer omits the offered server_max_window_bits (7.1.2.1)');
    } else if (Number(answered) > Number(limit)) {
      faults.push(`server_max_window_bits=${answered} exceeds the offered ${limit} (7.1.2.1)`);
    }
  }
  const own = answer.params.find(([name]) => name === WINDOW_BITS[1]);
  const ownOffer = offered(WINDOW_BITS[1]!);
  if (own !== undefined && ownOffer === undefined) {
    faults.push('the answer has client_max_window_bits, which was not offered (7.1.2.2)');
  } else if (Number(own?.[1]) > Number(ownOffer?.[1])) {
    faults.push(`client_max_window_bits=${own![1]} exceeds the offered ${ownOffer![1]} (7.1.2.2)`);
  }
  return faults;
}
