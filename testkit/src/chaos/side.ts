import type { Ledger, Said } from './ledger.ts';
import type { Part } from './script.ts';

/** How a side's connection ended, as its library told it. */
interface SideEnd {
  readonly code: number;
  /** Both close frames were exchanged, as far as it knows. */
  readonly clean: boolean;
}

/** One end of a connection, and what it came to know. */
export interface Side {
  readonly role: 'client' | 'server';
  readonly make: 'ours' | 'ws';
  readonly part: Part;
  /** What it says, and how much of that the other side heard. */
  readonly out: Ledger;
  /** What the other side says. */
  readonly in: Ledger;
  /** The number that its messages carry. */
  readonly tag: number;
  /** Something was said or heard: whose turn it is to close may have come. */
  readonly news: () => void;
  /** Undefined when the handshake failed, or never came to this side. */
  end: SideEnd | undefined;
  /** It has called `close`, with this code, after so many messages. */
  closed: { readonly code: number; readonly after: number } | undefined;
  /** It has dropped the connection by itself. */
  terminated: boolean;
  /** It ends the connection; set while that is open. */
  close: ((code: number) => void) | undefined;
  /** The last message that is written as a stream, until it is whole. */
  stream: Said | undefined;
  /** How reading ended: with an error or without. */
  reading: 'pending' | 'done' | 'failed';
  /** Breaches of the library's contract that only this side could see. */
  readonly faults: string[];
}

/** Breaks of `side`'s own code, and of what the library promises to it, are findings. */
export function blame(side: Side, fault: string): void {
  if (side.faults.length < 5) side.faults.push(fault);
}
