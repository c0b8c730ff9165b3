import { kind } from '@ws/conn/internal';

/** The parts of a Response. Some classes have other streams, or none. */
export interface AnyResponse {
  readonly status?: unknown;
  readonly headers?: object | null | undefined;
  readonly body?: unknown;
}

/**
 * Whether a value of the application is a Response: of this realm, of undici, of a ponyfill, or of a
 * framework that has replaced the global class. `instanceof` does not know them.
 */
export function isResponse(value: unknown): value is AnyResponse {
  try {
    return kind(value) === 'Response';
  } catch {
    // The trap of a Proxy has thrown.
    return false;
  }
}
