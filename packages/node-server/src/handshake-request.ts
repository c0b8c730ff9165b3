import type { IncomingMessage } from 'node:http';

/**
 * The request that a callback gets: that of `node:http`. A compiler without `@types/node` takes an
 * IncomingMessage for `any`, and reports nothing when `skipLibCheck` is on. This type then has one
 * property, whose name says what to install. `keyof` is `string | number | symbol` then: a condition on
 * the type itself has no result since TypeScript 5.5.
 */
export type HandshakeRequest = string extends keyof IncomingMessage
  ? { readonly 'run npm install --save-dev @types/node': never }
  : IncomingMessage;
