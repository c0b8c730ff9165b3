import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, '../../../packages/obs/protocol/protocol-v5.json');

/** Reads the protocol of packages/obs. */
export function readProtocol(): unknown {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

const SAMPLES: Readonly<Record<string, unknown>> = {
  String: '',
  Number: 0,
  Boolean: false,
  Any: null,
};

/** A value of a type that the protocol names. */
export function sampleOf(type: string): unknown {
  if (type.startsWith('Array')) return [];
  return SAMPLES[type] ?? {};
}
