import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../../../packages/obs/protocol');

/** Reads a protocol of packages/obs. */
export function readProtocol(file: 'protocol-v4.json' | 'protocol-v5.json'): unknown {
  return JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
}

/** A value of a type that a protocol names. */
export function sampleOf(type: string): unknown {
  const plain = type.replace(/ \(optional\)$/i, '').toLowerCase();
  if (plain.startsWith('array')) return [];
  if (plain === 'string') return '';
  if (plain.startsWith('bool')) return false;
  if (['number', 'int', 'integer', 'double', 'float'].includes(plain)) return 0;
  return plain === 'any' ? null : {};
}
